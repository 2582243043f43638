"""Writes to MongoDB: what arrives while a command is under way shares the next, each with its own outcome."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pymongo.errors import OperationFailure, PyMongoError

from cauldron.adapters.mongo_link import AGAIN, DUPLICATE, SLOW_S, Link, Patience, log
from cauldron.adapters.mongo_statements import GUARD_FAILED, Write, by_id, command_of
from cauldron.domain.errors import CauldronError, Duplicate, StaleVersion
from cauldron.ports.storage import Doc

Outcome = Exception | None

MAX_STATEMENTS = 1000  # in one command
MAX_COMMAND_BYTES = 8 * 1024 * 1024
MAJORITY = {"w": "majority", "j": True}


@dataclass(slots=True)
class Request:
    """Writes of one caller for one command, and who waits for them."""

    writes: Sequence[Write]
    future: "asyncio.Future[list[Outcome]]"


@dataclass(slots=True)
class Lane:
    """Writes of one kind into one table: what arrives while a command is under way shares the next."""

    link: Link
    table: str
    in_flight: asyncio.Semaphore
    _waiting: deque[Request] = field(default_factory=deque)
    _pump: "asyncio.Task[None] | None" = None

    def submit(self, writes: Sequence[Write]) -> "asyncio.Future[list[Outcome]]":
        """Queue writes of one kind; the future gives one outcome each."""
        future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append(Request(writes, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        return future

    async def idle(self) -> None:
        """Wait until everything submitted has its outcome."""
        while self._pump is not None and not self._pump.done():
            await asyncio.wait([self._pump])

    async def _run(self) -> None:
        while self._waiting:
            async with self.in_flight:
                group = self._collect()
                await self._serve(group)

    def _collect(self) -> list[Request]:
        group = [self._waiting.popleft()]
        statements, size_bytes = len(group[0].writes), _bytes(group[0])
        while self._waiting:
            statements += len(self._waiting[0].writes)
            size_bytes += _bytes(self._waiting[0])
            if statements > MAX_STATEMENTS or size_bytes > MAX_COMMAND_BYTES:
                break
            group.append(self._waiting.popleft())
        return group

    async def _serve(self, group: list[Request]) -> None:
        writes = [write for request in group for write in request.writes]
        began = time.monotonic()
        try:
            outcomes = await run_writes(self.link, self.table, writes)
        except Exception as exc:  # every caller must hear of it; the lane must go on
            for request in group:
                if not request.future.done():
                    request.future.set_exception(self.link.translate(exc))
            return
        if (took_s := time.monotonic() - began) > SLOW_S:
            log.warning("store was slow to write", table=self.table, stalled_ms=round(took_s * 1000))
        at = 0
        for request in group:
            _answer(request, outcomes[at : at + len(request.writes)])
            at += len(request.writes)


def _bytes(request: Request) -> int:
    return sum(write.size_bytes for write in request.writes)


def _answer(request: Request, outcomes: list[Outcome]) -> None:
    if request.future.done():
        return
    broken = next(
        (each for each in outcomes if each and not isinstance(each, Duplicate | StaleVersion)), None
    )
    if broken is not None:
        request.future.set_exception(broken)
    else:
        request.future.set_result(outcomes)


async def run_writes(link: Link, table: str, writes: Sequence[Write]) -> list[Outcome]:
    """Carry out inserts or updates of one table, each by itself; one outcome each.

    Raises:
        Unavailable, StorageFull, CauldronError: no outcome could be had.
    """
    outcomes: list[Outcome] = [None] * len(writes)
    todo, doubted, patience = list(range(len(writes))), False, Patience(link)
    while todo:
        try:
            errors = await _send(link, table, [writes[n] for n in todo], doubted=doubted)
        except PyMongoError as exc:
            await patience.wait(exc)
            doubted = True
            continue
        failed = {todo[at]: error for at, error in errors.items()}
        if doubted:
            for n in await _echoes(link, table, writes, failed):
                del failed[n]
        todo = sorted(n for n, error in failed.items() if _again(writes[n], error))
        for n in failed.keys() - set(todo):
            outcomes[n] = outcome(link, writes[n], failed[n])
        if todo:
            doubted = True
            await patience.wait(OperationFailure("write conflict", 112))
    return outcomes


def _again(write: Write, error: Doc) -> bool:
    """Passing trouble; or two upserts of one id, of which the second finds the document the next time."""
    raced = write.kind == "update" and error["code"] == DUPLICATE and by_id(error)
    return raced or error["code"] in AGAIN


def outcome(link: Link, write: Write, error: Doc) -> Exception:
    """What the error of a statement means for its operation."""
    if error["code"] in GUARD_FAILED or error["code"] == DUPLICATE:
        return write.failed(error)
    return _broken(link, error)


def _broken(link: Link, error: Doc) -> Exception:
    meant = link.translate(OperationFailure(error.get("errmsg", "refused"), error["code"]))
    return meant if isinstance(meant, Exception) else CauldronError(str(meant))


async def _send(link: Link, table: str, writes: Sequence[Write], *, doubted: bool) -> dict[int, Doc]:
    """Run writes of one kind in one command, each by itself; the errors by position."""
    async with link.session() as session:
        command = {**command_of(table, writes, doubted=doubted), "ordered": False, "writeConcern": MAJORITY}
        answer = await link.db.command(command, session=session)
    concern = answer.get("writeConcernError")
    if concern is not None:
        raise OperationFailure(concern.get("errmsg", "not durable"), 64)
    return {error["index"]: error for error in answer.get("writeErrors", ())}


async def _echoes(link: Link, table: str, writes: Sequence[Write], failed: Mapping[int, Doc]) -> list[int]:
    """Failures that are only the echo of an earlier try: its token is in the document."""
    if not failed:
        return []
    only = {"_id": {"$in": [writes[n].id for n in failed]}}
    found = await link.steadily(lambda: link.db[table].find(only, {"_t": 1}).to_list())
    tokens = {doc["_id"]: doc.get("_t") for doc in found}
    return [n for n in failed if tokens.get(writes[n].id) == writes[n].token]


async def run_deletes(link: Link, table: str, writes: Sequence[Write]) -> list[Outcome]:
    """Remove documents, together where no guard is in the way; one outcome each."""
    free = [write.id for write in writes if not write.guard]
    if free:
        await link.steadily(lambda: link.db[table].delete_many({"_id": {"$in": free}}))
    outcomes: list[Outcome] = []
    for write in writes:
        outcomes.append(await _delete_guarded(link, table, write) if write.guard else None)
    return outcomes


async def _delete_guarded(link: Link, table: str, write: Write) -> Outcome:
    done = await link.steadily(lambda: link.db[table].delete_one(write.change))
    if done.deleted_count:
        return None
    there = await link.steadily(lambda: link.db[table].find_one({"_id": write.id}, {"_id": 1}))
    return write.failed({"code": 0}) if there else None
