"""Cooks and casts that are paid for: what their logs say is what the books say, to the milli-point."""

import pytest

from cauldron.domain import cast as casts
from cauldron.domain.audit import BY_NAME, Tally
from cauldron.domain.cast import Cast
from cauldron.domain.commands import EndCast, RecordPiece, ResumeCook, StartCast, StopCook
from cauldron.domain.errors import Refused
from cauldron.domain.ledger_pricing import Terms, taken_of
from cauldron.persistence.leases import Leases
from cauldron.ports.storage import Patch
from cauldron.services.casting import cast_document, cast_outputs
from cauldron.services.ledger_books import bookkeeper
from cauldron.services.ledger_captures import capture_followers, post_captures
from cauldron.services.projecting import stream_of
from tests.kitchen import kitchen, new_id, step, wall_ms
from tests.ledger_world import LedgerWorld

TERMS = Terms(
    rate_id="r", micro_usd_per_point=2, markup_bps=5_000, flat_milli=11, creator="cora", creator_bps=3_333
)
BROKEN = {"code": "tool_error", "message": "it broke"}


def record(piece, *, attempt=1, fails=False, cached=False, key=""):
    job = {"attempt": attempt}
    last = step(job, step="paint", status="failed" if fails else "success")
    steps = [step(job, step="draw", costMicroUsd=0 if cached else 3), last]
    if attempt > 1:
        steps.insert(0, step({"attempt": 1}, step="draw"))
    error = BROKEN if fails else None
    return RecordPiece(
        key=key or f"gen:{piece}", piece=piece, attempt=attempt, steps=steps, output={}, error=error,
        cost_micro_usd=6,
    )  # fmt: skip


PRICE = (
    2 * (1_500 + 750) + 11
)  # two steps of 3 micro-USD at 2 a point, half as much again, and the flat price


class Charged:
    """A cook that is charged, and the books."""

    def __init__(self, k):
        self.k, self.world = k, LedgerWorld(k.store)

    async def begin(self, *, cap, amount=4):
        await self.world.ledger.grant("ann", 10**6, actor="op", grant_id="g")
        opened = await self.world.ledger.open(
            "cook:c1", account="ann", cap_milli=cap, terms=TERMS, actor="ann", run_id="c1"
        )
        self.hold = opened.charge.hold_id
        await self.k.start(amount, charge=opened.charge.document())

    async def make(self, *records):
        for each in records:
            await self.k.give(each)

    async def post(self):
        for _ in range(2):  # once more changes nothing
            async for page in self.k.streams.read(stream_of("c1"), whole=False):
                for commit in page:
                    [whole] = await self.k.store.get("cook_events", [commit["_id"]])
                    await post_captures(self.world.ledger, whole)
        return (await self.world.ledger.holds.load(f"hold:{self.hold}")).state

    async def check(self):
        assert (await self.world.check.verify()).problems == []
        tally = Tally(BY_NAME["ledger"])
        await self.world.check.audit(tally)
        assert tally.found == 0
        return tally.checked


@pytest.fixture
def charged(run, tmp_path):
    context = kitchen(tmp_path)
    yield Charged(run(context.__aenter__()))
    run(context.__aexit__(None, None, None))


def test_only_the_last_attempt_of_what_succeeded_is_paid_for(charged, run):
    async def story():
        await charged.begin(cap=100_000)
        await charged.make(record(1), record(2, attempt=2), record(3, fails=True), record(4, cached=True))
        hold = await charged.post()
        assert hold.captured_milli == 2 * PRICE + PRICE - 2_250
        assert (await charged.k.load()).state.points_milli == hold.captured_milli
        assert hold.state.value == "closed"
        assert (await charged.world.ledger.balance("ann"))["heldPts"] == 0
        outputs = await charged.k.store.find("generationOutputs", {"cookId": "c1"}, order=("cookId",))
        paid = [doc for doc in outputs if "providerPoints" in doc]
        assert len(outputs) == 9
        assert len(paid) == 6
        for doc in paid:
            parts = doc["providerPoints"] + doc["creatorPoints"] + doc["protocolNetPoints"]
            assert doc["pointsSpent"] == pytest.approx(parts)
        assert sum(round(doc["pointsSpent"] * 1000) for doc in outputs) == hold.captured_milli
        assert await charged.check() >= len(paid)
        charged.world.clock.pass_ms(10**10)  # records are no longer young
        tally = Tally(BY_NAME["ledger"])
        await charged.k.store.commit([Patch("cooks", "c1", {"pointsSpent": 1.5})])
        await charged.k.store.commit([Patch("generationOutputs", paid[0]["_id"], {"creatorPoints": 9})])
        await charged.world.check.audit(tally)
        assert sorted(tally.reasons) == [
            "spent is not provider + creator + net",
            f"spent is not what was captured: 1500, and {hold.captured_milli}",
        ]

    run(story())


