import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cauldron.adapters.local import compose
from cauldron.adapters.local.bands import Renderer
from cauldron.adapters.local.blend import MODES
from cauldron.adapters.local.layers import Canvas, LayerSpec
from cauldron.adapters.local.registry import run_tool
from cauldron.domain.errors import InvalidMany
from tests.adapters.local.test_png import inflated


def read(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def layer(width, height, seed, kind):
    """RGBA art: noise, a hard-edged shape, a soft shape, or opaque."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    if kind == "opaque":
        pixels[..., 3] = 255
    elif kind == "hard":
        pixels[..., 3] = np.where(rng.random((height, 1)) < 0.5, 255, 0)
    elif kind == "soft":
        y, x = np.mgrid[0:height, 0:width]
        away = np.hypot(x - rng.integers(0, width), y - rng.integers(0, height))
        pixels[..., 3] = np.clip(40 + 12 * (height / 3 - away), 0, 255)
    elif kind == "empty":
        pixels[..., 3] = 0
    return pixels


def pillow(size, background, layers):
    """The plain pipeline: alpha_composite, one layer after the other."""
    canvas = Image.new("RGBA", size, background)
    for pixels, x, y in layers:
        full = Image.new("RGBA", size, (0, 0, 0, 0))
        full.paste(Image.fromarray(pixels), (x, y))
        canvas = Image.alpha_composite(canvas, full)
    return np.asarray(canvas)


@st.composite
def stacks(draw):
    width, height = draw(st.sampled_from([1, 5, 33, 64])), draw(st.sampled_from([1, 31, 32, 50, 97]))
    background = draw(st.sampled_from([None, "#20406080", "#123456", "#00000000"]))
    kinds = st.sampled_from(["noise", "opaque", "hard", "soft", "empty"])
    layers = []
    for _ in range(draw(st.integers(1, 5))):
        full = draw(st.booleans())
        w = width if full else draw(st.integers(1, 80))
        h = height if full else draw(st.integers(1, 80))
        x = None if full else draw(st.integers(-40, 60))
        y = None if full else draw(st.integers(-40, 60))
        layers.append((layer(w, h, draw(st.integers(0, 2**20)), draw(kinds)), x, y))
    return width, height, background, layers


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stack=stacks())
def test_normal_blending_equals_pillow_pixel_by_pixel(stack, session_shelf):
    width, height, background, layers = stack
    items = [
        session_shelf.image(p) if x is None else {"image": session_shelf.image(p), "x": x, "y": y}
        for p, x, y in layers
    ]
    inputs = {"layers": items, "width": width, "height": height}
    if background:
        inputs["background"] = background
    (made,) = run_tool("layers.compose", inputs, session_shelf)
    inflated(made.data)
    ground = compose.rgba(background) if background else (0, 0, 0, 0)
    wanted = pillow((width, height), ground, [(p, x or 0, y or 0) for p, x, y in layers])
    got = read(made.data)
    seen = wanted[..., 3] > 0
    assert not got[~seen].any()  # no colour hides under full transparency
    assert np.array_equal(got[..., 3], wanted[..., 3])
    assert np.array_equal(got[seen], wanted[seen])
    assert (made.width, made.height, made.mime) == (width, height, "image/png")


def specs_of(shelf, count, *, size=(48, 100), **options):
    kinds = ("opaque", "soft", "hard", "noise", "soft")
    arts = [layer(*size, seed, kinds[seed % 5]) for seed in range(count)]
    refs = [shelf.image(art) for art in arts]
    return [LayerSpec(digest=ref["media"], image=ref, **options) for ref in refs]


def rows_of(specs):
    """Many pieces that share layers: one opaque below, three of the rest above."""
    rng = np.random.default_rng(3)
    return [[specs[0], *(specs[i] for i in rng.choice(range(1, len(specs)), 3))] for _ in range(40)]


def test_the_bytes_do_not_depend_on_the_state_of_the_caches(shelf):
    """Cold, warm, evicting all the time, and in another order: the same files."""
    canvas, rows = Canvas(width=48, height=100), rows_of(specs_of(shelf, 12))
    warm = Renderer()
    files = [warm.png(canvas, row, media=shelf) for row in rows]
    again = [warm.png(canvas, row, media=shelf) for row in rows]
    cold = [Renderer().png(canvas, row, media=shelf) for row in rows]
    tiny = Renderer(band_cache_bytes=9_000, brush_cache_bytes=4_000, strip_cache_bytes=3_000)
    evicting = [tiny.png(canvas, row, media=shelf) for row in reversed(rows)][::-1]
    assert files == again == cold == evicting
    assert tiny.cached_bytes <= 16_000


def test_a_full_hit_renders_and_reads_nothing(shelf):
    canvas, rows = Canvas(width=48, height=100), rows_of(specs_of(shelf, 12))
    renderer = Renderer()
    for row in rows:
        renderer.png(canvas, row, media=shelf)
    missed, reads = renderer.counts.missed, shelf.reads
    for row in rows:
        renderer.png(canvas, row, media=shelf)
    assert (renderer.counts.missed, shelf.reads) == (missed, reads)


def test_caches_stay_within_their_bounds(shelf):
    renderer = Renderer(band_cache_bytes=40_000, brush_cache_bytes=30_000, strip_cache_bytes=20_000)
    canvas = Canvas(width=48, height=100)
    for row in rows_of(specs_of(shelf, 30)):
        renderer.png(canvas, row, media=shelf)
        assert renderer.cached_bytes <= 90_000


@pytest.mark.parametrize(
    "change",
    [
        {"opacity": 0.5},
        {"blend": "multiply"},
        {"x": 3, "y": 0},
        {"x": 0, "y": 2},
        {"mask": True},
        {"fit": "contain"},
    ],
    ids=lambda change: "-".join(change),
)
def test_everything_that_changes_a_layer_is_part_of_the_cache_key(shelf, change):
    """One renderer, two pieces that differ in one setting: the second is not served the first."""
    ground, art = shelf.image(layer(40, 64, 1, "opaque")), shelf.image(layer(30, 20, 2, "opaque"))
    mask = shelf.image(layer(30, 20, 9, "noise"))
    plain = {"image": art, "x": 0, "y": 0}
    other = {**plain, **change, **({"mask": mask} if "mask" in change else {})}
    files = [run_tool("layers.compose", {"layers": [ground, top]}, shelf)[0].data for top in (plain, other)]
    assert files[0] != files[1]


def test_another_process_makes_the_same_bytes(shelf):
    items = [
        shelf.image(layer(64, 70, 1, "opaque")),
        {"image": shelf.image(layer(64, 70, 2, "soft")), "blend": "soft-light", "opacity": 0.7},
        shelf.image(layer(64, 70, 3, "noise")),
    ]
    refs = [items[0], items[1]["image"], items[2]]
    files = {ref["media"]: str(shelf.path(ref)) for ref in refs}
    script = """
import hashlib, json, sys
from pathlib import Path
from cauldron.adapters.local.registry import run_tool
files, layers = (json.loads(text) for text in sys.argv[1:])
class Files:
    def read(self, ref): return Path(files[ref["media"]]).read_bytes()
made = run_tool("layers.compose", {"layers": layers}, Files())[0]
print(hashlib.sha256(made.data).hexdigest())
"""
    arguments = [json.dumps(files), json.dumps(items)]
    there = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    here = run_tool("layers.compose", {"layers": items}, shelf)[0].data
    assert there.stdout.strip() == hashlib.sha256(here).hexdigest()


@pytest.mark.parametrize("mode", MODES)
def test_blend_modes_use_the_band_path_exactly_as_the_whole_picture(shelf, mode):
    """Bands joined equal the picture composed at once, opaque and see-through."""
    for background in ((30, 60, 90, 255), (0, 0, 0, 0)):
        low, top = layer(40, 70, 4, "soft"), layer(40, 70, 5, "soft")
        specs = [
            LayerSpec(digest=ref["media"], image=ref, blend=m)
            for ref, m in ((shelf.image(low), "normal"), (shelf.image(top), mode))
        ]
        canvas = Canvas(width=40, height=70, background=background)
        renderer = Renderer()
        whole = renderer.pixels(canvas, specs, media=shelf)
        got = np.asarray(Image.open(io.BytesIO(renderer.png(canvas, specs, media=shelf))))
        assert np.array_equal(got, whole)


def test_an_opaque_layer_that_is_not_drawn_normally_hides_nothing(shelf):
    """Multiply by white leaves the layer below; only a normal opaque layer may replace it."""
    low = layer(20, 40, 1, "opaque")
    white = shelf.image(np.full((40, 20, 4), 255, np.uint8))
    items = [shelf.image(low), {"image": white, "blend": "multiply"}]
    assert np.array_equal(read(run_tool("layers.compose", {"layers": items}, shelf)[0].data), low)


def test_wide_solid_and_empty_columns_are_drawn_exactly(shelf):
    """Strips are split into solid, empty and mixed columns; each border must be right."""
    rng = np.random.default_rng(8)
    art = rng.integers(0, 256, (70, 400, 4), dtype=np.uint8)
    art[:, 60:180, 3], art[:, 200:270, 3], art[20:, 300:360, 3] = 255, 0, 255
    ground = layer(400, 70, 9, "opaque")
    items = [shelf.image(ground), shelf.image(art)]
    got = read(run_tool("layers.compose", {"layers": items}, shelf)[0].data)
    assert np.array_equal(got, pillow((400, 70), (0, 0, 0, 0), [(ground, 0, 0), (art, 0, 0)]))


def test_opaque_pieces_are_rgb_and_others_rgba(shelf):
    solid, soft = shelf.image(layer(9, 9, 1, "opaque")), shelf.image(layer(9, 9, 2, "soft"))
    modes = [
        Image.open(io.BytesIO(run_tool("layers.compose", inputs, shelf)[0].data)).mode
        for inputs in (
            {"layers": [solid, soft]},
            {"layers": [soft]},
            {"layers": [soft], "background": "#ffffff"},
            {"layers": [soft], "background": "#ffffff80"},
        )
    ]
    assert modes == ["RGB", "RGBA", "RGB", "RGBA"]


def test_a_mask_and_an_opacity_scale_the_alpha(shelf):
    art = layer(20, 20, 1, "opaque")
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:] = 200
    item = {"image": shelf.image(art), "mask": shelf.image(mask), "opacity": 0.5}
    got = read(run_tool("layers.compose", {"layers": [item]}, shelf)[0].data)
    assert (got[:, :10, 3] == 0).all()
    assert (got[:, 10:, 3] == 100).all()
    assert np.array_equal(got[:, 10:, :3], art[:, 10:, :3])


def test_layers_can_be_fitted(shelf):
    wide = shelf.image(layer(40, 20, 1, "opaque"))
    alphas = {}
    for fit in ("contain", "cover", "stretch"):
        inputs = {"layers": [wide], "width": 30, "height": 30, "fit": fit}
        alphas[fit] = read(run_tool("layers.compose", inputs, shelf)[0].data)[..., 3]
    assert (alphas["cover"] == 255).all() and (alphas["stretch"] == 255).all()
    assert alphas["contain"][15, 15] == 255 and alphas["contain"][0, 0] == 0


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_each_format_is_made_in_the_size_of_the_canvas(shelf, kind):
    inputs = {"layers": [shelf.image(layer(37, 21, 1, "soft"))], "format": kind}
    (made,) = run_tool("layers.compose", inputs, shelf)
    image = Image.open(io.BytesIO(made.data))
    assert (image.size, image.format.lower(), made.mime) == ((37, 21), kind, f"image/{kind}")


BAD = {
    "size": ([{"w": 10, "h": 12}], "layers.compose.layers[1]", "layer_size"),
    "blend": ([{"blend": "burnish"}], "layers.compose.layers[1].blend", "not_a_choice"),
    "opacity": ([{"opacity": 1.2}], "layers.compose.layers[1].opacity", "out_of_range"),
    "nan": ([{"opacity": float("nan")}], "layers.compose.layers[1]", "wrong_type"),
    "x": ([{"x": 5_000}], "layers.compose.layers[1].x", "out_of_range"),
    "unknown": ([{"z": 1}], "layers.compose.layers[1].z", "unknown_field"),
    "text": (["sky.png"], "layers.compose.layers[1]", "wrong_type"),
}


@pytest.mark.parametrize(("extra", "path", "code"), BAD.values(), ids=BAD)
def test_a_bad_layer_is_named(shelf, extra, path, code):
    (item,) = extra
    if isinstance(item, dict):
        size = (item.pop("w", 20), item.pop("h", 20))
        item = {**item, "image": shelf.image(layer(*size, 3, "soft"))}
    with pytest.raises(InvalidMany) as caught:
        run_tool("layers.compose", {"layers": [shelf.image(layer(20, 20, 1, "opaque")), item]}, shelf)
    assert [(p.path, p.code) for p in caught.value.problems] == [(path, code)]


def test_a_mask_of_another_size_is_refused(shelf):
    item = {"image": shelf.image(layer(20, 20, 1, "soft")), "mask": shelf.image(np.zeros((9, 9), np.uint8))}
    with pytest.raises(InvalidMany, match=r"layers\[0\].mask: is 9 × 9"):
        run_tool("layers.compose", {"layers": [item]}, shelf)


def test_nothing_but_null_is_no_layer(shelf):
    with pytest.raises(InvalidMany, match="no layer left"):
        run_tool("layers.compose", {"layers": [None]}, shelf)


def test_null_layers_are_skipped(shelf):
    art = shelf.image(layer(20, 20, 1, "soft"))
    with_null, without = ({"layers": items} for items in ([None, art, None], [art]))
    assert (
        run_tool("layers.compose", with_null, shelf)[0].data
        == run_tool("layers.compose", without, shelf)[0].data
    )
