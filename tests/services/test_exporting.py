"""Exports: the same bytes for the same pieces, whatever interrupts them, and only where they belong."""

import asyncio
import json
import os
import random
import re
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cauldron.adapters.contact_sheet import PillowSheet
from cauldron.adapters.directory import Directory
from cauldron.adapters.fs import FsBlobs
from cauldron.domain.errors import InvalidMany, Refused, Unavailable
from cauldron.domain.export import WORK_FOLDER
from cauldron.services.exporting import export
from cauldron.services.verifying import verify
from tests.export_samples import OPTIONS, SPEC, contents, exported, piece, pieces

TESTS = Path(__file__).parents[1]


@pytest.fixture
def blobs(tmp_path: Path) -> FsBlobs:
    return FsBlobs(tmp_path / "blobs")


@pytest.fixture
def ship(tmp_path: Path, blobs: FsBlobs, run):
    """Export pieces to ``tmp_path / "out"`` and return the result."""

    def to_folder(made, *, spec=SPEC, out="out", target=None, progress=None):
        target = target or Directory(tmp_path / out, durable=False)
        return run(export(spec, made, blobs=blobs, target=target, sheet=PillowSheet(), progress=progress))

    return to_folder


def test_an_export_holds_every_file_and_verifies(tmp_path, run):
    result = run(exported(tmp_path))
    out = tmp_path / "out"
    names = set(contents(out))
    assert names == {
        *(f"images/{n}.png" for n in range(1, 13)),
        *(f"metadata/{n}.json" for n in range(1, 13)),
        "contract.json", "provenance.json", "proofs/1-12.json", "rarity.json", "report.html",
        "contact-sheet.jpg", "manifest.json",
    }  # fmt: skip
    assert (result.pieces, result.partial, result.skipped) == (12, False, ())
    assert result.written == len(names) - 1
    first = json.loads((out / "metadata/2.json").read_text())
    assert first["name"] == "Lantern #2"
    assert first["description"] == "A keeper of the Ember."
    assert first["image"] == "images/2.png"
    assert first["attributes"][1] == {"trait_type": "Level", "value": 1, "display_type": "number"}
    assert first["attributes"][-1] == {"trait_type": "Prompt", "value": "a keeper at ember"}
    report = run(verify(Directory(out)))
    assert report.problems == ()
    assert run(verify(Directory(out), merkle_root=result.merkle_root)).ok


def test_the_same_pieces_give_the_same_bytes_in_any_order_and_place(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 12))
    ship(made)
    shuffled = random.Random(1).sample(made, len(made))
    ship([replace(p, number=p.number + 100) for p in shuffled], out="elsewhere/deeper")
    assert contents(tmp_path / "out") == contents(tmp_path / "elsewhere/deeper")


def test_nothing_of_the_run_or_the_machine_is_in_an_export(tmp_path, run):
    run(exported(tmp_path))
    text = b"\n".join(
        data for name, data in contents(tmp_path / "out").items() if not name.startswith("images/")
    )
    assert str(tmp_path).encode() not in text
    assert os.uname().nodename.encode() not in text
    assert not re.search(rb"20\d\d-\d\d-\d\d", text)


def test_running_an_export_again_writes_nothing_new(tmp_path, run):
    run(exported(tmp_path))
    before = contents(tmp_path / "out")
    again = run(exported(tmp_path))
    assert (again.written, again.kept) == (0, len(before) - 1)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(("first", "second"), [(8, 12), (12, 8)], ids=["grows", "shrinks"])