def test_a_cook_takes_no_more_than_its_cap_and_pauses(charged, run):
    async def story():
        await charged.begin(cap=PRICE + 1_600)
        await charged.make(record(1), record(2))
        cook = (await charged.k.load()).state
        assert (cook.state.value, cook.pause_reason) == ("Paused", "points_exhausted")
        assert cook.points_milli == PRICE + 1_600
        await charged.make(record(3), record(4), ResumeCook(key="go"))
        hold = await charged.post()
        assert hold.captured_milli == PRICE + 1_600
        assert (await charged.k.load()).state.state.value == "Completed"
        await charged.check()

    run(story())


async def pay_again(charged, cap):
    """The charge of a cook that goes on after its end, or with more."""
    ledger = charged.world.ledger
    opened = await ledger.open(
        "cook:c1:1", account="ann", cap_milli=cap, terms=await ledger.terms(), actor="ann", run_id="c1"
    )
    return opened.charge.document()


def test_what_finishes_after_the_end_costs_its_owner_nothing_and_going_on_needs_a_new_hold(charged, run):
    async def story():
        await charged.begin(cap=100_000)
        await charged.make(record(1), StopCook(key="stop"), record(2))
        hold = await charged.post()
        assert hold.captured_milli == PRICE == (await charged.k.load()).state.points_milli
        assert hold.wasted_milli == 3_000
        with pytest.raises(Refused, match="closed at its end"):
            await charged.make(ResumeCook(key="free"))
        again = await pay_again(charged, 50_000)
        await charged.make(ResumeCook(key="paid", charge=again), record(3), record(4))
        await charged.post()
        cook = (await charged.k.load()).state
        flat = charged.world.ledger  # the second hold is at the rate of now, without a markup
        second = (await flat.holds.load(f"hold:{again['hold']}")).state
        assert cook.points_milli == PRICE + second.captured_milli
        assert second.captured_milli > 0
        assert not (await flat.accounts.load("account:ann")).state.holds
        await charged.check()

    run(story())


def test_another_hold_takes_the_place_of_one_that_is_used_up(charged, run):
    async def story():
        await charged.begin(cap=PRICE - 1)
        await charged.make(record(1))
        assert (await charged.k.load()).state.pause_reason == "points_exhausted"
        more = await pay_again(charged, 10**5)
        await charged.make(ResumeCook(key="more", charge=more), record(2), record(3), record(4))
        first = await charged.post()
        assert (first.state.value, first.captured_milli) == ("closed", PRICE - 1)
        assert not (await charged.world.ledger.accounts.load("account:ann")).state.holds
        second = (await charged.world.ledger.holds.load(f"hold:{more['hold']}")).state
        assert (await charged.k.load()).state.points_milli == PRICE - 1 + second.captured_milli
        await charged.check()

    run(story())


def test_an_unpaid_cook_is_not_in_the_books(charged, run):
    async def story():
        await charged.k.start(2)
        await charged.make(record(1), record(2))
        async for page in charged.k.streams.read(stream_of("c1")):
            for commit in page:
                await post_captures(charged.world.ledger, commit)
        assert await charged.world.streams() == set()
        outputs = await charged.k.store.find("generationOutputs", {"cookId": "c1"}, order=("cookId",))
        assert {doc["pointsSpent"] for doc in outputs} == {0}

    run(story())


@pytest.mark.parametrize(
    ("status", "cap", "paid"), [("success", 10**6, PRICE), ("success", 2_000, 2_000), ("failed", 10**6, 0)]
)
def test_a_cast_is_charged_at_its_end_for_a_success_only(status, cap, paid):
    charge = {"hold": "h", "account": "ann", "capMilli": cap, "terms": TERMS.document()}
    start = StartCast(
        key="k", cast_id="c", spell_id="s", spell_name="S", spell_version="1", config_hash="x", owner="ann",
        payer_account_id="ann", inputs={}, credit_tx_id="h", charge=charge,
    )  # fmt: skip
    cast = Cast()
    end = EndCast(key="e", status=status, steps=record(1).steps, outputs={})
    for command in (start, end):
        for event in casts.decide(cast, command):
            casts.evolve(cast, event, ts=1)
    assert cast.ended["pointsMilli"] == paid == taken_of(cast.steps)
    assert cast.ended["closes"] == "h"
    assert cast_document(cast, seq=2)["pointsSpent"] == paid / 1000
    outputs = cast_outputs(cast, seq=2)
    assert sum(doc["pointsSpent"] for doc in outputs) == pytest.approx(paid / 1000)


def test_the_followers_post_what_is_charged_while_it_runs(charged, run):
    async def story():
        leases = Leases(charged.k.store, holder=new_id(), clock=wall_ms)
        parts = [*capture_followers(charged.world.ledger, leases), bookkeeper(charged.world.books, leases)]
        for part in parts:
            part.renew_every_s = 0.02
        async with charged.k.running(*parts):
            await charged.begin(cap=100_000)
            await charged.make(*(record(n) for n in range(1, 5)))

            async def is_stored():
                stored = await charged.world.books.balances(["creator:cora", "user:ann:held", "platform:net"])
                return stored["creator:cora"] > 0 and stored["user:ann:held"] == 0

            await charged.k.until(is_stored)
        [hold] = await charged.k.store.get("holds", [charged.hold])
        assert (hold["state"], hold["capturedMilli"]) == ("closed", 4 * PRICE)
        await charged.check()

    run(story())
