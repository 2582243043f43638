"""Paid casts killed at every step boundary: points are taken once, for what was made; the books balance."""

import asyncio
import contextlib
import itertools
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cauldron.domain import codec
from cauldron.domain.ledger import totals
from cauldron.persistence.ledger_tables import LEDGER, POSTINGS
from tests.flows.killable import FORKS, Fate
from tests.flows.killable_paid import (
    ANN,
    FORGETFUL,
    HASTY,
    SLUG,
    STEPS,
    Fickle,
    diamond,
    live,
    wired,
)
from tests.mongod import database

ENGINES = ("sqlite", "mongo")
WRITTEN = (
    "PointsHeld", "HoldOpened", "invoices", "CastStarted", "enqueue",  # the visitor is answered
    "claim", "CastStepSubmitted", "submit", "poll", "run", "CastStepEnded", "media_grants",
    "generationOutputs", "casts", "settle", "CastCompleted", "finish",  # the cast is carried out
    "PointsCaptured", "HoldClosed", "PointsReleased", "ledger_postings", "holds", "ledger_book",
    "accounts", "cursors",  # the books are kept
)  # fmt: skip
POINTS = tuple(f"{when}:{what}" for what in WRITTEN for when in ("before", "after"))
RARE = {"media_grants"}  # the diamond makes no pictures
MOST_PASSINGS = 9  # of one point: two notes of four steps, and one more
FEW = {
    "sqlite": (
        Fate("after:PointsHeld"),
        Fate("before:CastStepEnded", 2),
        Fate("after:CastCompleted"),
        Fate("before:HoldClosed"),
    ),
    "mongo": (Fate("before:CastStarted"), Fate("after:submit", 3), Fate("after:PointsCaptured")),
}


@pytest.fixture(params=ENGINES)
def stand(request, tmp_path, run):
    FORKS.set_forkserver_preload(["tests.flows.killable_paid"])
    with contextlib.ExitStack() as stack:
        url = "" if request.param == "sqlite" else stack.enter_context(database())
        opened = Stand(tmp_path, url)
        run(opened.open())
        yield opened
        run(opened.studio.close())


