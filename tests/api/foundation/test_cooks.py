"""Collections and cooks over HTTP, from the first document to the last event, on both engines."""

import asyncio

import pytest

from tests.api.foundation.test_conventions import is_problem
from tests.api.foundation.town import DEFINITION


def test_a_collection_is_made_changed_cloned_and_taken_away(place, run):
    collection = run(place.collection())
    path = f"/api/v1/collections/{collection}"
    is_problem(run(place.ann.post("/api/v1/collections", json={"definition": DEFINITION})), 409, "duplicate")
    copy = run(place.ann.post(f"{path}/clone"))
    assert copy.status_code == 201
    assert copy.json()["name"] == "Lanterns copy"
    assert copy.json()["definition"]["categories"] == DEFINITION["categories"]
    assert run(place.ann.post(f"{path}/clone")).json()["name"] == "Lanterns copy 2"
    cook = run(place.ann.post(f"{path}/cook/start", json={"amount": 2})).json()["cookId"]
    refused = is_problem(run(place.ann.delete(path)), 409, "refused")
    assert refused["details"]["active"] == cook
    run(place.ann.post(f"/api/v1/cooks/{cook}/stop"))
    is_problem(run(place.ann.delete(path, headers={"if-match": '"9"'})), 412, "version_mismatch")
    assert run(place.ann.delete(path)).status_code == 204
    is_problem(run(place.ann.get(path)), 404, "not_found")
    assert run(place.ann.get(f"/api/v1/cooks/{cook}")).status_code == 200, "what was cooked stays"


def test_a_file_on_the_server_cannot_be_named(place, run):
    definition = DEFINITION | {
        "generator": {"tool": "compose", "inputs": {"layers": [{"image": "/etc/passwd"}]}}
    }
    answer = run(place.ann.post("/api/v1/collections/validate", json={"definition": definition}))
    assert [p["code"] for p in answer.json()["problems"]] == ["not_stored"]
    digest = "sha256:" + "0" * 64
    definition["generator"]["inputs"]["layers"] = [
        {"image": {"media": digest, "mime": "image/png", "sizeBytes": 1}}
    ]
    answer = run(place.ann.post("/api/v1/collections", json={"definition": definition}))
    assert is_problem(answer, 422, "invalid_document")["problems"][0]["code"] in (
        "media_missing",
        "no_such_media",
    )


def test_what_a_collection_will_give_is_told_before_it_is_cooked(place, run):
    collection = run(place.collection())
    path = f"/api/v1/collections/{collection}"
    assert run(place.ann.get(f"{path}/count")).json() == {"combinations": 12, "exact": True}
    body = {"definition": DEFINITION}
    assert run(place.ann.post("/api/v1/collections/count", json=body)).json()["combinations"] == 12
    plan = run(place.ann.post(f"{path}/plan", json={"supply": 8, "rows": 3})).json()
    assert (plan["pieces"], plan["unique"], len(plan["rows"])) == (8, 8, 3)
    assert set(plan["rows"][0]["traits"]) == {"Ground", "Light"}
    assert {c["category"] for c in plan["forecast"]["categories"]} == {"Ground", "Light"}
    infeasible = run(place.ann.post(f"{path}/plan", json={"supply": 13}))
    assert is_problem(infeasible, 409, "infeasible")["details"]["reasons"]


def test_one_piece_with_chosen_traits_is_really_made(place, run):
    collection = run(place.collection())

    async def story():
        async with place.studio.running():
            body = {"traits": {"Light": "Moon", "Ground": "Clay"}}
            made = (await place.ann.post(f"/api/v1/collections/{collection}/test", json=body)).json()
            assert made["traits"] == {"Ground": "Clay", "Light": "Moon"}
            assert made["allowed"] is True
            path = f"/api/v1/casts/{made['castId']}"
            return await place.until("ann", path, lambda cast: cast["status"] != "running")

    cast = run(story())
    assert cast["status"] == "completed"
    strange = {"traits": {"Light": "Lava", "Nose": "x"}}
    answer = run(place.ann.post(f"/api/v1/collections/{collection}/test", json=strange))
    problems = is_problem(answer, 422, "invalid_document")["problems"]
    assert {p["code"] for p in problems} == {"unknown_option", "unknown_category"}


def test_a_cook_from_start_to_end(place, run):
    cook = run(place.cooked())
    body = run(place.ann.get(f"/api/v1/cooks/{cook}")).json()
    assert (body["status"]["state"], body["status"]["generationCount"]) == ("Completed", 12)
    summary = body["summary"]
    assert (summary["percent"], summary["done"], summary["total"]) == (100.0, 12, 12)
    assert summary["counts"]["unreviewed"] == 12
    assert summary["cost"]["known"] is True
    assert summary["cost"]["sources"]
    assert summary["failures"] == []
    newest = run(place.ann.get(f"/api/v1/collections/{body['status']['collectionId']}/cook/status")).json()
    assert newest == run(place.ann.get(f"/api/v1/cooks/{cook}/status")).json()
    listed = run(place.ann.get("/api/v1/cooks", params={"active": "false"})).json()["items"]
    assert [item["cookId"] for item in listed] == [cook]
    assert run(place.ann.get("/api/v1/cooks", params={"active": "true"})).json()["items"] == []
    assert "owner" not in listed[0]


