"""Writes to MongoDB: what arrives while a command is under way shares the next, each with its own outcome."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pymongo.errors import OperationFailure, PyMongoError

from cauldron.adapters.mongo_groups import Group, Partly
from cauldron.adapters.mongo_link import AGAIN, DUPLICATE, SLOW_S, Link, Patience, log
from cauldron.adapters.mongo_statements import GUARD_FAILED, Write, by_id, command_of
from cauldron.domain.errors import CauldronError, Duplicate, StaleVersion
from cauldron.ports.storage import Doc

Outcome = Exception | None

MAX_STATEMENTS = 1000  # in one command
MAX_COMMAND_BYTES = 8 * 1024 * 1024


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

    async def submit_all(self, writes: Sequence[Write]) -> list[Outcome]:
        """The outcomes of any number of writes of one kind, in as many commands as they need."""
        parts = await asyncio.gather(*map(self.submit, _fitting(writes)), return_exceptions=True)
        outcomes: list[Outcome] = []
        for part in parts:
            if isinstance(part, BaseException):
                raise part
            outcomes += part
        return outcomes

    def submit(self, writes: Sequence[Write]) -> "asyncio.Future[list[Outcome]]":
        """Queue writes of one kind that fit into one command; the future gives one outcome each."""
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


def _fitting(writes: Sequence[Write]) -> Iterator[Sequence[Write]]:
    """The writes in parts, each small enough for one command."""
    part: list[Write] = []
    size_bytes = 0
    for write in writes:
        if part and (len(part) >= MAX_STATEMENTS or size_bytes + write.size_bytes > MAX_COMMAND_BYTES):
            yield part
            part, size_bytes = [], 0
        part.append(write)
        size_bytes += write.size_bytes
    if part:
        yield part


def _bytes(request: Request) -> int:
    return sum(write.size_bytes for write in request.writes)


def _answer(request: Request, outcomes: list[Outcome]) -> None:
    if request.future.done():
        return
    broken = next((each for each in map(_broken_by, outcomes) if each is not None), None)
    if broken is not None:
        request.future.set_exception(broken)
    else:
        request.future.set_result(outcomes)


def _broken_by(outcome: Outcome) -> Outcome:
    """What is wrong beyond a document that was not as expected."""
    if isinstance(outcome, Partly):
        return next((each for each in map(_broken_by, outcome.failures.values()) if each is not None), None)
    return None if outcome is None or isinstance(outcome, Duplicate | StaleVersion) else outcome


async def run_writes(link: Link, table: str, writes: Sequence[Write]) -> list[Outcome]:
    """Carry out inserts or updates of one table, each by itself; one outcome each.

    Raises:
        Unavailable, StorageFull, CauldronError: no outcome could be had.
    """
    outcomes: list[Outcome] = [None] * len(writes)
    todo, doubted, patience = list(range(len(writes))), False, Patience(link)
    while todo:
        some = [writes[n] for n in todo]
        try:
            errors, whole = await _send(link, table, some, doubted=doubted)
        except PyMongoError as exc:
            await patience.wait(exc)
            doubted = True
            continue
        failed = {todo[at]: error for at, error in errors.items()}
        if doubted:
            for n in await _echoes(link, table, writes, failed):
                del failed[n]
        if doubted or not whole:
            for n in todo:
                group = writes[n]
                if isinstance(group, Group) and n not in failed:
                    outcomes[n] = await _reached(link, group)
        todo = sorted(n for n, error in failed.items() if _again(writes[n], error))
        for n in failed.keys() - set(todo):
            outcomes[n] = await _refused(link, writes[n], failed[n])
        if todo:
            doubted = True
            await patience.wait(OperationFailure("write conflict", 112))
    return outcomes


async def _reached(link: Link, group: Group) -> Outcome:
    """Which documents a group has changed, told by the token that it left."""
    missed = await _missed(link, group)
    return Partly({name: group.stale(name) for name in missed}) if missed else None


async def _missed(link: Link, group: Group) -> list[str]:
    marked = {"_id": {"$in": list(group.ids)}, "_g": group.token}
    found = await link.steadily(lambda: link.db[group.table].find(marked, {"_id": 1}).to_list())
    there = {doc["_id"] for doc in found}
    return [name for name in group.ids if name not in there]


async def _refused(link: Link, write: Write, error: Doc) -> Outcome:
    """What a statement's error means; a group that it ended goes on one by one."""
    if not isinstance(write, Group):
        return outcome(link, write, error)
    missed = await _missed(link, write)
    results = await run_writes(link, write.table, [write.alone(name) for name in missed])
    failures = {name: each for name, each in zip(missed, results, strict=True) if each is not None}
    return Partly(failures) if failures else None


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


async def _send(
    link: Link, table: str, writes: Sequence[Write], *, doubted: bool
) -> tuple[dict[int, Doc], bool]:
    """Run writes of one kind in one command, each by itself.

    Returns the errors by position, and whether everything else reached all its documents.
    """
    answer = await link.write({**command_of(table, writes, doubted=doubted), "ordered": False})
    errors = {error["index"]: error for error in answer.get("writeErrors", ())}
    wanted = sum(_documents(write) for n, write in enumerate(writes) if n not in errors)
    return errors, answer["n"] == wanted


def _documents(write: Write) -> int:
    return len(write.ids) if isinstance(write, Group) else 1


async def _echoes(link: Link, table: str, writes: Sequence[Write], failed: Mapping[int, Doc]) -> list[int]:
    """Failures that are only the echo of an earlier try: its token is in the document."""
    single = [n for n in failed if not isinstance(writes[n], Group)]
    if not single:
        return []
    only = {"_id": {"$in": [writes[n].id for n in single]}}
    found = await link.steadily(lambda: link.db[table].find(only, {"_t": 1}).to_list())
    tokens = {doc["_id"]: doc.get("_t") for doc in found}
    return [n for n in single if tokens.get(writes[n].id) == writes[n].token]


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
