"""The Postcards hold together: the spell's graph, its plan, and a piece made by the real tools."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from cauldron.adapters.local.registry import TOOLS
from cauldron.domain.collection import media_paths
from cauldron.domain.planning import make_plan
from cauldron.domain.registry import ToolSet
from cauldron.domain.spell_graph import check_document
from tests.examples.art import pixels

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "postcards"
ART = FOLDER / "art"


@pytest.fixture(scope="module")
def examples() -> ModuleType:
    """The script ``examples/render.py``."""
    spec = importlib.util.spec_from_file_location("examples_render", ROOT / "examples" / "render.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_spell_has_many_steps_and_one_output() -> None:
    raw = yaml.safe_load((FOLDER / "spell.yaml").read_text(encoding="utf-8"))
    checked = check_document(raw, ToolSet(tool for tool, _ in TOOLS.values()), source="spell.yaml")
    assert len(checked.spell.steps) >= 3
    assert checked.spell.output is not None
    assert checked.spell.output.step == "card"


def test_traits_set_text_numbers_and_pictures(examples: ModuleType) -> None:
    collection = examples.load(FOLDER, examples.Shelf())
    plan = make_plan(collection)
    assert plan.supply == 36
    given = [examples.resolve_inputs(collection, selection) for selection in plan.selections()]
    assert len({inputs["place"] for inputs in given}) >= 8
    assert len({inputs["strength"] for inputs in given}) >= 4
    assert len({inputs["sun_y"] for inputs in given}) >= 4
    assert len({inputs["stamp"]["media"] for inputs in given}) >= 6
    assert len({inputs["vista"]["media"] for inputs in given}) >= 6
    assert all(isinstance(inputs["year"], int) and isinstance(inputs["sky"], list) for inputs in given)


def test_a_piece_comes_out_of_the_steps_the_same_each_time(examples: ModuleType) -> None:
    shelf = examples.Shelf()
    collection = examples.load(FOLDER, shelf)
    plan = make_plan(collection)
    once, again, other = (examples.render(collection, plan, slot, shelf) for slot in (0, 0, 1))
    assert once.size == (1200, 840)
    assert np.array_equal(np.asarray(once), np.asarray(again))
    assert not np.array_equal(np.asarray(once), np.asarray(other))


def test_every_picture_is_used_and_every_use_has_its_picture() -> None:
    document: dict[str, Any] = yaml.safe_load((FOLDER / "collection.yaml").read_text(encoding="utf-8"))
    named = {path for _, path in media_paths(document)}
    assert named == {path.relative_to(FOLDER).as_posix() for path in ART.rglob("*.png")}


def test_drawing_again_gives_the_same_pixels(tmp_path: Path) -> None:
    names = ["stamp/fox", "vista/peaks", "frame"]
    command = [sys.executable, str(FOLDER / "draw.py"), "--out", str(tmp_path), "--only", *names]
    subprocess.run(command, check=True, capture_output=True)
    for name in names:
        assert np.array_equal(pixels(tmp_path / f"{name}.png"), pixels(ART / f"{name}.png")), name
