"""One archive of a data directory: the database as of one moment, the blobs, the keys.

An uncompressed tar whose first member lists every other with size and SHA-256.
Restoring checks all of it aside and takes its place by one rename, or not at all.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import sqlite3
import stat
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

import orjson

from cauldron.domain.errors import Invalid, NotFound, Refused, StorageFull, Unavailable

FORMAT = "cauldron-backup/1"
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 30
CHUNK_BYTES = 1 << 20

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What an archive holds."""

    files: int
    size_bytes: int  # of the contents, without the archive's own


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str  # relative to the data directory, "/" between parts
    size_bytes: int
    sha256: str
    mode: int  # permission bits


def backup(
    home: Path,
    store_path: Path,
    blobs_root: Path,
    to: Path,
    *,
    progress: Progress | None = None,
    skip: Collection[str] = (),
) -> Summary:
    """Write one archive of everything under ``home`` that is not temporary.

    Writers may go on: the database is copied as of one moment, first, and blobs
    never change, so every blob it names is in the archive or was missing before.
    The store and the blobs keep their places relative to ``home``. ``skip`` names
    files or folders, relative to ``home``, to leave out (finished exports, say).

    Raises:
        NotFound: there is no database.
        Invalid: the store or the blobs lie outside ``home``.
        Refused: ``to`` exists.
        StorageFull, Unavailable: nothing is left at ``to``.
    """
    home, to = home.absolute(), to.absolute()
    if os.path.lexists(to):
        raise Refused(f"{to} exists; a backup is never overwritten", path=str(to))
    store_name, _ = _inside(home, store_path.absolute()), _inside(home, blobs_root.absolute())
    left_out = {to, blobs_root.absolute() / "tmp", *(home / name for name in skip)}
    if not store_path.is_file():
        raise NotFound(f"no database {store_path}", path=str(store_path))
    with (
        _disk_errors(f"cannot write {to}"),
        tempfile.TemporaryDirectory(dir=to.parent, prefix=".backup-") as aside,
    ):
        copy = Path(aside) / "store"
        _copy_database(store_path, copy)
        files = [(store_name, copy), *_files(home, store=store_path.absolute(), skip=left_out)]
        entries = [_entry(name, path) for name, path in sorted(files)]
        archive = Path(aside) / "archive"
        _write(archive, entries, dict(files), progress=progress or _quiet)
        if os.path.lexists(to):
            raise Refused(f"{to} exists; a backup is never overwritten", path=str(to))
        archive.rename(to)
        _sync_directory(to.parent)
    return _summary(entries)


def restore(archive: Path, home: Path, *, progress: Progress | None = None) -> Summary:
    """Unpack an archive as the new ``home``, which must be absent or empty.

    Raises:
        NotFound: there is no archive.
        Refused: ``home`` holds something.
        Invalid: the archive is incomplete, damaged or altered; the message names the place.
        StorageFull, Unavailable: ``home`` is as it was.
    """
    home = home.absolute()
    if home.is_symlink() or (home.exists() and (not home.is_dir() or any(home.iterdir()))):
        raise Refused(f"{home} is not empty; restore into a new folder", path=str(home))
    if not archive.is_file():
        raise NotFound(f"no archive {archive}", path=str(archive))
    with _disk_errors(f"cannot write {home}"):
        home.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=home.parent, prefix=".restore-"))
        try:
            entries = _unpack(archive, aside, progress=progress or _quiet)
            aside.chmod(stat.S_IMODE(home.stat().st_mode) if home.exists() else 0o755)
            aside.rename(home)  # onto an empty folder or nothing: one step
            _sync_directory(home.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return _summary(entries)


def _quiet(done: int, total: int) -> None:
    """Report progress to nobody."""


def _summary(entries: list[_Entry]) -> Summary:
    return Summary(files=len(entries), size_bytes=sum(entry.size_bytes for entry in entries))


def _inside(home: Path, path: Path) -> str:
    if not path.is_relative_to(home):
        raise Invalid(f"{path} is not inside {home}", path=str(path))
    return path.relative_to(home).as_posix()


@contextlib.contextmanager
def _disk_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        kind = StorageFull if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else Unavailable
        raise kind(f"{what}: {exc.strerror or exc}") from exc


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy_database(source: Path, target: Path) -> None:
    """A consistent copy, while others write."""
    uri = source.absolute().as_uri()
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=30)) as here,
            contextlib.closing(sqlite3.connect(target)) as there,
        ):
            here.backup(there)
            there.execute("PRAGMA journal_mode=DELETE")  # one file, whatever the source had
            target.chmod(stat.S_IMODE(source.stat().st_mode))
            if there.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise Invalid(f"{source} is damaged", path=str(source))
    except sqlite3.Error as exc:
        if getattr(exc, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            raise StorageFull(f"no room to copy {source.name}") from exc
        raise Unavailable(f"cannot copy {source.name}: {exc}") from exc


def _files(home: Path, *, store: Path, skip: Collection[Path]) -> Iterator[tuple[str, Path]]:
    """Regular files under ``home``, without the live database, temporary files and links."""
    beside = {f"{store}{end}" for end in ("", "-wal", "-shm", "-journal", "-turn", "-write")}
    for folder, folders, names in os.walk(home):
        here = Path(folder)
        folders[:] = [
            n for n in folders if here / n not in skip and not n.startswith((".backup-", ".restore-"))
        ]
        for name in names:
            path = here / name
            if str(path) in beside or path in skip or not stat.S_ISREG(path.lstat().st_mode):
                continue
            yield path.relative_to(home).as_posix(), path


def _entry(name: str, path: Path) -> _Entry:
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o777
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return _Entry(name=name, size_bytes=size_bytes, sha256=digest.hexdigest(), mode=mode)


def _write(archive: Path, entries: list[_Entry], files: dict[str, Path], *, progress: Progress) -> None:
    listed = [[e.name, e.size_bytes, e.sha256, e.mode] for e in entries]
    manifest = orjson.dumps({"format": FORMAT, "files": listed})
    done, total = 0, sum(entry.size_bytes for entry in entries)
    with archive.open("xb") as file:
        archive.chmod(0o600)  # it holds keys
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(_member(MANIFEST, len(manifest), 0o600), BytesIO(manifest))
            for entry in entries:
                with files[entry.name].open("rb") as content:
                    tar.addfile(_member(f"home/{entry.name}", entry.size_bytes, entry.mode), content)
                done += entry.size_bytes
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())


