"""Compiled schemas say what a full validator says."""

import copy

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.json_schema import compile_schema
from cauldron.services.formats import load_schema

SCHEMAS = ["erc721", "contract", "manifest", "provenance", "proofs", "rarity"]
HASH = "ab" * 32
GOOD = {
    "erc721": {
        "name": "A",
        "description": "",
        "image": "images/1.png",
        "external_url": "https://example.org",
        "attributes": [
            {"trait_type": "Hat", "value": "Cap"},
            {"trait_type": "Level", "value": 3, "display_type": "number", "max_value": 9},
        ],
        "properties": {
            "files": [{"uri": "images/1.png", "type": "image/png"}, {"uri": "b", "type": "video/mp4"}]
        },
    },
    "contract": {"name": "A", "symbol": "S", "collaborators": ["0x" + "0" * 40]},
    "manifest": {
        "cauldronExport": 1, "collection": {"name": "A", "slug": "a"}, "format": "erc721", "pieces": 1,
        "supply": 1, "partial": False, "counts": {}, "baseUri": "", "promptTrait": None,
        "provenanceHash": HASH, "merkleRoot": HASH,
        "files": [{"path": "a", "sha256": HASH, "sizeBytes": 1}],
    },
    "provenance": {
        "version": 1, "collection": {}, "pieces": 1, "partial": False,
        "provenanceHash": HASH, "merkleRoot": HASH,
        "order": [{"token": 1, "slot": 0, "image": HASH, "metadata": HASH, "traits": HASH, "others": [HASH]}],
    },
    "proofs": {"merkleRoot": HASH, "pieces": 1, "proofs": [{"token": 1, "path": [HASH]}]},
    "rarity": {
        "method": "OpenRarity", "traitCount": True, "entropyBits": 1.5,
        "pieces": [{"token": 1, "rank": 1, "score": 0.5, "bits": 2, "uniqueAttributes": 0}],
    },
}  # fmt: skip
ODD = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        1.0,
        1.5,
        10**30,
        "",
        " ",
        "x",
        "ftp:",
        HASH,
        "number",
        [],
        {},
        [1],
        {"a": 1},
    ]
)


def places(value, path=()):
    """Every path inside a document."""
    yield path
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, part in members:
        yield from places(part, (*path, key))


def spoilt(document, draw):
    """The document with one place replaced, removed or added to."""
    document = copy.deepcopy(document)
    path = draw.draw(st.sampled_from(list(places(document))))
    if not path:
        return draw.draw(ODD)
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    change = draw.draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "replace":
        parent[path[-1]] = draw.draw(ODD)
    elif change == "remove":
        del parent[path[-1]]
    elif isinstance(parent, dict):
        parent[draw.draw(st.sampled_from(["extra", "display_type", "others", "value"]))] = draw.draw(ODD)
    else:
        parent.append(draw.draw(ODD))
    return document


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_sample_fits_and_the_schema_itself_is_sound(name):
    jsonschema.Draft202012Validator.check_schema(load_schema(name))
    assert compile_schema(load_schema(name))(GOOD[name])
    assert jsonschema.Draft202012Validator(load_schema(name)).is_valid(GOOD[name])


@pytest.mark.parametrize("name", SCHEMAS)
@given(st.data())
def test_compiled_schema_and_full_validator_agree_on_spoilt_documents(name, data):
    schema = load_schema(name)
    document = (
        spoilt(spoilt(GOOD[name], data), data) if data.draw(st.booleans()) else spoilt(GOOD[name], data)
    )
    assert compile_schema(schema)(document) == jsonschema.Draft202012Validator(schema).is_valid(document)


@pytest.mark.parametrize(
    "schema",
    [{"oneOf": []}, {"format": "uri"}, {"type": "object", "additionalProperties": {}}, {"enum": [1]}],
    ids=["oneOf", "format", "open objects", "numbers in enum"],
)
def test_a_schema_with_a_rule_that_is_not_covered_is_refused(schema):
    with pytest.raises(ValueError, match="covered"):
        compile_schema(schema)
