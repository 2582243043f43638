"""The books on both engines: what each command posts, twice and late, and what cannot be done."""

import asyncio

import pytest

from cauldron.domain.errors import Invalid, NotFound, Refused, Unavailable
from cauldron.domain.ledger import InsufficientPoints, LedgerConflict
from cauldron.domain.ledger_account import OfferExpired
from cauldron.domain.ledger_commands import CloseHold, HoldPoints, RefundLines
from cauldron.domain.ledger_pricing import Terms
from cauldron.persistence.leases import Leases
from cauldron.ports.charging import Capture
from cauldron.ports.storage import Delete, Expunge, Patch, Redact
from cauldron.services.ledger_books import LedgerSweeper, bookkeeper
from tests.contracts.conftest import STORES
from tests.ledger_world import ALL_TABLES, TERMS, LedgerWorld


@pytest.fixture(params=STORES)
def world(request, tmp_path, run):
    """The books on an engine of its own."""
    engine = STORES[request.param](tmp_path)
    yield LedgerWorld(run(engine.open(*ALL_TABLES)))
    run(engine.close())


async def fine(world):
    found = await world.check.verify()
    assert found.problems == []
    assert sum(found.sums.values()) == 0
    return found


def test_a_run_is_paid_for_and_the_rest_comes_back(world, run):
    async def story():
        await world.ledger.grant("ann", 5_000, actor="op", grant_id="g1")
        hold = await world.open("run:1", cap=2_000)
        assert (await world.ledger.balance("ann"))["heldPts"] == 2
        await world.capture(hold, "1", ("draw", 0, 1_000, 700), ("upscale", 0, 300, 0))
        assert await world.sums() == {
            "mint:promo": -5_000,
            "user:ann:available": 3_000,
            "user:ann:held": 700,
            "provider:cost": 700,
            "creator:cora:accrued": 99 + 99,  # floor(300 * 0.3333) of each margin
            "platform:net": 600 - 198,
        }
        await world.ledger.release(hold)
        balance = await world.ledger.balance("ann")
        assert (balance["availablePts"], balance["heldPts"], balance["openHolds"]) == (3.7, 0, 0)
        assert (await world.ledger.balance("cora"))["payablePts"] == 0.198
        await fine(world)

    run(story())


def test_everything_said_twice_is_posted_once(world, run):
    async def story():
        ledger = world.ledger
        for _ in range(2):
            await ledger.grant("ann", 5_000, actor="op", grant_id="g1")
            await ledger.deposit("ann", 1_000, provider="pay", charge_id="ch_1", money_micro_usd=1_000_000)
        hold = await world.open("run:1")
        assert await world.open("run:1") == hold
        for _ in range(2):
            await world.capture(hold, "1", ("draw", 1, 400, 100))
        assert (
            await world.capture(hold, "2", ("draw", 1, 400, 100)) is None
        )  # the same step of the same piece
        for _ in range(2):
            await ledger.release(hold)
        for _ in range(2):
            await ledger.refund(f"cap:{hold}:1", actor="op")
        with pytest.raises(Refused, match="refunded before"):
            await ledger.refund(f"cap:{hold}:1", actor="op", line="1/draw")
        assert (await ledger.balance("ann"))["availablePts"] == 6
        await fine(world)

    run(story())


def test_the_same_id_with_other_content_is_refused(world, run):
    async def story():
        await world.ledger.grant("ann", 5_000, actor="op", grant_id="g1")
        with pytest.raises(LedgerConflict):
            await world.ledger.grant("ann", 6_000, actor="op", grant_id="g1")
        with pytest.raises(LedgerConflict):
            await world.ledger.grant("bob", 5_000, actor="op", grant_id="g1")
        hold = await world.open("run:1")
        with pytest.raises(LedgerConflict):
            await world.open("run:1", cap=999)
        await world.capture(hold, "1", ("draw", 1, 400, 100))
        with pytest.raises(LedgerConflict):
            await world.capture(hold, "1", ("draw", 1, 401, 100))
        assert (await fine(world)).groups == 3

    run(story())


