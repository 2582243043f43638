"""Points for money through a rail that lies: one charge is one deposit, and the books balance."""

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cauldron.domain.errors import Invalid, NotFound, Refused
from cauldron.domain.ledger import LedgerConflict
from cauldron.domain.ledger_account import AccountLocked
from cauldron.domain.ledger_commands import ReverseDeposit
from cauldron.domain.payment import DAY_MS, LIFE_MS, PaymentsOff
from cauldron.persistence.leases import Leases
from cauldron.persistence.ledger_tables import PAYMENT_EVENTS, PAYMENTS
from cauldron.ports.payments import WebhookRejected
from cauldron.services.cleaning import Cleaning
from cauldron.services.formats import load_schema
from cauldron.services.payments import Payments
from tests.contracts.conftest import STORES
from tests.hostile_rail import HostileRail, event, sign
from tests.ledger_world import ALL_TABLES, LedgerWorld


class Till:
    """Payments over one rail, and the books."""

    def __init__(self, store, **more):
        self.world = LedgerWorld(store, **more)
        self.rail = HostileRail()
        leases = Leases(store, holder=self.world.ledger.new_id(), clock=self.world.clock)
        self.payments = Payments(self.world.ledger, leases, {"fake": self.rail})

    async def buy(self, points=50_000, *, key=None, account="ann"):
        await self.world.ledger.set_rate(100_000, actor="op", rate_id="dime")
        bought = await self.payments.checkout(
            account, points, actor=account, return_url="https://here.test/", payment_id=key
        )
        return bought["paymentId"]

    async def tell(self, number, kind="paid", *, at=None, **told):
        body = event(number, kind, **told)
        headers = sign(body, self.world.clock() if at is None else at)
        return await self.payments.receive("fake", body, headers)

    async def settle(self):
        while await self.payments.round():
            self.world.clock.pass_ms(1)
            pending = await self.world.store.find(
                PAYMENT_EVENTS, {"status": "pending"}, order=("runAt",), limit=1
            )
            if not pending:
                break

    async def state(self, payment):
        return (await self.payments.get(payment, account="ann"))["state"]

    async def balance(self, account="ann"):
        found = await self.world.ledger.balance(account)
        return found["availablePts"], found["owedPts"]

    async def deposits(self):
        kinds = [e["type"] async for c in self.world.commits() for e in c["events"]]
        return kinds.count("PointsDeposited")

    async def check(self):
        assert (await self.world.check.verify()).problems == []
        check = Draft202012Validator(load_schema("payments"))
        for payment in await self.world.store.find(PAYMENTS, {}):
            payment.pop("_v")
            check.validate(payment)


@pytest.fixture(params=STORES)
def till(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)
    yield Till(run(engine.open(*ALL_TABLES)))
    run(engine.close())


def test_a_payment_becomes_points_once_in_a_storm_of_webhooks(till, run):
    async def story():
        payment = await till.buy()
        charge = till.rail.pays(payment)
        answers = await asyncio.gather(*(till.tell(1, payment=payment) for _ in range(200)))
        assert sum(answer.fresh for answer in answers) == 1
        await asyncio.gather(*(till.tell(n, payment=payment, charge=charge) for n in range(2, 40)))
        await asyncio.gather(till.settle(), till.settle(), till.settle())
        assert await till.state(payment) == "paid"
        assert await till.balance() == (50, 0)
        assert await till.deposits() == 1
        await till.check()

    run(story())


def test_events_that_are_forged_old_early_or_malformed_are_refused(till, run):
    async def story():
        payment = await till.buy()
        till.rail.pays(payment)
        now, body = till.world.clock(), event(1, payment=payment)
        for headers in ({}, {"x-rail-signature": ""}, sign(body, now, b"another"), sign(body + b" ", now)):
            with pytest.raises(WebhookRejected):
                await till.payments.receive("fake", body, headers)
        for at in (now - 300_001, now + 300_001):
            with pytest.raises(WebhookRejected):
                await till.tell(1, payment=payment, at=at)
        with pytest.raises(WebhookRejected):
            await till.payments.receive("fake", b"[]", sign(b"[]", now))
        with pytest.raises(NotFound):
            await till.payments.receive("other", body, sign(body, now))
        await till.settle()
        assert await till.deposits() == 0

    run(story())


