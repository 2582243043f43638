"""Cooks paid with points: a hold at a time, the budget never passed, and the books say what the log says."""

import asyncio
import random

import pytest

from cauldron.bootstrap import TABLES
from cauldron.domain.commands import StopCook
from cauldron.domain.errors import Refused
from cauldron.domain.ledger import InsufficientPoints
from cauldron.persistence.leases import Leases
from cauldron.persistence.ledger_tables import HOLDS
from cauldron.services.funding import UNUSED_MS, BudgetNeeded, CookFunding
from cauldron.services.ledger_books import LedgerSweeper, bookkeeper
from cauldron.services.ledger_captures import capture_followers
from cauldron.services.projecting import stream_of
from tests.contracts.conftest import STORES
from tests.kitchen import Kitchen, Scripted, new_id, wall_ms
from tests.ledger_world import LedgerWorld
from tests.services.test_budgets import costing, told

RATE = 1_000  # micro-USD a point: a piece of 100 is a tenth of a point


class Purse:
    """A kitchen whose cooks are paid with points, and the books."""

    def __init__(self, store, folder, *, a_hold=5):
        self.k = Kitchen(store, folder / "blobs")
        self.world = LedgerWorld(store, prefix=new_id(), clock=wall_ms)
        self.ledger = self.world.ledger
        self.funding = CookFunding(self.ledger, self.k.cooks, pieces_a_hold=a_hold)
        self.k.cooking.funding = self.funding

    async def begin(self, amount, *, points_milli, price=100, cook_id="c1", exact=True):
        budget = {"pointsMilli": points_milli, "microUsdPerPoint": RATE}
        if price is not None:
            budget |= {"piecePointsMilli": price, "pieceMicroUsd": price, "exact": exact}
        charge = await self.funding.first(
            cook_id, account="ann", budget=budget, amount=amount, environment="test"
        )
        await self.k.start(amount, cook_id=cook_id, budget=budget, charge=charge)
        return charge

    def owner(self, **more):
        owner = self.k.owner(**more)
        owner.funding = self.funding
        return owner

    def followers(self):
        leases = Leases(self.k.store, holder=new_id(), clock=wall_ms)
        parts = [*capture_followers(self.ledger, leases), bookkeeper(self.world.books, leases)]
        for part in parts:
            part.renew_every_s = 0.02
        return parts

    def running(self, executor, *, slots=4):
        parts = [self.owner(), self.k.worker(executor, slots=slots), self.k.sweeper(), *self.followers()]
        return self.k.running(*parts)

    async def settled(self):
        """Everything that is charged is posted, and no hold is open but those of cooks under way."""

        async def nothing_held():
            return not (await self.ledger.accounts.load("account:ann")).state.holds

        await self.k.until(nothing_held, within_s=30)

    async def holds(self):
        docs = await self.k.store.find(HOLDS, {"owner": "ann"}, order=("owner", "-createdAt"), limit=1000)
        return sorted(docs, key=lambda doc: doc["createdAt"])

    async def captured(self):
        """What was captured for the cook by the log of the books itself."""
        total = 0
        async for commit in self.world.commits():
            total += sum(e["data"]["takenMilli"] for e in commit["events"] if e["type"] == "PointsCaptured")
        return total

    async def check(self, *, granted, elsewhere=0):
        cook = (await self.k.load()).state
        assert await self.captured() == cook.points_milli + elsewhere
        assert (await self.world.check.verify()).problems == []
        balance = await self.ledger.balance("ann")
        assert round(balance["availablePts"] * 1000) == granted - cook.points_milli - elsewhere
        assert balance["heldPts"] == 0
        outputs = await self.k.store.find(
            "generationOutputs", {"cookId": "c1"}, limit=10_000, order=("cookId",)
        )
        assert sum(round(doc["pointsSpent"] * 1000) for doc in outputs) == cook.points_milli


class Gated(Scripted):
    """Runs the first ``free`` jobs; the others wait until the gate is open."""

    def __init__(self, script, *, free=0):
        super().__init__(script)
        self.free, self.gate = free, asyncio.Event()

    async def run(self, job):
        self.free -= 1
        if self.free < 0:
            await self.gate.wait()
        return await super().run(job)


@pytest.fixture(params=STORES)
def purse(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)
    made = Purse(run(engine.open(*TABLES)), tmp_path)
    yield made
    run(engine.close())


@pytest.fixture
def sqlite_purse(tmp_path, run):
    engine = STORES["sqlite"](tmp_path)
    made = Purse(run(engine.open(*TABLES)), tmp_path)
    yield made
    run(engine.close())