def test_a_capture_takes_no_more_than_the_cap_and_a_late_one_nothing(world, run):
    async def story():
        await world.ledger.grant("ann", 5_000, actor="op")
        hold = await world.open("run:1", cap=1_000)
        taken = await world.capture(hold, "1", ("a", 1, 800, 500), ("b", 1, 700, 600))
        assert taken is not None
        assert taken.data["takenMilli"] == 1_000
        assert taken.data["overrunMilli"] == 500
        assert [row[3:5] for row in taken.data["lines"]] == [[800, 500], [200, 200]]
        await world.ledger.release(hold)
        late = await world.capture(hold, "2", ("a", 2, 800, 500))
        assert late is not None
        assert late.type == "CaptureWasted"
        assert await world.capture(hold, "2", ("a", 2, 800, 500)) == late
        sums = await world.sums()
        assert sums["user:ann:available"] == 4_000
        assert sums["provider:cost"] == 500 + 200 + 500
        await fine(world)

    run(story())


def test_what_is_not_there_cannot_be_held_or_withdrawn(world, run):
    async def story():
        await world.ledger.grant("ann", 1_500, actor="op")
        before = await world.sums()
        with pytest.raises(InsufficientPoints) as short:
            await world.open("run:1", cap=2_000)
        assert short.value.details["missingPts"] == 0.5
        with pytest.raises(InsufficientPoints):
            await world.ledger.withdraw("ann", 1, actor="ann")
        with pytest.raises(NotFound):
            await world.capture("nothing", "1", ("a", 1, 1, 1))
        with pytest.raises(NotFound):
            await world.ledger.refund("cap:nothing:1", actor="op")
        for wrong in (0, -5, 10**16):
            with pytest.raises(Invalid):
                await world.ledger.grant("ann", wrong, actor="op")
        with pytest.raises(Invalid):
            await world.ledger.grant("an:n", 5, actor="op")
        with pytest.raises(OfferExpired):
            await world.open("run:2", cap=1, offer_ends_at=world.clock())
        assert await world.sums() == before
        await fine(world)

    run(story())


def test_promotions_are_spent_first_and_what_expires_while_it_is_held_does_not_come_back(world, run):
    async def story():
        now = world.clock()
        await world.ledger.grant("ann", 1_000, actor="op", kind="paid", grant_id="paid")
        await world.ledger.grant("ann", 1_000, actor="op", grant_id="soon", expires_at=now + 1_000)
        await world.ledger.grant("ann", 1_000, actor="op", grant_id="first", priority=1)
        hold = await world.open("run:1", cap=2_500)
        state = (await world.ledger.accounts.load("account:ann")).state
        assert state.holds[hold] == [("first", 1_000), ("soon", 1_000), ("paid", 500)]
        await world.capture(hold, "1", ("a", 1, 1_200, 0))
        world.clock.pass_ms(1_000)
        await world.ledger.release(hold)
        assert (await world.sums())["expired"] == 800
        assert (await world.ledger.balance("ann"))["availablePts"] == 1
        await fine(world)

    run(story())


def test_the_sweeper_takes_expired_grants_and_closes_holds_whose_run_never_began(world, run):
    async def story():
        now = world.clock()
        await world.ledger.grant("ann", 1_000, actor="op", grant_id="soon", expires_at=now + 500)
        await world.ledger.grant("ann", 1_000, actor="op", grant_id="later", expires_at=now + 9_000)
        hold = await world.open("run:1", cap=300, expires_at=now + 600)
        await world.books.catch_up(await world.streams())
        sweeper = LedgerSweeper(world.books)
        assert await sweeper.sweep() == 0
        world.clock.pass_ms(500)
        with pytest.raises(InsufficientPoints):  # what has expired is not spent, swept or not
            await world.open("run:2", cap=1_001)
        assert await sweeper.sweep() == 1
        assert (await world.sums())["expired"] == 700
        world.clock.pass_ms(100)
        assert await sweeper.sweep() == 1
        assert (await world.sums())["expired"] == 1_000
        assert await sweeper.sweep() == 0
        [record] = await world.store.get("holds", [hold])
        assert (record["state"], record["reason"]) == ("closed", "expired")
        assert (await world.ledger.balance("ann"))["availablePts"] == 1
        await fine(world)

    run(story())