def test_what_an_event_claims_is_not_believed(till, run):
    async def story():
        payment = await till.buy()
        await till.tell(1, "paid", payment=payment, amount=10**9, currency="usd")  # nobody has paid
        await till.tell(2, "paid", payment="never-sold", charge="ch_never")
        await till.tell(3, "paid", charge="ch_never")
        await till.tell(4, "paid")
        await till.tell(5, "paid", payment=payment, live=False)
        await till.settle()
        assert (await till.state(payment), await till.balance()) == ("open", (0, 0))
        rows = await till.world.store.find(PAYMENT_EVENTS, {}, limit=10)
        assert {row["_id"]: row["status"] for row in rows} == {
            "fake:ev1": "done", **{f"fake:ev{n}": "ignored" for n in (2, 3, 4, 5)},
        }  # fmt: skip

    run(story())


@pytest.mark.parametrize(
    "lie",
    [
        {"money_minor": 1}, {"money_minor": 10**6}, {"currency": "jpy"}, {"live": False},
        {"payment_id": "other"}, {"reversed_minor": 10**6},
    ],
    ids=lambda lie: next(iter(lie)),
)  # fmt: skip
def test_a_payment_that_is_not_what_was_asked_for_waits_for_a_person(till, run, lie):
    async def story():
        payment = await till.buy()
        charge = till.rail.pays(payment, **lie)
        await till.tell(1, payment=payment, charge=charge)
        await till.settle()
        shown = await till.payments.get(payment, account="ann")
        assert (shown["state"], bool(shown["problem"])) == ("review", True)
        assert await till.deposits() == 0
        honest = {"money_minor": 500, "currency": "usd", "live": True, "reversed_minor": 0}
        till.rail.money[payment] = replace(till.rail.money[payment], payment_id=payment, **honest)
        await till.tell(2, payment=payment)
        await till.settle()
        assert (await till.state(payment), await till.deposits()) == ("paid", 1)

    run(story())


def test_a_second_payment_of_one_checkout_is_not_a_second_deposit(till, run):
    async def story():
        payment = await till.buy()
        till.rail.pays(payment)
        await till.tell(1, payment=payment)
        await till.settle()
        till.rail.pays(payment, charge_id="ch_second")
        till.payments.rails["fake"].fetch = always(till.rail.money[payment])
        await till.tell(2, payment=payment, charge="ch_second")
        await till.settle()
        shown = await till.payments.get(payment, account="ann")
        assert (shown["state"], shown["problem"]) == ("paid", "it was paid for a second time")
        assert await till.balance() == (50, 0)

    run(story())


def always(answer):
    async def fetch(**_):
        return answer

    return fetch


def test_a_chargeback_takes_what_is_left_and_locks_until_the_rest_is_paid(till, run):
    async def story():
        ledger, payment = till.world.ledger, await till.buy()
        await ledger.grant("ann", 7_000, actor="op", grant_id="gift")  # a promotion is not taken for it
        charge = till.rail.pays(payment)
        await till.tell(1, payment=payment)
        await till.settle()
        hold = await till.world.open("run:1", cap=30_000)  # the promotion first, then 23 bought points
        await till.world.capture(hold, "1", ("a", 0, 20_000, 10_000))
        till.rail.now(payment, reversed_minor=till.rail.money[payment].money_minor)
        await till.tell(2, "dispute", charge=charge)
        await till.settle()
        assert await till.state(payment) == "reversed"
        assert await till.balance() == (0, 23)
        with pytest.raises(AccountLocked) as locked:
            await till.world.open("run:2", cap=1)
        assert locked.value.details["owedPts"] == 23
        await till.world.open("run:free", cap=0)  # what costs nothing goes on
        await ledger.close(hold, reason="finished")  # ten bought points come back, and are owed
        assert await till.balance() == (0, 13)
        await ledger.grant("ann", 5_000, actor="op", grant_id="gift2")
        with pytest.raises(AccountLocked):
            await till.world.open("run:2", cap=1)
        await ledger.grant("ann", 3_000, actor="op", grant_id="mercy", kind="adjust")
        assert await till.balance() == (5, 10)
        second = await till.buy(20_000)
        till.rail.pays(second)
        await till.tell(3, payment=second)
        await till.settle()
        assert await till.balance() == (15, 0)
        await till.world.open("run:2", cap=15_000)
        await till.check()

    run(story())


