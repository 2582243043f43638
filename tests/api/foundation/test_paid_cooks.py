"""Cooks with budgets and points over HTTP, on both engines: estimated, capped, paid, raised, and posted."""

from dataclasses import replace

import pytest

from cauldron.domain.tool import Costing
from cauldron.services.tools import register_tools
from tests.api.foundation.test_conventions import is_problem
from tests.api.foundation.town import DEFINITION

PRICE_MICRO_USD = 50_000  # at a thousand micro-USD a point: 50 points a piece


@pytest.fixture
def kitchen(place, run):
    """A town with a collection whose pieces cost 50 points each."""
    studio = place.studio

    async def story():
        free = studio.tools.resolve("text.card")
        tool = replace(free, version="9.0.0", costing=Costing(amount_micro_usd=PRICE_MICRO_USD))
        await register_tools(
            studio.store, [tool], owner=studio.owner, actor="t", environment="live", now_ms=studio.clock()
        )
        await studio.tools.refresh(studio.store)
        generator = DEFINITION["generator"] | {"tool": "text.card", "version": "=9.0.0"}
        place.collection_id = await place.collection(generator=generator)
        place.account = place.users["ann"]["account"]

    run(story())
    return place


async def start(town, **body):
    return await town.ann.post(f"/api/v1/collections/{town.collection_id}/cook/start", json=body)


async def grant(town, points, name="g"):
    await town.studio.workshop.ledger.grant(town.account, points * 1000, actor="op", grant_id=name)


def test_an_estimate_starts_nothing_and_says_on_what_it_rests(kitchen, run):
    async def story():
        path = f"/api/v1/collections/{kitchen.collection_id}/cook/estimate"
        told = (await kitchen.ann.post(path, json={"amount": 4})).json()
        assert told["pieces"] == 4
        assert (told["costPts"]["middle"], told["costPts"]["basis"]) == (200, "tariff")
        assert (told["seconds"]["low"], told["seconds"]["high"]) == (None, None)  # fewer than five past cooks
        assert "5 are needed" in told["seconds"]["says"]
        assert told["availablePts"] == 0
        assert (await kitchen.ann.get("/api/v1/cooks")).json()["items"] == []

    run(story())


def test_a_paid_cook_takes_what_its_pieces_cost_and_the_books_say_the_same(kitchen, run):
    async def story():
        studio = kitchen.studio
        short = is_problem(await start(kitchen, amount=4, pay=True), 402, "insufficient_points")
        assert short["details"]["missingPts"] > 0
        await grant(kitchen, 1000)
        started = await start(kitchen, amount=4, pay=True, budget={"points": 500})
        assert started.status_code == 202, started.text
        cook = started.json()["cookId"]
        status = (await kitchen.ann.get(f"/api/v1/cooks/{cook}/status")).json()
        assert status["charge"]["number"] == 1
        assert status["budget"]["points"] == 500
        async with studio.running():
            path = f"/api/v1/cooks/{cook}/status"
            await kitchen.until("ann", path, lambda s: s["state"] == "Completed")
            await kitchen.until("ann", "/api/v1/points", lambda p: p["openHolds"] == 0)
        done = (await kitchen.ann.get(path)).json()
        points = (await kitchen.ann.get("/api/v1/points")).json()
        assert done["costPts"] == 200
        assert (points["availablePts"], points["heldPts"]) == (800, 0)
        rows = (await kitchen.ann.get("/api/v1/points/statement", params={"of": "held"})).json()["items"]
        assert {row["run"] for row in rows} == {cook}
        spent = -sum(row["points"] for row in rows if row["kind"] == "PointsCaptured")
        assert spent == done["costPts"]
        assert (await studio.workshop.ledger_check.verify()).problems == []

    run(story())


def test_a_budget_is_read_raised_and_cleared_and_the_cook_goes_on(kitchen, run):
    async def story():
        started = await start(kitchen, amount=6, budget={"usd": 0.1})
        cook = started.json()["cookId"]
        path = f"/api/v1/cooks/{cook}"
        async with kitchen.studio.running():
            await kitchen.until("ann", f"{path}/status", lambda s: s["state"] == "Paused")
            told = (await kitchen.ann.get(f"{path}/budget")).json()
            assert (told["budget"]["usd"], told["budget"]["spentUsd"], told["budget"]["told"]) == (
                0.1, 0.1, [50, 80, 100],
            )  # fmt: skip
            is_problem(await kitchen.ann.post(f"{path}/resume"), 409, "refused")
            is_problem(await kitchen.ann.put(f"{path}/budget", json={}), 422, "invalid_document")
            is_problem(await kitchen.ann.put(f"{path}/budget", json={"usd": -1}), 422, "invalid_request")
            is_problem(await kitchen.ann.put(f"{path}/budget", json={"usd": 0.05}), 409, "refused")
            raised = await kitchen.ann.put(f"{path}/budget", json={"usd": 0.2})
            assert raised.json()["budget"]["usd"] == 0.2
            assert raised.json()["state"] == "Paused"
            assert (await kitchen.ann.post(f"{path}/resume")).status_code == 200
            await kitchen.until("ann", f"{path}/status", lambda s: s["state"] == "Paused")
            again = await kitchen.ann.post(f"{path}/resume", json={"budget": {"usd": 0.25}})
            assert again.json()["budget"]["usd"] == 0.25
            await kitchen.until("ann", f"{path}/status", lambda s: s["state"] == "Paused")
            cleared = await kitchen.ann.delete(f"{path}/budget")
            assert cleared.json()["budget"] is None
            await kitchen.ann.post(f"{path}/resume")
            done = await kitchen.until("ann", f"{path}/status", lambda s: s["state"] == "Completed")
        assert done["costUsd"] == pytest.approx(0.3)
        events = (await kitchen.ann.get(f"{path}/events", params={"limit": 1000})).json()["items"]
        kinds = [e["type"] for e in events if e["type"].startswith("Budget")]
        assert kinds.count("BudgetExhausted") == 3
        assert kinds.count("BudgetChanged") == 2
        is_problem(await kitchen.ann.put(f"{path}/budget", json={"usd": 9}), 409, "refused")

    run(story())


def test_without_a_price_a_paid_cook_needs_a_cap_and_bad_caps_are_refused(kitchen, run):
    async def story():
        for budget in ({}, {"points": 0}, {"points": "5"}, {"usd": 1e12}, {"points": 5, "more": 1}):
            assert (await start(kitchen, budget=budget)).status_code == 422, budget
        is_problem(await start(kitchen, pay=True, toolId="text.card"), 409, "budget_needed")

    run(story())


def test_statistics_are_worked_out_anew_for_services_alone(kitchen, run):
    async def story():
        path = "/internal/stats/invalidate"
        is_problem(await kitchen.ann.post(path), 403, "forbidden")
        is_problem(await kitchen.nobody.post(path), 401, "unauthenticated")
        is_problem(await kitchen.eve.post(path, json={"spellId": "nothing"}), 404, "not_found")
        before = kitchen.studio.clock()
        answer = await kitchen.eve.post(path)
        assert answer.status_code == 200, answer.text
        [kept] = await kitchen.studio.store.get("spell_stats", ["refreshed"])
        assert kept["at"] >= before

    run(story())