def test_an_export_over_an_earlier_one_equals_a_fresh_one(tmp_path, blobs, run, ship, first, second):
    ship(run(pieces(blobs, first)), spec=replace(SPEC, partial=True))
    ship(run(pieces(blobs, second)))
    ship(run(pieces(blobs, second)), out="fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_file_changed_since_is_written_again(tmp_path, run):
    run(exported(tmp_path))
    before = contents(tmp_path / "out")
    (tmp_path / "out/images/3.png").write_bytes(b"x" * len(before["images/3.png"]))
    assert run(exported(tmp_path)).written == 1
    assert contents(tmp_path / "out") == before


def test_files_that_no_export_wrote_are_never_touched(tmp_path, blobs, run, ship):
    ship(run(pieces(blobs, 12)))
    mine = tmp_path / "out/images/notes.txt"
    mine.write_text("mine")
    ship(run(pieces(blobs, 8)))
    assert mine.read_text() == "mine"
    (tmp_path / "out/images/9.png").write_text("mine too")
    with pytest.raises(Refused, match=r"images/9.png is in the way"):
        ship(run(pieces(blobs, 12)))
    assert (tmp_path / "out/images/9.png").read_text() == "mine too"


@pytest.mark.parametrize(
    "content", [{"a.txt": "mine"}, {"manifest.json": "{}"}, {"manifest.json": "no json"}]
)
def test_a_folder_that_holds_something_else_is_refused_untouched(tmp_path, run, content):
    (tmp_path / "out").mkdir()
    for name, text in content.items():
        (tmp_path / "out" / name).write_text(text)
    with pytest.raises(Refused, match="empty"):
        run(exported(tmp_path))
    assert contents(tmp_path / "out") == {name: text.encode() for name, text in content.items()}


def test_an_export_of_another_collection_is_refused(tmp_path, run):
    run(exported(tmp_path))
    before = contents(tmp_path / "out")
    with pytest.raises(Refused, match="'lantern-keepers', not of 'other'"):
        run(exported(tmp_path, spec=replace(SPEC, slug="other")))
    assert contents(tmp_path / "out") == before


def test_bad_templates_and_values_are_refused_before_anything_is_written(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 3))
    bad_spec = replace(SPEC, metadata=replace(OPTIONS, name="{{nothing}}"))
    bad_piece = replace(made[2], traits={"Level": "much"}, display_types={"Level": "number"})
    for given_pieces, spec in ((made, bad_spec), ([*made[:2], bad_piece], SPEC)):
        with pytest.raises(InvalidMany):
            ship(given_pieces, spec=spec)
    with pytest.raises(Refused, match="no approved piece"):
        ship([])
    assert not (tmp_path / "out").exists()


def test_a_piece_whose_image_is_gone_is_left_out_and_named(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 5))
    run(blobs.delete(made[1].media[0]["media"].removeprefix("sha256:")))
    result = ship([*made, replace(made[0], slot=77, number=77, media=())])
    assert [problem.path for problem in result.skipped] == ["pieces[1]", "pieces[77]"]
    assert (result.pieces, result.partial) == (4, True)
    assert "left out: 2" in (tmp_path / "out/PARTIAL.txt").read_text()
    assert run(verify(Directory(tmp_path / "out"))).ok


def test_a_published_piece_whose_image_is_gone_is_refused(blobs, run, ship):
    made = [replace(p, token=p.slot + 1) for p in run(pieces(blobs, 5))]
    run(blobs.delete(made[1].media[0]["media"].removeprefix("sha256:")))
    with pytest.raises(Refused, match="token 2 is published"):
        ship(made)


def test_published_tokens_keep_their_numbers(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 4))
    ship([replace(made[3], token=1), replace(made[0], token=2), made[1], made[2]])
    images = [(tmp_path / f"out/images/{token}.png").read_bytes() for token in range(1, 5)]
    order = [made[i].media[0]["media"].removeprefix("sha256:") for i in (3, 0, 1, 2)]
    assert images == [run(blobs.get(digest)) for digest in order]


def test_a_partial_export_says_so_everywhere(tmp_path, run):
    run(exported(tmp_path, count=5, spec=replace(SPEC, partial=True, counts={"queued": 7, "approved": 5})))
    out = tmp_path / "out"
    assert "5 of 12 pieces" in (out / "PARTIAL.txt").read_text()
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["partial"], manifest["counts"]) == (True, {"approved": 5, "queued": 7})
    assert "Partial export" in (out / "report.html").read_text()
    assert run(verify(Directory(out))).ok


def test_a_damaged_blob_never_reaches_the_export(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 5))
    path = run(blobs.local_path(made[2].media[0]["media"].removeprefix("sha256:")))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    path.write_bytes(b"rotten" + path.read_bytes()[6:])
    with pytest.raises(Refused, match=r"images/3.png: the stored content is damaged"):
        ship(made)
    assert not (tmp_path / "out/images/3.png").exists()
    assert not (tmp_path / "out/manifest.json").exists()


def test_an_export_and_the_blobs_do_not_share_their_bytes(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 2))
    ship(made)
    digest = made[0].media[0]["media"].removeprefix("sha256:")
    stored = run(blobs.get(digest))
    with (tmp_path / "out/images/1.png").open("r+b") as image:
        image.write(b"edited")
    assert run(blobs.get(digest)) == stored


def test_further_media_are_exported_beside_the_image(tmp_path, blobs, run, ship):
    made = run(piece(blobs, 1))
    digest = run(blobs.put(b"not really a film"))
    film = {"media": f"sha256:{digest}", "mime": "video/mp4", "sizeBytes": 17}
    ship([replace(made, media=(*made.media, film))])
    assert (tmp_path / "out/images/1-2.mp4").read_bytes() == b"not really a film"
    metadata = json.loads((tmp_path / "out/metadata/1.json").read_text())
    assert metadata["animation_url"] == "images/1-2.mp4"
    assert run(verify(Directory(tmp_path / "out"))).ok


