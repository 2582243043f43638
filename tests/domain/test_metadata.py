"""Token metadata: templates filled once, attributes each once, always by the schema."""

import json
import re

import jsonschema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cauldron.domain.errors import Invalid, InvalidMany
from cauldron.domain.export import ExportPiece, ExportSpec, MetadataOptions
from cauldron.domain.metadata import (
    address,
    attributes_of,
    contract_metadata,
    fill,
    prompt_label,
    template_problems,
    token_metadata,
)
from cauldron.services.formats import load_schema, schema_problems

PNG = {"media": "sha256:" + "ab" * 32, "mime": "image/png", "sizeBytes": 1}
MP4 = {"media": "sha256:" + "cd" * 32, "mime": "video/mp4", "sizeBytes": 1}
TEXT = st.text(max_size=30).filter(lambda text: not re.search("[\ud800-\udfff]", text))
LABEL = TEXT.filter(bool)
VALUE = st.one_of(
    TEXT, st.integers(-(2**53) + 1, 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False)
)


def a_piece(**changes) -> ExportPiece:
    return ExportPiece(**{"number": 3, "slot": 3, "token": 7, "media": (PNG,), **changes})


def a_spec(**options) -> ExportSpec:
    return ExportSpec(name="Keepers", slug="keepers", metadata=MetadataOptions(**options))


def document(piece: ExportPiece, spec: ExportSpec, *, prompt: str | None = None) -> dict:
    return token_metadata(spec, piece, attributes=attributes_of(piece), prompt=prompt)


def test_placeholders_are_filled_in_one_pass():
    texts = {"Hat": "[[Eyes]] {{number}}", "Eyes": "blue"}
    filled = fill(r"{{collection}} #{{ number }}: [[Hat]], [[Hat:name]] \[[Hat]] [[None]].", texts,
                  number=7, collection="[[Eyes]]")  # fmt: skip
    assert filled == "[[Eyes]] #7: [[Eyes]] {{number}}, [[Eyes]] {{number}} [[Hat]] ."


@given(TEXT, TEXT)
def test_what_comes_in_is_never_expanded_again(hat, collection):
    assert (
        fill("[[Hat]]|{{collection}}", {"Hat": hat}, number=1, collection=collection) == f"{hat}|{collection}"
    )


@pytest.mark.parametrize(
    ("key", "template"),
    [
        ("name", "{{nubmer}}"),
        ("description", "{{}}"),
        ("external_url", "https://x/{{token}}"),
        ("name", "[[Hut]]"),
    ],
)
def test_a_placeholder_that_names_nothing_is_a_problem_with_its_place(key, template):
    spec = ExportSpec(name="K", slug="k", metadata=MetadataOptions(**{key: template}), categories=("Hat",))
    (problem,) = template_problems(spec)
    assert problem.code == "unknown_placeholder"
    assert problem.path == {"external_url": "metadata.externalUrl"}.get(key, f"metadata.{key}")


def test_known_placeholders_and_addresses_are_no_problem():
    options = {"name": "[[Hat]] [[Hat:name]] [[$seed]] {{number}}", "external_url": "https://x/{{number}}"}
    spec = ExportSpec(
        name="K", slug="k", metadata=MetadataOptions(**options, base_uri="ipfs://x"), categories=("Hat",)
    )
    assert template_problems(spec) == []


@pytest.mark.parametrize("key", ["external_url", "base_uri"])
def test_an_address_without_a_scheme_is_a_problem(key):
    assert [p.code for p in template_problems(a_spec(**{key: "example.org/x"}))] == ["address_without_scheme"]


@given(
    st.dictionaries(LABEL, st.tuples(VALUE, st.booleans()), max_size=6),
    TEXT, TEXT, TEXT, st.booleans(), st.booleans(),
)  # fmt: skip
def test_every_document_fits_the_schema_and_says_each_trait_once(
    traits, name, description, prompt, extra, own
):
    assume("{{" not in name + description)
    piece = a_piece(
        traits={label: value for label, (value, _) in traits.items()},
        display_types={
            label: "number"
            for label, (value, typed) in traits.items()
            if typed and not isinstance(value, str)
        },
        prompt=prompt,
        media=(PNG, MP4) if extra else (PNG,),
        one_of_one="Own" if own else None,
    )
    made = document(piece, a_spec(name=name, description=description), prompt=prompt_label([piece]))
    told = json.loads(json.dumps(made))
    jsonschema.Draft202012Validator(load_schema("erc721")).validate(told)
    assert schema_problems(told, schema="erc721", path="x") == []
    names = [attribute["trait_type"] for attribute in told["attributes"]]
    assert len(names) == len(set(names))
    shown = {label: value for label, (value, _) in traits.items() if value != ""}
    assert len(names) == len(shown) + bool(prompt)


