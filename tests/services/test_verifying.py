"""Verification finds every kind of tampering, from the files alone, and survives hostile folders."""

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cauldron.adapters.directory import Directory
from cauldron.services.verifying import MOST_PROBLEMS, verify
from tests.export_samples import exported


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    import asyncio

    folder = tmp_path_factory.mktemp("original")
    asyncio.run(exported(folder))
    return folder / "out"


@pytest.fixture
def out(original: Path, tmp_path: Path) -> Path:
    """A copy of a good export, to be spoilt."""
    return Path(shutil.copytree(original, tmp_path / "out"))


@pytest.fixture
def check(run):
    """Codes of the problems found, by file."""

    def found(folder: Path, **options) -> set[tuple[str, str]]:
        report = run(verify(Directory(folder), **options))
        assert report.ok == (not report.problems)
        return {(problem.path, problem.code) for problem in report.problems}

    return found


def edit(path: Path, change: Callable[[dict], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def relist(out: Path, *names: str) -> None:
    """Make the manifest agree with files that were changed, as a careful forger would."""

    def change(manifest: dict) -> None:
        for entry in manifest["files"]:
            if entry["path"] in names:
                data = (out / entry["path"]).read_bytes()
                entry.update(sha256=hashlib.sha256(data).hexdigest(), sizeBytes=len(data))

    edit(out / "manifest.json", change)


def test_a_good_export_has_no_problem(check, original):
    assert check(original) == set()


def change_a_byte(out):
    data = bytearray((out / "images/4.png").read_bytes())
    data[-20] ^= 1
    (out / "images/4.png").write_bytes(data)


def swap_images(out):
    (out / "images/4.png").rename(out / "images/x")
    (out / "images/5.png").rename(out / "images/4.png")
    (out / "images/x").rename(out / "images/5.png")


def edit_an_attribute(out):
    edit(out / "metadata/4.json", lambda doc: doc["attributes"][0].update(value="Gold"))


def double_an_attribute(out):
    edit(out / "metadata/4.json", lambda doc: doc["attributes"].append(doc["attributes"][0]))


def spoil_the_schema(out):
    edit(out / "metadata/4.json", lambda doc: doc.update(surprise=1))


def name_another_image(out):
    edit(out / "metadata/4.json", lambda doc: doc.update(image="images/5.png"))


def name_a_lost_image(out):
    edit(out / "metadata/4.json", lambda doc: doc.update(image="images/4.webp"))


def spoil_the_json(out):
    (out / "metadata/4.json").write_text("{")


def alter_a_proof(out):
    edit(out / "proofs/1-12.json", lambda doc: doc["proofs"][3]["path"].__setitem__(0, "00" * 32))


def reorder_proofs(out):
    edit(out / "proofs/1-12.json", lambda doc: doc["proofs"].reverse())


def alter_a_rank(out):
    edit(out / "rarity.json", lambda doc: doc["pieces"][3].update(rank=1))


def alter_the_entropy(out):
    edit(out / "rarity.json", lambda doc: doc.update(entropyBits=1))


def shorten_the_ranking(out):
    edit(out / "rarity.json", lambda doc: doc["pieces"].pop())


def alter_the_order(out):
    edit(out / "provenance.json", lambda doc: doc["order"].reverse())


def alter_a_hash(out):
    edit(out / "provenance.json", lambda doc: doc["order"][3].update(traits="00" * 32))


def alter_the_provenance_hash(out):
    edit(out / "provenance.json", lambda doc: doc.update(provenanceHash="00" * 32))


def alter_the_root(out):
    edit(out / "provenance.json", lambda doc: doc.update(merkleRoot="00" * 32))


def call_it_partial(out):
    edit(out / "provenance.json", lambda doc: doc.update(partial=True))


def spoil_the_contract(out):
    edit(out / "contract.json", lambda doc: doc.pop("name"))


FORGED = [
    (change_a_byte, "images/4.png", ("provenance.json", "hash")),
    (swap_images, "images/4.png", ("provenance.json", "hash")),
    (edit_an_attribute, "metadata/4.json", ("provenance.json", "hash")),
    (double_an_attribute, "metadata/4.json", ("metadata/4.json", "attribute_twice")),
    (spoil_the_schema, "metadata/4.json", ("metadata/4.json", "schema")),
    (name_another_image, "metadata/4.json", ("metadata/4.json", "wrong_image")),
    (name_a_lost_image, "metadata/4.json", ("metadata/4.json", "image_missing")),
    (spoil_the_json, "metadata/4.json", ("metadata/4.json", "not_json")),
    (alter_a_proof, "proofs/1-12.json", ("proofs/1-12.json", "proof")),
    (reorder_proofs, "proofs/1-12.json", ("proofs/1-12.json", "order")),
    (alter_a_rank, "rarity.json", ("rarity.json", "rarity")),
    (alter_the_entropy, "rarity.json", ("rarity.json", "rarity")),
    (shorten_the_ranking, "rarity.json", ("rarity.json", "order")),
    (alter_the_order, "provenance.json", ("provenance.json", "order")),
    (alter_a_hash, "provenance.json", ("provenance.json", "hash")),
    (alter_the_provenance_hash, "provenance.json", ("provenance.json", "provenanceHash")),
    (alter_the_root, "provenance.json", ("provenance.json", "merkleRoot")),
    (call_it_partial, "provenance.json", ("provenance.json", "partial")),
    (spoil_the_contract, "contract.json", ("contract.json", "schema")),
]


@pytest.mark.parametrize(("tamper", "name", "problem"), FORGED, ids=lambda p: getattr(p, "__name__", ""))
def test_tampering_is_found_with_the_manifest_left_alone_or_forged_along(check, out, tamper, name, problem):
    tamper(out)
    assert (name, "changed") in check(out)
    relist(out, "images/4.png", "images/5.png", name)
    found = check(out)
    assert problem in found
    assert (name, "changed") not in found


def test_a_removed_file_is_found(check, out):
    (out / "images/4.png").unlink()
    assert {("images/4.png", "missing"), ("metadata/4.json", "image_missing")} <= check(out)


def test_an_extra_file_is_found(check, out):
    (out / "images/13.png").write_bytes(b"x")
    (out / ".hidden").write_bytes(b"x")
    assert check(out) == {("images/13.png", "extra"), (".hidden", "extra")}


def test_renumbered_tokens_are_found(check, out):
    (out / "metadata/12.json").rename(out / "metadata/13.json")
    assert {("metadata/12.json", "gap"), ("metadata/13.json", "beyond")} <= check(out)


def test_a_manifest_that_promises_fewer_pieces_is_found(check, out):
    edit(out / "manifest.json", lambda doc: doc.update(pieces=11))
    assert ("metadata/12.json", "beyond") in check(out)


def test_a_file_listed_twice_or_with_a_wrong_size_is_found(check, out):
    def change(manifest):
        manifest["files"].append(manifest["files"][0])
        manifest["files"][1]["sizeBytes"] += 1

    edit(out / "manifest.json", change)
    assert check(out) == {("manifest.json", "listed_twice"), ("manifest.json", "wrong_size")}


@pytest.mark.parametrize("key", ["provenanceHash", "merkleRoot"])
def test_a_manifest_with_other_sums_is_found(check, out, key):
    edit(out / "manifest.json", lambda doc: doc.update({key: "00" * 32}))
    assert ("manifest.json", key) in check(out)


def test_a_partial_marker_that_does_not_belong_is_found(check, out):
    (out / "PARTIAL.txt").write_text("x")
    assert ("PARTIAL.txt", "partial") in check(out)
    edit(out / "manifest.json", lambda doc: doc.update(partial=True))
    (out / "PARTIAL.txt").unlink()
    assert ("PARTIAL.txt", "partial") in check(out)


def test_an_unfinished_export_is_named(check, out):
    (out / ".cauldron-export").mkdir()
    (out / ".cauldron-export/state").write_text("x")
    (out / "manifest.json").unlink()
    assert check(out) == {(".cauldron-export/state", "unfinished"), ("manifest.json", "missing")}


def test_a_whole_forgery_is_found_by_the_root_published_elsewhere(check, original):
    assert check(original, merkle_root="00" * 32) == {("provenance.json", "other_root")}


def test_links_and_devices_are_named_and_never_followed(check, out, tmp_path, monkeypatch):
    (out / "images/4.png").rename(tmp_path / "real.png")
    (out / "images/4.png").symlink_to(tmp_path / "real.png")
    shutil.move(out / "proofs", tmp_path / "proofs")
    (out / "proofs").symlink_to(tmp_path / "proofs")
    os.mkfifo(out / "images/pipe")
    with socket.socket(socket.AF_UNIX) as plug:
        monkeypatch.chdir(out)  # the path of a socket must be short
        plug.bind("plug")
    found = check(out)
    assert {(name, "not_a_file") for name in ("images/4.png", "proofs", "images/pipe", "plug")} <= found
    assert {("images/4.png", "missing"), ("proofs/1-12.json", "missing")} <= found


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "a\x00b", "images/../../secret", "images/", "."]
)
def test_names_that_lead_outside_are_missing_files(check, out, name):
    (out.parent / "secret").write_text("secret")
    digest = hashlib.sha256(b"secret").hexdigest()
    entry = {"path": name, "sha256": digest, "sizeBytes": 6}
    edit(out / "manifest.json", lambda doc: doc["files"].append(entry))
    assert check(out) == {(name, "missing")}