def test_images_are_addressed_under_the_base_address(tmp_path, run):
    result = run(exported(tmp_path, spec=replace(SPEC, metadata=replace(OPTIONS, base_uri="ipfs://cid"))))
    assert json.loads((tmp_path / "out/metadata/1.json").read_text())["image"] == "ipfs://cid/1.png"
    assert result.base_uri == "ipfs://cid"
    assert run(verify(Directory(tmp_path / "out"))).ok


def test_progress_never_goes_back_and_ends_at_all(blobs, run, ship):
    seen = []
    ship(run(pieces(blobs, 150)), progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (150, 150)


def test_a_link_in_the_place_of_a_folder_is_never_written_through(tmp_path, run):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/images").symlink_to(outside)
    with pytest.raises(Refused):
        run(exported(tmp_path))
    assert list(outside.iterdir()) == []


def test_one_writer_at_a_time(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 2))

    async def second() -> None:
        async with Directory(tmp_path / "out", durable=False).writing():
            target = Directory(tmp_path / "out", durable=False)
            await export(SPEC, made, blobs=blobs, target=target, sheet=PillowSheet())

    with pytest.raises(Refused, match="another export is writing"):
        run(second())
    assert ship(made).pieces == 2


class _Failing(Directory):
    """A target that fails at one call, as a full disk or a lost mount would."""

    def __init__(self, root: Path, *, at: int) -> None:
        super().__init__(root, durable=False)
        self.left = at

    async def ensure(self, files):
        self.left -= 1
        if self.left < 0:
            raise Unavailable("gone")
        return await super().ensure(files)


@pytest.mark.parametrize("at", range(10))
def test_an_export_that_failed_goes_on_where_it_was(tmp_path, blobs, run, ship, at):
    made = run(pieces(blobs, 70))
    with pytest.raises(Unavailable):
        ship(made, target=_Failing(tmp_path / "out", at=at))
    assert not (tmp_path / "out/manifest.json").exists()
    result = ship(made)
    assert result.kept + result.written == 2 * 70 + 6
    ship(made, out="whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_while_an_export_is_written_anew_the_old_manifest_is_gone(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 12))
    ship(made)
    with pytest.raises(Unavailable):
        ship(made, target=_Failing(tmp_path / "out", at=1))
    found = {(problem.path, problem.code) for problem in run(verify(Directory(tmp_path / "out"))).problems}
    assert found == {(f"{WORK_FOLDER}/state", "unfinished"), ("manifest.json", "missing")}


def test_cancelling_leaves_a_folder_that_goes_on(tmp_path, blobs, run, ship):
    made = run(pieces(blobs, 200))

    async def cancelled() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(
            export(
                SPEC,
                made,
                blobs=blobs,
                target=Directory(tmp_path / "out", durable=False),
                sheet=PillowSheet(),
                progress=lambda done, total: started.set(),
            )
        )
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(cancelled())
    assert not (tmp_path / "out/manifest.json").exists()
    assert not run(verify(Directory(tmp_path / "out"))).ok
    ship(made)
    ship(made, out="whole")
    assert run(verify(Directory(tmp_path / "whole"))).ok
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def killed_exports(folder: Path, changes: list[int]) -> list[int]:
    """Exports killed before their n-th change to the disk; the changes of those that lived."""
    script = TESTS / "services/killed_export.py"
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *map(str, changes)],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    return [int(line) for line in done.stdout.split()]


@pytest.mark.parametrize("kills", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_export_shows_nothing_partial_and_goes_on_to_the_same_bytes(
    tmp_path, blobs, run, ship, kills
):
    """SIGKILL before a random change to the disk, half of them a second time while going on."""
    (whole,) = killed_exports(tmp_path, [1_000_000])
    reference = contents(tmp_path / "out-1000000")
    assert whole > 60
    draw = random.Random(7)
    changes = sorted(draw.sample(range(1, whole + 1), min(kills, whole)))
    assert killed_exports(tmp_path, changes) == []
    killed_exports(tmp_path, changes[::2])
    made = run(pieces(blobs, 12))
    for change in changes:
        out = tmp_path / f"out-{change}"
        left = contents(out) if out.exists() else {}
        visible = {name: data for name, data in left.items() if not name.startswith(f"{WORK_FOLDER}/")}
        assert all(reference[name] == data for name, data in visible.items()), f"partial at {change}"
        ship(made, out=out.name)
        assert contents(out) == reference, f"killed before change {change}"
