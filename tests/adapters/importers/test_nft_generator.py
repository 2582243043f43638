"""Configurations of nft-generator-py: percentages, incompatibilities, and stand-ins at exact odds."""

import copy
import itertools
import json
from collections import defaultdict

import pytest

from cauldron.adapters.importers.nft_generator import import_nft_generator
from cauldron.domain.collection import parse_collection
from cauldron.domain.errors import Invalid, InvalidMany, NotFound
from cauldron.domain.planning import make_plan
from tests.adapters.importers.projects import by_name, checked, picture, weights

CONFIG = {
    "layers": [
        {
            "name": "Sky",
            "values": ["Blue", "Red"],
            "trait_path": "./art/sky",
            "filename": ["blue", "red"],
            "weights": [25, 75.0],
        },
        {
            "name": "Bird",
            "values": ["Owl", "Crow", "Jay"],
            "trait_path": "./art/bird",
            "filename": ["owl", "crow", "jay"],
            "weights": [50, 30, 20],
        },
    ],
    "incompatibilities": [
        {
            "layer": "Sky",
            "value": "Blue",
            "incompatible_with": ["Crow", "Jay"],
            "default": {"value": "Swift", "filename": "./art/bird/swift"},
        }
    ],
    "baseURI": ".",
    "name": "BIRD #",
    "description": "Birds.",
}


CLASH = "incompatibilities[0]"


def of(root, config):
    """What importing this configuration gives; its images are there."""
    for layer in CONFIG["layers"]:
        for name in layer["filename"]:
            picture(root / layer["trait_path"] / f"{name}.png")
    picture(root / "art/bird/swift.png")
    (root / "config.json").write_text(json.dumps(config) if not isinstance(config, str) else config)
    return import_nft_generator(root / "config.json", out=root / "collection.yaml")


def changed(**paths):
    """The configuration with values replaced: ``layers__0__weights=[…]``."""
    config = copy.deepcopy(CONFIG)
    for path, value in paths.items():
        *way, last = [int(part) if part.isdecimal() else part for part in path.split("__")]
        place = config
        for part in way:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return config


def test_layers_names_and_weights_are_taken_over(tmp_path):
    found = of(tmp_path, CONFIG)
    document = checked(found)
    assert found.not_understood == []
    assert (found.categories, found.options) == (2, 6)
    assert weights(by_name(document)["Sky"]) == {"Blue": 25, "Red": 75}
    assert document["metadata"] == {"name": "BIRD #{{number}}", "description": "Birds."}
    assert document["generator"]["inputs"] == {"width": 8, "height": 8, "layers": ["[[Sky]]", "[[Bird]]"]}


def test_the_supply_is_what_the_rules_leave_room_for(tmp_path):
    """Blue goes with Owl and Swift, Red with Owl, Crow and Jay: 5 of the 8 pairs."""
    document = checked(of(tmp_path, CONFIG))
    assert document["supply"] == 5
    assert make_plan(parse_collection(document)).rows.shape[0] == 5


def test_a_stand_in_has_exactly_the_odds_of_the_engine(tmp_path):
    """The engine draws each layer by itself, then swaps clashing birds under Blue for Swift."""
    document = checked(of(tmp_path, CONFIG))
    wanted = defaultdict(float)
    for (sky, a), (bird, b) in itertools.product(
        {"Blue": 0.25, "Red": 0.75}.items(), {"Owl": 0.5, "Crow": 0.3, "Jay": 0.2}.items()
    ):
        wanted[sky, "Swift" if sky == "Blue" and bird != "Owl" else bird] += a * b
    got = {}
    for (sky, a), (bird, b) in itertools.product(*(weights(c).items() for c in document["categories"])):
        if allowed(document["rules"], {"Sky": sky, "Bird": bird}):
            got[sky, bird] = a * b
    total = sum(got.values())
    assert {pair: weight / total for pair, weight in got.items()} == pytest.approx(dict(wanted))


def allowed(rules, row):
    """Whether a row keeps every rule; options are single names or lists."""

    def holds(term):
        return all(row[c] in ([names] if isinstance(names, str) else names) for c, names in term.items())

    for rule in rules:
        if "excludes" in rule and all(holds(term) for term in rule["excludes"]):
            return False
        if "requires" in rule and holds(rule["requires"]["when"]) and not holds(rule["requires"]["then"]):
            return False
    return True


def test_without_a_stand_in_there_is_only_the_exclusion(tmp_path):
    document = checked(of(tmp_path, changed(incompatibilities__0__default=...)))
    assert document["rules"] == [
        {"id": "not-sky-blue-with-bird", "excludes": [{"Sky": "Blue"}, {"Bird": ["Crow", "Jay"]}]}
    ]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"layers__0__weights": [1, 2]}, "layers[0].weights"),
        ({"layers__0__blend": "screen"}, "layers[0].blend"),
        ({"amount": 5}, "amount"),
        (
            {"incompatibilities__0__incompatible_with": ["Crow", "Dodo"]},
            "incompatibilities[0].incompatible_with[1]",
        ),
        ({"incompatibilities__0__default__value": "Owl"}, "incompatibilities[0].default"),
    ],
)
def test_what_is_not_understood_is_listed(tmp_path, change, place):
    found = of(tmp_path, changed(**change))
    checked(found)
    assert [note for note in found.not_understood if note.startswith(f"{place}: ")]


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"layers__0__weights": [1]}, "layers[0]", "lengths_differ"),
        ({"layers__0__weights": []}, "layers[0]", "missing"),
        ({"layers__0__weights": [-1, 101]}, "layers[0].weights[0]", "bad_weight"),
        ({"layers__0__weights": ["x", 50]}, "layers[0].weights[0]", "bad_weight"),
        ({"layers__0__filename": ["blue", "gone"]}, "layers[0].filename[1]", "no_file"),
        ({"layers__0__trait_path": "/etc"}, "layers[0].filename[0]", "outside"),
        ({"layers__0__trait_path": "../art/sky"}, "layers[0].filename[0]", "outside"),
        ({"layers__0__filename": ["blue", "a\0b"]}, "layers[0].filename[1]", "outside"),
        ({"layers__1__name": "Sky"}, "layers[1].name", "duplicate"),
        ({"incompatibilities__0__value": "Green"}, "incompatibilities[0]", "unknown_name"),
        ({"incompatibilities__0__layer": "Sea"}, "incompatibilities[0]", "unknown_name"),
        (
            {"incompatibilities__0__default__filename": "../x"},
            "incompatibilities[0].default.filename",
            "outside",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path, change, path, code):
    with pytest.raises(InvalidMany) as caught:
        of(tmp_path / "project", changed(**change))
    assert (path, code) in [(problem.path, problem.code) for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"layers": 5}', '{"layers": []}', '{"a": 1, "a": 2}', "\0"])
def test_what_is_no_configuration_is_one_clear_error(tmp_path, text):
    with pytest.raises(Invalid) as caught:
        of(tmp_path, text)
    assert str(caught.value).startswith("config.json")


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        import_nft_generator(tmp_path / "none.json", out=tmp_path / "c.yaml")