@pytest.mark.parametrize(
    "image", ["../secret.png", "images/../4.png", "images/4.png/../5.png", "file:///etc/x"]
)
def test_an_image_address_that_leads_outside_is_not_the_tokens_image(check, out, image):
    edit(out / "metadata/4.json", lambda doc: doc.update(image=image))
    found = {code for name, code in check(out) if name == "metadata/4.json"}
    assert found & {"wrong_image", "image_missing"}


@pytest.mark.parametrize("name", ["manifest.json", "provenance.json", "rarity.json", "metadata/4.json"])
def test_a_huge_document_is_not_read(check, out, name):
    with (out / name).open("r+b") as handle:
        handle.truncate(1 << 33)  # sparse: eight gigabytes on no disk
    if name != "manifest.json":  # or its hash would be taken, which takes time, not memory
        edit(out / "manifest.json", lambda doc: doc.update(files=[]))
    assert (name, "too_large") in check(out)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "[" * 100_000, '{"pieces": NaN}', "\xff\xfe", "{}"],
    ids=["empty", "list", "null", "deep", "nan", "not utf-8", "object"],
)
@pytest.mark.parametrize("name", ["manifest.json", "provenance.json", "proofs/1-12.json", "metadata/4.json"])
def test_a_document_of_another_shape_is_a_problem_not_a_crash(check, out, name, text):
    (out / name).write_text(text, encoding="latin-1")
    assert {code for path, code in check(out) if path.startswith(name)} & {"schema", "not_json"}


def test_a_folder_with_nothing_in_it_is_no_export(check, tmp_path):
    assert check(tmp_path) == {("manifest.json", "missing")}


def test_very_many_problems_are_counted_but_not_all_told(run, out):
    for number in range(MOST_PROBLEMS + 50):
        (out / f"extra-{number}").touch()
    report = run(verify(Directory(out)))
    assert (len(report.problems), report.unlisted) == (MOST_PROBLEMS, 50)


def test_folders_nested_without_end_are_named_not_walked(check, out):
    (out / "/".join("d" * 40)).mkdir(parents=True)
    assert {code for _, code in check(out)} == {"not_a_file"}
