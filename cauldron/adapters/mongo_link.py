"""The connection to a replica set: settings, sessions, what each failure means, and patience.

Failures are told apart here and nowhere else: try again, a named error of ours,
or a fault of this program.
"""

import asyncio
import contextlib
import random
import time
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from bson.timestamp import Timestamp
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cauldron.domain.errors import CauldronError, Invalid, Refused, StorageFull, Unavailable

log = structlog.get_logger("cauldron.mongo")
Doc = dict[str, Any]
T = TypeVar("T")

DURABLE = WriteConcern(w="majority", j=True)
MAJORITY = {"w": "majority", "j": True}  # the same, for commands
READ = {"level": "majority"}
OLDEST_WIRE_VERSION = 17  # MongoDB 6.0: partial indexes over several values
MARKER, LAYOUT = "cauldron", 1  # a collection that says whose database it is; a later version has more
SLOW_S = 1.0
POLL_S = 1.5
DUPLICATE = 11000
NO_ROOM = frozenset({14031})  # OutOfDiskSpace
REFUSED_LOGIN = frozenset({13, 18, 8000})
TOO_BIG = frozenset({10334, 17280, 17419, 17420, 15})
HISTORY_LOST = frozenset({286, 260, 280, 136})  # the oplog no longer reaches back to a token
NO_SNAPSHOT = frozenset({239, 246, 72})
AGAIN = frozenset(
    {6, 7, 43, 50, 63, 64, 89, 91, 112, 133, 134, 175, 189, 202, 225, 234, 246, 262, 317, 9001}
    | {10107, 11600, 11601, 11602, 13388, 13435, 13436}
)


def code_of(exc: BaseException) -> int:
    """The server's error number, or 0."""
    return int(exc.code or 0) if isinstance(exc, OperationFailure) else 0


def is_passing(exc: BaseException) -> bool:
    """Will the same request succeed later: no primary, a lost connection, a server that was busy?"""
    if not isinstance(exc, PyMongoError):
        return False
    if isinstance(exc, ConnectionFailure) or code_of(exc) in AGAIN:
        return True
    return any(map(exc.has_error_label, ("RetryableWriteError", "TransientTransactionError")))


@dataclass(slots=True)
class Horizon:
    """The latest instant of the replica set that this process knows of.

    Shared by the handles of one address, so that a watch begins exactly between
    what was committed before it in this process and what comes after.
    """

    at: Timestamp = field(default_factory=lambda: Timestamp(0, 0))

    def note(self, seen: Timestamp | None) -> None:
        """Remember an instant from an answer."""
        if seen is not None and seen > self.at:
            self.at = seen


_HORIZONS: dict[str, Horizon] = {}


def after(instant: Timestamp) -> Timestamp:
    """The next instant."""
    return Timestamp(instant.time, instant.inc + 1)