def test_a_long_cook_takes_one_hold_after_the_other_and_gives_back_the_rest(purse, run):
    async def story():
        await purse.ledger.grant("ann", 10_000, actor="op", grant_id="g")
        first = await purse.begin(40, points_milli=6_000)
        assert first["capMilli"] == 500  # five pieces of a hundred
        async with purse.running(Scripted(costing(100, 100))):
            await purse.k.until_state("Completed", within_s=30)
            await purse.settled()
        cook = (await purse.k.load()).state
        assert cook.points_milli == 4_000
        assert cook.holds >= 3
        assert [kind for kind in await told(purse.k) if kind.startswith("Budget")] == ["BudgetReached"]
        await purse.check(granted=10_000)

    run(story())


@pytest.mark.parametrize("seed", [1, 2])
def test_costs_that_vary_are_never_charged_beyond_the_budget_nor_lost(purse, run, seed):
    async def story():
        await purse.ledger.grant("ann", 50_000, actor="op", grant_id="g")
        await purse.begin(150, points_milli=9_000, price=50, exact=False)
        async with purse.running(Scripted(costing(0, 150, seed=seed)), slots=8):
            await purse.k.until(lambda: rests(purse.k), within_s=40)
            cook = (await purse.k.load()).state
            assert cook.pause_reason == "budget_exhausted"
            assert 8_700 <= cook.points_milli <= 9_000
            await purse.k.cooking.resume(
                "c1", actor="ann", budget={"pointsMilli": 20_000, "microUsdPerPoint": RATE}
            )
            await purse.k.until_state("Completed", within_s=40)
            await purse.settled()
        cook = (await purse.k.load()).state
        assert cook.made == 150
        assert cook.points_milli <= 20_000
        await purse.check(granted=50_000)

    run(story())


async def rests(k):
    return (await k.load()).state.state.value != "Cooking"


def test_a_cook_whose_account_runs_dry_pauses_and_goes_on_when_there_are_points_again(purse, run):
    async def story():
        await purse.ledger.grant("ann", 1_250, actor="op", grant_id="g")
        await purse.begin(30, points_milli=6_000)
        async with purse.running(Scripted(costing(100, 100))):
            paused = await purse.k.until_state("Paused", within_s=30)
            assert paused["pauseReason"] == "points_exhausted"
            assert paused["generationCount"] >= 10  # at most two pieces' worth is not used
            elsewhere = await drained(purse)
            with pytest.raises(InsufficientPoints):
                await purse.k.cooking.resume("c1", actor="ann")
            await purse.ledger.grant("ann", 5_000, actor="op", grant_id="more")
            await purse.k.cooking.resume("c1", actor="ann")
            await purse.k.until_state("Completed", within_s=30)
            await purse.settled()
        assert (await purse.k.load()).state.points_milli == 3_000
        await purse.check(granted=6_250, elsewhere=elsewhere)

    run(story())


async def drained(purse):
    """Points that are left over are taken by something else."""
    left = round((await purse.ledger.balance("ann"))["availablePts"] * 1000)
    if left:
        hold = await purse.world.open("elsewhere", cap=left)
        await purse.world.capture(hold, "1", ("x", 0, left, 0))
        await purse.ledger.close(hold, reason="finished")
    return left


def test_a_stopped_cook_gives_back_what_it_did_not_use_and_pays_anew_to_go_on(purse, run):
    async def story():
        await purse.ledger.grant("ann", 10_000, actor="op", grant_id="g")
        await purse.begin(12, points_milli=3_000)
        gated = Gated(costing(100, 100), free=3)
        async with purse.running(gated):
            await purse.k.until(lambda: made(purse.k, 3))
            await purse.k.cooking.stop("c1", actor="ann")
            gated.gate.set()
            await purse.settled()
            stopped = (await purse.k.load()).state
            assert (stopped.state.value, stopped.points_milli) == ("Stopped", 300)
            holds = stopped.holds
            await purse.k.cooking.resume("c1", actor="ann")
            assert (await purse.k.load()).state.holds > holds  # one more may be in place by now
            await purse.k.until_state("Completed", within_s=30)
            await purse.settled()
        await purse.check(granted=10_000)

    run(story())


async def made(k, count):
    return (await k.load()).state.made >= count


def test_two_owners_put_one_hold_in_the_place_of_another(purse, run):
    """Both see that the hold runs short; one hold takes its place, and the other is given back."""

    async def story():
        await purse.ledger.grant("ann", 10_000, actor="op", grant_id="g")
        await purse.begin(20, points_milli=5_000)
        other = CookFunding(purse.ledger, Kitchen(purse.k.store, purse.k.blobs).cooks, pieces_a_hold=5)
        cooks = [(await f.cooks.load(stream_of("c1"))).state for f in (purse.funding, other)]
        commands = [
            await f.more(cook, in_flight=5) for f, cook in zip((purse.funding, other), cooks, strict=True)
        ]
        assert all(commands)
        for funding, command in zip((purse.funding, other), commands, strict=True):
            await funding.cooks.handle(stream_of("c1"), command, actor="system")
            await funding.drop("c1", command.charge)
        cook = (await purse.k.load()).state
        assert (cook.holds, cook.charge["hold"]) == (2, commands[0].charge["hold"])
        assert not await purse.ledger.is_open(commands[1].charge["hold"])
        async with purse.running(Scripted(costing(100, 100))):
            await purse.k.until_state("Completed", within_s=30)
            await purse.settled()
        await purse.check(granted=10_000)

    run(story())


