"""What is wrong with pieces is said before any is made: every option is looked at, none is queued."""

import pytest

from cauldron.adapters.local.registry import TOOLS
from cauldron.domain.collection import parse_collection
from cauldron.domain.errors import InvalidMany
from cauldron.domain.piece_checks import MOST_PROBLEMS, MOST_ROWS, check_pieces, telling_rows
from cauldron.domain.planning import make_plan
from cauldron.domain.registry import ToolSet
from cauldron.domain.snapshot import generator_snapshot

KNOWN = ToolSet(tool for tool, _ in TOOLS.values())


def picture(number, *, size=(32, 32)):
    return {
        "media": f"sha256:{number:064x}",
        "mime": "image/png",
        "sizeBytes": 9,
        "width": size[0],
        "height": size[1],
        "name": f"{number}.png",
    }


def document(*, odd=None, layers=("[[A]]", "[[B]]"), supply=500, weight=1, **inputs):
    """Two categories of 30 pictures; ``odd`` takes the place of B's last option."""
    options = {
        name: [{"name": f"{name}{i}", "value": picture(base + i)} for i in range(30)]
        for name, base in (("A", 100), ("B", 200))
    }
    if odd is not None:
        options["B"][-1] |= {"value": odd, "weight": weight}
    return {
        "cauldron": 1,
        "name": "Checked",
        "supply": supply,
        "generator": {"tool": "layers.compose", "inputs": {"layers": list(layers), **inputs}},
        "categories": [{"name": name, "options": found} for name, found in options.items()],
    }


def problems(doc):
    collection = parse_collection(doc)
    try:
        check_pieces(collection, make_plan(collection), generator_snapshot(collection.generator, KNOWN))
    except InvalidMany as error:
        return error.problems
    return ()


def test_layers_of_one_size_are_fine():
    assert problems(document()) == ()


@pytest.mark.parametrize("weight", [1, 0.3], ids=["common", "rare"])
def test_one_layer_of_another_size_is_found_wherever_it_is_drawn(weight):
    [found] = problems(document(odd=picture(7, size=(64, 32)), weight=weight))
    assert (found.path, found.code) == ("categories[1].options[29].value (7.png)", "layer_size")
    assert "is 64 × 32 pixels, the canvas 32 × 32 (the size of its lowest layer" in found.message


def test_the_canvas_may_be_given():
    found = problems(document(width=64, height=64))
    assert len(found) >= MOST_PROBLEMS
    assert "the canvas 64 × 64;" in found[0].message


@pytest.mark.parametrize(
    "doc",
    [
        document(odd=picture(7, size=(64, 32)), fit="contain"),
        document(odd={"image": picture(7, size=(64, 32)), "x": 3}),
        document(odd={"image": picture(7, size=(64, 32)), "fit": "cover"}),
        document(layers=["[[A]]", {"image": "[[B]]", "y": 0}], odd=picture(7, size=(8, 8))),
        document(odd={"media": "sha256:" + "7" * 64, "mime": "image/png", "sizeBytes": 9}),
    ],
    ids=["fitted", "placed", "fits itself", "placed by the generator", "of unknown size"],
)
def test_what_has_a_place_or_is_fitted_may_have_any_size(doc):
    assert problems(doc) == ()


def test_a_canvas_that_no_tool_makes_is_refused():
    options = [{"name": "wall", "value": picture(1, size=(8000, 8000))}]
    doc = document(supply=1) | {"categories": [{"name": "A", "options": options}]}
    doc["generator"]["inputs"]["layers"] = ["[[A]]"]
    [found] = problems(doc)
    assert "is 8000 × 8000 pixels; pictures have at most 4096 × 4096" in found.message


def test_inputs_that_do_not_fit_name_the_generators_input():
    paths = {p.path: p.message for p in problems(document(width="x", wat=1))}
    assert paths["generator.inputs.width"].startswith("must be a whole number")
    assert paths["generator.inputs.wat"] == "no such input"


def test_rows_together_hold_every_option_and_are_bounded():
    plan = make_plan(parse_collection(document()))
    held = {tuple(pair) for slot in telling_rows(plan) for pair in enumerate(plan.rows[slot].tolist())}
    assert held == {tuple(pair) for row in plan.rows.tolist() for pair in enumerate(row)}
    wide = document(supply=20_000) | {
        "categories": [*document()["categories"], {"name": "No", "range": {"from": 1, "to": 50_000}}]
    }
    assert len(telling_rows(make_plan(parse_collection(wide)))) <= MOST_ROWS
