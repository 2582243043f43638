"""One SQLite file: connections, errors, the turnstile between processes, the schema."""

# ruff: noqa: S608 - names in SQL are checked against a pattern, values are parameters

import contextlib
import errno
import fcntl
import os
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from cauldron.adapters.sqlite_sql import TableSql
from cauldron.adapters.sqlite_terms import HOT_PREFIX, quoted
from cauldron.domain.errors import CauldronError, Invalid, Refused, StorageFull, Unavailable

APPLICATION_ID = 0x43_41_55_4C  # "CAUL": says whose file it is
LAYOUT = 1  # of this file; a larger number was written by a later version
BUSY_MS = 10_000  # only foreign tools can make us wait
WAL_LIMIT_BYTES = 96 * 1024 * 1024

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
_BROKEN = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def translate(exc: BaseException, path: Path) -> BaseException:
    """The named failure for what SQLite or the system said; anything else as it is."""
    if isinstance(exc, sqlite3.Error):
        code = getattr(exc, "sqlite_errorcode", 0)
        if code in _NO_ROOM:
            return StorageFull(f"no room for {path.name}: {exc}", file=path.name)
        if code & 0xFF in _BROKEN:
            return Invalid(f"{path.name} is damaged or not a database: {exc}", file=path.name)
        kind = CauldronError if code & 0xFF == sqlite3.SQLITE_ERROR else Unavailable
        return kind(f"{path.name}: {exc}", file=path.name)
    if isinstance(exc, OSError):
        kind = StorageFull if exc.errno in (errno.ENOSPC, errno.EDQUOT) else Unavailable
        return kind(f"{path.name}: {exc.strerror or exc}", file=path.name)
    return exc


def connect(path: Path, *, synchronous: str) -> sqlite3.Connection:
    """A connection with our settings. Used by one thread at a time."""
    db = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=BUSY_MS / 1000
    )
    db.execute(f"PRAGMA synchronous={synchronous}")
    db.execute("PRAGMA wal_autocheckpoint=32000")  # a safety net; checkpoints run between groups
    db.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")
    db.execute("PRAGMA cache_size=-16000")
    return db


class Turnstile:
    """Fair exclusion between processes: take the turn, take the write, give back the turn.

    One lock alone is taken again by the writer that just released it before a
    waiter wakes; here the waiter holds the turn meanwhile. The kernel releases
    both when a process dies.
    """

    _all: ClassVar["weakref.WeakSet[Turnstile]"] = weakref.WeakSet()

    def __init__(self, database: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._turn = os.open(f"{database}-turn", flags, 0o644)
        self._write = os.open(f"{database}-write", flags, 0o644)
        Turnstile._all.add(self)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Hold the right to write."""
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._write, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._write, fcntl.LOCK_UN)

    def is_wanted(self) -> bool:
        """Whether somebody waits for us, who hold the right to write."""
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """Let go of the lock files, which stay where they are."""
        Turnstile._all.discard(self)
        if self._turn >= 0:
            os.close(self._turn)
            os.close(self._write)
            self._turn = self._write = -1

    @classmethod
    def leave_to_parent(cls) -> None:
        """In a forked child: drop the inherited handles, or it would keep a dead parent's lock."""
        for each in list(cls._all):
            each.close()


os.register_at_fork(after_in_child=Turnstile.leave_to_parent)


def prepare_file(db: sqlite3.Connection, path: Path) -> None:
    """Make an empty file ours, or check that it is. Runs inside the turnstile.

    Raises:
        Invalid: another program's database, or none at all.
        Refused: written by a later version.
    """
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    (layout,) = db.execute("PRAGMA user_version").fetchone()
    (objects,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (owner or layout or objects):
        raise Invalid(f"{path.name} is a database of another program", file=path.name)
    if layout > LAYOUT:
        raise Refused(
            f"{path.name} was written by a later version (layout {layout}, known {LAYOUT})", file=path.name
        )
    (mode,) = db.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise Unavailable(
            f"{path.name}: the file system does not support write-ahead logging", file=path.name
        )
    if owner != APPLICATION_ID:
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={LAYOUT}")


def hot_columns(db: sqlite3.Connection, table: str) -> list[str] | None:
    """The indexed fields that an existing table has columns for; None when there is no such table."""
    names = [row[1] for row in db.execute(f"PRAGMA table_info({quoted(table)})")]
    if not names:
        return None
    return [name.removeprefix(HOT_PREFIX) for name in names if name.startswith(HOT_PREFIX)]


def create_missing(db: sqlite3.Connection, tables: Sequence[TableSql]) -> None:
    """Create tables and indexes that are not there yet, in one transaction."""
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    wanted = [
        sql
        for table in tables
        for sql in (
            *(table.statements() if table.name not in there else ()),
            *(
                sql
                for index in table.indexes
                if index.name not in there
                for sql in index.statements(table.name)
            ),
        )
    ]
    if not wanted:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for sql in wanted:
            db.execute(sql)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def table_sizes(db: sqlite3.Connection, tables: Sequence[TableSql]) -> dict[str, tuple[int, int]]:
    """``{table: (documents, bytes of documents)}``. Reads every row."""
    sizes = {}
    for table in tables:
        sql = f"SELECT count(*), coalesce(sum(length(CAST(doc AS BLOB))),0) FROM {quoted(table.name)}"
        documents, size_bytes = db.execute(sql).fetchone()
        sizes[table.name] = (documents, size_bytes)
    return sizes


class LogLength:
    """Whether the write-ahead log has grown past a size since it last started over.

    Its file keeps its size when the log starts over, so frames are looked at: those
    of this round bear the salts of the log's head (SQLite's WAL file format).
    """

    def __init__(self, database: Path) -> None:
        """The log must be there: made by the first connection that reads, removed by the last that closes."""
        self._log = os.open(f"{database}-wal", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def exceeds(self, size_bytes: int) -> bool:
        """Two reads of a few bytes."""
        head = os.pread(self._log, 24, 0)
        frame = 24 + int.from_bytes(head[8:12], "big")
        place = 32 + size_bytes // frame * frame
        return len(head) == 24 and os.pread(self._log, 8, place + 8) == head[16:24]

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._log)


def checkpoint(db: sqlite3.Connection, turnstile: Turnstile) -> None:
    """Copy the log into the database so that the log starts over.

    The bulk is copied while others write; the rest, now small, inside the
    turnstile, or a busy file would never reach the log's end.
    """
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    with turnstile.entered():
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
