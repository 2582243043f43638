"""A request with an Idempotency-Key is carried out once, whatever happens in between."""

import asyncio

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cauldron.services.replaying import InFlight, Kept, KeyReused, Replays
from tests.api.foundation.test_conventions import is_problem
from tests.api.foundation.town import DEFINITION
from tests.kitchen import SteppingClock

KEY = {"idempotency-key": "once-and-only"}


def test_the_first_answer_is_given_again_with_status_and_headers(place, run):
    body = {"definition": DEFINITION}
    first = run(place.ann.post("/api/v1/collections", json=body, headers=KEY))
    again = run(place.ann.post("/api/v1/collections", json=body, headers=KEY))
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replay" not in first.headers
    assert again.headers["idempotent-replay"] == "true"
    assert again.content == first.content
    for name in ("etag", "location", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert len(run(place.ann.get("/api/v1/collections")).json()["items"]) == 1


def test_another_body_another_path_another_account(place, run):
    run(place.ann.post("/api/v1/collections", json={"definition": DEFINITION}, headers=KEY))
    other = run(
        place.ann.post("/api/v1/collections", json={"definition": DEFINITION | {"supply": 3}}, headers=KEY)
    )
    is_problem(other, 422, "idempotency_key_reused")
    path = run(place.ann.post("/api/v1/collections/validate", json={"definition": DEFINITION}, headers=KEY))
    is_problem(path, 422, "idempotency_key_reused")
    assert (
        run(place.bob.post("/api/v1/collections", json={"definition": DEFINITION}, headers=KEY)).status_code
        == 201
    )


@pytest.mark.parametrize("key", ["", "x" * 256, "käse".encode(), "a\tb"])
def test_a_malformed_key_is_refused(sqlite_place, run, key):
    answer = run(
        sqlite_place.ann.post(
            "/api/v1/collections", json={"definition": DEFINITION}, headers={"idempotency-key": key}
        )
    )
    is_problem(answer, 400, "malformed_idempotency_key")


def test_a_hundred_at_once_have_one_effect(place, run):
    collection = run(place.collection())
    path = f"/api/v1/collections/{collection}/cook/start"

    async def story():
        return await asyncio.gather(
            *(place.ann.post(path, json={"amount": 2}, headers=KEY) for _ in range(100))
        )

    answers = run(story(), timeout_s=60)
    assert {a.status_code for a in answers} <= {202, 409}
    done = [a for a in answers if a.status_code == 202]
    assert done
    assert len({a.json()["cookId"] for a in done}) == 1
    assert len(run(place.ann.get("/api/v1/cooks")).json()["items"]) == 1
    [row] = [
        row
        for row in run(place.ann.get(f"/api/v1/cooks/{done[0].json()['cookId']}/events")).json()["items"]
        if row["type"] == "CookStarted"
    ]
    assert row["payload"]["amount"] == 2


def test_the_same_key_without_the_layer_meets_the_same_command(place, run):
    """What protects when a server dies between the command and the keeping of its answer."""
    collection = run(place.collection())
    path = f"/api/v1/collections/{collection}/cook/start"
    first = run(place.ann.post(path, json={"amount": 2}, headers=KEY)).json()
    run(place.ann.post(f"/api/v1/cooks/{first['cookId']}/stop"))

    async def forget():
        [doc] = [d for d in await place.studio.store.find("answers", {}) if d["state"] == "done"][-1:]
        from cauldron.ports.storage import Delete

        await place.studio.store.commit([Delete("answers", doc["_id"])])

    run(forget())
    again = run(place.ann.post(path, json={"amount": 2}, headers=KEY))
    assert again.json()["cookId"] == first["cookId"]
    assert "idempotent-replay" not in again.headers


def test_an_answer_that_failed_or_was_refused_for_the_moment_leaves_the_key_free(sqlite_place, run):
    calls = []

    async def flaky(scope, receive, send):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("no")
        await Response("{}", status_code=503 if len(calls) == 2 else 200, media_type="application/json")(
            scope, receive, send
        )

    sqlite_place.app.router.routes.insert(0, Route("/flaky", _Raw(flaky), methods=["POST"]))
    said = [run(sqlite_place.ann.post("/flaky", headers=KEY)).status_code for _ in range(4)]
    assert said == [500, 503, 200, 200]
    assert len(calls) == 3


def test_a_secret_is_given_once_and_a_large_answer_is_made_again(sqlite_place, run):
    calls = []

    async def secret(scope, receive, send):
        calls.append("secret")
        await Response("{}", headers={"cache-control": "no-store"})(scope, receive, send)

    async def large(scope, receive, send):
        calls.append("large")
        await StreamingResponse(iter([b"x" * 100_000] * 4))(scope, receive, send)

    for name, raw in (("secret", secret), ("large", large)):
        sqlite_place.app.router.routes.insert(0, Route(f"/{name}", _Raw(raw), methods=["POST"]))
    assert run(sqlite_place.ann.post("/secret", headers=KEY)).status_code == 200
    is_problem(run(sqlite_place.ann.post("/secret", headers=KEY)), 409, "idempotency_answer_withheld")
    other = {"idempotency-key": "another-key"}
    for _ in range(2):
        assert len(run(sqlite_place.ann.post("/large", headers=other)).content) == 400_000
    assert calls == ["secret", "large", "large"]


class _Raw:
    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        await self._app(scope, receive, send)


def test_a_key_in_flight_is_told_so_and_a_dead_one_is_free_after_its_lease(place, run):
    clock = SteppingClock()
    replays = Replays(place.studio.store, clock=clock, new_id=place.studio.new_id)

    async def story():
        ticket = await replays.begin("a", "k", fingerprint="f")
        with pytest.raises(InFlight):
            await replays.begin("a", "k", fingerprint="f")
        with pytest.raises(KeyReused):
            await replays.begin("a", "k", fingerprint="other")
        clock.pass_ms(31_000)  # its server died
        second = await replays.begin("a", "k", fingerprint="f")
        await replays.keep(ticket, Kept(status=200, headers=(), body="late"))  # the dead one was only slow
        with pytest.raises(InFlight):
            await replays.begin("a", "k", fingerprint="f")
        kept = Kept(status=201, headers=(("etag", '"1"'),), body="{}")
        await replays.keep(second, kept)
        assert await replays.begin("a", "k", fingerprint="f") == kept
        clock.pass_ms(24 * 3600 * 1000 + 1)
        assert await replays.forget() >= 1
        assert not isinstance(await replays.begin("a", "k", fingerprint="other"), Kept)

    run(story())