def _member(name: str, size_bytes: int, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size_bytes, mode
    return info


def _unpack(archive: Path, aside: Path, *, progress: Progress) -> list[_Entry]:
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            entries = _manifest(archive, tar)
            done, total = 0, sum(entry.size_bytes for entry in entries)
            for entry in entries:
                _unpack_one(archive, tar, entry, aside)
                done += entry.size_bytes
                progress(done, total)
            if (extra := tar.next()) is not None:
                raise Invalid(f"{archive.name}: {extra.name!r} is not in its manifest", path=extra.name)
            return entries
    except (tarfile.TarError, EOFError, ValueError) as exc:
        raise Invalid(f"{archive.name} is not a whole backup: {exc}", path=str(archive)) from exc


def _manifest(archive: Path, tar: tarfile.TarFile) -> list[_Entry]:
    """The list of files, each with a name that stays inside. Raises Invalid."""
    info = tar.next()
    if info is None or info.name != MANIFEST or not info.isreg() or info.size > MAX_MANIFEST_BYTES:
        raise Invalid(f"{archive.name} is not a backup: it does not begin with {MANIFEST}", path=MANIFEST)
    content = tar.extractfile(info)
    try:
        document = orjson.loads(content.read() if content else b"")
        if document["format"] != FORMAT:
            raise Invalid(
                f"{archive.name}: format {str(document['format'])[:40]!r} is unknown", path="format"
            )
        entries = [_checked(archive, row) for row in document["files"]]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as exc:
        raise Invalid(f"{archive.name}: {MANIFEST} is damaged", path=MANIFEST) from exc
    names = [entry.name for entry in entries]
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    if len(set(names)) < len(names) or folders.intersection(names):
        raise Invalid(f"{archive.name}: {MANIFEST} names one place twice", path=MANIFEST)
    return entries


def _checked(archive: Path, row: list[object]) -> _Entry:
    name, size_bytes, sha256, mode = row
    if not (isinstance(name, str) and isinstance(size_bytes, int) and isinstance(sha256, str)):
        raise TypeError("manifest row")
    parts = name.split("/")
    unsafe = "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in parts)
    if unsafe or PurePosixPath(name).is_absolute() or not isinstance(mode, int) or mode & ~0o777:
        raise Invalid(f"{archive.name}: unsafe name or mode {name[:80]!r}", path=name[:80])
    return _Entry(name=name, size_bytes=size_bytes, sha256=sha256, mode=mode)


def _plain(info: tarfile.TarInfo) -> bool:
    """A regular file whose bytes are all in the archive: no link, device, folder or sparse file."""
    return info.isreg() and not info.issparse()


def _unpack_one(archive: Path, tar: tarfile.TarFile, entry: _Entry, aside: Path) -> None:
    """The next member, which must be just ``entry``. Folders are made here, never by the archive."""
    info = tar.next()
    place = f"{archive.name}: {entry.name}"
    if info is None:
        raise Invalid(f"{place} is missing: the archive ends early", path=entry.name)
    if info.name != f"home/{entry.name}" or not _plain(info) or info.size != entry.size_bytes:
        raise Invalid(f"{place} is not what the manifest says (found {info.name[:80]!r})", path=entry.name)
    content = tar.extractfile(info)
    if content is None:
        raise Invalid(f"{place} has no content", path=entry.name)
    target = aside / entry.name
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = _extract(content, target, size_bytes=entry.size_bytes, place=place)
    if digest != entry.sha256:
        raise Invalid(f"{place} is damaged: its SHA-256 differs", path=entry.name)
    target.chmod(entry.mode)


def _extract(content: IO[bytes], target: Path, *, size_bytes: int, place: str) -> str:
    digest, rest = hashlib.sha256(), size_bytes
    read = content.read
    with target.open("xb") as file:
        while rest:
            chunk = read(min(CHUNK_BYTES, rest))
            if not chunk:
                raise Invalid(f"{place} ends {rest} bytes early", path=place)
            digest.update(chunk)
            file.write(chunk)
            rest -= len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
