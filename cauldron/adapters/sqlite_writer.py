"""The writer thread of the SQLite engine: group commit of everybody's operations.

No timer: a group is what arrived while the group before was made durable, so an
idle store answers after one fsync and a busy one shares it.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cauldron.adapters.sqlite_file import Turnstile, connect, translate
from cauldron.adapters.sqlite_work import ClaimWork, Outcome, Work
from cauldron.domain.errors import Refused, Unavailable

GROUP_STATEMENTS = 256  # about 3 ms of work
CUT_STATEMENTS = 64  # about 1 ms, after which a group ends if another process waits
POLL_S = 0.003  # how often foreign commits are looked for while somebody watches


@dataclass(slots=True)
class Request:
    """A piece of work and who waits for it."""

    work: Work
    future: asyncio.Future[Any]
    outcome: Outcome = None


@dataclass(slots=True)
class _Stop:
    future: asyncio.Future[Any]


@dataclass(slots=True)
class _Wake:
    """Makes the thread look at its settings again."""


@dataclass(slots=True)
class Group:
    """Requests that share one transaction, and what they changed."""

    requests: list[Request]
    changed: set[str] = field(default_factory=set)


class Writer:
    """Owns the only connection of this handle that writes."""

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str,
        loop: asyncio.AbstractEventLoop,
        settle: Callable[[Group], None],
        foreign: Callable[[], None],
    ) -> None:
        """``settle`` and ``foreign`` are called in ``loop``. Made inside a turnstile."""
        self._path, self._synchronous, self._loop = path, synchronous, loop
        self._settle, self._foreign = settle, foreign
        self._inbox: queue.SimpleQueue[Request | _Stop | _Wake] = queue.SimpleQueue()
        self._held: deque[Request | _Stop] = deque()  # taken, but left for the next group
        self._watched = False
        self._polled_at = 0.0
        self.turnstile = Turnstile(path)
        self._db = connect(path, synchronous=synchronous)
        self._seen_version = self._data_version()  # before any watch, so that none misses a commit
        self._thread = threading.Thread(target=self._run, name=f"sqlite-writer-{path.name}", daemon=True)

    @property
    def db(self) -> sqlite3.Connection:
        """The connection, to prepare the file before :meth:`start`."""
        return self._db

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Queue a request; its future is settled in the loop."""
        self._inbox.put(request)

    def watch(self, watched: bool) -> None:
        """Start or stop looking for commits of others."""
        if watched and not self._watched:
            self._inbox.put(_Wake())  # looks at once: there may be commits since it looked last
        self._watched = watched

    def stop(self, future: asyncio.Future[Any]) -> None:
        """Finish what was queued, close, then settle ``future``."""
        self._inbox.put(_Stop(future))

    def discard(self) -> None:
        """Let go without ever having started."""
        self._db.close()
        self.turnstile.close()

    def _run(self) -> None:
        while True:
            first = self._next()
            if isinstance(first, _Stop):
                self._close(first)
                return
            if isinstance(first, Request):
                self._answer(Group(self._collect(first)))
            first = None  # while waiting for the next nothing of this one is kept
            self._poll()

    def _answer(self, group: Group) -> None:
        self._serve(group)
        self._call(self._settle, group)

    def _next(self) -> Request | _Stop | _Wake | None:
        if self._held:
            return self._held.popleft()
        try:
            return self._inbox.get(timeout=POLL_S if self._watched else None)
        except queue.Empty:
            return None

    def _collect(self, first: Request) -> list[Request]:
        """Everything that waits, up to a bound; more stays for the next group."""
        requests, statements = [first], first.work.statements
        while True:
            try:
                item = self._held.popleft() if self._held else self._inbox.get_nowait()
            except queue.Empty:
                return requests
            if isinstance(item, _Wake):
                continue
            if isinstance(item, _Stop) or statements + item.work.statements > GROUP_STATEMENTS:
                self._held.appendleft(item)
                return requests
            requests.append(item)
            statements += item.work.statements

    def _serve(self, group: Group) -> None:
        try:
            if self._finds_nothing(group):
                return
            with self.turnstile.entered():
                self._transact(group)
        except Exception as exc:  # every caller must hear of it; the thread must go on
            failure = translate(exc, self._path)
            self._recover()
            if len(group.requests) > 1 and not isinstance(failure, Unavailable):
                self._serve_singly(group)  # one caller's fault is not its neighbours'
                return
            for request in group.requests:
                request.outcome = failure

    def _finds_nothing(self, group: Group) -> bool:
        """Whether the group only claims and there is nothing to claim: then nobody's turn is taken."""
        for request in group.requests:
            work = request.work
            if not isinstance(work, ClaimWork):
                return False
            if self._db.execute(work.choose, (*work.choose_params, 1)).fetchall():
                return False
        for request in group.requests:
            request.outcome = []
        return True

    def _serve_singly(self, group: Group) -> None:
        for request in group.requests:
            alone = Group([request])
            self._serve(alone)
            group.changed |= alone.changed

    def _transact(self, group: Group) -> None:
        """Run a group and make it durable, or raise with nothing of it done."""
        db, alone = self._db, len(group.requests) == 1
        changed: set[str] = set()
        statements = 0
        db.execute("BEGIN IMMEDIATE")
        for done, request in enumerate(group.requests, 1):
            before = db.total_changes
            self._run_one(request, alone=alone)
            if db.total_changes != before:
                changed |= request.work.table_names
            statements += request.work.statements
            if statements >= CUT_STATEMENTS and self.turnstile.is_wanted():
                self._leave(group, done)
                break
        if db.in_transaction:  # else its only caller took everything back
            db.execute("COMMIT")
            group.changed |= changed

    def _leave(self, group: Group, done: int) -> None:
        """Put what is not ``done`` of a group first into the next."""
        self._held.extendleft(reversed(group.requests[done:]))
        del group.requests[done:]

    def _run_one(self, request: Request, *, alone: bool) -> None:
        db, undoes = self._db, request.work.undoes
        guarded = undoes and not alone
        if guarded:
            db.execute("SAVEPOINT caller")
        try:
            request.outcome = request.work.run(db)
        except Refused as exc:
            request.outcome = exc
            if undoes:
                db.execute("ROLLBACK" if alone else "ROLLBACK TO caller")
        if guarded:
            db.execute("RELEASE caller")

    def _recover(self) -> None:
        """Leave the connection usable, on a fresh one if need be."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self._db.close()
            self._db = connect(self._path, synchronous=self._synchronous)

    def _poll(self) -> None:
        """Ring when another connection has committed since the last look."""
        now = time.monotonic()
        if not self._watched or now - self._polled_at < POLL_S * 0.9:
            return
        self._polled_at = now
        try:
            version = self._data_version()
        except sqlite3.Error:
            return  # the next write or read reports it
        if version != self._seen_version:
            self._seen_version = version
            self._call(self._foreign)

    def _data_version(self) -> int:
        """Changes when another connection has committed, of this process or another."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _call(self, function: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)

    def _close(self, stop: _Stop) -> None:
        try:
            with self.turnstile.entered():
                self._db.close()
        finally:
            self.turnstile.close()
            self._call(_finish, stop.future)


def _finish(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result(None)


def settle(request: Request) -> None:
    """Hand the outcome to the caller, unless it went away. Runs in the loop."""
    if request.future.done():
        return
    if isinstance(request.outcome, BaseException):
        request.future.set_exception(request.outcome)
    else:
        request.future.set_result(request.outcome)