def test_a_hold_whose_process_died_before_its_cook_took_it_is_given_back(purse, run):
    async def story():
        await purse.ledger.grant("ann", 10_000, actor="op", grant_id="g")
        charge = await purse.begin(20, points_milli=5_000)
        orphan = (await purse.funding.more((await purse.k.load()).state, in_flight=5)).charge
        unborn = await purse.funding.first(
            "c2", account="ann", budget={"pointsMilli": 700}, amount=3, environment="test"
        )
        await purse.world.books.catch_up([f"hold:{c['hold']}" for c in (charge, orphan, unborn)])
        later = LedgerWorld(purse.k.store, prefix=new_id(), clock=lambda: wall_ms() + UNUSED_MS + 1)
        funding = CookFunding(later.ledger, purse.k.cooks)
        assert await LedgerSweeper(later.books, funding.is_used).sweep() == 2
        assert [await later.ledger.is_open(c["hold"]) for c in (charge, orphan, unborn)] == [
            True, False, False,
        ]  # fmt: skip

    run(story())


def test_without_a_cap_in_points_nothing_begins_and_without_points_neither(sqlite_purse, run):
    async def story():
        purse = sqlite_purse
        with pytest.raises(BudgetNeeded):
            await purse.funding.first("c1", account="ann", budget={"microUsd": 5}, amount=3, environment="")
        with pytest.raises(InsufficientPoints) as short:
            await purse.begin(3, points_milli=1_000)
        assert short.value.details["missingPts"] == 0.3
        await purse.ledger.grant("ann", 1_000, actor="op", grant_id="g")
        await purse.begin(3, points_milli=1_000, price=None)
        assert (await purse.k.load()).state.charge["capMilli"] == 1_000  # no price is known: all of it
        for budget in (None, {"microUsd": 10**6}):
            with pytest.raises(Refused, match="keeps a budget in points"):
                await purse.k.cooking.set_budget("c1", budget, actor="ann")

    run(story())


def test_a_failed_piece_costs_no_points_and_a_late_one_after_the_stop_neither(sqlite_purse, run):
    async def story():
        purse = sqlite_purse
        await purse.ledger.grant("ann", 10_000, actor="op", grant_id="g")
        await purse.begin(8, points_milli=2_000)
        gated = Gated(costing(100, 100))
        async with purse.running(gated, slots=2):

            async def in_flight():
                return "running" in (await purse.k.job_statuses()).values()

            await purse.k.until(in_flight)
            await purse.k.give(StopCook(key="s"))
            gated.gate.set()

            async def late():
                return (await purse.k.load()).state.made > 0

            await purse.k.until(late, within_s=30)
            await purse.settled()

            async def wasted():
                kinds = [e["type"] async for c in purse.world.commits() for e in c["events"]]
                return kinds.count("CaptureWasted") >= 1

            await purse.k.until(wasted, within_s=30)
        assert (await purse.k.load()).state.points_milli == 0
        await purse.check(granted=10_000)

    run(story())


def test_marks_are_told_once_also_when_owners_take_turns(purse, run):
    """Owners come and go in the middle of the work; 50, 80 and 100 % are told once each."""

    async def story():
        await purse.ledger.grant("ann", 10_000, actor="op", grant_id="g")
        await purse.begin(60, points_milli=2_000)
        rng = random.Random(4)
        workers = [purse.k.worker(Scripted(costing(100, 100))) for _ in range(2)]
        async with purse.k.running(*workers, purse.k.sweeper(), *purse.followers()):
            while not await rests(purse.k):
                owners = [purse.owner(lease_ms=200) for _ in range(2)]
                turns = [asyncio.create_task(owner.run()) for owner in owners]
                await asyncio.sleep(rng.uniform(0.02, 0.3))
                for turn in turns:
                    turn.cancel()
                await asyncio.gather(*turns, return_exceptions=True)
        kinds = [kind for kind in await told(purse.k) if kind.startswith("Budget")]
        assert kinds == ["BudgetReached", "BudgetReached", "BudgetExhausted"]
        cook = (await purse.k.load()).state
        assert cook.points_milli == 2_000
        assert cook.pause_reason == "budget_exhausted"

    run(story())
