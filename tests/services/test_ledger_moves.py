"""Points that go from one account to another for good: nothing is lost on the way; a debt goes along."""

import asyncio

import pytest

from cauldron.domain.errors import Invalid, Refused
from cauldron.domain.ledger import TRANSIT
from cauldron.domain.ledger_account import AccountLocked
from cauldron.domain.ledger_commands import ReverseDeposit
from cauldron.persistence.leases import Leases
from cauldron.services.ledger_books import bookkeeper
from cauldron.services.ledger_moves import hand_over
from tests.contracts.conftest import STORES
from tests.ledger_world import ALL_TABLES, LedgerWorld


@pytest.fixture(params=STORES)
def world(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)
    yield LedgerWorld(run(engine.open(*ALL_TABLES)))
    run(engine.close())


async def shown(world, account):
    found = await world.ledger.balance(account)
    return found["availablePts"], found["heldPts"], found["owedPts"]


async def followed(world):
    """What the follower of the books does with everything that is in the log, from the beginning."""
    leases = Leases(world.store, holder=world.ledger.new_id(), clock=world.clock)
    keeper = bookkeeper(world.books, leases)
    async for commit in world.commits():
        await keeper.note(commit)


async def balanced(world):
    assert (await world.check.verify()).problems == []
    assert (await world.sums()).get(TRANSIT, 0) == 0


async def charged_back(world, account, *, number=1, micro_usd=1_000):
    command = ReverseDeposit(
        account=account, provider="p", charge_id=f"c-{account}", number=number, reversed_micro_usd=micro_usd,
        now=world.clock(),
    )  # fmt: skip
    await world.ledger.reverse_deposit(command)


async def bought(world, account, milli):
    await world.ledger.deposit(account, milli, provider="p", charge_id=f"c-{account}", money_micro_usd=1_000)


def test_everything_goes_once_with_its_kinds_and_ends(world, run):
    async def story():
        ledger, ends = world.ledger, world.clock() + 10_000_000
        await ledger.grant("guest", 3_000, actor="op", grant_id="g1", expires_at=ends, priority=7)
        await ledger.grant("guest", 1_000, actor="op", grant_id="over", expires_at=world.clock() + 1)
        await bought(world, "guest", 2_000)
        await ledger.grant("ann", 500, actor="op", grant_id="g2")
        world.clock.pass_ms(100)
        moves = [hand_over(ledger, "guest", to="ann", actor="ann") for _ in range(5)]
        await asyncio.gather(*moves)
        assert await shown(world, "ann") == (5.5, 0, 0)
        assert await shown(world, "guest") == (0, 0, 0)
        kinds = (await ledger.balance("ann"))["byKind"]
        assert kinds == {"paid": 2, "promo": 3.5}
        assert (await ledger.balance("ann"))["nextExpiry"] == ends
        hold = await world.open("run:1", cap=3_000)
        parts = (await ledger.accounts.load("account:ann")).state.holds[hold]
        assert parts[0] == ("recv:guest:1:0", 3_000)  # by its priority still the first to be spent
        with pytest.raises(Refused):
            await hand_over(ledger, "guest", to="bob", actor="bob")
        with pytest.raises(Invalid):
            await hand_over(ledger, "ann", to="ann", actor="ann")
        await ledger.expire_grants("guest")  # what had expired stays where it was
        await balanced(world)

    run(story())


def test_what_an_open_hold_gives_back_and_a_refund_follow(world, run):
    async def story():
        ledger = world.ledger
        await ledger.grant("guest", 10_000, actor="op", grant_id="g", kind="adjust")
        hold = await world.open("run:1", account="guest", cap=6_000)
        await hand_over(ledger, "guest", to="ann", actor="ann")
        assert (await shown(world, "ann"), await shown(world, "guest")) == ((4, 0, 0), (0, 6, 0))
        await world.capture(hold, "1", ("a", 0, 2_000, 1_000))
        await ledger.close(hold, reason="finished")
        await followed(world)
        assert (await shown(world, "ann"), await shown(world, "guest")) == ((8, 0, 0), (0, 0, 0))
        await ledger.refund(f"cap:{hold}:1", actor="op")
        await followed(world)
        await followed(world)  # everything again
        assert (await shown(world, "ann"), await shown(world, "guest")) == ((10, 0, 0), (0, 0, 0))
        await balanced(world)

    run(story())


@pytest.mark.parametrize("by", ["the follower", "whoever asks again"])
def test_who_dies_between_leaving_and_arriving_is_finished_by_others(world, run, by):
    async def story():
        ledger = world.ledger
        await ledger.grant("guest", 10_000, actor="op", grant_id="g")
        post = ledger.post

        async def dies(dispatcher, stream, command, *, actor):
            if stream == "account:ann":
                raise KeyboardInterrupt
            return await post(dispatcher, stream, command, actor=actor)

        ledger.post = dies
        with pytest.raises(KeyboardInterrupt):
            await hand_over(ledger, "guest", to="ann", actor="ann")
        ledger.post = post
        assert (await world.sums())[TRANSIT] == 10_000
        assert (await world.check.verify()).problems == []  # nothing is lost meanwhile
        world.clock.pass_ms(61_000)
        [said] = (await world.check.verify()).problems
        assert said["reason"] == "left its account, and did not arrive"
        for _ in range(2):
            await (
                followed(world) if by == "the follower" else hand_over(ledger, "guest", to="ann", actor="x")
            )
            assert await shown(world, "ann") == (10, 0, 0)
        await balanced(world)

    run(story())


def test_a_debt_goes_along_also_one_that_comes_later(world, run):
    async def story():
        ledger = world.ledger
        await bought(world, "guest", 10_000)
        await bought(world, "ann", 3_000)
        await ledger.grant("ann", 1_000, actor="op", grant_id="gift")  # a promotion pays nothing
        hold = await world.open("run:1", account="guest", cap=4_000)
        await world.capture(hold, "1", ("a", 0, 4_000, 1_000))
        await hand_over(ledger, "guest", to="ann", actor="ann")
        assert await shown(world, "ann") == (10, 0, 0)
        await charged_back(world, "guest")  # nothing is left there: all ten are owed
        await followed(world)
        assert (await shown(world, "ann"), await shown(world, "guest")) == ((1, 0, 1), (0, 0, 0))
        with pytest.raises(AccountLocked):
            await world.open("run:2", cap=1)
        await charged_back(world, "guest", number=2, micro_usd=0)  # the dispute is won
        await followed(world)
        assert (await shown(world, "ann"), await shown(world, "guest")) == ((10, 0, 0), (0, 0, 0))
        await ledger.close(hold, reason="finished")
        await followed(world)
        await balanced(world)

    run(story())


def test_who_owes_already_pays_with_what_comes_along(world, run):
    async def story():
        ledger = world.ledger
        await bought(world, "ann", 5_000)
        await world.open("run:1", cap=5_000)
        await charged_back(world, "ann")
        assert await shown(world, "ann") == (0, 5, 5)
        await bought(world, "guest", 2_000)
        await ledger.grant("guest", 1_000, actor="op", grant_id="gift")
        await hand_over(ledger, "guest", to="ann", actor="ann")
        assert await shown(world, "ann") == (1, 5, 3)
        await balanced(world)

    run(story())