def test_the_log_is_read_in_pages_without_a_gap_or_a_double(place, run):
    cook = run(place.cooked())
    path = f"/api/v1/cooks/{cook}/events"
    whole = run(place.ann.get(path, params={"limit": 1000})).json()
    assert whole["next"] is None
    for size in (1, 5, 7):
        rows, cursor = [], None
        while True:
            query = {"limit": size} | ({"cursor": cursor} if cursor else {})
            page = run(place.ann.get(path, params=query)).json()
            assert 1 <= len(page["items"]) <= size
            rows += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        assert rows == whole["items"]
    types = [row["type"] for row in whole["items"]]
    assert types.count("PieceQueued") == 12
    assert types.count("PieceGenerated") == 12
    assert (types[0], types[-1]) == ("CookStarted", "CookCompleted")


def test_a_cook_is_steered_and_who_steers_sees_it_at_once(place, run):
    cook = run(place.started())
    path = f"/api/v1/cooks/{cook}"

    async def story():
        for verb, state in (
            ("pause", "Paused"),
            ("resume", "Cooking"),
            ("stop", "Stopped"),
            ("resume", "Cooking"),
        ):
            assert (await place.ann.get(f"{path}/status")).status_code == 200  # so that it is kept
            answer = await place.ann.post(f"{path}/{verb}", json={"reason": "tea"})
            assert answer.json()["state"] == state
            assert (await place.ann.get(f"{path}/status")).json()["state"] == state
        return await place.ann.post(f"{path}/refill")

    is_problem(run(story()), 409, "refused")
    again = run(place.ann.post(f"/api/v1/collections/{status(place, run, cook)['collectionId']}/cook/start"))
    assert again.json() == {
        "cookId": cook,
        "collectionId": status(place, run, cook)["collectionId"],
        "fresh": False,
    }


def status(place, run, cook):
    return run(place.ann.get(f"/api/v1/cooks/{cook}/status")).json()


def test_the_status_kept_at_hand_is_the_callers_own(place, run):
    cook = run(place.started())
    collection = status(place, run, cook)["collectionId"]

    async def story():
        for _ in range(3):
            assert (await place.ann.get(f"/api/v1/collections/{collection}/cook/status")).status_code == 200
            for path in (f"/api/v1/collections/{collection}/cook/status", f"/api/v1/cooks/{cook}/status"):
                answer = await place.bob.get(path)
                assert is_problem(answer, 404, "not_found")
                assert (await place.nobody.get(path)).status_code == 401

    run(story())


def test_another_tool_may_take_the_generators_place_for_one_cook(place, run):
    collection = run(place.collection())
    path = f"/api/v1/collections/{collection}/cook/start"
    is_problem(run(place.ann.post(path, json={"toolId": "no.such.tool"})), 404, "unknown_tool")
    both = run(place.ann.post(path, json={"toolId": "text.card", "spellId": "x"}))
    is_problem(both, 422, "invalid_document")
    is_problem(run(place.ann.post(path, json={"spellId": "nobodys"})), 404, "not_found")
    cook = run(place.ann.post(path, json={"toolId": "text.card", "amount": 1})).json()["cookId"]
    [row] = run(place.ann.get(f"/api/v1/cooks/{cook}/events", params={"limit": 1})).json()["items"]
    assert row["payload"]["generator"] == {"kind": "tool", "id": "text.card"}


@pytest.mark.parametrize("cursor", ["!", "eA", "WzEsMl0x", "W3RydWUsMV0", "WzAsMF0", "Wy0xLDBd"])
def test_a_foreign_cursor_is_refused(sqlite_place, run, cursor):
    cook = run(sqlite_place.started())
    answer = run(sqlite_place.ann.get(f"/api/v1/cooks/{cook}/events", params={"cursor": cursor}))
    is_problem(answer, 422, "invalid")


def test_a_rush_for_the_status_of_one_cook_is_one_look_at_it(sqlite_place, run):
    cook = run(sqlite_place.started())
    hot = sqlite_place.studio.hot_status
    looks = []
    inner = hot._look

    async def counted(*args):
        looks.append(args)
        return await inner(*args)

    hot._look = counted

    async def story():
        return await asyncio.gather(
            *(sqlite_place.ann.get(f"/api/v1/cooks/{cook}/status") for _ in range(50))
        )

    assert {answer.status_code for answer in run(story())} == {200}
    assert len(looks) < 5
