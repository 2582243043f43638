"""Exports in a local folder: files appear whole under their names, or not at all."""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import itertools
import os
import re
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from cauldron.domain.errors import CauldronError, Refused, StorageFull, Unavailable
from cauldron.domain.export import WORK_FOLDER
from cauldron.ports.exporting import Entry, FileOut, Stored

R = TypeVar("R")

CHUNK_BYTES = 1 << 20
LARGEST_LISTING = 4_000_000
DEEPEST_FOLDER = 4
_NAME = re.compile(r"(\.?[A-Za-z0-9_-]{1,100}/)?[A-Za-z0-9._-]{1,200}")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Directory:
    """An :class:`ExportTarget` (and source) over the folder ``root``.

    One thread reads and hashes, one writes: two writers in one folder cost the
    kernel five times what they gain. ``durable=False`` skips the final flush to
    disk, for throw-away exports.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self._root = root
        self._durable = durable
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="export-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="export-write")
        self._part = itertools.count()
        self._folders: dict[str, int] = {}  # open while an export is written; "" is the root, with the lock

    @property
    def place(self) -> str:
        return str(self._root)

    async def entries(self) -> AsyncIterator[Entry]:
        for entry in await self._run(lambda: list(_walk(self._root))):
            yield entry

    async def read(self, names: Sequence[str], *, limit_bytes: int) -> list[bytes | None]:
        return await self._run(lambda: [self._read(name, limit_bytes) for name in names])

    async def digest(self, names: Sequence[str]) -> list[Stored | None]:
        return await self._run(lambda: [self._digest(name) for name in names])

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        await self._run(self._begin, writes=True)
        try:
            yield
        finally:
            await self._run(self._end, writes=True)

    async def ensure(self, files: Sequence[FileOut]) -> list[Stored]:
        wanted = await self._run(lambda: [_wanted(file) for file in files])
        pairs = list(zip(files, wanted, strict=True))
        return await self._run(lambda: [self._ensure(*pair) for pair in pairs], writes=True)

    async def remove(self, names: Sequence[str]) -> None:
        await self._run(lambda: self._remove(names), writes=True)

    async def sync(self, names: Sequence[str] | None = None) -> None:
        if self._durable:
            await self._run(os.sync if names is None else lambda: self._sync(names), writes=True)

    async def _run(self, work: Callable[[], R], *, writes: bool = False) -> R:
        pool = self._writer if writes else self._reader
        return await asyncio.get_running_loop().run_in_executor(pool, _translated(work, self._root))

    def _begin(self) -> None:
        """Make the folder, take its lock, sweep half-written parts."""
        self._root.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for part in self._root.glob(f"{WORK_FOLDER}/*.part"):
                part.unlink()
        except BlockingIOError:
            os.close(lock)
            raise Refused(f"another export is writing to {self._root}") from None
        except BaseException:
            os.close(lock)
            raise
        self._folders = {"": lock}

    def _end(self) -> None:
        """Let go of the folders, and with the root of its lock."""
        while self._folders:
            os.close(self._folders.popitem()[1])

    def _ensure(self, file: FileOut, wanted: Stored | None) -> Stored:
        """Write a file unless it is there; ``wanted`` is what it will be, when known before."""
        folder, name = self._place(file.name)
        there = self._there(folder, name, file=file, wanted=wanted)
        if there is not None and there == wanted:
            return there
        parts, part = self._place(f"{WORK_FOLDER}/{os.getpid()}-{next(self._part)}.part")
        try:
            stored = _write(os.open(part, _CREATE, 0o666, dir_fd=parts), file)
            if wanted is not None and stored.size_bytes != wanted.size_bytes:
                raise Unavailable(f"{file.name}: its content changed while it was copied")
            if there is not None and stored.sha256 == there.sha256:
                os.unlink(part, dir_fd=parts)
                return there
            os.rename(part, name, src_dir_fd=parts, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part, dir_fd=parts)
            raise
        return replace(wanted or stored, written=True)

    def _there(self, folder: int, name: str, *, file: FileOut, wanted: Stored | None) -> Stored | None:
        """The file already there, when it may be the one wanted."""
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(found.st_mode):
            raise Refused(f"{file.name}: a folder is in the way")
        if not stat.S_ISREG(found.st_mode) or (wanted and found.st_size != wanted.size_bytes):
            return None
        return self._digest(file.name)

    def _place(self, path: str) -> tuple[int, str]:
        """The open folder of ``path``, made if need be, and the name in it; no link is followed."""
        folder, _, name = path.rpartition("/")
        if not _NAME.fullmatch(path) or name in (".", ".."):
            raise Refused(f"{path!a} is not a name for a file of an export")
        if folder not in self._folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, dir_fd=self._folders[""])
            try:
                self._folders[folder] = os.open(folder, _FOLDER, dir_fd=self._folders[""])
            except OSError as error:
                raise Refused(
                    f"{self._root / folder} is no folder to write into: {error.strerror}"
                ) from error
        return self._folders[folder], name

    def _remove(self, names: Sequence[str]) -> None:
        emptied = {path.rpartition("/")[0] for path in names} - {""}
        for folder, name in map(self._place, names):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
        for path in emptied:
            os.close(self._folders.pop(path))
            with contextlib.suppress(OSError):
                os.rmdir(path, dir_fd=self._folders[""])  # succeeds only when it is empty

    def _sync(self, names: Sequence[str]) -> None:
        """Flush single files and the folders that name them."""
        for name in names:
            with self._opened(name) as handle:
                if handle is not None:
                    os.fsync(handle)
            os.fsync(self._place(name)[0])
        os.fsync(self._folders[""])

    def _read(self, name: str, limit_bytes: int) -> bytes | None:
        with self._opened(name) as handle:
            if handle is None or os.fstat(handle).st_size > limit_bytes:
                return None
            return b"".join(_chunks(handle))[: limit_bytes + 1]

    def _digest(self, name: str) -> Stored | None:
        with self._opened(name) as handle:
            if handle is None:
                return None
            whole, size_bytes = hashlib.sha256(), 0
            for chunk in _chunks(handle):
                whole.update(chunk)
                size_bytes += len(chunk)
            return Stored(name=name, sha256=whole.hexdigest(), size_bytes=size_bytes)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int | None]:
        """A descriptor of a regular file below the root; None when there is no such file."""
        handle = _open_below(self._root, name)
        try:
            yield handle
        finally:
            if handle is not None:
                os.close(handle)


def _open_below(root: Path, name: str) -> int | None:
    """Open ``name`` folder by folder, so that no link on the way is followed."""
    *folders, last = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in (*folders, last)):
        return None
    at = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for folder in folders:
            below = os.open(folder, _READ | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        handle = os.open(last, _READ, dir_fd=at)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG):
            return None  # a link, a socket, or a name no file can have
        raise
    finally:
        os.close(at)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None


def _walk(root: Path, prefix: str = "", depth: int = 0) -> Iterator[Entry]:
    with os.scandir(root) as found:
        entries = sorted(itertools.islice(found, LARGEST_LISTING), key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        name = prefix + entry.name.encode(errors="surrogateescape").decode(errors="replace")
        if entry.is_symlink():
            yield Entry(name=name, kind="link")
        elif entry.is_dir(follow_symlinks=False) and depth < DEEPEST_FOLDER:
            yield from _walk(Path(entry.path), f"{name}/", depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield Entry(name=name, kind="file", size_bytes=entry.stat(follow_symlinks=False).st_size)
        else:
            yield Entry(name=name, kind="other")


def _chunks(handle: int) -> Iterator[bytes]:
    while chunk := os.read(handle, CHUNK_BYTES):
        yield chunk


def _wanted(file: FileOut) -> Stored | None:
    """What a file will be once written; None when that shows only while writing."""
    if callable(file.content):
        return None
    whole, size_bytes = hashlib.sha256(), 0
    for chunk in _pieces(file.content):
        whole.update(chunk)
        size_bytes += len(chunk)
    if file.sha256 not in (None, whole.hexdigest()):
        raise Refused(f"{file.name}: the stored content is damaged, it no longer matches its hash")
    return Stored(name=file.name, sha256=whole.hexdigest(), size_bytes=size_bytes)


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    handle = os.open(content, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from _chunks(handle)
    finally:
        os.close(handle)


def _write(handle: int, file: FileOut) -> Stored:
    """Write an open, new file and close it. Its hash is told only for what is made on the way."""
    whole, size_bytes = hashlib.sha256(), 0
    try:
        if isinstance(file.content, Path):
            return Stored(name=file.name, sha256="", size_bytes=_copy(file.content, handle))
        for chunk in [file.content] if isinstance(file.content, bytes) else file.content():
            whole.update(chunk)
            size_bytes += len(chunk)
            _write_all(handle, chunk)
    finally:
        os.close(handle)
    return Stored(name=file.name, sha256=whole.hexdigest(), size_bytes=size_bytes)


def _write_all(handle: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(handle, view) :]


def _copy(source: Path, handle: int) -> int:
    """Copy a file inside the kernel where it can (on some file systems without moving data); bytes copied."""
    origin = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size_bytes = left = os.fstat(origin).st_size
        with contextlib.suppress(OSError, AttributeError):
            while left and (copied := os.copy_file_range(origin, handle, left)):
                left -= copied
        for chunk in _chunks(origin) if left else ():
            _write_all(handle, chunk)
        return os.fstat(handle).st_size if left else size_bytes
    finally:
        os.close(origin)


def _translated(work: Callable[[], R], root: Path) -> Callable[[], R]:
    """``work`` with the system's errors told as ours."""

    def run() -> R:
        try:
            return work()
        except CauldronError:
            raise
        except OSError as error:
            raise _named(error, root) from error

    return run


def _named(error: OSError, root: Path) -> CauldronError:
    where = error.filename if isinstance(error.filename, str) else str(root)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"no room left for the export at {root}; make room and run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return Refused(f"{where}: {error.strerror}")
    return Unavailable(f"{where}: {error.strerror}")
