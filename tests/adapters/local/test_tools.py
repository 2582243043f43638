"""Rules that hold for every built-in tool, and what each is for."""

import hashlib
import io
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cauldron.adapters.local import animation, avatar, effect, gradient, motion, noise, palettes, pattern
from cauldron.adapters.local.declared import pictures, ports, words
from cauldron.adapters.local.reference import markdown
from cauldron.adapters.local.registry import TOOLS, run_tool
from cauldron.domain.errors import InvalidMany, NotFound
from cauldron.domain.tool import Kind

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">'
    '<rect width="40" height="40" fill="{{fill}}"/><circle cx="20" cy="20" r="12"/></svg>'
)
SMALL = {"width": 61, "height": 47}


def picture(seed=0, size=(40, 30)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    return Image.fromarray(pixels)


def least(tool_id, shelf):
    """The smallest sensible inputs of a tool."""
    image = shelf.image(picture())
    return {
        "layers.compose": {"layers": [image]},
        "image.effect": {"image": image},
        "noise.field": SMALL,
        "gradient": SMALL,
        "pattern.generate": SMALL,
        "pixel.avatar": {"scale": 2},
        "text.card": {"text": "Hello there", **SMALL},
        "text.template": {"template": "a {{n}}", "values": {"n": 1}},
        "svg.template": {"template": SVG, "values": {"fill": "#336699"}, **SMALL},
        "static.media": {"media": [image]},
        "anim.loop": {"frames": [image], "motion": "sway", "count": 3},
    }[tool_id]


def digest(made):
    parts = [(p.port, hashlib.sha256(p.data or b"").hexdigest(), p.value, p.mime) for p in made]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@pytest.mark.parametrize("tool_id", TOOLS)
def test_a_tool_makes_the_outputs_it_declares_and_the_same_again(tool_id, shelf):
    tool, _ = TOOLS[tool_id]
    made = run_tool(tool_id, least(tool_id, shelf), shelf)
    assert [p.port for p in made] == [port.name for port in tool.outputs]
    for produced, port in zip(made, tool.outputs, strict=True):
        if produced.data is not None and port.kind is Kind.IMAGE:
            image = Image.open(io.BytesIO(produced.data))
            assert image.size == (produced.width, produced.height)
            assert produced.mime.startswith("image/")
    assert digest(made) == digest(run_tool(tool_id, least(tool_id, shelf), shelf))
    assert tool.deterministic


def test_another_process_makes_the_same_bytes_with_every_tool(shelf):
    calls = {tool_id: least(tool_id, shelf) for tool_id in TOOLS}
    refs = {"image": shelf.image(picture())}
    files = {ref["media"]: str(shelf.path(ref)) for ref in refs.values()}
    script = """
import json, sys
from pathlib import Path
from cauldron.adapters.local.registry import run_tool
from tests.adapters.local.test_tools import digest
calls, files = (json.loads(text) for text in sys.argv[1:])
class Files:
    def read(self, ref): return self.path(ref).read_bytes()
    def path(self, ref): return Path(files[ref["media"]])
print(json.dumps({tool: digest(run_tool(tool, call, Files())) for tool, call in calls.items()}))
"""
    there = subprocess.run(
        [sys.executable, "-c", script, json.dumps(calls), json.dumps(files)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    here = {tool_id: digest(run_tool(tool_id, call, shelf)) for tool_id, call in calls.items()}
    assert json.loads(there.stdout) == here


def outside(port):
    """Values just beyond what ``port`` allows."""
    if port.kind in (Kind.INTEGER, Kind.NUMBER):
        return [port.minimum - 1, port.maximum + 1, "7", True, float("nan")]
    if port.kind is Kind.TEXT:
        return ["x" * (port.max_length + 1), 3]
    if port.kind is Kind.CHOICE:
        return ["no such choice", 1]
    if port.kind is Kind.COLOR:
        return ["red", "#12345", 5]
    if port.kind is Kind.BOOLEAN:
        return ["yes", 1]
    if port.kind is Kind.LIST:
        return ["text", [None] * (int(port.maximum) + 1)]
    return ["text", 5] if port.kind in (Kind.IMAGE, Kind.FILE) else []


BOUNDS = [
    pytest.param(tool.id, port, id=f"{tool.id}.{port.name}")
    for tool, _ in TOOLS.values()
    for port in tool.inputs
    if outside(port)
]


@pytest.mark.parametrize(("tool_id", "port"), BOUNDS)
def test_every_bound_is_kept_and_named(tool_id, port, shelf):
    inputs = least(tool_id, shelf)
    for value in outside(port):
        with pytest.raises(InvalidMany) as caught:
            run_tool(tool_id, {**inputs, port.name: value}, shelf)
        paths = [problem.path for problem in caught.value.problems]
        assert all(path.startswith(f"{tool_id}.{port.name}") for path in paths), value


def test_every_number_text_list_and_choice_has_bounds():
    """A parameter without bounds is a way to use up the machine."""
    for tool, _ in TOOLS.values():
        for port in tool.inputs:
            where = f"{tool.id}.{port.name}"
            if port.kind in (Kind.INTEGER, Kind.NUMBER, Kind.LIST):
                assert port.minimum is not None and port.maximum is not None, where
            if port.kind is Kind.TEXT:
                assert port.max_length, where
            if port.kind is Kind.CHOICE:
                assert port.default in port.choices, where


def test_an_unknown_tool_and_an_unknown_input_are_named(shelf):
    with pytest.raises(NotFound, match=r"image\.enchant"):
        run_tool("image.enchant", {}, shelf)
    with pytest.raises(InvalidMany, match=r"gradient\.colour"):
        run_tool("gradient", {"colour": "#ffffff"}, shelf)


def test_bodies_can_be_sent_to_another_process():
    for _, body in TOOLS.values():
        assert pickle.loads(pickle.dumps(body)) == body


def test_declarations_offer_exactly_what_the_bodies_know():
    assert set(pictures.EFFECTS) == set(effect.EFFECTS) and len(effect.EFFECTS) >= 12
    assert set(pictures.NOISES) == set(noise.KINDS)
    assert set(pictures.PATTERNS) == set(pattern.DRAWN) and len(pattern.DRAWN) >= 5
    assert set(pictures.AVATARS) == set(avatar.SHAPES)
    assert set(ports.PALETTES) == set(palettes.PALETTES)
    assert set(words.MOTIONS) == {"none", *motion.MOTIONS}
    assert animation.MIME.keys() == animation.ENCODERS.keys()
    assert gradient.run.__doc__


def test_the_reference_page_is_the_declarations():
    page = Path(__file__).parents[3] / "docs/reference/tools.md"
    assert page.read_text() == markdown()


@pytest.mark.parametrize("name", pictures.EFFECTS)
@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_every_effect_changes_the_picture_and_keeps_its_size_and_alpha(name, strength, shelf, portrait):
    inputs = {"image": shelf.image(portrait), "effect": name, "strength": strength}
    (made,) = run_tool("image.effect", inputs, shelf)
    before, after = np.asarray(portrait), np.asarray(Image.open(io.BytesIO(made.data)))
    assert after.shape == before.shape
    assert np.array_equal(after[..., 3], before[..., 3])
    seen = before[..., 3] > 0
    assert not np.array_equal(after[seen], before[seen])


@pytest.mark.parametrize("name", ["blur", "glow", "oil", "median", "pixelate"])
def test_no_dark_halo_creeps_in_from_transparent_parts(name, shelf):
    """A white disc stays white to its edge: hidden black must not be blurred into it."""
    y, x = np.mgrid[0:64, 0:64]
    disc = np.zeros((64, 64, 4), np.uint8)
    disc[np.hypot(x - 32, y - 32) < 20] = 255
    inputs = {"image": shelf.image(disc), "effect": name, "strength": 1}
    made = np.asarray(Image.open(io.BytesIO(run_tool("image.effect", inputs, shelf)[0].data)))
    assert made[disc[..., 3] == 255, :3].min() > 245


def test_an_image_beyond_the_side_limit_is_refused(shelf):
    ref = shelf.image(Image.new("L", (4_097, 1)))
    with pytest.raises(InvalidMany, match=r"image\.effect\.image: is 4097 × 1"):
        run_tool("image.effect", {"image": ref}, shelf)


@pytest.mark.parametrize(
    ("tool_id", "setting", "values"),
    [
        ("noise.field", "kind", pictures.NOISES),
        ("gradient", "kind", pictures.GRADIENTS),
        ("pattern.generate", "pattern", pictures.PATTERNS),
        ("pixel.avatar", "kind", pictures.AVATARS),
        ("gradient", "palette", ports.PALETTES),
    ],
)
def test_every_choice_gives_another_picture(tool_id, setting, values, shelf):
    made = {digest(run_tool(tool_id, {**least(tool_id, shelf), setting: value}, shelf)) for value in values}
    assert len(made) == len(values)


@pytest.mark.parametrize(
    ("tool_id", "more"),
    [
        ("noise.field", {}),
        ("pattern.generate", {"pattern": "flow", "width": 120, "height": 90, "cells": 4}),
        ("pattern.generate", {"pattern": "maze"}),
        ("pixel.avatar", {}),
        ("gradient", {"grain": 0.5}),
    ],
    ids=str,
)
def test_the_seed_changes_the_picture(tool_id, more, shelf):
    inputs = {**least(tool_id, shelf), **more}
    assert len({digest(run_tool(tool_id, {**inputs, "seed": s}, shelf)) for s in range(12)}) == 12


@pytest.mark.parametrize("name", pictures.PATTERNS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (200, 33)])
def test_patterns_fill_any_size(name, size, shelf):
    inputs = {"pattern": name, "width": size[0], "height": size[1], "cells": 2, "disorder": 1}
    (made,) = run_tool("pattern.generate", inputs, shelf)
    assert Image.open(io.BytesIO(made.data)).size == size


@pytest.mark.parametrize("kind", pictures.AVATARS)
def test_avatars_are_mirrored_whole_and_free_of_the_border(kind, shelf):
    for seed in range(8):
        inputs = {"kind": kind, "seed": seed, "cells": 16, "scale": 1, "outline": False}
        made = np.asarray(Image.open(io.BytesIO(run_tool("pixel.avatar", inputs, shelf)[0].data)))
        body = made[..., 3] == 255
        assert np.array_equal(body, body[:, ::-1])
        assert body.sum() > 30
        assert not (body[0].any() or body[-1].any() or body[:, 0].any() or body[:, -1].any())


def test_a_gradient_has_no_visible_steps(shelf):
    """Means of 8 rows of a ramp over 10 levels and 1000 rows rise by 0.08, not by whole levels."""
    inputs = {"width": 64, "height": 1_000, "colors": ["#404040", "#4a4a4a"], "space": "srgb"}
    made = np.asarray(Image.open(io.BytesIO(run_tool("gradient", inputs, shelf)[0].data)))
    means = made[..., 0].reshape(125, 8, 64).mean(axis=(1, 2))
    assert np.abs(np.diff(means) - 0.08).max() < 0.1


def test_gradient_positions_must_fit_the_colours(shelf):
    for positions, code in (([0, 0.5, 1], "wrong_length"), ([1, 0], "not_rising")):
        inputs = {**SMALL, "colors": ["#000000", "#ffffff"], "positions": positions}
        with pytest.raises(InvalidMany) as caught:
            run_tool("gradient", inputs, shelf)
        assert [(p.path, p.code) for p in caught.value.problems] == [("gradient.positions", code)]


def test_see_through_colours_make_a_see_through_gradient(shelf):
    inputs = {**SMALL, "colors": ["#ff0000ff", "#ff000000"], "angle": 0}
    made = np.asarray(Image.open(io.BytesIO(run_tool("gradient", inputs, shelf)[0].data)))
    assert made.shape[2] == 4
    assert made[:, 0, 3].min() > 240 and made[:, -1, 3].max() < 15
    assert made[made[..., 3] > 30][:, 0].min() > 250  # no grey fringe on the way


def test_static_media_hands_on_the_file_asked_for(shelf):
    refs = [shelf.image(picture(seed)) for seed in range(3)]
    chosen = [run_tool("static.media", {"media": refs, "index": i}, shelf)[0].value for i in (0, 2, 4)]
    assert chosen == [refs[0], refs[2], refs[1]]
    seeded = {
        run_tool("static.media", {"media": refs, "seed": s}, shelf)[0].value["media"] for s in range(30)
    }
    assert seeded == {ref["media"] for ref in refs}


def test_static_media_that_is_not_stored_is_not_found(shelf):
    lost = {"media": "sha256:" + "0" * 64, "mime": "image/png", "sizeBytes": 1}
    with pytest.raises(NotFound):
        run_tool("static.media", {"media": [lost]}, shelf)
