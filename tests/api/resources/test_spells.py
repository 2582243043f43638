"""Spells, tools and casts over HTTP: drafts with versions, publishing, runs with their steps."""

import asyncio
from typing import Any

import httpx2
import jsonschema
import pytest

from cauldron.domain.errors import InvalidMany
from cauldron.domain.port_schema import schema_of
from cauldron.domain.tool import check_inputs
from cauldron.services.cooking import Wanted
from tests.api.resources.desk import Desk, Desks, png

SPELL: dict[str, Any] = {
    "cauldronSpell": 1,
    "name": "Misty card",
    "slug": "misty-card",
    "inputs": [{"name": "words", "kind": "text", "required": True}],
    "steps": [{"id": "card", "tool": "text.template", "inputs": {"template": {"input": "words"}}}],
    "output": {"step": "card"},
}


async def created(desk: Desk, document: dict[str, Any] = SPELL) -> httpx2.Response:
    answer = await desk.client.post("/api/v1/spells", json={"document": document})
    assert answer.status_code == 201, answer.text
    return answer


def test_a_draft_is_edited_only_by_who_knows_its_version(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        client = desk.client
        first = await created(desk)
        assert first.headers["etag"] == '"1"'
        path = "/api/v1/spells/misty-card"
        body = {"document": SPELL | {"name": "Clear card"}}
        assert (await client.put(path, json=body)).status_code == 428
        edited = await client.put(path, json=body, headers={"If-Match": '"1"'})
        assert (edited.status_code, edited.headers["etag"], edited.json()["name"]) == (
            200,
            '"2"',
            "Clear card",
        )
        for method, more in (
            ("PUT", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("POST", "/publish"),
            ("POST", "/unpublish"),
        ):
            sent = {"visibility": "public"} if method == "PATCH" else body if method == "PUT" else None
            stale = await client.request(method, path + more, json=sent, headers={"If-Match": '"1"'})
            assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch"), method
            absent = await client.request(method, path + more, json=sent)
            assert absent.status_code == 428, method
        opened = await client.patch(path, json={"visibility": "public"}, headers={"If-Match": '"2"'})
        assert (opened.json()["visibility"], opened.json()["revision"]) == ("public", 3)
        again = await client.post("/api/v1/spells", json={"document": SPELL})
        assert (again.status_code, again.json()["code"]) == (409, "duplicate")
        by_id = await client.get(f"/api/v1/spells/{first.json()['spellId']}")
        assert by_id.json()["revision"] == 3
        gone = await client.delete(path, headers={"If-Match": by_id.headers["etag"]})
        assert gone.status_code == 204
        assert (await client.get(path)).status_code == 404

    run(story())


def test_published_versions_never_change(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        client, path = desk.client, "/api/v1/spells/misty-card"
        tag = (await created(desk)).headers["etag"]
        one = await client.post(f"{path}/publish", headers={"If-Match": tag})
        assert (one.json()["version"], one.json()["new"]) == (1, True)
        tag = (await client.get(path)).headers["etag"]
        body = {"document": SPELL | {"name": "Second"}}
        tag = (await client.put(path, json=body, headers={"If-Match": tag})).headers["etag"]
        two = await client.post(f"{path}/publish", headers={"If-Match": tag})
        assert two.json()["version"] == 2
        listed = (await client.get(f"{path}/versions?limit=1")).json()
        rest = (await client.get(f"{path}/versions?limit=1&cursor={listed['next']}")).json()
        assert [v["version"] for v in listed["items"] + rest["items"]] == [2, 1]
        first = (await client.get(f"{path}/versions/1")).json()
        assert first["document"]["name"] == "Misty card"
        assert (await client.get(f"{path}/versions/3")).status_code == 404

    run(story())


def test_what_is_wrong_with_a_spell_is_listed(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        broken = SPELL | {"steps": [{"id": "card", "tool": "no.such", "inputs": {}}]}
        checked = (await desk.client.post("/api/v1/spells/validate", json={"document": broken})).json()
        assert not checked["ok"]
        assert checked["problems"][0]["path"].startswith("steps[card]")
        fine = (await desk.client.post("/api/v1/spells/validate", json={"document": SPELL})).json()
        assert fine["ok"]
        assert fine["inputSchema"]["required"] == ["words"]
        draft = await created(desk, broken)
        assert draft.json()["problems"]
        tried = await desk.client.post("/api/v1/spells/misty-card/publish", headers={"If-Match": '"1"'})
        assert tried.status_code == 422
        malformed = await desk.client.post("/api/v1/spells", json={"document": {"cauldronSpell": 9}})
        assert malformed.status_code == 422
        assert malformed.json()["problems"]

    run(story())


def test_a_schema_admits_what_the_tool_takes(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        first = (await desk.client.get("/api/v1/tools?limit=3")).json()
        found = list(first["items"])
        while first["next"]:
            first = (await desk.client.get(f"/api/v1/tools?limit=3&cursor={first['next']}")).json()
            found += first["items"]
        ids = [tool["toolId"] for tool in found]
        assert ids == sorted({tool.id for tool in desk.studio.tools.all()})
        shown = (await desk.client.get("/api/v1/tools/text.card")).json()
        jsonschema.Draft202012Validator.check_schema(shown["inputSchema"])
        assert shown["inputSchema"]["required"] == ["text"]
        assert (await desk.client.get("/api/v1/tools/no.such")).status_code == 404
        for tool in desk.studio.tools.all():
            schema = schema_of(tool.inputs, title=tool.id)
            jsonschema.Draft202012Validator.check_schema(schema)
            empty: dict[str, Any] = {}
            try:
                check_inputs(tool, empty)
                takes = True
            except InvalidMany:
                takes = False
            assert jsonschema.Draft202012Validator(schema).is_valid(empty) is takes, tool.id

    run(story())


async def ended(desk: Desk, cast: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            doc = (await desk.client.get(f"/api/v1/casts/{cast}")).json()
            if doc["status"] != "running":
                return doc
            await asyncio.sleep(0.02)


def test_a_cast_runs_once_for_one_key_and_shows_its_steps(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        tag = (await created(desk)).headers["etag"]
        unpublished = await desk.client.post("/api/v1/casts", json={"spell": "misty-card"})
        assert unpublished.status_code == 404
        await desk.client.post("/api/v1/spells/misty-card/publish", headers={"If-Match": tag})
        body = {"spell": "misty-card", "inputs": {"words": "good morning"}}
        answers = await asyncio.gather(
            *(
                desk.client.post("/api/v1/casts", json=body, headers={"Idempotency-Key": "k"})
                for _ in range(5)
            )
        )
        assert {a.status_code for a in answers} <= {202, 409}
        runs = {a.json()["castId"] for a in answers if a.status_code == 202}
        assert len(runs) == 1
        first = next(a.json() for a in answers if a.status_code == 202)
        assert first["runId"] == first["castId"]
        assert first["creditTxId"]
        async with desk.studio.running():
            done = await ended(desk, first["castId"])
        assert done["status"] == "completed"
        assert done["outputs"] == {"text": "good morning"}
        assert [step["toolId"] for step in done["steps"]] == ["text.template"]
        assert done["steps"][0]["castId"] == first["castId"]
        listed = (await desk.client.get("/api/v1/casts?status=completed")).json()
        assert [c["castId"] for c in listed["items"]] == [first["castId"]]

    run(story())


def test_a_tool_is_cast_with_an_upload_and_its_picture_can_be_read(desks: Desks, run: Any):
    async def story() -> None:
        ann, bob = await desks.open("ann"), await desks.open("bob")
        sent = await ann.client.post("/api/v1/uploads", files=[("file", ("a.png", png("plum", 20)))])
        ref = sent.json()["items"][0]["ref"]
        body = {"tool": "static.media", "inputs": {"media": [ref]}}
        foreign = await bob.client.post("/api/v1/casts", json=body)
        assert foreign.status_code == 422
        assert foreign.json()["problems"][0]["path"] == "inputs.media[0]"
        started = (await ann.client.post("/api/v1/casts", json=body)).json()
        async with ann.studio.running():
            done = await ended(ann, started["castId"])
        assert done["outputs"]["media"]["media"] == ref["media"]
        picture = f"/api/v1/outputs/{done['steps'][0]['outputId']}/media/media"
        assert (await ann.client.get(picture)).status_code == 200
        for path in (f"/api/v1/casts/{started['castId']}", picture):
            assert (await bob.client.get(path)).status_code == 404
        assert (await bob.client.post(f"/api/v1/casts/{started['castId']}/cancel")).status_code == 404
        assert (await bob.client.get("/api/v1/casts")).json()["items"] == []

    run(story())


def test_a_cast_is_cancelled_once(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        body = {"tool": "text.template", "inputs": {"template": "x"}}
        cast = (await desk.client.post("/api/v1/casts", json=body)).json()["castId"]
        for _ in range(2):
            answer = await desk.client.post(f"/api/v1/casts/{cast}/cancel")
            assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")

    run(story())


TEMPLATE: dict[str, Any] = {"tool": "text.template", "inputs": {"template": "x"}}
STRANGE = {"media": [{"media": "sha256:x", "mime": "a/b"}]}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "spell"),
        ({"spell": "a", "tool": "b"}, "spell"),
        ({"tool": "text.template", "inputs": {}}, "text-template.template"),
        ({"tool": "text.template", "inputs": {"template": 3}}, "text-template.template"),
        (TEMPLATE | {"costUsd": 0}, "costUsd"),
        ({"tool": "static.media", "inputs": STRANGE}, "inputs.media[0]"),
        (TEMPLATE | {"callbackUrl": "https://u:p@example.com/"}, "callbackUrl"),
        (TEMPLATE | {"callbackUrl": "http://example.com/"}, "callbackUrl"),
    ],
)  # fmt: skip
def test_a_malformed_cast_names_the_field(body: dict[str, Any], path: str, desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        answer = await desk.client.post("/api/v1/casts", json=body)
        assert answer.status_code == 422, answer.text
        assert path in [p["path"] for p in answer.json()["problems"]], answer.text

    run(story())


def test_casts_inside_a_cook_can_be_read_and_not_cancelled(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.studio.collecting.save(
            {
                "cauldron": 1, "name": "Inner", "slug": "inner", "supply": 3, "seed": "s",
                "generator": {"spell": SPELL, "inputs": {"words": "[[Word]]"}},
                "categories": [{"name": "Word", "options": [{"name": n} for n in "abcd"]}],
            },
            caller=desk.studio.caller,
        )  # fmt: skip
        started = await desk.studio.cooking.start(
            Wanted(collection_id=cook["_id"]), caller=desk.studio.caller
        )
        await desk.end(started.cook_id, [1, 2, 3])
        inner = (await desk.client.get(f"/api/v1/casts?cookId={started.cook_id}&limit=2")).json()
        rest = (
            await desk.client.get(f"/api/v1/casts?cookId={started.cook_id}&cursor={inner['next']}")
        ).json()
        ids = [c["castId"] for c in inner["items"] + rest["items"]]
        assert sorted(ids) == [f"{started.cook_id}.{n}.1" for n in (1, 2, 3)]
        assert (await desk.client.get("/api/v1/casts")).json()["items"] == []
        one = (await desk.client.get(f"/api/v1/casts/{ids[0]}")).json()
        assert [s["castId"] for s in one["steps"]] == [ids[0]]
        assert (await desk.client.post(f"/api/v1/casts/{ids[0]}/cancel")).status_code == 409

    run(story())