def test_numbers_with_a_display_type_are_numbers():
    piece = a_piece(
        traits={"Level": "007", "Power": "2.5", "Day": 1700000000, "Plain": 4, "On": True},
        display_types={"Level": "number", "Power": "boost_number", "Day": "date"},
    )
    assert document(piece, a_spec())["attributes"] == [
        {"trait_type": "Level", "value": 7, "display_type": "number"},
        {"trait_type": "Power", "value": 2.5, "display_type": "boost_number"},
        {"trait_type": "Day", "value": 1700000000, "display_type": "date"},
        {"trait_type": "Plain", "value": 4},
        {"trait_type": "On", "value": "true"},
    ]


@pytest.mark.parametrize(
    ("value", "display", "code"),
    [
        ("many", "number", "not_a_number"),
        ("nan", "number", "number_out_of_range"),
        (float("inf"), None, "number_out_of_range"),
        (2**53, None, "number_out_of_range"),
        (1, "bar", "unknown_display_type"),
        ("half \ud800", None, "not_unicode"),
    ],
)
def test_a_value_that_cannot_be_told_is_refused_by_the_name_of_its_trait(value, display, code):
    piece = a_piece(traits={"Level": value}, display_types={"Level": display} if display else {})
    with pytest.raises(InvalidMany) as caught:
        attributes_of(piece)
    assert [(p.path, p.code) for p in caught.value.problems] == [("traits[Level]", code)]


def test_empty_traits_are_left_out():
    assert attributes_of(a_piece(traits={"Hat": None, "Eyes": "", "Body": "Round"})) == [
        {"trait_type": "Body", "value": "Round"}
    ]


def test_the_prompt_gets_a_name_no_trait_has():
    assert prompt_label([a_piece(traits={"Hat": "x"})]) == "Prompt"
    assert prompt_label([a_piece(), a_piece(traits={"prompt ": "x"})]) == "Prompt text"
    taken = a_piece(traits=dict.fromkeys(
        ["Prompt", "Prompt text", "Generation prompt", "Full generation prompt"], "x"
    ))  # fmt: skip
    with pytest.raises(Invalid):
        prompt_label([taken])


def test_the_prompt_is_an_attribute_only_when_it_is_wanted_and_there():
    piece = a_piece(prompt="a cat")
    assert document(piece, a_spec(), prompt="Prompt")["attributes"] == [
        {"trait_type": "Prompt", "value": "a cat"}
    ]
    assert document(piece, a_spec(), prompt=None)["attributes"] == []
    assert document(a_piece(), a_spec(), prompt="Prompt")["attributes"] == []


def test_a_one_of_one_keeps_its_own_name_and_no_name_is_ever_empty():
    assert document(a_piece(one_of_one="The First"), a_spec())["name"] == "The First"
    assert document(a_piece(), a_spec(name="[[Hat]] "))["name"] == "Keepers #7"


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("", "images/7.png"),
        ("ipfs://cid", "ipfs://cid/7.png"),
        ("ipfs://cid/", "ipfs://cid/7.png"),
        ("https://x/?file=", "https://x/?file=7.png"),
    ],
)
def test_images_are_found_under_the_base_address(base, expected):
    assert address(a_spec(base_uri=base), "7.png") == expected


def test_further_media_are_listed_and_the_first_that_plays_is_the_animation():
    made = document(a_piece(media=(PNG, PNG, MP4)), a_spec(base_uri="ipfs://cid/"))
    assert made["image"] == "ipfs://cid/7.png"
    assert made["animation_url"] == "ipfs://cid/7-3.mp4"
    assert [file["uri"] for file in made["properties"]["files"]] == [
        "ipfs://cid/7.png", "ipfs://cid/7-2.png", "ipfs://cid/7-3.mp4",
    ]  # fmt: skip


def test_values_are_escaped_inside_an_address():
    piece = a_piece(name_extra={"Hat": "a b/../?&é"})
    made = document(piece, a_spec(external_url="https://x/[[Hat]]"))
    assert made["external_url"] == "https://x/a%20b%2F..%2F%3F%26%C3%A9"


def test_the_contract_names_the_collection_and_links_only_where_it_can():
    spec = ExportSpec(
        name="K", slug="k", description="d", metadata=MetadataOptions(symbol="S", external_url="https://x/")
    )
    assert contract_metadata(spec, image="i.png") == {
        "name": "K", "symbol": "S", "description": "d", "image": "i.png", "external_link": "https://x/",
    }  # fmt: skip
    assert "external_link" not in contract_metadata(a_spec(external_url="https://x/{{number}}"), image=None)
