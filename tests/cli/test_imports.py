"""``cauldron import`` and ``cauldron init``: answers, exit codes, files written whole or not at all."""

import json
import os
import resource

import pytest
import typer
from typer.testing import CliRunner

from cauldron.adapters.fs import FsBlobs
from cauldron.adapters.importers.example import import_example
from cauldron.adapters.importers.writing import as_yaml
from cauldron.adapters.media_files import load
from cauldron.cli import imports
from cauldron.domain.collection import parse_collection
from cauldron.domain.errors import NotFound
from cauldron.domain.planning import make_plan
from cauldron.domain.strict_yaml import read_document
from tests.adapters.importers.projects import exports, hashlips, picture, stage, stages
from tests.adapters.importers.test_nft_generator import CONFIG


@pytest.fixture
def cauldron():
    """Run the command: ``cauldron("import", …)``."""
    app = typer.Typer()
    imports.register(app)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def cookable(run, out, tmp_path):
    """The collection in ``out`` with its media stored; it admits a plan of its whole supply."""
    document = read_document(out.read_text(encoding="utf-8"), source=out.name)
    found = run(load(document, base=out.parent, blobs=FsBlobs(tmp_path / "blobs")))
    collection = parse_collection(found)
    assert make_plan(collection).rows.shape[0] == collection.supply
    return collection


def test_a_hashlips_project_becomes_a_collection_that_can_be_planned(run, cauldron, tmp_path):
    config = exports(layerConfigurations=stages(stage(6, "Background", "Body")), mystery="1")
    root = hashlips(tmp_path / "project", config=config)
    answer = cauldron("import", "hashlips", root, "--out", root / "collection.yaml", "--json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == {
        "collection": str(root / "collection.yaml"),
        "categories": 2,
        "options": 6,
        "notUnderstood": ["src/config.js: mystery: is not a setting known here"],
    }
    assert cookable(run, root / "collection.yaml", tmp_path).supply == 6
    assert not (root / "collection-art").exists()


def test_images_elsewhere_are_copied_so_that_the_collection_stands_alone(run, cauldron, tmp_path):
    config = exports(layerConfigurations=stages(stage(6, "Background", "Body")))
    root = hashlips(tmp_path / "project", config=config)
    out = tmp_path / "deep/drop/moths.yaml"
    assert cauldron("import", "hashlips", root, "--out", out).exit_code == 0
    assert cookable(run, out, tmp_path).supply == 6
    assert len(list((out.parent / "moths-art").rglob("*.png"))) == 6


def test_sub_collections_and_variants_can_be_planned(run, cauldron, tmp_path):
    config = exports(
        layerConfigurations=stages(
            stage(4, "Sky", '{ name: "Long", options: { displayName: "Hair" } }', "Hat"),
            stage(7, "Sky", '{ name: "Short", options: { displayName: "Hair" } }'),
        )
    )
    files = [f"{layer}/{n}.png" for layer in ("Sky", "Long", "Short", "Hat") for n in "abc"]
    root = hashlips(tmp_path / "project", config=config, layers=tuple(files))
    assert cauldron("import", "hashlips", root, "--out", root / "c.yaml").exit_code == 0
    plan = make_plan(cookable(run, root / "c.yaml", tmp_path))
    rows = [plan.selection(slot) for slot in range(plan.supply)]
    assert all(set(row.traits) - {"Hat"} == {"Sky", "Hair"} for row in rows)
    kinds = [tuple(row.names[name] is not None for name in ("Long", "Short", "Hat")) for row in rows]
    assert sorted(kinds) == [(False, True, False)] * 3 + [(True, False, True)] * 4


def test_an_nft_generator_configuration_becomes_a_collection(run, cauldron, tmp_path):
    for layer in CONFIG["layers"]:
        for name in layer["filename"]:
            picture(tmp_path / layer["trait_path"] / f"{name}.png")
    picture(tmp_path / "art/bird/swift.png")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    out = tmp_path / "c.yaml"
    answer = cauldron("import", "nft-generator", tmp_path / "config.json", "--out", out, "--json")
    assert json.loads(answer.stdout)["options"] == 6
    assert cookable(run, out, tmp_path).supply == 5


def test_init_makes_a_collection_of_the_folder_itself(run, cauldron, tmp_path):
    for name in ("01_Sky/a.png", "01_Sky/b.png", "02_Hat/x.png"):
        picture(tmp_path / "crew" / name)
    answer = cauldron("init", tmp_path / "crew")
    assert answer.exit_code == 0
    assert "2 categories, 3 options" in answer.stdout
    assert "cauldron collection validate" in answer.stderr
    collection = cookable(run, tmp_path / "crew/collection.yaml", tmp_path)
    assert (collection.name, collection.supply) == ("crew", 2)


def test_init_takes_layers_from_another_folder_and_copies_them(run, cauldron, tmp_path):
    picture(tmp_path / "art/layers/Sky/a.png")
    answer = cauldron(
        "init", tmp_path / "new/drop", "--from", tmp_path / "art", "--name", "My Drop", "--json"
    )
    assert json.loads(answer.stdout)["collection"] == str(tmp_path / "new/drop/collection.yaml")
    assert cookable(run, tmp_path / "new/drop/collection.yaml", tmp_path).name == "My Drop"


def test_a_collection_has_the_name_of_its_folder_wherever_the_layers_were(cauldron, tmp_path):
    picture(tmp_path / "my-layers/Sky/a.png")
    assert cauldron("init", tmp_path / "my-drop", "--from", tmp_path / "my-layers").exit_code == 0
    assert "name: my-drop\n" in (tmp_path / "my-drop/collection.yaml").read_text(encoding="utf-8")


