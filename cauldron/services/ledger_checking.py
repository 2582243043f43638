"""Whether the books balance: the whole log folded anew, and held against what is stored."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain import codec, ledger_account, ledger_creator, ledger_hold
from cauldron.domain.audit import Tally
from cauldron.domain.events import Event
from cauldron.domain.ledger import available, held, is_floored, payable
from cauldron.domain.ledger_account import Account
from cauldron.domain.ledger_creator import Earnings
from cauldron.domain.ledger_hold import Hold, HoldState
from cauldron.domain.times import iso
from cauldron.persistence.ledger_tables import ACCOUNTS, BOOK, HOLDS, LEDGER, MARKS, POSTINGS
from cauldron.persistence.streams import Commit
from cauldron.ports.storage import Delete, Doc, Op, Store
from cauldron.services.ledger import Ledger
from cauldron.services.ledger_books import THE_BOOK, Books, postings_of

PAGE = 500
LATE_MS = 60_000  # after so long what follows from a close must have been posted
MOST = 100  # findings told


@dataclass(slots=True)
class LedgerFindings:
    """What a reading of the books came to."""

    groups: int = 0
    postings: int = 0
    streams: int = 0
    differing: int = 0
    sums: dict[str, int] = field(default_factory=dict)  # milli-points by ledger account
    problems: list[dict[str, str]] = field(default_factory=list)

    def note(self, where: str, reason: str) -> None:
        """One thing that is not as it must be."""
        self.differing += 1
        if len(self.problems) < MOST:
            self.problems.append({"id": where, "reason": reason})


@dataclass(slots=True)
class _Reading:
    """What one pass over the log remembers: sums, and a few numbers per hold."""

    found: LedgerFindings
    now: int
    open_caps: dict[str, tuple[str, int]] = field(
        default_factory=dict
    )  # hold -> (account, cap) as accounts have it
    released: dict[str, int] = field(default_factory=dict)  # hold -> captured, as accounts were told
    captured: dict[str, tuple[str, int]] = field(default_factory=dict)  # hold -> (account, milli)
    closed: dict[str, tuple[int, int]] = field(default_factory=dict)  # hold -> (instant, creator's milli)
    earned: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(
        default_factory=dict
    )  # what left an account, by what should arrive -> instant
    arrived: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)


class LedgerCheck:
    """Reads the books of one store."""

    def __init__(self, ledger: Ledger, books: Books) -> None:
        self._ledger = ledger
        self._books = books
        self._store: Store = ledger.store

    async def verify(self, *, stored: bool = True) -> LedgerFindings:
        """Fold every stream; with ``stored`` hold balances and postings against the log, too.

        Others may post meanwhile, and streams are read one after the other: a second
        reading must find the same.
        """
        found = await self._verify(stored=stored)
        if not found.differing:
            return found
        again = await self._verify(stored=stored)
        known = [problem for problem in found.problems if problem in again.problems]
        again.differing += len(known) - len(again.problems)
        again.problems = known
        return again

    async def _verify(self, *, stored: bool) -> LedgerFindings:
        found = LedgerFindings()
        reading = _Reading(found, self._ledger.clock())
        names: list[str] = []
        async for stream in self._streams():
            names.append(stream[0]["stream"])
            self._fold(reading, stream)
        self._conclude(reading)
        if stored:
            await self._compare(names, found)
        return found

    async def _streams(self) -> AsyncIterator[list[Commit]]:
        """Whole streams: commits stand by stream and number."""
        after: list[Any] | None = None
        current: list[Commit] = []
        while True:
            page = await self._store.find(LEDGER, {}, limit=PAGE, after=after)
            for commit in page:
                if current and current[0]["stream"] != commit["stream"]:
                    yield current
                    current = []
                current.append(codec.upcast(codec.unpack(commit)))
            if len(page) < PAGE:
                break
            after = [page[-1]["_id"]]
        if current:
            yield current

    def _fold(self, reading: _Reading, stream: list[Commit]) -> None:
        found, name = reading.found, stream[0]["stream"]
        found.streams += 1
        own: dict[str, int] = {}
        for place, commit in enumerate(stream, 1):
            if commit["seq"] != place:
                found.note(commit["_id"], f"commit {place} is missing before it")
            for event in commit["events"]:
                _sum_group(reading, commit, event, own)
        for account, milli in own.items():
            found.sums[account] = found.sums.get(account, 0) + milli
        kind, _, key = name.partition(":")
        if kind == "account":
            _account(reading, key, stream, own)
        elif kind == "hold":
            _hold(reading, key, stream)
        elif kind == "creator":
            _creator(reading, key, stream, own)

    def _conclude(self, reading: _Reading) -> None:
        for arrival, at in reading.moved.items():
            if arrival not in reading.arrived and reading.now - at >= LATE_MS:
                reading.found.note(arrival, "left its account, and did not arrive")
        found = reading.found
        if sum(found.sums.values()):
            found.note("all", f"all postings sum to {sum(found.sums.values())}, not 0")
        for account, milli in found.sums.items():
            if milli < 0 and is_floored(account):
                found.note(account, f"is below zero: {milli}")
        _held_is_what_holds_say(reading)
        for hold, (closed_ms, creator) in reading.closed.items():
            if reading.now - closed_ms < LATE_MS:
                continue
            if hold in reading.open_caps:
                found.note(f"hold:{hold}", "was closed, and its rest did not come back")
            if creator and hold not in reading.earned:
                found.note(f"hold:{hold}", "was closed, and its creator did not get the share")

    async def _compare(self, streams: list[str], found: LedgerFindings) -> None:
        """Stored balances and postings against the log, as of one and the same batch."""
        for _ in range(3):
            await self._books.catch_up(streams)
            before = await self._number()
            sums, marked = await self._sums_of_marked()
            stored = {d["_id"]: d["balanceMilli"] async for p in self._pages(ACCOUNTS) for d in p}
            postings: dict[str, int] = {}
            count = 0
            async for page in self._pages(POSTINGS):
                for doc in page:
                    if doc["seq"] <= marked.get(doc["stream"], 0):
                        postings[doc["account"]] = postings.get(doc["account"], 0) + doc["amountMilli"]
                        count += 1
            if before == await self._number():
                break
        else:
            return  # others write all the time: what was folded stands
        found.postings = count
        for account in sorted(sums.keys() | stored.keys() | postings.keys()):
            wanted = sums.get(account, 0)
            if stored.get(account, 0) != wanted:
                found.note(account, f"the stored balance is {stored.get(account, 0)}, not {wanted}")
            if postings.get(account, 0) != wanted:
                found.note(account, f"its stored postings sum to {postings.get(account, 0)}, not {wanted}")

    async def _number(self) -> int:
        [book] = await self._store.get(BOOK, [THE_BOOK])
        return book["_v"] if book else 0

    async def _sums_of_marked(self) -> tuple[dict[str, int], dict[str, int]]:
        marked = {d["_id"]: d["seq"] async for page in self._pages(MARKS) for d in page}
        sums: dict[str, int] = {}
        async for page in self._pages(LEDGER):
            for commit in page:
                if commit["seq"] <= marked.get(commit["stream"], 0):
                    for posting in postings_of(commit):
                        sums[posting["account"]] = sums.get(posting["account"], 0) + posting["amountMilli"]
        return sums, marked

    async def _pages(self, table: str) -> AsyncIterator[list[Doc]]:
        after: list[Any] | None = None
        while page := await self._store.find(table, {}, limit=PAGE, after=after):
            yield page
            after = [page[-1]["_id"]]

    async def rewrite(self) -> int:
        """Throw balances and postings away and read them from the log anew; returns the legs written.

        Nobody else may write balances meanwhile: the bookkeeper's lease must be held.
        """
        for table in (POSTINGS, ACCOUNTS, MARKS):
            async for page in self._pages(table):
                ops: list[Op] = [Delete(table, doc["_id"]) for doc in page]
                await self._store.commit(ops, atomic=False)
        names = [stream[0]["stream"] async for stream in self._streams()]
        return await self._books.catch_up(names)

    async def audit(self, tally: Tally) -> None:
        """The audit's rule ``ledger``."""
        found = await self.verify()
        tally.checked += found.groups
        for problem in found.problems:
            tally.note(LEDGER, problem["id"], problem["reason"], kind=_kind(problem))
        tally.found += found.differing - len(found.problems)
        async for page in self._pages("generationOutputs"):
            for doc in page:
                _output(doc, tally)
        await self._runs(tally)

    async def _runs(self, tally: Tally) -> None:
        """Runs that are over say what was captured from their holds."""
        young = iso(self._ledger.clock() - LATE_MS)  # their records may not be written yet
        captured: dict[str, int | None] = {}  # None: one of its holds is open, or young
        async for page in self._pages(HOLDS):
            for doc in page:
                before = captured.get(doc["runId"], 0)
                settled = doc["state"] == HoldState.CLOSED and doc["updatedAt"] < young
                total = before + doc["capturedMilli"] if settled and before is not None else None
                captured[doc["runId"]] = total
        known = sorted(run for run, milli in captured.items() if milli is not None)
        for start in range(0, len(known), PAGE):
            part = known[start : start + PAGE]
            for table in ("casts", "cooks"):
                for record in await self._store.get(table, part):
                    if record is not None:
                        _run_total(table, record, captured[record["_id"]] or 0, tally)


