"""The folder behind an export: its own guarantees, without a service before it."""

import hashlib
import os
from pathlib import Path

import pytest

from cauldron.adapters.directory import Directory
from cauldron.domain.errors import Refused, Unavailable
from cauldron.domain.export import WORK_FOLDER
from cauldron.ports.exporting import FileOut

SECRET = b"not part of the export"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/secret").write_bytes(SECRET)
    return folder


@pytest.fixture
def write(root, run):
    """Write files in one go; returns what is stored."""

    def into(*files: FileOut):
        async def work():
            target = Directory(root, durable=False)
            async with target.writing():
                return await target.ensure(files)

        return run(work())

    return into


@pytest.mark.parametrize(
    "name",
    ["link", "folder/secret", "../secret", "a/../../secret", "a//b", "", "/", "\0", "pipe", "a", "none"],
)
def test_reading_never_leaves_the_folder_and_never_waits(root, run, name):
    (root / "link").symlink_to(root.parent / "secret")
    (root / "folder").symlink_to(root.parent / "beside")
    (root / "a").mkdir()
    os.mkfifo(root / "pipe")
    source = Directory(root)
    assert run(source.read([name], limit_bytes=1000)) == [None]
    assert run(source.digest([name])) == [None]


def test_reading_by_an_absolute_name_is_no_way_out(root, run):
    assert run(Directory(root).read([str(root.parent / "secret")], limit_bytes=1000)) == [None]


def test_a_file_larger_than_the_limit_is_not_read(root, run):
    (root / "a").write_bytes(b"x" * 100)
    assert run(Directory(root).read(["a", "a"], limit_bytes=99)) == [None, None]
    assert run(Directory(root).read(["a"], limit_bytes=100)) == [b"x" * 100]


def test_entries_tell_links_from_files_in_order(root, run):
    (root / "b").mkdir()
    (root / "b/2").write_bytes(b"xx")
    (root / "a").symlink_to(root / "b")

    async def listed():
        return [(entry.name, entry.kind, entry.size_bytes) async for entry in Directory(root).entries()]

    assert run(listed()) == [("a", "link", 0), ("b/2", "file", 2)]


@pytest.mark.parametrize("folder", ["images", WORK_FOLDER])
def test_writing_never_goes_through_a_link(root, write, folder):
    (root / folder).symlink_to(root.parent / "beside")
    with pytest.raises(Refused, match="no folder to write into"):
        write(FileOut(name="images/1.png", content=b"x"))
    assert [path.name for path in (root.parent / "beside").iterdir()] == ["secret"]


def test_a_link_under_the_name_of_a_file_is_replaced_not_followed(root, write):
    (root / "1.png").symlink_to(root.parent / "secret")
    write(FileOut(name="1.png", content=b"x"))
    assert (root.parent / "secret").read_bytes() == SECRET
    assert not (root / "1.png").is_symlink()


@pytest.mark.parametrize(
    "name", ["../x", "a/../x", "/x", "a/b/c", "", ".", "..", "a\0", "a b", "x" * 300, "é"]
)
def test_a_name_that_is_none_is_refused(root, write, name):
    with pytest.raises(Refused, match="not a name"):
        write(FileOut(name=name, content=b"x"))
    assert [path.name for path in root.rglob("*")] in ([], [WORK_FOLDER])


def test_a_folder_in_the_way_is_refused(root, write):
    (root / "1.png").mkdir()
    with pytest.raises(Refused, match="a folder is in the way"):
        write(FileOut(name="1.png", content=b"x"))


@pytest.mark.parametrize("kind", ["bytes", "file", "stream"])
def test_content_of_every_kind_is_written_once_and_kept_after(root, tmp_path, write, kind):
    data = bytes(range(256)) * 9000  # more than two chunks
    (tmp_path / "source").write_bytes(data)
    content = {
        "bytes": data,
        "file": tmp_path / "source",
        "stream": lambda: (data[i : i + 1000] for i in range(0, len(data), 1000)),
    }[kind]
    for written in (True, False):
        (stored,) = write(FileOut(name="a/1", content=content))
        assert (stored.name, stored.sha256) == ("a/1", hashlib.sha256(data).hexdigest())
        assert (stored.size_bytes, stored.written) == (len(data), written)
    assert (root / "a/1").read_bytes() == data
    assert not list((root / WORK_FOLDER).iterdir())


def test_content_that_is_not_what_its_hash_says_is_refused_and_leaves_nothing(root, tmp_path, write):
    (tmp_path / "source").write_bytes(b"other")
    with pytest.raises(Refused, match="damaged"):
        write(FileOut(name="a/1", content=tmp_path / "source", sha256="00" * 32))
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_stream_that_fails_leaves_nothing(root, write):
    def broken():
        yield b"some"
        raise OSError(5, "Input/output error")

    with pytest.raises(Unavailable):
        write(FileOut(name="a/1", content=broken))
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_what_a_killed_writer_left_half_written_is_cleared_and_nothing_else(root, write):
    (root / WORK_FOLDER).mkdir()
    (root / WORK_FOLDER / "9-9.part").write_bytes(b"half")
    (root / WORK_FOLDER / "state").write_bytes(b"kept")
    write()
    assert [path.name for path in (root / WORK_FOLDER).iterdir()] == ["state"]


def test_removing_is_by_name_and_takes_empty_folders_along(root, run, write):
    write(*(FileOut(name=name, content=b"x") for name in ("a/1", "b/1", "b/2", "c")))

    async def work():
        target = Directory(root, durable=False)
        async with target.writing():
            await target.remove(["a/1", "b/1", "b/none", "c"])

    run(work())
    left = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    assert left == ["b/2"]
    assert not (root / "a").exists()


def test_single_files_and_all_of_them_can_be_made_durable(root, run):
    async def work():
        target = Directory(root)
        async with target.writing():
            await target.ensure([FileOut(name="a/1", content=b"x"), FileOut(name="2", content=b"y")])
            await target.sync(["a/1", "2", "none"])
            await target.sync()

    run(work())
    assert (root / "a/1").read_bytes() == b"x"


def test_a_place_that_cannot_be_written_is_told_as_refused(tmp_path, run):
    (tmp_path / "file").write_bytes(b"x")

    async def work():
        async with Directory(tmp_path / "file/out").writing():
            pass

    with pytest.raises(Refused):
        run(work())