def test_a_refund_gives_everything_back_and_the_platform_bears_what_the_creator_has_withdrawn(world, run):
    async def story():
        ledger = world.ledger
        await ledger.grant("ann", 5_000, actor="op")
        hold = await world.open("run:1", cap=2_000)
        await world.capture(hold, "7", ("a", 1, 1_000, 100), ("a", 2, 1_000, 100))
        with pytest.raises(Refused, match="over"):
            await ledger.refund(f"cap:{hold}:7", actor="op")
        await ledger.release(hold)
        share = (await ledger.balance("cora"))["payablePts"] * 1000
        assert share == 2 * 299
        await ledger.withdraw("cora", 400, actor="cora", withdrawal="w1")
        await ledger.refund(f"cap:{hold}:7", actor="op", line="2/a")
        assert (await ledger.balance("cora"))["payablePts"] == 0
        assert (await ledger.balance("ann"))["availablePts"] == 4
        await ledger.refund(f"cap:{hold}:7", actor="op")
        sums = await world.sums()
        assert sums["user:ann:available"] == 5_000
        assert sums["platform:net"] == -200 - 400  # what the provider had, and what was withdrawn
        assert sums["payout"] == 400
        await fine(world)

    run(story())


def test_the_port_names_what_is_free_and_keeps_it_out_of_the_books(world, run):
    async def story():
        hold = await world.ledger.hold("cast:1", account="ann", cap_milli=0)
        assert await world.ledger.hold("cast:1", account="ann", cap_milli=0) == hold
        assert await world.ledger.hold("cast:1", account="bob", cap_milli=0) != hold
        await world.ledger.capture(hold, [Capture(key="a", points_milli=0)])
        await world.ledger.release(hold)
        assert await world.streams() == set()
        await world.ledger.grant("ann", 1_000, actor="op")
        paid = await world.ledger.hold("cast:2", account="ann", cap_milli=500)
        assert await world.ledger.hold("cast:2", account="ann", cap_milli=500) == paid
        captures = [Capture(key="a", points_milli=200, cost_milli=50), Capture(key="b", points_milli=10)]
        for _ in range(2):
            await world.ledger.capture(paid, captures)
        await world.ledger.capture(paid, captures[:1])
        await world.ledger.release(paid)
        assert (await world.ledger.balance("ann"))["availablePts"] == 0.79
        await fine(world)

    run(story())


def test_rates_are_appended_and_what_was_quoted_keeps_its_own(world, run):
    async def story():
        ledger = world.ledger
        assert (await ledger.rate()).micro_usd_per_point == 1_000
        quoted = await ledger.terms(Terms(rate_id="", micro_usd_per_point=1, markup_bps=100))
        await ledger.set_rate(2_000, actor="op", rate_id="r2")
        await ledger.set_rate(2_000, actor="op", rate_id="r2")
        with pytest.raises(LedgerConflict):
            await ledger.set_rate(3_000, actor="op", rate_id="r2")
        assert (await ledger.rate()).rate_id == "r2"
        assert quoted.micro_usd_per_point == 1_000
        with pytest.raises(Invalid):
            await ledger.set_rate(0, actor="op")

    run(story())