def _run_total(table: str, doc: Doc, captured: int, tally: Tally) -> None:
    tally.checked += 1
    spent = round(doc["pointsSpent"] * 1000)
    if spent != captured:
        tally.note(table, doc["_id"], f"spent is not what was captured: {spent}, and {captured}")


def _output(doc: Doc, tally: Tally) -> None:
    """A generation output that was charged: spent = provider + creator + net."""
    if "providerPoints" not in doc:
        return
    tally.checked += 1
    parts = [doc["providerPoints"], doc["creatorPoints"], doc["protocolNetPoints"]]
    if round(doc["pointsSpent"] * 1000) != sum(round(part * 1000) for part in parts):
        tally.note("generationOutputs", doc["_id"], "spent is not provider + creator + net")


def _kind(problem: dict[str, str]) -> str:
    return problem["reason"].split(":")[0][:80]


def _sum_group(reading: _Reading, commit: Commit, event: dict[str, Any], own: dict[str, int]) -> None:
    data = event["data"]
    if "legs" not in data:
        return
    found, group = reading.found, data["group"]
    found.groups += 1
    if group in reading.groups:
        found.note(group, "is posted twice")
    reading.groups.add(group)
    if sum(milli for _, milli in data["legs"]):
        found.note(group, f"its legs sum to {sum(milli for _, milli in data['legs'])}, not 0")
    for account, milli in data["legs"]:
        own[account] = own.get(account, 0) + milli


