"""Loading of the files a document names: what is stored, what is refused, and where it says so."""

import asyncio
import copy
import hashlib
import io
import os
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cauldron.adapters.fs import FsBlobs
from cauldron.adapters.media_files import load
from cauldron.adapters.media_files.headers import MediaProblem
from cauldron.adapters.media_files.paths import safe_path
from cauldron.domain.collection import media_paths, parse_collection
from cauldron.domain.errors import InvalidMany


@pytest.fixture
def base(tmp_path):
    """The folder of a document."""
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path):
    return FsBlobs(tmp_path / "blobs")


def picture(path, *, size=(6, 4), kind="PNG", **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 90).convert("RGB").save(path, kind, **how)
    return path


def document(value, **more):
    """A collection whose only option has this value."""
    return {
        "cauldron": 1,
        "name": "Drop",
        "supply": 1,
        "generator": {"tool": "layers.compose", "inputs": {"layers": ["[[Sky]]"]}},
        "categories": [{"name": "Sky", "options": [{"name": "Dusk", "value": value}]}],
        **more,
    }


def loaded_value(found):
    return found["categories"][0]["options"][0]["value"]


def problems(run, doc, *, base, store):
    """``{path: code}`` of what loading refuses."""
    with pytest.raises(InvalidMany) as caught:
        run(load(doc, base=base, blobs=store))
    return {problem.path: problem.code for problem in caught.value.problems}


def test_a_value_with_nothing_but_an_image_becomes_its_reference(run, base, store):
    file = picture(base / "art/dusk.png")
    found = loaded_value(run(load(document({"image": "art/dusk.png"}), base=base, blobs=store)))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found == {
        "media": f"sha256:{digest}",
        "mime": "image/png",
        "sizeBytes": file.stat().st_size,
        "width": 6,
        "height": 4,
        "name": "dusk.png",
    }
    assert run(store.get(digest)) == file.read_bytes()


def test_an_object_with_more_keys_keeps_them_beside_the_reference(run, base, store):
    picture(base / "a.png")
    picture(base / "m.png")
    value = {"image": "a.png", "blend": "screen", "mask": {"image": "m.png"}, "list": [{"file": "a.png"}, 3]}
    found = loaded_value(run(load(document(value), base=base, blobs=store)))
    assert found["blend"] == "screen"
    assert found["image"]["name"] == "a.png"
    assert found["mask"]["name"] == "m.png"
    assert found["list"][0]["mime"] == "image/png"
    assert found["list"][1] == 3


def everywhere(path):
    """A document that names ``path`` in every place that may hold media."""
    nested = {"name": "In", "options": [{"name": "A", "value": {"image": path}}]}
    option = {
        "name": "O",
        "value": {"image": path, "x": 1},
        "bind": {"p": {"file": path}},
        "categories": [nested],
    }
    return {
        "cauldron": 1,
        "name": "Drop",
        "supply": 2,
        "generator": {
            "tool": "t",
            "inputs": {"image": "left alone", "layers": [{"image": path}, {"image": "[[Sky]]"}, "[[Sky]]"]},
        },
        "categories": [
            {"name": "Sky", "options": [option]},
            {"name": "Set", "images": {"items": [{"name": "i", "value": {"image": path}}]}},
        ],
        "oneOfOnes": [{"name": "First", "inputs": {"layers": [{"image": path}]}}],
    }


def test_every_place_that_may_name_media_is_loaded_and_nothing_else(run, base, store):
    picture(base / "a.png")
    doc = everywhere("a.png")
    before = copy.deepcopy(doc)
    assert len(list(media_paths(doc))) == 6
    found = run(load(doc, base=base, blobs=store))
    assert doc == before
    assert list(media_paths(found)) == []
    assert found["generator"]["inputs"]["image"] == "left alone"
    assert found["generator"]["inputs"]["layers"][1:] == [{"image": "[[Sky]]"}, "[[Sky]]"]
    parse_collection(found)


def test_every_place_names_its_problem(run, base, store):
    doc = everywhere("gone.png")
    found = problems(run, doc, base=base, store=store)
    assert found == dict.fromkeys((path for path, _ in media_paths(doc)), "no_file")


