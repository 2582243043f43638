"""What holds for every request: ids, headers, bounds, problem documents, limits, shared origins."""

import asyncio
import gzip
import re

import orjson
import pytest
import structlog
from starlette.routing import Route

from cauldron.api import bounds
from cauldron.api.openapi import operations
from cauldron.domain.errors import Refused
from tests.api.foundation.town import BASE, DEFINITION, town

JSON, MADE = "application/json", "/api/v1/collections"


def body(content, kind=None):
    return {"content": content, "type": kind}


def is_problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] == code, body
    assert body["type"] == f"urn:cauldron:problem:{code}"
    assert body["title"]
    assert body["detail"]
    return body


def test_every_answer_has_an_id_and_the_security_headers(sqlite_place, run):
    for path in ("/healthz", "/api/v1/cooks", "/nowhere", "/api/v1/cooks/x"):
        answer = run(sqlite_place.ann.get(path))
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("trace-0123456789", True),
        ("short", False),
        ("x" * 65, False),
        ("a b c d e f", False),
        ("<script>1", False),
    ],
)
def test_a_sane_request_id_is_kept_and_no_other(sqlite_place, run, given, kept):
    answer = run(sqlite_place.ann.get("/healthz", headers={"x-request-id": given}))
    assert (answer.headers["x-request-id"] == given) is kept


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "no_such_route"),
        ("DELETE", "/api/v1/cooks", {}, 405, "method_not_allowed"),
        ("POST", MADE, body(b"{", JSON), 400, "malformed_json"),
        ("POST", MADE, body(b'{"a":NaN}', JSON), 400, "malformed_json"),
        ("POST", MADE, body(b"\xff", JSON), 400, "malformed_json"),
        ("POST", MADE, body(b'{"definition":{"a":1,"b":{},"a":2}}', JSON), 400, "malformed_json"),
        ("POST", MADE, body(b'{"definition":' + b"9" * 300 + b"}", JSON), 422, "invalid_request"),
        ("POST", MADE, body(b"a=1", 'text/plain'), 415, "unsupported_media_type"),
        ("POST", MADE, body(b"{}"), 415, "unsupported_media_type"),
        ("POST", MADE, body(b" " * (1 << 20) + b"{}", JSON), 413, "body_too_large"),
        ("POST", MADE, body(b"[" * 80 + b"]" * 80, JSON), 400, "json_too_deep"),
        ("POST", MADE, body(b"[]", JSON), 422, "invalid_request"),
        ("POST", MADE, body(b'{"definition":{},"owner":"x"}', JSON), 422, "invalid_request"),
        ("GET", "/api/v1/cooks?limit=true", {}, 422, "invalid_request"),
        ("GET", "/api/v1/cooks?limitt=3", {}, 422, "invalid_request"),
        ("GET", "/api/v1/version?x=", {}, 422, "invalid_request"),
        ("POST", "/internal/cook/pause?userId=x", {}, 422, "invalid_request"),
        ("GET", "/api/v1/cooks?limit=1000", {}, 422, "invalid_request"),
        ("GET", "/api/v1/cooks?cursor=%00", {}, 422, "invalid"),
        ("GET", "/" + "x" * 9000, {}, 414, "url_too_long"),
        ("GET", "/api/v1/cooks/%00", {}, 400, "malformed_path"),
    ],
)  # fmt: skip
def test_everything_that_fails_is_a_problem_document(sqlite_place, run, method, path, more, status, code):
    headers = {"content-type": more["type"]} if more.get("type") else {}
    request = sqlite_place.ann.build_request(method, path, content=more.get("content"), headers=headers)
    is_problem(run(sqlite_place.ann.send(request)), status, code)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/collections", "GET, HEAD, POST"),
        ("/api/v1/collections/x", "DELETE, GET, HEAD, PUT"),
        ("/api/v1/spells/x", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/api/v1/cooks/x/pause", "POST"),
        ("/api/v1/cooks/x/stream", "GET, HEAD"),
        ("/internal/casts/x", "PUT"),
        ("/mcp", "DELETE, GET, HEAD, POST"),
        ("/api/v1/openapi.json", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_all_right_ones(sqlite_place, run, path, allowed):
    answer = run(sqlite_place.ann.request("TRACE", path))
    is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


def test_a_body_that_is_refused_is_told_where(sqlite_place, run):
    answer = run(
        sqlite_place.ann.post("/api/v1/collections", json={"definition": {"cauldron": 1, "name": ""}})
    )
    body = is_problem(answer, 422, "invalid_document")
    assert {"name", "supply", "generator"} <= {p["path"] for p in body["problems"]}


def test_a_filter_that_is_spelled_wrong_is_named_with_the_right_ones(sqlite_place, run):
    answer = run(sqlite_place.ann.get("/api/v1/outputs?tools=text.card&limit=2"))
    [wrong] = is_problem(answer, 422, "invalid_request")["problems"]
    assert wrong["path"] == "query.tools" and "tool," in wrong["message"]
    assert run(sqlite_place.ann.get("/points?utm_source=friend")).status_code == 200, "pages are linked to"


def test_every_parameter_that_the_document_names_is_taken(sqlite_place, run):
    document = run(sqlite_place.ann.get("/api/v1/openapi.json")).json()
    asked = 0
    for path, method, operation in operations(document):
        names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
        if names:
            url = path.replace("{", "").replace("}", "")
            answer = run(sqlite_place.ann.request(method, url, params=dict.fromkeys(names, "")))
            assert "unknown_parameter" not in answer.text, (path, names)
            asked += 1
    assert asked > 8


def test_whoever_watches_is_not_asked_who_they_are(sqlite_place, run):
    """Who is asked waits for the store: a store that hangs would have a process that lives taken for dead."""

    class Silent:
        async def get(self, *_):
            await asyncio.Event().wait()

    studio = sqlite_place.studio
    kept = studio.store
    studio.store = studio.identity.register.store = Silent()
    try:
        assert run(sqlite_place.ann.get("/healthz"), timeout_s=30).json() == {"status": "alive"}
        answer = run(sqlite_place.ann.get("/readyz"), timeout_s=30)
    finally:
        studio.store = studio.identity.register.store = kept
    assert "no answer within" in is_problem(answer, 503, "not_ready")["checks"]["store"]


def test_a_body_that_is_packed_is_not_unpacked(sqlite_place, run):
    headers = {"content-type": JSON, "content-encoding": "gzip"}
    answer = run(sqlite_place.ann.post(MADE, content=gzip.compress(b"{}"), headers=headers))
    is_problem(answer, 415, "unsupported_media_type")


def test_true_is_no_number_and_unknown_fields_are_refused(sqlite_place, run):
    cook = run(sqlite_place.collection())
    for body in ({"amount": True}, {"amount": "3"}, {"amount": 3.5}, {"costUsd": 1}, {"owner": "bob"}):
        answer = run(sqlite_place.ann.post(f"/api/v1/collections/{cook}/cook/start", json=body))
        is_problem(answer, 422, "invalid_request")


def test_too_many_headers_are_refused(sqlite_place, run):
    many = {f"x-{n}": "y" for n in range(150)}
    is_problem(run(sqlite_place.ann.get("/healthz", headers=many)), 431, "headers_too_large")
    is_problem(run(sqlite_place.ann.get("/healthz", headers={"x": "y" * 40_000})), 431, "headers_too_large")


def test_head_is_get_without_a_body(sqlite_place, run):
    collection = run(sqlite_place.collection())
    for path in ("/healthz", f"/api/v1/collections/{collection}", "/api/v1/cooks", "/metrics"):
        got, head = run(sqlite_place.ann.get(path)), run(sqlite_place.ann.head(path))
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers.get("etag") == got.headers.get("etag")
    assert run(sqlite_place.ann.head("/nowhere")).status_code == 404


def test_head_of_an_endless_stream_ends(sqlite_place, run):
    cook = run(sqlite_place.started())
    answer = run(sqlite_place.ann.head(f"/api/v1/cooks/{cook}/stream"), timeout_s=10)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


async def crash(scope, receive, send):
    raise RuntimeError("the secret is in here: hunter2")


async def refuse(scope, receive, send):
    raise Refused("not now", state="resting")


def test_a_crash_says_nothing_of_what_crashed(sqlite_place, run):
    town_ = sqlite_place
    for name, raw in (("crash", crash), ("refuse", refuse)):
        town_.app.router.routes.insert(0, Route(f"/{name}", _Raw(raw)))
    answer = run(town_.ann.get("/crash"))
    is_problem(answer, 500, "internal_error")
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text
    assert is_problem(run(town_.ann.get("/refuse")), 409, "refused")["details"] == {"state": "resting"}


class _Raw:
    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        await self._app(scope, receive, send)


def test_the_page_size_is_bounded_and_cursors_lead_through(sqlite_place, run):
    made = [run(sqlite_place.collection(slug=f"c{n}", name=f"C {n}")) for n in range(5)]
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = run(sqlite_place.ann.get("/api/v1/collections", params=query)).json()
        assert len(page["items"]) <= 2
        seen += [item["collectionId"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)


def test_who_asks_too_often_is_told_when_to_come_back(home, run):
    async def story():
        async with town(home, rate_limit_reads=5, rate_limit_writes=2, rate_limit_anonymous=3) as place:
            for left in (4, 3, 2, 1, 0):
                answer = await place.ann.get("/api/v1/cooks")
                assert answer.status_code == 200
                assert answer.headers["ratelimit-policy"] == '"read";q=5;w=60'
                assert answer.headers["ratelimit"].startswith(f'"read";r={left};t=')
            refused = await place.ann.get("/api/v1/cooks")
            is_problem(refused, 429, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert (await place.bob.get("/api/v1/cooks")).status_code == 200, "limits are per credential"
            assert (await place.ann.get("/healthz")).status_code == 200
            said = [(await place.nobody.get("/api/v1/cooks")).status_code for _ in range(4)]
            assert said == [401, 401, 401, 429]

    run(story())


def test_only_named_origins_may_read_and_never_with_a_cookie(home, run):
    app = "https://app.example"

    async def story():
        async with town(home, cors_origins=[app]) as place:
            asked = {"origin": app, "access-control-request-method": "POST"}
            answer = await place.nobody.options("/api/v1/collections", headers=asked)
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == app
            assert "access-control-allow-credentials" not in answer.headers
            got = await place.ann.get("/api/v1/cooks", headers={"origin": app})
            assert got.headers["access-control-allow-origin"] == app
            assert got.headers["vary"] == "Origin"
            other = await place.ann.get("/api/v1/cooks", headers={"origin": "https://evil.example"})
            assert "access-control-allow-origin" not in other.headers
            refused = await place.nobody.options(
                "/api/v1/collections", headers=asked | {"origin": "https://evil.example"}
            )
            assert refused.status_code == 405

    run(story())


def test_no_origin_is_shared_with_by_default(sqlite_place, run):
    asked = {"origin": "https://app.example", "access-control-request-method": "GET"}
    answer = run(sqlite_place.nobody.options("/api/v1/cooks", headers=asked))
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_an_edit_names_its_version(sqlite_place, run):
    collection = run(sqlite_place.collection())
    path, body = f"/api/v1/collections/{collection}", {"definition": DEFINITION | {"supply": 6}}
    is_problem(run(sqlite_place.ann.put(path, json=body)), 428, "version_required")
    is_problem(
        run(sqlite_place.ann.put(path, json=body, headers={"if-match": '"7"'})), 412, "version_mismatch"
    )
    is_problem(run(sqlite_place.ann.put(path, json=body, headers={"if-match": "*"})), 412, "version_mismatch")
    tag = run(sqlite_place.ann.get(path)).headers["etag"]
    changed = run(sqlite_place.ann.put(path, json=body, headers={"if-match": tag}))
    assert changed.status_code == 200
    assert changed.json()["supply"] == 6
    assert changed.headers["etag"] != tag
    is_problem(run(sqlite_place.ann.put(path, json=body, headers={"if-match": tag})), 412, "version_mismatch")


def test_a_request_line_names_what_matters_and_no_secret(sqlite_place, run):
    town_ = sqlite_place
    cook = run(town_.started())
    key = town_.ann.headers["authorization"].removeprefix("Bearer ")
    canaries = [key, "canary-query", "canary-body", "canary-path", "canary-cookie"]
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        run(town_.ann.get(f"/api/v1/cooks/{cook}"))
        run(town_.ann.get("/api/v1/cooks", params={"token": "canary-query"}))
        run(town_.ann.post("/api/v1/collections", json={"definition": {"name": "canary-body"}}))
        run(town_.ann.get("/canary-path", headers={"cookie": "cauldron=canary-cookie"}))
        run(town_.nobody.post("/api/v1/session", json={"name": "ann", "password": "canary-body"}))
        run(town_.ann.get(f"/api/v1/pieces/{cook}.1"))
        run(town_.ann.get("/api/v1/outputs/g1"))
        run(town_.ann.head(f"/api/v1/cooks/{cook}/stream"))
    text = orjson.dumps(lines, default=repr).decode()
    assert not [canary for canary in canaries if canary in text]
    named = [
        (line["route"], line.get("piece_id"), line.get("generation_id"), line.get("cook_id"))
        for line in lines
        if line["event"] == "request"
    ]
    assert named[-3:] == [
        ("/api/v1/pieces/{piece_id}", f"{cook}.1", None, None),
        ("/api/v1/outputs/{output_id}", None, "g1", None),
        ("/api/v1/cooks/{id}/stream", None, None, cook),
    ]
    first = next(line for line in lines if line["event"] == "request")
    assert first["route"] == "/api/v1/cooks/{cook_id}"
    assert (first["method"], first["status"], first["cook_id"]) == ("GET", 200, cook)
    assert first["account"] == town_.users["ann"]["account"]
    assert first["request_id"]
    assert first["ms"] >= 0


def test_a_body_that_does_not_come_is_not_waited_for_without_end(sqlite_place, run, monkeypatch):
    monkeypatch.setattr(bounds, "BODY_TIME_S", 0.2)

    async def never():
        yield b"{"
        await asyncio.sleep(5)

    answer = run(
        sqlite_place.ann.post(
            f"{BASE}/api/v1/collections", content=never(), headers={"content-type": "application/json"}
        )
    )
    is_problem(answer, 408, "body_too_slow")