def test_a_dispute_that_is_won_gives_back_what_was_taken(till, run):
    async def story():
        payment = await till.buy()
        charge = till.rail.pays(payment)
        await till.tell(1, payment=payment)
        await till.settle()
        await till.world.open("run:1", cap=40_000)
        whole = till.rail.money[payment].money_minor
        for number, (back, expected) in enumerate(
            [(whole, (0, 40)), (0, (10, 0)), (whole // 2, (0, 15)), (0, (10, 0))], 2
        ):
            till.rail.now(payment, reversed_minor=back)
            await till.tell(number, "dispute", charge=charge)
            await till.settle()
            assert await till.balance() == expected
        assert await till.state(payment) == "paid"
        await till.check()

    run(story())


def test_what_a_provider_said_earlier_changes_nothing_when_it_comes_late(till, run):
    """Whoever asked first may post last: the number of the change decides, not the order of arrival."""

    def said(number, reversed_micro_usd):
        return ReverseDeposit(
            account="ann", provider="p", charge_id="c", number=number, now=till.world.clock(),
            reversed_micro_usd=reversed_micro_usd,
        )  # fmt: skip

    async def story():
        ledger = till.world.ledger
        with pytest.raises(NotFound):
            await ledger.reverse_deposit(said(1, 10))
        await ledger.deposit("ann", 1_000, provider="p", charge_id="c", money_micro_usd=100)
        for number, back, left in ((2, 0, 1.0), (1, 100, 1.0), (4, 33, 0.67), (3, 100, 0.67), (4, 33, 0.67)):
            await ledger.reverse_deposit(said(number, back))
            assert await till.balance() == (left, 0)
        for wrong in (-1, 101):
            with pytest.raises(Invalid):
                await ledger.reverse_deposit(said(9, wrong))
        with pytest.raises(LedgerConflict):
            await ledger.reverse_deposit(said(4, 34))
        await till.check()

    run(story())


def test_a_refund_that_is_told_before_the_payment_is_posted_after_it(till, run):
    async def story():
        payment = await till.buy()
        charge = till.rail.pays(payment, reversed_minor=200)
        await till.tell(1, "refund", charge=charge)  # we have never heard of this charge
        await till.settle()
        assert (await till.state(payment), await till.balance()) == ("part_reversed", (30, 0))
        await till.tell(2, payment=payment)
        await till.settle()
        assert await till.balance() == (30, 0)
        await till.check()

    run(story())


def test_the_rate_of_the_checkout_counts_also_when_it_changes(till, run):
    async def story():
        payment = await till.buy()
        await till.world.ledger.set_rate(99, actor="op", rate_id="cheap")
        till.rail.pays(payment)
        for number in range(3):
            await till.tell(number, payment=payment)
            await till.settle()
            await till.world.ledger.set_rate(98 - number, actor="op", rate_id=f"r{number}")
        assert await till.balance() == (50, 0)
        rows = await till.world.store.find(PAYMENT_EVENTS, {})
        assert [row["says"] for row in rows] == ["paid"] * 3  # told again it is the same deposit, no conflict

    run(story())


def test_a_payment_is_found_also_when_no_webhook_ever_comes(till, run):
    async def story():
        payment, unpaid = await till.buy(), await till.buy(6_000)
        till.rail.pays(payment)
        await till.payments.round()
        assert await till.state(payment) == "open"
        till.world.clock.pass_ms(61_000)
        await till.payments.round()
        assert await till.state(payment) == "paid"
        till.rail.now(payment, reversed_minor=till.rail.money[payment].money_minor)
        till.world.clock.pass_ms(LIFE_MS + DAY_MS)
        till.rail.now(unpaid, state="expired")
        await till.payments.round()
        assert (await till.state(payment), await till.state(unpaid)) == ("reversed", "expired")
        asked = till.rail.fetched
        till.world.clock.pass_ms(60_000)
        await till.payments.round()
        [over] = await till.world.store.get(PAYMENTS, [unpaid])
        assert not over["watched"]
        assert till.rail.fetched == asked
        await till.check()

    run(story())


def test_while_the_rail_is_down_events_wait(till, run):
    async def story():
        payment = await till.buy()
        till.rail.pays(payment)
        till.rail.down = True
        await till.tell(1, payment=payment)
        for _ in range(5):
            await till.payments.round()
            till.world.clock.pass_ms(1_000)
        assert await till.deposits() == 0
        [waits] = await till.world.store.find(PAYMENT_EVENTS, {}, limit=2)
        assert (waits["status"], waits["tries"] > 1) == ("pending", True)
        till.rail.down = False
        till.world.clock.pass_ms(400_000)
        await till.payments.round()
        assert await till.deposits() == 1
        assert await till.payments.round() == 0  # nothing is left to look into

    run(story())


def test_events_of_long_ago_go_and_one_that_comes_again_is_still_the_same_deposit(till, run):
    def cleaning():
        async def is_idle():
            return False

        names = [table.name for table in ALL_TABLES]
        return Cleaning(
            store=till.world.store, tables=names, sweeping=None, leases=till.payments.leases,
            clock=till.world.clock, environment="live", is_idle=is_idle, batch=2,
        )  # fmt: skip

    async def removed(*, apply=True):
        [found] = await cleaning().run(["payment-events"], apply=apply)
        return found["records"], found["left"]

    async def story():
        payment = await till.buy()
        till.rail.pays(payment)
        for number in range(3):
            await till.tell(number, payment=payment)
            await till.settle()
        till.rail.down = True
        await till.tell(3, payment=payment)  # waits
        till.world.clock.pass_ms(89 * DAY_MS)
        assert await removed() == (0, 0)
        till.world.clock.pass_ms(2 * DAY_MS)
        assert [await removed(apply=False), await removed(), await removed()] == [(3, 1), (3, 1), (0, 1)]
        till.rail.down = False
        again = [await till.tell(number, payment=payment) for number in (0, 1, 3)]
        assert [each.fresh for each in again] == [True, True, False]
        await till.settle()
        assert (await till.deposits(), await till.balance()) == (1, (50, 0))
        await till.check()

    run(story())


def test_one_key_is_one_purchase(till, run):
    async def story():
        assert await till.buy(key="k") == await till.buy(key="k")
        assert len(till.rail.opened) == 1
        for account, points in (("ann", 49_000), ("bob", 50_000)):
            with pytest.raises(Refused):
                await till.buy(points, key="k", account=account)
        for points in (0, -1, 4_900, 10**12, True):
            with pytest.raises(Invalid):
                await till.buy(points)
        with pytest.raises(NotFound):
            await till.payments.get("k", account="bob")
        with pytest.raises(PaymentsOff):
            await Payments(till.world.ledger, till.payments.leases, {}).checkout(
                "ann", 1_000, actor="ann", return_url=""
            )

    run(story())


def test_a_checkout_that_could_not_be_opened_is_opened_with_the_same_key(till, run):
    async def story():
        till.rail.down = True
        with pytest.raises(Exception, match="down"):
            await till.buy(key="k")
        till.rail.down = False
        payment = await till.buy(key="k")
        till.rail.pays(payment)
        await till.tell(1, payment=payment)
        await till.settle()
        assert await till.deposits() == 1

    run(story())


STEP = st.tuples(
    st.sampled_from(["hold", "hold", "capture", "close", "reverse", "tell", "tell", "gift", "adjust"]),
    st.integers(0, 5_000),
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=10, max_size=30), seed=st.integers(0, 9))
def test_whatever_order_things_come_in_the_books_say_what_the_rail_says(steps, seed, tmp_path_factory, run):
    """At the end: points that came in for money are those of the money that stayed."""

    async def story():
        engine = STORES["sqlite"](tmp_path_factory.mktemp("till"))
        till = Till(await engine.open(*ALL_TABLES))
        rng, ledger, holds = random.Random(seed), till.world.ledger, []
        bought = [await till.buy(5_000) for _ in range(3)]
        for payment in bought:
            till.rail.pays(payment)
        for number, (what, amount) in enumerate(steps):
            payment = bought[amount % 3]
            if what == "hold":
                try:
                    holds.append(await till.world.open(f"run:{number}", cap=amount))
                except Refused:
                    continue
            elif what == "capture" and holds:
                await till.world.capture(rng.choice(holds), str(number), ("a", number, amount, amount // 2))
            elif what == "close" and holds:
                await ledger.close(holds.pop(), reason="finished")
            elif what == "reverse":
                till.rail.now(payment, reversed_minor=amount % (till.rail.money[payment].money_minor + 1))
            elif what == "tell":
                await till.tell(number, payment=payment)
                await till.settle()
            elif what in ("gift", "adjust"):
                kind = "promo" if what == "gift" else "adjust"
                await ledger.grant("ann", amount + 1, actor="op", grant_id=f"g{number}", kind=kind)
        for number, payment in enumerate(bought, 100):
            await till.tell(number, payment=payment)
        await till.settle()
        await till.check()
        money = till.rail.money
        kept = sum(5_000 - -(-5_000 * money[p].reversed_minor // money[p].money_minor) for p in bought)
        assert -(await till.world.sums()).get("mint:paid", 0) == kept
        await engine.close()

    run(story())