def test_loading_twice_changes_nothing_more(run, base, store):
    picture(base / "a.png")
    once = run(load(everywhere("a.png"), base=base, blobs=store))
    assert run(load(once, base=base, blobs=store)) == once


def test_a_file_named_often_is_stored_once_and_progress_is_told(run, base, store):
    for name in ("a.png", "b.png", "c.png"):
        picture(base / name)
    (base / "same.png").symlink_to(base / "a.png")
    told = []
    value = [{"image": name} for name in ("a.png", "b.png", "a.png", "./a.png", "c.png", "same.png")]
    run(
        load(document(value), base=base, blobs=store, progress=lambda done, total: told.append((done, total)))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("name", "kind", "mime"),
    [
        ("a.png", "PNG", "image/png"),
        ("a.PNG", "PNG", "image/png"),
        ("a.jpg", "JPEG", "image/jpeg"),
        ("a.jpeg", "JPEG", "image/jpeg"),
        ("a.webp", "WEBP", "image/webp"),
        ("a.gif", "GIF", "image/gif"),
    ],
)
def test_images_of_four_formats_are_accepted_and_refused_when_cut_short(run, base, store, name, kind, mime):
    file = picture(base / name, kind=kind, size=(200, 100))
    found = loaded_value(run(load(document({"image": name}), base=base, blobs=store)))
    assert (found["mime"], found["width"], found["height"]) == (mime, 200, 100)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    code = problems(run, document({"image": name}), base=base, store=store)
    assert code == {"categories[0].options[0].value.image": "damaged_image"}