class Stand:
    """Paid casts under processes that die, one fate after the other; and who looks at the books."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        self.died: Counter[str] = Counter()
        self.numbers = itertools.count(1)
        idle = home / "idle"
        idle.mkdir()
        self.studio = wired(home, url, room=idle)

    async def open(self) -> None:
        await self.studio.open()
        book = self.studio.spells
        now = self.studio.clock()
        await book.save(diamond(), new_id=self.studio.new_id(), now_ms=now)
        await book.publish(SLUG, now_ms=now)
        await self.studio.workshop.ledger.grant("ann", 10**9, actor="op", grant_id="g")

    async def suffer(self, fate: Fate, *, what: str = "good", order: str = "") -> bool:
        """One cast under this fate; whether anybody died of it."""
        room = self.home / f"{what}-{next(self.numbers)}"
        room.mkdir()
        invoice = await self.studio.workshop.paid_casting.invoice(SLUG, asset="points", caller=ANN)
        token = invoice["invoiceId"]
        doomed = self.fork(room, token, fate, order)
        died = await self.dies_or_ends(doomed, token)
        assert doomed.exitcode in (None, -signal.SIGKILL), (room / "log").read_text()[-3000:]
        doomed.kill()
        doomed.join()
        await self.balance_is_kept()
        if died:
            self.died[fate.point] += 1
            heir = self.fork(room, token, Fate(), order)  # a visitor who got no answer asks again
            try:
                await self.until_over(token, heir)
            finally:
                heir.kill()
                heir.join()
        await self.check(room, token)
        return died

    def fork(self, room: Path, token: str, fate: Fate, order: str) -> Any:
        args = (str(self.home), self.url, str(room), token, fate, order)
        process = FORKS.Process(target=live, args=args, daemon=True)
        process.start()
        return process

    async def dies_or_ends(self, process: Any, token: str) -> bool:
        async with asyncio.timeout(60):
            while process.exitcode is None:
                if await self.is_over(token):
                    await asyncio.sleep(0.1)  # the last boundaries come after the balances
                    return process.exitcode is not None
                await asyncio.sleep(0.01)
        return True

    async def until_over(self, token: str, heir: Any) -> None:
        async with asyncio.timeout(60):
            while not await self.is_over(token):
                assert heir.exitcode is None, "the heir died"
                await asyncio.sleep(0.01)

    async def invoice(self, token: str) -> Any:
        return await self.studio.workshop.paid_casting.invoicing.read(token, account="ann", slug=SLUG)

    async def is_over(self, token: str) -> bool:
        """Whether the run has ended, its hold is closed, and the stored balances say so."""
        invoice = await self.invoice(token)
        if not invoice["runId"]:
            return False
        store = self.studio.store
        [cast] = await store.get("casts", [invoice["runId"]])
        [hold] = await store.get("holds", [invoice["creditTxId"]])
        [held] = await store.get("accounts", ["user:ann:held"])
        ended = cast is not None and cast["status"] != "running"
        closed = hold is not None and hold["state"] == "closed"
        return ended and closed and held is not None and held["balanceMilli"] == 0

    async def balance_is_kept(self) -> None:
        """All postings sum to 0, group by group, in the log; so do the stored ones that are written."""
        store, after = self.studio.store, None
        while page := await store.find(LEDGER, {}, limit=500, after=after):
            groups = [e["data"].get("legs", []) for c in page for e in codec.unpack(c)["events"]]
            assert all(sum(milli for _, milli in legs) == 0 for legs in groups)
            assert sum(totals(groups).values()) == 0
            after = [page[-1]["_id"]]

    async def check(self, room: Path, token: str) -> None:
        """Nothing missing, nothing doubled, the parent as its children, the books as both."""
        what, word = room.name.partition("-")[0], room.name
        invoice = await self.invoice(token)
        cast = await self.studio.casting.get(invoice["runId"])
        status = {"good": "completed", "doomed": "failed", "recalled": "cancelled"}[what]
        assert cast["status"] == status, (cast["error"], (room / "log").read_text()[-3000:])
        if what == "good":
            assert cast["outputs"] == {"text": f"join(left(begin({word}))+right(begin({word})))!"}
        if what == "doomed":
            assert cast["error"]["step"] == "join"
        begun = sorted(Fickle(room).told("begun"))
        assert begun == ["test.begin", "test.join", "test.left", "test.right"]
        outputs = await self.outputs(cast)
        await self.check_hold(invoice, cast, outputs)
        await self.check_books()

    async def outputs(self, cast: Any) -> list[Any]:
        """The executions that name this cast: one per step that ended, and the same that it names."""
        where = {"castId": cast["_id"]}
        outputs = await self.studio.store.find("generationOutputs", where, order=("castId",), limit=50)
        assert sorted(o["_id"] for o in outputs) == sorted(cast["generationIds"])
        made = sorted(o["step"] for o in outputs if o["status"] == "success")
        assert made == sorted(STEPS if cast["status"] == "completed" else STEPS[:3])
        assert cast["costUsd"] == pytest.approx(sum(o["costUsd"] for o in outputs))
        return outputs

    async def check_hold(self, invoice: Any, cast: Any, outputs: list[Any]) -> None:
        ledger = self.studio.workshop.ledger
        hold = (await ledger.holds.load(f"hold:{invoice['creditTxId']}")).state
        assert hold.captured_milli == round(1000 * cast["pointsSpent"])
        assert hold.captured_milli == round(1000 * sum(o["pointsSpent"] for o in outputs))
        paid: Counter[str] = Counter()
        async for page in ledger.streams.read(f"hold:{invoice['creditTxId']}"):
            for commit in page:
                for event in codec.events_of(commit):
                    if event.type == "PointsCaptured":
                        paid.update(line[0].partition(":")[0] for line in event.data["lines"])
        good = cast["status"] == "completed"
        assert paid == Counter(("begin", "left", "right", "join") if good else ())
        assert not (await ledger.accounts.load("account:ann")).state.holds

    async def check_books(self) -> None:
        """The whole log folded anew, and what is stored, once it is."""
        assert (await self.studio.workshop.ledger_check.verify()).problems == []
        total, after = 0, None
        while page := await self.studio.store.find(POSTINGS, {}, limit=500, after=after):
            total += sum(doc["amountMilli"] for doc in page)
            after = [page[-1]["_id"]]
        assert total == 0


def test_a_paid_cast_that_is_killed_on_its_way_is_paid_for_once(run, stand):
    """At some boundaries; which differ by engine, as every one of them is in the soak."""

    async def story():
        fates = FEW["mongo" if stand.url else "sqlite"]
        for fate in fates:
            await stand.suffer(fate)
        assert sum(stand.died.values()) == len(fates), stand.died

    run(story(), timeout_s=240)


@pytest.mark.parametrize(
    ("order", "fate"),
    [(HASTY, Fate("before:CastCompleted")), (FORGETFUL, Fate("after:finish"))],
    ids=["doubled", "missing"],
)
@pytest.mark.parametrize("stand", ["sqlite"], indirect=True)
def test_the_same_checker_fails_when_points_are_taken_in_another_order(run, stand, order, fate):
    async def story():
        if order == HASTY:
            await stand.suffer(Fate(), order=order)  # without a kill nobody would notice
        with pytest.raises(AssertionError):
            await stand.suffer(fate, order=order)
        assert stand.died

    run(story(), timeout_s=240)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["good", "doomed", "recalled"])
def test_a_paid_cast_killed_at_every_boundary_is_paid_for_once(run, stand, what):
    async def story():
        for point in POINTS:
            for nth in range(1, MOST_PASSINGS + 1):
                if not await stand.suffer(Fate(point, nth), what=what):
                    break
        print(f"{what}: {sum(stand.died.values())} kills: {dict(stand.died)}")
        missed = {point for point in POINTS if not stand.died[point]}
        if what == "good":
            assert {point.partition(":")[2] for point in missed} <= RARE, missed
        assert sum(stand.died.values()) >= len(POINTS)

    run(story(), timeout_s=3600)
