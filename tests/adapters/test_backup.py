"""Backing up a data directory that is in use, and refusing every archive that is not whole."""

import io
import os
import tarfile
from pathlib import Path

import orjson
import pytest

from cauldron.adapters import backup
from cauldron.adapters.fs import BlobFiles
from cauldron.adapters.sqlite import SqliteStore
from cauldron.domain.errors import CauldronError, Invalid, NotFound, Refused
from cauldron.ports.storage import Insert, Table

TABLE = Table(name="t")


@pytest.fixture
def house(tmp_path, run):
    """A data directory with a store that stays open, some blobs and a key."""
    home = tmp_path / "house"
    store = SqliteStore(home / "cauldron.db")
    run(store.open([TABLE]))
    run(store.commit([Insert("t", {"_id": f"d{n}", "n": n}) for n in range(100)]))
    blobs = BlobFiles(home / "blobs")
    blobs.put_many([b"%d" % n * 1000 for n in range(10)])
    (home / "blobs" / "tmp" / "put-half").write_bytes(b"half")
    (home / "keys").mkdir()
    (home / "keys" / "signing").write_bytes(b"secret")
    (home / "keys" / "signing").chmod(0o600)
    (home / "exports").mkdir()
    (home / "exports" / "1.png").write_bytes(b"png")
    (home / "link").symlink_to("/etc/passwd")
    yield home
    run(store.close())


def save(home: Path, to: Path, **options):
    return backup.backup(home, home / "cauldron.db", home / "blobs", to, **options)


@pytest.fixture
def archive(house, tmp_path):
    save(house, tmp_path / "a.tar")
    return tmp_path / "a.tar"


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_backup_of_a_store_in_use_restores_to_the_same_data(house, tmp_path, run):
    reported = []
    summary = save(house, tmp_path / "a.tar", progress=lambda *at: reported.append(at), skip=["exports"])
    assert reported[-1] == (summary.size_bytes, summary.size_bytes)
    assert backup.restore(tmp_path / "a.tar", tmp_path / "new") == summary
    found = tree(tmp_path / "new")
    assert {name for name in found if not name.startswith("blobs/")} == {"cauldron.db", "keys/signing"}
    assert BlobFiles(tmp_path / "new" / "blobs").root.is_dir()
    assert [n for n in found if n.startswith("blobs/")] == [
        n for n in found if n.startswith("blobs/sha256/") and (house / n).read_bytes() == found[n]
    ]
    assert len(found) == 12
    assert (tmp_path / "new" / "keys" / "signing").stat().st_mode & 0o777 == 0o600
    store = SqliteStore(tmp_path / "new" / "cauldron.db")
    run(store.open([TABLE]))
    assert len(run(store.find("t", {}))) == 100
    run(store.close())


def test_a_backup_inside_the_data_directory_does_not_hold_itself(house, tmp_path):
    save(house, house / "a.tar")
    backup.restore(house / "a.tar", tmp_path / "new")
    assert not (tmp_path / "new" / "a.tar").exists()
    assert (tmp_path / "new" / "exports" / "1.png").read_bytes() == b"png"


def test_backups_are_never_overwritten_and_need_a_database(house, tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(Refused):
        save(house, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
    with pytest.raises(NotFound):
        backup.backup(house, house / "none.db", house / "blobs", tmp_path / "a.tar")
    with pytest.raises(Invalid):
        backup.backup(house, house / "cauldron.db", tmp_path / "elsewhere", tmp_path / "a.tar")


def test_a_home_that_holds_something_is_not_restored_over(archive, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(full)
    for home in (full, full / "mine", tmp_path / "link"):
        with pytest.raises(Refused):
            backup.restore(archive, home)
    assert tree(full) == {"mine": b"mine"}
    empty = tmp_path / "empty"
    empty.mkdir()
    backup.restore(archive, empty)
    assert (empty / "cauldron.db").exists()


def refused(archive: Path, tmp_path: Path) -> str:
    """The refusal's message, having checked that nothing was left behind."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Invalid) as caught:
        backup.restore(archive, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before
    return caught.value.message


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 1.0])
def test_a_cut_archive_is_refused(archive, tmp_path, share):
    """Up to and including the loss of the very last byte that is no padding."""
    with tarfile.open(archive) as tar:
        last = tar.getmembers()[-1]
    cut = tmp_path / "cut.tar"
    cut.write_bytes(archive.read_bytes()[: int((last.offset_data + last.size - 1) * share)])
    assert "cut.tar" in refused(cut, tmp_path)


def test_every_changed_content_byte_is_found_and_its_file_named(archive, tmp_path):
    content = bytearray(archive.read_bytes())
    at = content.index(b"5" * 1000)
    content[at] = ord("6")
    bad = tmp_path / "bad.tar"
    bad.write_bytes(content)
    assert "blobs/sha256/" in refused(bad, tmp_path)


def forged(tmp_path: Path, files: list[list], members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    path = tmp_path / "forged.tar"
    manifest = orjson.dumps({"format": backup.FORMAT, "files": files})
    with tarfile.open(path, "w") as tar:
        for info, data in ((member(backup.MANIFEST, manifest), manifest), *members):
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, target
    return info


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/../../x", "a//b", "", ".", "a\\b", "a\0b", "a/./b"], ids=repr
)
def test_names_that_lead_outside_are_refused(tmp_path, name):
    path = forged(tmp_path, [[name, 0, EMPTY, 0o644]], [(member(f"home/{name}".replace("\0", "")), b"")])
    assert "unsafe name" in refused(path, tmp_path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE], ids=repr
)
def test_members_that_are_no_files_are_refused(tmp_path, kind):
    path = forged(
        tmp_path, [["a", 0, EMPTY, 0o644]], [(member("home/a", kind=kind, target="/etc/passwd"), b"")]
    )
    assert "home/a" in refused(path, tmp_path)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([["a", 0, EMPTY, 0o644]], []),
        ([["a", 0, EMPTY, 0o644]], ["home/b"]),
        ([["a", 0, EMPTY, 0o644]], ["home/a", "home/b"]),
        ([["a", 0, EMPTY, 0o644]] * 2, ["home/a"] * 2),
        ([["a", 0, EMPTY, 0o644], ["a/b", 0, EMPTY, 0o644]], ["home/a", "home/a/b"]),
        ([["a", 1, EMPTY, 0o644]], ["home/a"]),
        ([["a", 0, "0" * 64, 0o644]], ["home/a"]),
        ([["a", 0, EMPTY, 0o4755]], ["home/a"]),
        ([["a", "0", EMPTY, 0o644]], ["home/a"]),
        ([["a"]], ["home/a"]),
        ([5], []),
    ],
)
def test_an_archive_that_differs_from_its_manifest_is_refused(tmp_path, files, names):
    refused(forged(tmp_path, files, [(member(name), b"") for name in names]), tmp_path)


def test_files_that_are_no_backups_are_refused(tmp_path):
    for content in (b"", b"hello", b"\0" * 20_000, os.urandom(20_000)):
        (tmp_path / "x").write_bytes(content)
        refused(tmp_path / "x", tmp_path)
    with pytest.raises(NotFound):
        backup.restore(tmp_path / "absent", tmp_path / "new")
    with pytest.raises(CauldronError):
        backup.restore(tmp_path, tmp_path / "new")
