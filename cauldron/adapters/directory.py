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
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cauldron.domain.errors import CauldronError, Refused, StorageFull, Unavailable
from cauldron.domain.export import WORK_FOLDER
from cauldron.ports.exporting import Content, Entry, FileOut, Stored

R = TypeVar("R")

CHUNK_BYTES = 1 << 20
THREADS = 2
LARGEST_LISTING = 4_000_000
DEEPEST_FOLDER = 4
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}(/[A-Za-z0-9._-]{1,200}){0,3}")
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Directory:
    """An :class:`ExportTarget` (and source) over the folder ``root``.

    ``durable=False`` skips the final flush to disk, for throw-away exports.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self._root = root
        self._durable = durable
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="export")
        self._part = itertools.count()
        self._folders: set[str] = set()

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
        lock = await self._run(self._begin)
        try:
            yield
        finally:
            os.close(lock)

    async def ensure(self, files: Sequence[FileOut]) -> list[Stored]:
        return await self._run(lambda: [self._ensure(file) for file in files])

    async def remove(self, names: Sequence[str]) -> None:
        await self._run(lambda: self._remove(names))

    async def sync(self) -> None:
        if self._durable:
            await self._run(os.sync)

    async def _run(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _translated(work, self._root))

    def _begin(self) -> int:
        """Make the folder, take its lock, sweep half-written parts; the lock's descriptor."""
        self._root.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._folders.clear()
            for part in self._root.glob(f"{WORK_FOLDER}/*.part"):
                part.unlink()
        except BlockingIOError:
            os.close(lock)
            raise Refused(f"another export is writing to {self._root}") from None
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _ensure(self, file: FileOut) -> Stored:
        path = self._place(file.name)
        there = self._same(path, file)
        if there is not None:
            return there
        part = self._place(f"{WORK_FOLDER}/{os.getpid()}-{next(self._part)}.part")
        try:
            digest, size_bytes = _write(part, file.content)
            if file.sha256 not in (None, digest):
                raise Refused(f"{file.name}: the stored content is damaged, it no longer matches its hash")
            part.rename(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return Stored(name=file.name, sha256=digest, size_bytes=size_bytes, written=True)

    def _same(self, path: Path, file: FileOut) -> Stored | None:
        """The file already there, when it has the content wanted."""
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(found.st_mode):
            raise Refused(f"{file.name}: a folder is in the way")
        if not stat.S_ISREG(found.st_mode):
            return None
        wanted, size_bytes = _expected(file)
        if found.st_size != size_bytes:
            return None
        stored = self._digest(file.name)
        return stored if stored is not None and stored.sha256 == wanted else None

    def _place(self, name: str) -> Path:
        """The path of ``name``, its folder made; refuses names and folders that lead elsewhere."""
        if not _NAME.fullmatch(name) or any(part in (".", "..") for part in name.split("/")):
            raise Refused(f"{name!a} is not a name for a file of an export")
        folder, _, _ = name.rpartition("/")
        if folder and folder not in self._folders:
            parent = self._root / folder
            parent.mkdir(parents=True, exist_ok=True)
            if not stat.S_ISDIR(parent.lstat().st_mode):
                raise Refused(f"{parent} is a link or a file, not a folder to write into")
            self._folders.add(folder)
        return self._root / name

    def _remove(self, names: Sequence[str]) -> None:
        for path in map(self._place, names):
            path.unlink(missing_ok=True)
            if path.parent != self._root:
                with contextlib.suppress(OSError):
                    path.parent.rmdir()  # succeeds only when it is empty
                    self._folders.discard(str(path.parent.relative_to(self._root)))

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
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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


def _pieces(content: Content) -> Iterable[bytes]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, Path):
        handle = os.open(content, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from _chunks(handle)
        finally:
            os.close(handle)
    else:
        yield from content()


def _write(path: Path, content: Content) -> tuple[str, int]:
    """Write a new file while hashing it; its hash and size in bytes."""
    whole, size_bytes = hashlib.sha256(), 0
    handle = os.open(path, _CREATE, 0o666)
    try:
        for chunk in _pieces(content):
            whole.update(chunk)
            size_bytes += len(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(handle, view) :]
    finally:
        os.close(handle)
    return whole.hexdigest(), size_bytes


def _expected(file: FileOut) -> tuple[str, int]:
    """Hash and size in bytes of the content wanted."""
    if isinstance(file.content, Path) and file.sha256 is not None:
        return file.sha256, file.content.stat().st_size
    whole, size_bytes = hashlib.sha256(), 0
    for chunk in _pieces(file.content):
        whole.update(chunk)
        size_bytes += len(chunk)
    return whole.hexdigest(), size_bytes


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