def test_statements_are_paged_and_balances_are_the_sum_of_their_postings(world, run):
    async def story():
        for n in range(25):
            await world.ledger.grant("ann", 1_000 + n, actor="op", grant_id=f"g{n}")
            world.clock.pass_ms(n % 2)  # several in the same millisecond
        await world.books.catch_up(await world.streams())
        rows, after = [], None
        while True:
            page, after = await world.books.statement("user:ann:available", limit=10, after=after)
            rows += page
            if after is None:
                break
        assert len(rows) == 25 == len({row["group"] for row in rows})
        assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
        stored = await world.books.balances(["user:ann:available", "mint:promo", "nobody"])
        assert stored == {"user:ann:available": 25.3, "mint:promo": -25.3, "nobody": 0}

    run(story())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("balance", "the stored balance is"),
        ("posting", "its stored postings sum to"),
        ("leg", "its legs sum to"),
        ("seq", "is missing before it"),
    ],
)
def test_books_that_were_tampered_with_are_found_out(world, run, spoil, said):
    async def story():
        await world.ledger.grant("ann", 5_000, actor="op", grant_id="g1")
        await world.ledger.grant("ann", 5_000, actor="op", grant_id="g2")
        await fine(world)
        store = world.store
        if spoil == "balance":
            await store.commit([Patch("accounts", "user:ann:available", {"balanceMilli": 1})])
        elif spoil == "posting":
            [posting, *_] = await store.find("ledger_postings", {})
            await store.commit([Delete("ledger_postings", posting["_id"])])
        elif spoil == "leg":
            [commit, *_] = await store.find("ledger", {})
            version = commit.pop("_v")
            commit["events"][0]["data"]["legs"][0][1] += 1
            await store.commit([Redact("ledger", commit, version)])
        else:
            await store.commit([Expunge("ledger", "account:ann:0000000001")])
        found = await world.check.verify()
        assert any(said in problem["reason"] for problem in found.problems), found.problems
        if spoil in ("balance", "posting"):
            await world.check.rewrite()
            assert (await world.check.verify()).problems == []

    run(story())


class Cut:
    """A store that dies in the middle of writing balances."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, ops, *, atomic=True):
        if ops[0].table != "accounts":
            return await self._store.commit(ops, atomic=atomic)
        await self._store.commit(ops[: len(ops) // 2], atomic=atomic)
        raise Unavailable("the process died")


def test_a_batch_of_balances_that_was_written_in_part_is_written_to_its_end(world, run):
    async def story():
        await world.ledger.grant("ann", 5_000, actor="op", grant_id="g1")
        dying = LedgerWorld(Cut(world.store), clock=world.clock)
        with pytest.raises(Unavailable):
            await dying.books.catch_up({"account:ann"})
        await world.ledger.grant("ann", 7_000, actor="op", grant_id="g2")
        await world.books.catch_up({"account:ann"})
        assert await world.books.balances(["user:ann:available"]) == {"user:ann:available": 12}
        await fine(world)

    run(story())


def test_the_bookkeeper_finishes_what_a_dead_process_began(world, run):
    """Three processes died: after setting points aside, after closing a hold, after deciding on a refund."""

    async def story():
        ledger, now = world.ledger, world.clock()
        await ledger.grant("ann", 5_000, actor="op")
        lost = HoldPoints(
            natural="run:lost",
            account="ann",
            hold_id="lost",
            run_id="r",
            cap_milli=100,
            terms=TERMS.document(),
            now=now,
        )
        await ledger.accounts.handle("account:ann", lost, actor="ann")
        closed, refunded = await world.open("run:1"), await world.open("run:2")
        for hold in (closed, refunded):
            await world.capture(hold, "1", ("draw", 1, 500, 100))
        await ledger.release(refunded)
        close = CloseHold(hold_id=closed, reason="finished", now=now)
        await ledger.holds.handle(f"hold:{closed}", close, actor="system")
        refund = RefundLines(
            hold_id=refunded, group=f"cap:{refunded}:1", lines=[["draw", 1, 1, 500, 100, 133, 0]]
        )
        await ledger.holds.handle(f"hold:{refunded}", refund, actor="op")
        keeper = bookkeeper(world.books, Leases(world.store, holder="k", clock=world.clock))
        keeping = asyncio.create_task(keeper.run())
        try:
            async with asyncio.timeout(30):
                while len(await world.streams()) < 5 or (await world.sums())["user:ann:available"] != 4_400:
                    await asyncio.sleep(0.02)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        assert (await world.ledger.balance("ann"))["heldPts"] == 0.1
        assert (await world.ledger.balance("cora"))["payablePts"] == 0.133
        await fine(world)

    run(story())
