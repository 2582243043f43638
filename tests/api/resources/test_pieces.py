"""Pieces over HTTP: lists, the review queue, decisions one by one and in bulk."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.api.resources.desk import COLORS, Desk, Desks


async def every_piece(desk: Desk, cook: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = params | ({"cursor": cursor} if cursor else {})
        answer = await desk.client.get(f"/api/v1/cooks/{cook}/pieces", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def test_pages_of_pieces_join_up_and_filters_leave_what_fits(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(40)
        await desk.client.post(f"/api/v1/pieces/{cook}.7/reject", json={"reason": "too dark"})
        whole = await every_piece(desk, cook, limit=7)
        assert [p["number"] for p in whole] == list(range(1, 41))
        assert whole[6]["reviewReason"] == "too dark"
        rejected = await every_piece(desk, cook, state="rejected")
        assert [p["number"] for p in rejected] == [7]
        some = await every_piece(desk, cook, **{"from": 5, "to": 9, "state": "generated", "limit": 2})
        assert [p["number"] for p in some] == [5, 6, 8, 9]
        by_color: Counter[str] = Counter(p["traits"]["Color"] for p in whole)
        for color in COLORS:
            shown = await every_piece(desk, cook, trait=f"Color={color}", limit=3)
            assert len(shown) == by_color[color]
            assert {p["traits"]["Color"] for p in shown} <= {color}
        both = await every_piece(desk, cook, trait=["Color=red", "Mood=wild"], state="generated")
        wanted = [
            p["number"]
            for p in whole
            if (p["traits"]["Color"], p["traits"]["Mood"], p["state"]) == ("red", "wild", "generated")
        ]
        assert [p["number"] for p in both] == wanted
        serial = whole[11]["traits"]["Serial"]
        assert [p["number"] for p in await every_piece(desk, cook, trait=f"Serial={serial}")] == [12]
        assert await every_piece(desk, cook, trait="Color=mauve") == []

    run(story())


def test_a_page_stays_where_it_was_while_pieces_are_added(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.cook(20)
        await desk.end(cook, [2, 4, 6, 8])
        first = (await desk.client.get(f"/api/v1/cooks/{cook}/pieces?limit=2")).json()
        await desk.end(cook, [1, 3, 5])
        rest = await every_piece(desk, cook, cursor=first["next"])
        assert [p["number"] for p in first["items"]] == [2, 4]
        assert [p["number"] for p in rest] == [5, 6, 8]

    run(story())


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=101", "limit=true", "from=0", "state=queued", "state=", "trait=Hat", "trait==x",
        "cursor=abc", "cursor=WzEsMl0", "cursor=W10", "from=99999999999", "&".join(["trait=a=b"] * 11),
    ],
)  # fmt: skip
def test_a_malformed_query_is_refused(query: str, desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.cook(2)
        answer = await desk.client.get(f"/api/v1/cooks/{cook}/pieces?{query}")
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    run(story())


def test_another_account_sees_nothing_and_decides_nothing(desks: Desks, run: Any):
    async def story() -> None:
        ann, bob = await desks.open("ann"), await desks.open("bob")
        cook = await ann.made(3)
        client = bob.client
        answers = [
            await client.get(f"/api/v1/cooks/{cook}/pieces"),
            await client.get(f"/api/v1/pieces/{cook}.1"),
            await client.post(f"/api/v1/cooks/{cook}/review/pop"),
            await client.post(f"/api/v1/cooks/{cook}/review/release"),
            *[
                await client.post(f"/api/v1/pieces/{cook}.1/{verb}")
                for verb in ("approve", "reject", "cull", "keep", "revive", "reset", "reroll")
            ],
        ]
        assert {a.status_code for a in answers} == {404}
        missing = await client.get("/api/v1/pieces/nobody.1")
        theirs = await client.get(f"/api/v1/pieces/{cook}.1")
        assert missing.json()["detail"].replace("nobody", cook) == theirs.json()["detail"]
        bulk = await client.post(
            "/api/v1/pieces/bulk", json={"items": [{"pieceId": f"{cook}.1", "decision": "approve"}]}
        )
        assert bulk.status_code == 207
        assert bulk.json()["items"][0]["status"] == 404
        assert {p["state"] for p in await every_piece(ann, cook)} == {"generated"}

    run(story())


def test_every_decision_and_what_it_leads_to(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(4)
        path = f"/api/v1/pieces/{cook}.1"

        async def decide(verb: str, status: int = 200) -> str:
            answer = await desk.client.post(f"{path}/{verb}")
            assert answer.status_code == status, answer.text
            return answer.json().get("state", answer.json().get("code"))

        assert await decide("cull", 409) == "refused"
        assert await decide("approve") == "approved"
        assert await decide("approve") == "approved"
        assert await decide("keep") == "kept"
        assert await decide("cull") == "culled"
        assert await decide("revive") == "kept"
        assert await decide("reset") == "generated"
        assert await decide("reroll", 409) == "refused"
        assert await decide("reject") == "rejected"
        answer = await desk.client.post(f"{path}/reroll", json={"same": True})
        assert (answer.status_code, answer.json()) == (202, {"queued": 1})
        status = await desk.studio.cooking.status(cook)
        assert (status["queued"], status["rejected"]) == (1, 1)

    run(story())


def test_two_reviewers_at_once_never_get_the_same_piece(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(100)
        record = (await desk.studio.store.get("cook_status", [cook]))[0]
        queue = desk.studio.workshop.review_queue
        handed = await asyncio.gather(
            *(queue.pop(record, reviewer=f"r{n}", limit=15) for n in range(8)), return_exceptions=True
        )
        numbers = [p["number"] for each in handed for p in each.pieces]
        assert len(numbers) == len(set(numbers))
        rest = await queue.pop(record, reviewer="late", limit=100)
        assert sorted([*numbers, *[p["number"] for p in rest.pieces]]) == list(range(1, 101))

    run(story())


def test_pieces_come_back_when_released_decided_or_late(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(6)
        base = f"/api/v1/cooks/{cook}/review"

        async def pop(**body: Any) -> list[int]:
            answer = await desk.client.post(f"{base}/pop", json=body)
            assert answer.status_code == 200, answer.text
            return [p["number"] for p in answer.json()["items"]]

        assert await pop(limit=3) == [1, 2, 3]
        assert await pop(limit=2) == [4, 5]
        assert await pop(limit=4, again=True) == [1, 2, 3, 4]
        answer = await desk.client.post(f"{base}/release", json={"pieces": [f"{cook}.2", f"{cook}.4", "x"]})
        assert answer.json() == {"released": 2}
        await desk.client.post(f"/api/v1/pieces/{cook}.2/approve")
        assert await pop() == [4, 6]
        assert (await desk.client.post(f"{base}/release")).json() == {"released": 5}
        queue = desk.studio.workshop.review_queue
        queue.lease_ms = -1  # over before it begins
        assert await pop() == [1, 3, 4, 5, 6]
        queue.lease_ms = 60_000
        assert await pop(limit=2) == [1, 3]
        assert (
            await desk.studio.store.find(
                "review_leases", {"cookId": cook, "reviewer": "nobody"}, order=("number",)
            )
            == []
        )

    run(story())


@pytest.mark.parametrize(
    "body", [{"limit": 101}, {"limit": 0}, {"limit": True}, {"limits": 4}, {"limit": "4"}]
)
def test_a_pop_of_too_many_is_refused(body: dict[str, Any], desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.cook(2)
        answer = await desk.client.post(f"/api/v1/cooks/{cook}/review/pop", json=body)
        assert answer.status_code == 422

    run(story())


def test_a_bulk_of_decisions_is_one_commit_and_each_has_its_result(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(5)
        before = len(await desk.commits(cook))
        items = [
            {"pieceId": f"{cook}.1", "decision": "approve"},
            {"pieceId": f"{cook}.2", "decision": "reject", "reason": "blurred"},
            {"pieceId": f"{cook}.3", "decision": "cull"},
            {"pieceId": f"{cook}.1", "decision": "cull"},
            {"pieceId": f"{cook}.9", "decision": "approve"},
        ]
        answer = await desk.client.post("/api/v1/pieces/bulk", json={"items": items})
        assert answer.status_code == 207
        body = answer.json()
        assert [i["status"] for i in body["items"]] == [200, 200, 409, 200, 404]
        assert [i["changed"] for i in body["items"]] == [True, True, False, True, False]
        assert body["items"][2]["error"]["code"] == "refused"
        assert body["changed"] == 3
        assert len(await desk.commits(cook)) == before + 1
        states = {p["number"]: p["state"] for p in await every_piece(desk, cook)}
        assert states == {1: "culled", 2: "rejected", 3: "generated", 4: "generated", 5: "generated"}
        whole = await desk.client.post("/api/v1/pieces/bulk", json={"items": items[3:4]})
        assert (whole.status_code, whole.json()["changed"]) == (200, 0)

    run(story())


def test_a_bulk_holds_at_most_fifty_and_says_nothing_twice_for_one_key(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(51)
        items = [{"pieceId": f"{cook}.{n}", "decision": "approve"} for n in range(1, 52)]
        assert (await desk.client.post("/api/v1/pieces/bulk", json={"items": items})).status_code == 422
        assert (await desk.client.post("/api/v1/pieces/bulk", json={"items": []})).status_code == 422
        headers = {"Idempotency-Key": "again"}
        answers = await asyncio.gather(
            *(
                desk.client.post("/api/v1/pieces/bulk", json={"items": items[:50]}, headers=headers)
                for _ in range(5)
            )
        )
        assert {a.status_code for a in answers} <= {200, 409}
        approvals = [
            e for c in await desk.commits(cook) for e in c["events"] if e["type"] == "PiecesReviewed"
        ]
        assert len(approvals) == 50

    run(story())


def test_a_decision_that_is_sent_again_is_not_taken_again(desks: Desks, run: Any):
    from cauldron.services.reviewing import Decision

    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(2)
        approve = [Decision(piece=1, decision="approve")]
        assert await desk.studio.reviewing.decide(cook, approve, actor="ann", key="k") == [1]
        await desk.client.post(f"/api/v1/pieces/{cook}.1/reset")
        assert await desk.studio.reviewing.decide(cook, approve, actor="ann", key="k") == [1]
        piece = (await desk.client.get(f"/api/v1/pieces/{cook}.1")).json()
        assert piece["state"] == "generated"

    run(story())