def _replayed(stream: list[Commit], state: Any, evolve: Any) -> Any:
    for commit in stream:
        for event in commit["events"]:
            evolve(state, Event(event["type"], event["data"]), ts=commit["ts"])
    return state


def _account(reading: _Reading, key: str, stream: list[Commit], own: dict[str, int]) -> None:
    state: Account = _replayed(stream, Account(), ledger_account.evolve)
    if state.available_milli != own.get(available(key), 0):
        reading.found.note(f"account:{key}", "what is left of its grants is not its balance")
    if any(grant.left_milli < 0 for grant in state.grants.values()):
        reading.found.note(f"account:{key}", "a grant is below zero")
    for hold, parts in state.holds.items():
        reading.open_caps[hold] = (key, sum(milli for _, milli in parts))
    for commit in stream:
        for event in commit["events"]:
            if event["type"] == "PointsReleased":
                hold = event["data"]["hold"]
                if hold in reading.released:
                    reading.found.note(f"hold:{hold}", "was released twice")
                reading.released[hold] = event["data"]["capturedMilli"]
            elif event["type"] == "PointsMoved":
                reading.moved[f"recv:{key}:{event['data']['number']}"] = commit["ts"]
            elif event["type"] == "PointsReceived":
                reading.arrived.add(event["data"]["group"])


def _hold(reading: _Reading, key: str, stream: list[Commit]) -> None:
    found, name = reading.found, f"hold:{key}"
    state: Hold = _replayed(stream, Hold(), ledger_hold.evolve)
    if state.captured_milli > state.cap_milli:
        found.note(name, f"{state.captured_milli} were captured of {state.cap_milli}")
    reading.captured[key] = (state.opened.get("account", ""), state.captured_milli)
    taken, seen, closed = 0, set[tuple[int, str]](), False
    for commit in stream:
        for event in commit["events"]:
            if event["type"] == "HoldClosed":
                reading.closed[key] = (commit["ts"], event["data"]["creatorMilli"])
                closed = True
            if event["type"] == "PointsCaptured":
                if closed:
                    found.note(name, "was captured from after its close")
                taken += _lines(event["data"], seen, found)
    if taken != state.captured_milli:
        found.note(name, f"its captures sum to {taken}, not {state.captured_milli}")
    if state.state is HoldState.NONE:
        found.note(name, "was never opened")


def _lines(data: dict[str, Any], seen: set[tuple[int, str]], found: LedgerFindings) -> int:
    total = 0
    for step, piece, _, taken, provider, creator, *_ in data["lines"]:
        if (piece, step) in seen:
            found.note(data["group"], f"step {step} of piece {piece} is paid for twice")
        seen.add((piece, step))
        if min(taken, provider, creator, taken - provider - creator) < 0:
            found.note(data["group"], f"step {step} of piece {piece}: a part is below zero")
        total += taken
    return total


def _creator(reading: _Reading, key: str, stream: list[Commit], own: dict[str, int]) -> None:
    state: Earnings = _replayed(stream, Earnings(), ledger_creator.evolve)
    if state.payable_milli != own.get(payable(key), 0):
        reading.found.note(f"creator:{key}", "what may be withdrawn is not the balance")
    for commit in stream:
        for event in commit["events"]:
            if event["type"] == "CreatorEarned":
                reading.earned[event["data"]["hold"]] = event["data"]["amountMilli"]


def _held_is_what_holds_say(reading: _Reading) -> None:
    """``held`` = caps of holds not released, less what was captured from them."""
    wanted: dict[str, int] = {}
    for hold, (account, cap) in reading.open_caps.items():
        taken = reading.captured.get(hold, ("", 0))[1]
        wanted[account] = wanted.get(account, 0) + cap - taken
    for hold, (account, taken) in reading.captured.items():
        told = reading.released.get(hold)
        if told is not None and told != taken:
            reading.found.note(f"hold:{hold}", f"was released as if {told} had been captured, not {taken}")
        wanted.setdefault(account, 0)
    for account, milli in wanted.items():
        if reading.found.sums.get(held(account), 0) != milli:
            balance = reading.found.sums.get(held(account), 0)
            reading.found.note(held(account), f"is {balance}, and open holds are worth {milli}")
