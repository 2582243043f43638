"""Streams of runs: who may open one, by what, how often, and that nothing lasting stands in an address."""

import asyncio

import pytest

from cauldron.domain.invoice import LIFE_MS
from cauldron.services.stream_tickets import LIFE_MS as TICKET_MS
from tests.api.visitors.market import code


@pytest.fixture(scope="module")
def runs(opened_market):
    """Two runs of bob's."""
    market, run = opened_market

    async def begun():
        await market.publish("watched")
        return [await market.started("bob", "watched", words=each) for each in ("one", "two")]

    return run(begun())


def query(ids, ticket=None):
    return f"creditTxId={ids['creditTxId']}" + (f"&ticket={ticket}" if ticket else "")


async def ticket_of(market, ids, who="bob", slug="watched", **headers):
    return await market.asker(who).post(
        f"/api/v1/spells/{slug}/stream/ticket", json={"creditTxId": ids["creditTxId"]}, headers=headers
    )


def test_the_id_of_a_payment_alone_opens_nothing(market, run, runs):
    assert run(market.stream("nobody", "watched", query(runs[0]))) == 401
    assert run(market.stream("nobody", "watched", "")) == 401
    assert code(run(ticket_of(market, runs[0], "nobody"))) == (401, "unauthenticated")


def test_its_account_opens_it_and_another_account_finds_nothing(market, run, runs):
    assert run(market.stream("bob", "watched", query(runs[0]))) == 200
    assert run(market.stream("cora", "watched", query(runs[0]))) == 404  # hers is the spell, not the run
    assert run(market.stream("ann", "watched", query(runs[0]))) == 404  # hers is the studio
    assert run(market.stream("bob", "watched", "creditTxId=x")) == 422
    assert run(market.stream("bob", "lantern", query(runs[0]))) == 404
    assert code(run(ticket_of(market, runs[0], "cora"))) == (404, "not_found")


def test_its_invoice_opens_it_also_when_it_is_over_and_no_other(market, run, runs):
    async def story():
        bearer = {"authorization": f"Bearer {runs[0]['token']}"}
        assert await market.stream("nobody", "watched", query(runs[0]), **bearer) == 200
        market.studio.ahead_ms += 10 * LIFE_MS
        assert await market.stream("nobody", "watched", query(runs[0]), **bearer) == 200
        assert await market.stream("nobody", "watched", query(runs[1]), **bearer) == 401
        unused = (await market.quoted("bob", "watched"))["invoiceId"]
        for other in (unused, "x.y.z", "st_" + "A" * 43):
            bearer = {"authorization": f"Bearer {other}"}
            assert await market.stream("nobody", "watched", query(runs[0]), **bearer) == 401
        assert code(await ticket_of(market, runs[1], "nobody", **bearer)) == (401, "unauthenticated")

    run(story())


@pytest.mark.parametrize("by", ["account", "invoice"])
def test_a_ticket_opens_one_stream_once(market, run, runs, by):
    async def story():
        headers = {"authorization": f"Bearer {runs[0]['token']}"} if by == "invoice" else {}
        answer = await ticket_of(market, runs[0], "nobody" if by == "invoice" else "bob", **headers)
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        ticket = answer.json()["ticket"]
        assert await market.stream("nobody", "watched", query(runs[1], ticket)) == 401  # another run's
        assert await market.stream("nobody", "other", query(runs[0], "st_" + "A" * 43)) == 401
        assert await market.stream("nobody", "watched", query(runs[0], ticket)) == 200
        assert await market.stream("nobody", "watched", query(runs[0], ticket)) == 401  # again
        assert await market.stream("bob", "watched", query(runs[0], ticket)) == 200  # whose it is needs none
        assert await market.stream("cora", "watched", query(runs[0], ticket)) == 401

    run(story())


def test_of_many_with_one_ticket_one_gets_in(market, run, runs):
    async def story():
        ticket = (await ticket_of(market, runs[0])).json()["ticket"]
        asked = [market.stream("nobody", "watched", query(runs[0], ticket)) for _ in range(10)]
        assert sorted(await asyncio.gather(*asked)) == [200, *[401] * 9]

    run(story())


def test_a_ticket_is_over_after_a_minute_and_then_goes(market, run, runs):
    async def story():
        ticket = (await ticket_of(market, runs[0])).json()["ticket"]
        market.studio.ahead_ms += TICKET_MS
        assert await market.stream("nobody", "watched", query(runs[0], ticket)) == 401
        fresh = (await ticket_of(market, runs[0])).json()["ticket"]
        kept = await market.studio.store.find("stream_tickets", {})
        assert len(kept) == 1
        assert ticket not in str(kept) and fresh not in str(kept)

    run(story())


def test_a_ticket_reads_its_stream_and_opens_nothing_else(market, run, runs):
    ticket = run(ticket_of(market, runs[0])).json()["ticket"]
    for bearer in (ticket, f"ck_{ticket}"):
        answer = run(market.nobody.get("/api/v1/me", headers={"authorization": f"Bearer {bearer}"}))
        assert code(answer) == (401, "unauthenticated")
    assert run(market.nobody.get(f"/api/v1/me?ticket={ticket}")).status_code == 401
    run_id = runs[0]["runId"]
    assert run(market.nobody.get(f"/api/v1/casts/{run_id}?ticket={ticket}")).status_code == 401