class Link:
    """One client and what is known about the far side."""

    def __init__(self, url: str, *, patience_s: float) -> None:
        """``patience_s`` is how long a call waits for a primary.

        Raises:
            Invalid: the URL is malformed or names no database.
        """
        self.where, self.secrets = _public(url)
        self.patience_s = patience_s
        self._sessions: list[AsyncClientSession] = []
        self._silent_since: float | None = None
        options: dict[str, Any] = {"appname": "cauldron", "connectTimeoutMS": 5000}
        given = {name.lower() for name, _ in urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)}
        options = {name: value for name, value in options.items() if name.lower() not in given}
        try:
            self.client: AsyncMongoClient[Doc] = AsyncMongoClient(
                url,
                retryWrites=True,
                retryReads=True,
                serverSelectionTimeoutMS=int(patience_s * 1000),
                tz_aware=True,
                **options,
            )
            database = self.client.get_default_database()
        except (ConfigurationError, InvalidURI, ValueError, TypeError) as exc:
            raise Invalid(f"{self.where}: {self._say(exc)}", path="url") from None
        if database.name in ("admin", "config", "local"):
            raise Invalid(f"{self.where}: {database.name} is MongoDB's own database", path="url")
        self.db: AsyncDatabase[Doc] = database.with_options(
            write_concern=DURABLE,
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )  # whatever the URL says
        self.horizon = _HORIZONS.setdefault(url, Horizon())

    def _say(self, exc: BaseException) -> str:
        """What an exception says, on one line and without the login."""
        text = str(exc).partition(", full error:")[0].partition(", Topology Description")[0]
        for secret in self.secrets:
            text = text.replace(secret, "…")
        return text

    def translate(self, exc: BaseException) -> BaseException:
        """The named failure for what the driver or the server said; anything else as it is."""
        if isinstance(exc, DocumentTooLarge) or code_of(exc) in TOO_BIG:
            return Invalid(f"{self.where}: {self._say(exc)}")
        if isinstance(exc, ConfigurationError | InvalidURI) or code_of(exc) in REFUSED_LOGIN:
            return Invalid(f"{self.where}: {self._say(exc)}", path="url")
        if code_of(exc) in NO_ROOM:
            return StorageFull(f"{self.where}: no room: {self._say(exc)}")
        if isinstance(exc, OperationFailure) and not is_passing(exc):
            return CauldronError(f"{self.where}: {self._say(exc)}", code=exc.code)
        if isinstance(exc, PyMongoError | OSError):
            return Unavailable(f"{self.where}: {self._say(exc)}")
        return exc

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncClientSession]:
        """A session for one call after the other; what it learns of time is remembered."""
        session = (
            self._sessions.pop() if self._sessions else self.client.start_session(causal_consistency=False)
        )
        try:
            yield session
        finally:
            self.horizon.note(session.operation_time)
            self._sessions.append(session)

    async def steadily(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question that may be put again, within patience.

        Raises:
            Unavailable: no answer in time.
            CauldronError: the named failure otherwise.
        """
        patience = Patience(self)
        while True:
            try:
                return await ask()
            except PyMongoError as exc:
                await patience.wait(exc)

    async def documents(self, find: Doc) -> list[Doc]:
        """Everything that a find command gives; the driver's own cursors cost more than the rest of it."""
        async with self.session() as session:
            cursor = (await self.db.command(find, session=session))["cursor"]
            found: list[Doc] = cursor["firstBatch"]
            while cursor["id"]:
                more = {"getMore": cursor["id"], "collection": find["find"]}
                cursor = (await self.db.command(more, session=session))["cursor"]
                found += cursor["nextBatch"]
        return found

    async def write(self, command: Doc) -> Doc:
        """The answer to a write, which is durable then. The driver does not retry these, we do.

        Raises:
            OperationFailure: it is not known to be durable.
        """
        async with self.session() as session:
            answer: Doc = await self.db.command({**command, "writeConcern": MAJORITY}, session=session)
        concern = answer.get("writeConcernError")
        if concern is not None:
            raise OperationFailure(concern.get("errmsg", "not durable"), 64)
        return answer

    async def check(self) -> None:
        """Learn what the far side is; claim an empty database.

        Raises:
            Invalid: no replica set, too old, another program's data, or a refused login.
            Refused: a later version wrote it.
            Unavailable: nobody answers.
        """
        hello = await self.steadily(lambda: self.client.admin.command("hello"))
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise Invalid(f"{self.where}: not a replica set; start mongod with --replSet", path="url")
        if hello["maxWireVersion"] < OLDEST_WIRE_VERSION:
            raise Invalid(f"{self.where}: MongoDB 6.0 or later is needed", path="url")
        marker = await self._marker()
        if marker is None:
            names = await self.steadily(self.db.list_collection_names)
            theirs = [name for name in names if name != MARKER and not name.startswith("system.")]
            if theirs and await self._marker() is None:
                raise Invalid(f"{self.where}: the database holds another program's data", path="url")
            claim = {"$setOnInsert": {"layout": LAYOUT}}
            await self.steadily(lambda: self.db[MARKER].update_one({"_id": "layout"}, claim, upsert=True))
            marker = await self._marker()
        if marker is not None and marker["layout"] > LAYOUT:
            raise Refused(
                f"{self.where}: written by a later version (layout {marker['layout']}, known {LAYOUT})"
            )
        await self.ping()

    async def _marker(self) -> Doc | None:
        return await self.steadily(lambda: self.db[MARKER].find_one({"_id": "layout"}))

    async def ping(self) -> None:
        """Ask for the time of the replica set."""
        async with self.session() as session:
            await self.db.command("ping", session=session)

    async def keep_time(self) -> None:
        """Ask for the time every now and then, and say when there is no answer."""
        while True:
            await asyncio.sleep(POLL_S)
            asking = asyncio.ensure_future(self.ping())
            try:
                done, _ = await asyncio.wait([asking], timeout=SLOW_S)
                if not done:
                    self.silent()
                await asking
                self.answered()
            except PyMongoError:
                self.silent()
            finally:
                asking.cancel()

    def silent(self) -> None:
        """The far side does not answer; said once."""
        if self._silent_since is None:
            self._silent_since = time.monotonic()
            log.warning("store does not answer: waiting", store=self.where)

    def answered(self) -> None:
        """The far side answers; said when it did not before."""
        if self._silent_since is not None:
            stalled_ms = round((time.monotonic() - self._silent_since) * 1000)
            self._silent_since = None
            log.warning("store answers again", store=self.where, stalled_ms=stalled_ms)

    async def close(self) -> None:
        """Let go of sessions and connections."""
        for session in self._sessions:
            await session.end_session()
        await self.client.close()


class Patience:
    """Waits longer and longer between tries of one call, up to a bound."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._until = time.monotonic() + link.patience_s
        self._pause_s = 0.02

    async def wait(self, exc: BaseException) -> None:
        """Wait before the next try, or raise what the failure means."""
        if not is_passing(exc):
            raise self._link.translate(exc) from exc
        if time.monotonic() + self._pause_s > self._until:
            raise Unavailable(
                f"{self._link.where} did not answer within {self._link.patience_s:g} s"
            ) from exc
        if isinstance(exc, ConnectionFailure):
            self._link.silent()
        await asyncio.sleep(self._pause_s * (0.5 + random.random()))
        self._pause_s = min(1.0, self._pause_s * 2)


def _public(url: str) -> tuple[str, tuple[str, ...]]:
    """The address without its login and options, and the words that must not be shown."""
    try:
        parts = urllib.parse.urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
    except ValueError:
        raise Invalid("the database URL is malformed", path="url") from None
    if parts.scheme not in ("mongodb", "mongodb+srv") or "\0" in url:
        raise Invalid("the database URL must begin with mongodb:// or mongodb+srv://", path="url")
    if not parts.path.strip("/"):
        raise Invalid(f"{parts.scheme}://{hosts}: the URL names no database", path="url")
    words = [word for word in (login, *login.split(":", 1)) if word]
    secrets = {spelled for word in words for spelled in (word, urllib.parse.unquote(word))}
    return f"{parts.scheme}://{hosts}{parts.path}", tuple(sorted(secrets, key=len, reverse=True))
