"""The Lantern Keepers hold together: document, plan, and art that fits in every combination."""

import io
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageFilter

from cauldron.domain.collection import check_collection, media_paths, parse_collection
from cauldron.domain.plan import Plan
from cauldron.domain.planning import make_plan
from tests.examples.art import alien_fringe, colour, difference, edge_alpha, pixels, small

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "lantern-keepers"
ART = FOLDER / "art"
SIDE = 1024
FREE = ("mantle", "staff", "keeper", "collar", "eyes", "headwear", "friend", "flame", "lantern")
SOLID = ("mantle", "staff", "keeper", "collar", "eyes", "headwear", "friend", "lantern")
FOLDERS = sorted(path.name for path in ART.iterdir() if path.is_dir() and path.name != "one")


def layers(folder: str) -> list[Path]:
    """The pictures of one folder."""
    return sorted((ART / folder).glob("*.png"))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "collection.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def plan(document: dict[str, Any]) -> Plan:
    return make_plan(parse_collection(document))


def test_the_document_is_valid_and_rich(document: dict[str, Any]) -> None:
    assert check_collection(document) == []
    collection = parse_collection(document)
    nested = [placed for placed in collection.placed if placed.parent]
    assert len(collection.categories) >= 7
    assert len(nested) >= 1
    assert sum(len(placed.category.options) for placed in collection.placed) >= 60
    assert {rule.kind for rule in collection.rules} == {"excludes", "requires", "together"}
    assert len(collection.rules) >= 6
    assert any(term.tag for rule in collection.rules for terms in rule.terms for term in terms)
    assert len(collection.one_of_ones) == 1


def test_the_whole_supply_can_be_planned_with_its_exact_counts(document: dict[str, Any], plan: Plan) -> None:
    assert plan.supply == 240
    got: dict[str, Counter[Any]] = {}
    for selection in plan.selections():
        if selection.one_of_one:
            continue
        for category, name in selection.names.items():
            got.setdefault(category, Counter())[name] += 1
    wanted = [
        (category["name"], option["name"], option["count"])
        for category in document["categories"]
        for option in category.get("options", ())
        if "count" in option
    ]
    assert len(wanted) >= 4
    for category_name, option_name, count in wanted:
        assert got[category_name][option_name] == count


def test_most_options_are_seen_in_the_supply(plan: Plan) -> None:
    """All but the rarest: 152 options, expected misses of the lightest ones below two in a hundred."""
    counts = plan.counts()
    by_name = plan.collection.by_name
    unseen = [
        (name, option.name)
        for name, category in by_name.items()
        for option in category.options
        if not counts[name].get(option.name)
    ]
    assert len(unseen) <= 3, unseen


def test_every_picture_is_used_and_every_use_has_its_picture(document: dict[str, Any]) -> None:
    named = {path for _, path in media_paths(document)}
    drawn = {path.relative_to(FOLDER).as_posix() for path in ART.rglob("*.png")}
    assert named == drawn


def test_the_art_stays_small() -> None:
    assert sum(path.stat().st_size for path in ART.rglob("*.png")) <= 6_000_000


@pytest.mark.parametrize("folder", [*FOLDERS, "one"])
def test_layers_have_the_size_of_the_canvas_and_skies_are_opaque(folder: str) -> None:
    for path in layers(folder):
        rgba = pixels(path)
        assert rgba.shape == (SIDE, SIDE, 4), path.name
        assert (rgba[..., 3].min() == 255) == (folder in ("sky", "one")), path.name


@pytest.mark.parametrize("folder", FREE)
def test_nothing_is_clipped_by_the_canvas(folder: str) -> None:
    clipped = [path.name for path in layers(folder) if edge_alpha(pixels(path)) > 0]
    assert clipped == []


@pytest.mark.parametrize("folder", SOLID)
def test_edges_carry_no_alien_colour(folder: str) -> None:
    """Designed highlights reach 10 % of edge pixels; a picture cut from white or black ground over 30 %."""
    shares = {path.name: alien_fringe(pixels(path)) for path in layers(folder)}
    assert max(shares.values()) < 0.12, max(shares, key=lambda name: shares[name])


def test_a_halo_would_be_noticed() -> None:
    key = Image.open(ART / "collar" / "old-key.png").convert("RGBA")
    for ground in ("white", "black"):
        flat = Image.new("RGBA", key.size, ground)
        flat.alpha_composite(key)
        flat.putalpha(key.getchannel("A"))
        assert alien_fringe(np.asarray(flat)) > 0.2, ground


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_two_options_look_alike(folder: str) -> None:
    """12 of 255 in the tenth that differs most; coats of one animal are nearest, about 14."""
    seen = {path.stem: small(path) for path in layers(folder)}
    alike = [
        (one, other, round(difference(seen[one], seen[other]), 1))
        for one, other in combinations(seen, 2)
        if difference(seen[one], seen[other]) < 12
    ]
    assert alike == []


def test_every_planned_keeper_stands_out_from_its_sky(plan: Plan) -> None:
    """At least 0.045 apart in OKLab around the silhouette (0.02 is just visible)."""
    used = set()
    for selection in plan.selections():
        if not selection.one_of_one:
            species = selection.names["Keeper"]
            used.add((selection.values["Sky"]["image"], selection.values[f"{species} coat"]["image"]))
    skies = {sky: small(FOLDER / sky) for sky, _ in used}
    bodies = {body: _body(FOLDER / body) for _, body in used}
    near = []
    for sky, body in sorted(used):
        shape, around, mean = bodies[body]
        apart = float(np.linalg.norm(mean - colour(skies[sky], around)))
        if apart < 0.045:
            near.append((sky, body, round(apart, 3)))
        assert shape.any()
    assert near == []


def _body(path: Path) -> tuple[Any, Any, Any]:
    rgba = small(path)
    inside = rgba[..., 3] > 250
    inside[108:] = False  # the shadow on the ground
    grown = Image.fromarray((inside * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(13))
    around = (np.asarray(grown) > 0) & (rgba[..., 3] < 5)
    around[105:] = False
    return inside, around, colour(rgba, inside)


def test_heads_and_hats_share_the_crown_point() -> None:
    """The body's middle column is solid just below the crown point, under every hat."""
    for path in layers("keeper"):
        alpha = pixels(path)[..., 3]
        assert alpha[312, 420:516].min() == 255, path.name
        for x, y in ((408, 430), (528, 430)):
            assert alpha[y - 30 : y + 30, x - 30 : x + 30].min() >= 250, path.name


def test_drawing_again_gives_the_same_pixels(tmp_path: Path) -> None:
    _redraw(["headwear/crown", "keeper/wisp-jade"], tmp_path)


@pytest.mark.slow
def test_drawing_everything_again_gives_the_same_pixels(tmp_path: Path) -> None:
    _redraw([path.relative_to(ART).with_suffix("").as_posix() for path in ART.rglob("*.png")], tmp_path)


def _redraw(names: list[str], out: Path) -> None:
    command = [sys.executable, str(FOLDER / "draw.py"), "--out", str(out), "--only", *names]
    subprocess.run(command, check=True, capture_output=True)
    for name in names:
        assert np.array_equal(pixels(out / f"{name}.png"), pixels(ART / f"{name}.png")), name


def test_the_committed_sheets_are_small_pictures() -> None:
    limits = {"lantern-keepers.png": 1_500_000, "hero.png": 800_000, "postcards.png": 1_500_000}
    for name, most in limits.items():
        data = (ROOT / "docs" / "images" / name).read_bytes()
        assert len(data) <= most, name
        assert Image.open(io.BytesIO(data)).width >= 1_200, name
