"""What is particular to blobs on a disk: permissions, links, damage, leftovers, a full disk."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cauldron.adapters.fs import LEFTOVER_AGE_S, BlobFiles
from cauldron.domain.errors import Invalid, NotFound, Unavailable


@pytest.fixture
def files(tmp_path: Path) -> BlobFiles:
    return BlobFiles(tmp_path / "blobs")


def temporary(files: BlobFiles) -> list[str]:
    return sorted(path.name for path in (files.root / "tmp").iterdir())


def test_a_blob_is_read_only_and_lies_where_its_digest_says(files):
    digest = files.put_bytes(b"content")
    path = files.path(digest)
    assert path == files.root / "sha256" / digest[:2] / digest[2:]
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert temporary(files) == []


def test_several_contents_are_stored_together_and_doubles_once(files):
    contents = [b"%d" % (n % 20) for n in range(50)]
    digests = files.put_many(contents)
    assert [files.read(digest, verify=True) for digest in digests] == contents
    assert len(list(files.each())) == 20
    assert files.put_many([]) == []
    assert temporary(files) == []


def test_a_damaged_blob_is_found_out_when_asked_to_verify(files):
    digest = files.put_bytes(b"content")
    files.path(digest).chmod(0o644)
    files.path(digest).write_bytes(b"c0ntent")
    assert files.read(digest) == b"c0ntent"
    with pytest.raises(Unavailable, match="damaged"):
        files.read(digest, verify=True)


def test_a_link_in_place_of_a_blob_is_never_followed(files, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    digest = files.put_bytes(b"content")
    place = files.path(digest)
    place.unlink()
    place.symlink_to(secret)
    with pytest.raises((NotFound, Unavailable)):
        files.read(digest)
    with pytest.raises(NotFound):
        files.path(digest)
    assert list(files.each()) == []
    assert files.put_bytes(b"content") == digest
    assert files.read(digest) == b"content"
    assert secret.read_bytes() == b"secret"


def test_blob_folders_that_are_links_are_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "sha256").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Invalid):
        BlobFiles(tmp_path / "blobs")


def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(files):
    old, new = files.root / "tmp" / "put-old", files.root / "tmp" / "put-new"
    for path in (old, new):
        path.write_bytes(b"part")
    long_ago = time.time() - LEFTOVER_AGE_S - 60
    os.utime(old, (long_ago, long_ago))
    BlobFiles(files.root)
    assert temporary(files) == ["put-new"]


def test_strange_files_among_the_blobs_are_passed_over(files):
    digest = files.put_bytes(b"content")
    (files.root / "sha256" / "readme").write_text("hi")
    (files.root / "sha256" / digest[:2] / "notes.txt").write_text("hi")
    assert list(files.each()) == [(digest, 7)]


FULL = """
import resource, signal, sys
from pathlib import Path
from cauldron.adapters.fs import BlobFiles
from cauldron.domain.errors import StorageFull
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
files = BlobFiles(Path(sys.argv[1]))
small = files.put_bytes(b"small")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for put in (lambda: files.put_bytes(b"x" * 200_000), lambda: files.put_many([b"ok", b"y" * 200_000]),
            lambda: files.put_path(Path(sys.argv[2]))):
    try:
        put()
    except StorageFull:
        continue
    sys.exit("not refused")
assert [digest for digest, _ in files.each()] == [small], "a partial blob"
assert not list((files.root / "tmp").iterdir()), "a leftover"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
files.put_bytes(b"x" * 200_000)
"""


def test_a_full_disk_leaves_no_part_behind_and_works_again_with_room(tmp_path):
    big = tmp_path / "big"
    big.write_bytes(b"z" * 300_000)
    command = [sys.executable, "-c", FULL, str(tmp_path / "blobs"), str(big)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