def bomb():
    """A PNG of 30,000 × 30,000 pixels in a few hundred bytes."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def as_bytes(kind, size=(6, 4)):
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.png", b"", "empty_file"),
        ("a.png", b"no image at all", "not_an_image"),
        ("a.jpg", as_bytes("PNG"), "wrong_ending"),
        ("a.png", as_bytes("JPEG"), "wrong_ending"),
        ("a", as_bytes("PNG"), "wrong_ending"),
        ("a.bmp", as_bytes("BMP"), "not_an_image"),
        ("a.tif", as_bytes("TIFF"), "not_an_image"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        ("a.png", bomb(), "too_many_pixels"),
        ("a.png", as_bytes("PNG", (9_000, 8_000)), "too_many_pixels"),
        ("a.png", as_bytes("PNG")[:-20] + b"!" + as_bytes("PNG")[-19:], "damaged_image"),
    ],
)
def test_unusable_images_are_refused_with_their_place(run, base, store, name, content, code):
    (base / name).write_bytes(content)
    found = problems(run, document({"image": name}), base=base, store=store)
    assert found == {"categories[0].options[0].value.image": code}


def test_other_files_are_stored_as_files(run, base, store):
    (base / "frame.svg").write_text("<svg/>")
    (base / "data.bin").write_bytes(b"x")
    value = [{"file": "frame.svg"}, {"file": "data.bin"}]
    found = loaded_value(run(load(document(value), base=base, blobs=store)))
    assert [ref["mime"] for ref in found] == ["image/svg+xml", "application/octet-stream"]
    assert "width" not in found[0]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../secret.png", "outside"),
        ("art/../../secret.png", "outside"),
        ("art/../art/a.png", "outside"),
        ("/etc/passwd", "bad_path"),
        ("~/a.png", "bad_path"),
        ("C:/a.png", "bad_path"),
        ("art\\a.png", "bad_path"),
        ("a\0.png", "bad_path"),
        ("a\n.png", "bad_path"),
        ("", "bad_path"),
        ("x" * 2_000, "bad_path"),
        ("x" * 400 + ".png", "unreadable"),
        ("art/NUL", "bad_path"),
        ("com1.png", "bad_path"),
        ("gone.png", "no_file"),
        ("art", "not_a_file"),
        ("pipe.png", "not_a_file"),
        ("leak.png", "outside"),
        ("leaks/secret.png", "outside"),
        ("loop.png", "no_file"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused_before_anything_is_read(run, base, store, path, code):
    picture(base / "art/a.png")
    secret = picture(base.parent / "secret.png")
    (base / "leak.png").symlink_to(secret)
    (base / "leaks").symlink_to(base.parent)
    (base / "loop.png").symlink_to(base / "loop.png")
    os.mkfifo(base / "pipe.png")
    found = problems(run, document({"image": path}), base=base, store=store)
    assert list(found) == ["categories[0].options[0].value.image"]
    assert found["categories[0].options[0].value.image"] in (code, "unreadable")


def test_all_problems_come_at_once_and_nothing_is_stored(run, base, store):
    picture(base / "good.png")
    value = [{"image": name} for name in ("good.png", "../x.png", "gone.png")]
    found = problems(run, document(value), base=base, store=store)
    assert list(found.values()) == ["outside", "no_file"]

    async def stored():
        return [digest async for digest, _ in store.list()]

    assert run(stored()) == []


def test_a_folder_of_images_becomes_items_in_natural_order(run, base, store):
    for name in ("photo 10.png", "photo 9.jpg", "Photo 1.png", "photo 9.png", "heavy#2.5.png"):
        picture(base / "photos" / name, kind="JPEG" if name.endswith("jpg") else "PNG")
    (base / "photos/.hidden").write_text("x")
    (base / "photos/Thumbs.db").write_text("x")
    doc = document("x")
    doc["categories"].append({"name": "Photo", "images": {"folder": "photos", "draw": "weight"}})
    found = run(load(doc, base=base, blobs=store))
    images = found["categories"][1]["images"]
    assert images["draw"] == "weight"
    assert [(item["name"], item.get("weight")) for item in images["items"]] == [
        ("heavy", 2.5), ("Photo 1", None), ("photo 9", None), ("photo 9 2", None), ("photo 10", None),
    ]  # fmt: skip
    assert images["items"][4]["value"]["name"] == "photo 10.png"
    parse_collection(found)


@pytest.mark.parametrize(
    ("folder", "path", "code"),
    [
        ("empty", "categories[1].images.folder", "empty_folder"),
        ("gone", "categories[1].images.folder", "no_file"),
        ("..", "categories[1].images.folder", "outside"),
        ("a.png", "categories[1].images.folder", "not_a_file"),
        ("mixed", "categories[1].images.folder/notes.txt", "not_an_image"),
    ],
)
def test_folders_that_are_no_image_sets_are_refused(run, base, store, folder, path, code):
    (base / "empty").mkdir()
    picture(base / "a.png")
    picture(base / "mixed/a.png")
    (base / "mixed/notes.txt").write_text("notes")
    doc = document("x")
    doc["categories"].append({"name": "Photo", "images": {"folder": folder, "draw": "order", "times": 1}})
    assert problems(run, doc, base=base, store=store) == {path: code}


KEYS = """image file options categories value inputs images folder items generator bind oneOfOnes media"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(doc=st.dictionaries(st.sampled_from(["generator", "categories", "oneOfOnes", "x"]), JSON, max_size=4))
def test_documents_of_any_shape_are_loaded_or_refused_as_invalid(tmp_path_factory, doc):
    folder = tmp_path_factory.getbasetemp() / "shapes"
    folder.mkdir(exist_ok=True)
    store = FsBlobs(folder / "blobs")
    named = dict(media_paths(doc))
    try:
        found = asyncio.run(load(doc, base=folder, blobs=store))
    except InvalidMany as refusal:
        assert {problem.path for problem in refusal.problems} <= set(named)
    else:
        assert not named
        assert isinstance(found, dict)


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["..", ".", "a", "link", "", "~", "con", "\\"])).map("/".join)
)
def test_no_text_is_a_path_out_of_the_folder(tmp_path_factory, text):
    folder = (tmp_path_factory.getbasetemp() / "walled").resolve()
    folder.mkdir(exist_ok=True)
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to("/")
    for wants_folder in (False, True):
        try:
            assert safe_path(folder, text, folder=wants_folder).is_relative_to(folder)
        except MediaProblem as problem:
            assert problem.code in ("bad_path", "outside", "no_file", "not_a_file", "unreadable")
