"""Analytics over HTTP: what is counted agrees with the pieces one by one."""

from collections import Counter
from typing import Any

import pytest

from tests.api.resources.desk import Desks
from tests.api.resources.test_pieces import every_piece


def test_analytics_agree_with_the_pieces_and_follow_them(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.cook(40)
        path = f"/api/v1/cooks/{cook}/analytics"
        await desk.end(cook, range(1, 31), duration_ms=100)
        await desk.end(cook, range(31, 36), duration_ms=900, cost_micro_usd=5_000)
        await desk.end(cook, [36, 37], error="tool_broken")
        await desk.end(cook, [38], error="timeout")
        first = (await desk.client.get(path)).json()
        assert first["approvalRate"] is None
        await desk.studio.reviewing.review(cook, "approve", pieces=list(range(1, 21)), actor="ann")
        await desk.studio.reviewing.review(cook, "reject", pieces=list(range(21, 29)), actor="ann")
        await desk.studio.reviewing.refill(cook, pieces=[21], actor="ann")
        await desk.end(cook, [41])
        body = (await desk.client.get(path)).json()
        assert body["seq"] > first["seq"]
        assert body["failures"] == [{"code": "tool_broken", "count": 2}, {"code": "timeout", "count": 1}]
        assert (body["durationMs"]["count"], body["durationMs"]["max"]) == (36, 900)
        assert body["durationMs"]["p50"] == pytest.approx(100, rel=0.01)
        assert body["costUsd"]["total"] == pytest.approx(31 * 0.001 + 5 * 0.005)
        assert body["approvalRate"] == pytest.approx(20 / 28, abs=1e-4)
        pieces = await every_piece(desk, cook)
        for trait in body["traits"]:
            wanted: Counter[tuple[str, str]] = Counter(
                (str(p["traits"][trait["trait"]]), p["state"]) for p in pieces
            )
            for value in trait["values"]:
                name = value["value"]
                assert value["approved"] == wanted[name, "approved"]
                assert value["rejected"] == wanted[name, "rejected"]
                assert value["unreviewed"] == wanted[name, "generated"]
                decided = wanted[name, "approved"] + wanted[name, "rejected"]
                rate = wanted[name, "approved"] / decided if decided else None
                assert value["approvalRate"] == pytest.approx(rate, abs=1e-4)
            assert sum(v["pieces"] for v in trait["values"]) == len(pieces)
        assert (await desk.client.get(path)).json() == body

    run(story())


def test_a_cook_of_an_earlier_system_is_counted_from_its_pieces(desks: Desks, run: Any):
    from cauldron.ports.storage import Insert

    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(3)
        store = desk.studio.store
        [status] = await store.get("cook_status", [cook])
        pieces = await store.find("pieces", {"cookId": cook}, order=("number",))

        def strip(doc: dict[str, Any]) -> dict[str, Any]:
            return {k: v for k, v in doc.items() if k != "_v"}

        copies = [strip(p) | {"_id": f"old.{p['number']}", "cookId": "old", "imported": True} for p in pieces]
        ops = [Insert("cook_status", strip(status) | {"_id": "old", "imported": True})]
        await store.commit([*ops, *[Insert("pieces", copy) for copy in copies]])
        ours = (await desk.client.get(f"/api/v1/cooks/{cook}/analytics")).json()
        theirs = (await desk.client.get("/api/v1/cooks/old/analytics")).json()
        for key in ("states", "durationMs", "costUsd", "failures"):
            assert (
                {k: v for k, v in theirs[key].items() if v} == {k: v for k, v in ours[key].items() if v}
                if isinstance(ours[key], dict)
                else theirs[key] == ours[key]
            )
        assert (await desk.client.post("/api/v1/pieces/old.1/approve")).status_code == 409
        shown = await every_piece(desk, "old", trait=f"Color={pieces[0]['traits']['Color']}")
        assert 1 in [p["number"] for p in shown]

    run(story())


def test_analytics_of_others_are_not_there(desks: Desks, run: Any):
    async def story() -> None:
        ann, bob = await desks.open("ann"), await desks.open("bob")
        cook = await ann.made(2)
        assert (await bob.client.get(f"/api/v1/cooks/{cook}/analytics")).status_code == 404

    run(story())