def test_a_document_that_is_there_is_kept_without_force(cauldron, tmp_path):
    picture(tmp_path / "Sky/a.png")
    out = tmp_path / "collection.yaml"
    out.write_text("mine")
    refused = cauldron("init", tmp_path, "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (1, "duplicate")
    assert out.read_text() == "mine"
    assert cauldron("init", tmp_path, "--force").exit_code == 0
    assert out.read_text().startswith("cauldron: 1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Sky", "collection.yaml"]


def test_images_that_are_there_with_another_content_are_kept_without_force(cauldron, tmp_path):
    picture(tmp_path / "art/Sky/a.png")
    kept = picture(tmp_path / "drop/collection-art/Sky/a.png", color="#00ff00ff")
    before = kept.read_bytes()
    assert cauldron("init", tmp_path / "drop", "--from", tmp_path / "art").exit_code == 1
    assert kept.read_bytes() == before
    assert not (tmp_path / "drop/collection.yaml").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("import", "hashlips", "{}/broken"), 2),
        (("import", "hashlips", "{}/gone"), 1),
        (("import", "hashlips"), 2),
        (("import", "nft-generator", "{}/gone.json"), 1),
        (("import", "nft-generator", "{}/broken/src/config.js"), 2),
        (("init", "{}/empty"), 2),
        (("init", "{}/gone"), 1),
        (("init", "{}/empty", "--from", "{}/empty", "--example"), 2),
    ],
)
def test_failures_leave_nothing_behind(cauldron, tmp_path, words, code):
    hashlips(tmp_path / "broken", config="const a = [", layers=())
    (tmp_path / "empty").mkdir()
    out = () if words[0] == "init" else ("--out", tmp_path / "out/collection.yaml")
    answer = cauldron(*(word.format(tmp_path) for word in words), *out)
    assert answer.exit_code == code
    assert answer.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "empty/collection.yaml").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_one_clear_error(cauldron, tmp_path):
    picture(tmp_path / "art/Sky/a.png")
    (tmp_path / "locked").mkdir(mode=0o500)
    assert cauldron("init", tmp_path / "locked", "--from", tmp_path / "art").exit_code == 1


def test_a_file_in_the_way_of_a_folder_is_one_clear_error(cauldron, tmp_path):
    picture(tmp_path / "art/Sky/a.png")
    (tmp_path / "file").write_text("x")
    answer = cauldron("init", tmp_path / "file/drop", "--from", tmp_path / "art")
    assert answer.exit_code == 1
    assert "cannot be written" in answer.stderr


@pytest.mark.parametrize("room_bytes", [40, 200], ids=["for no image", "for images, not the document"])
def test_a_full_disk_leaves_no_document_and_no_parts(cauldron, tmp_path, room_bytes):
    for number in range(20):
        picture(tmp_path / f"art/Sky/{number}.png")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, limits[1]))  # files cannot grow beyond it
    try:
        answer = cauldron("init", tmp_path / "drop", "--from", tmp_path / "art", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (answer.exit_code, json.loads(answer.stdout)["error"]["code"]) == (1, "storage_full")
    left = [path.name for path in (tmp_path / "drop").rglob("*") if path.is_file()]
    assert "collection.yaml" not in left
    assert not [name for name in left if name.endswith(".part")]


def test_the_example_is_copied_as_it_is(tmp_path):
    place = tmp_path / "examples/lantern-keepers"
    for name in ("art/sky/a.png", "photos/1.png", "photos/2.png", "not-named.png"):
        picture(place / name)
    text = (
        "# kept\ncauldron: 1\ncategories:\n"
        "  - {name: Sky, options: [{name: A, value: {image: art/sky/a.png}}]}\n"
        "  - {name: Photo, images: {folder: photos}}\n"
    )
    (place / "collection.yaml").write_text(text)
    found = import_example(places=(tmp_path / "examples",))
    assert (found.text, found.categories, found.options) == (text, 2, 1)
    assert list(found.copies) == ["art/sky/a.png", "photos/1.png", "photos/2.png"]
    with pytest.raises(NotFound):
        import_example(places=(tmp_path / "nowhere",))


LOOKALIKES = [
    "1e5",
    "0o17",
    "010",
    "yes",
    "null",
    "~",
    "2026-01-01",
    "1.",
    ".5",
    "+1",
    "- x",
    "a: b",
    "#x",
    "\u2028",
]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_texts_that_look_like_something_else_survive_yaml(text):
    shared = {"x": text}
    assert read_document(as_yaml({"a": [shared, shared], text: 1e-7})) == {"a": [shared, shared], text: 1e-7}


def test_what_a_killed_import_left_is_swept_by_the_next(cauldron, tmp_path):
    out = tmp_path / "lanterns"
    (out / "art" / "sky").mkdir(parents=True)
    dead, alive = 2**22 + 1, os.getpid()  # no process has a number above 2**22
    for left in ("0a1b2c3d", dead, alive):
        (out / "art" / "sky" / f".indigo.png.{left}.part").write_bytes(b"half")
    assert cauldron("init", out, "--example").exit_code == 0
    assert not [p.name for p in out.rglob("*.part") if str(alive) not in p.name]
    # one whose process runs is left to it; here it was ours, and has become the picture
    assert (out / "art" / "sky" / "indigo.png").stat().st_size > len(b"half")
