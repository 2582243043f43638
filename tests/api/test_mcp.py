"""Agents, through the official client over a real server: they cast, cook, look at pieces and decide."""

import base64
import io
from contextlib import asynccontextmanager

import httpx2
import orjson
import pytest
from PIL import Image

from tests.api.live.live_world import open_studio, owner_key, serving

mcp = pytest.importorskip("mcp", reason="the extra mcp is not installed")

CARDS = {
    "cauldron": 1,
    "name": "Cards",
    "supply": 3,
    "generator": {"tool": "text.card", "inputs": {"text": "[[Word]]"}},
    "categories": [{"name": "Word", "options": [{"name": n} for n in ("moss", "slate", "clay")]}],
}
SPELL = {
    "cauldronSpell": 1,
    "name": "Greeting",
    "slug": "greeting",
    "inputs": [{"name": "words", "kind": "text", "required": True}],
    "steps": [{"id": "say", "tool": "text.template", "inputs": {"template": {"input": "words"}}}],
    "output": {"step": "say"},
}


@asynccontextmanager
async def agent(port: int, key: str):
    """A session of the official client."""
    from mcp.client.session import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30)
    transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
    async with http, transport as streams, ClientSession(*streams[:2]) as session:
        await session.initialize()
        yield session


def text_of(result) -> str:
    return next(each.text for each in result.content if each.type == "text")


def test_an_agent_cooks_looks_at_pieces_and_decides(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port, studio.running():
            _, _, key = await owner_key(studio)
            collection = (await studio.collecting.save(CARDS, caller=studio.caller))["_id"]
            async with agent(port, key) as session:
                names = {tool.name for tool in (await session.list_tools()).tools}
                assert {"list_spells", "cast_spell", "start_cook", "watch_cook"} <= names
                assert {"list_unreviewed", "review_piece"} <= names
                listed = orjson.loads(text_of(await session.call_tool("list_collections", {})))
                assert [each["collectionId"] for each in listed["items"]] == [collection]
                started = await session.call_tool("start_cook", {"collection_id": collection})
                cook = orjson.loads(text_of(started))["cookId"]
                watched = await session.call_tool("watch_cook", {"cook_id": cook, "wait_s": 30})
                assert orjson.loads(text_of(watched))["status"]["state"] == "Completed"
                shown = await session.call_tool("list_unreviewed", {"cook_id": cook})
                pictures = [each for each in shown.content if each.type == "image"]
                assert len(pictures) == 3
                for picture in pictures:
                    opened = Image.open(io.BytesIO(base64.b64decode(picture.data)))
                    assert max(opened.size) <= 256
                first, second, _ = orjson.loads(text_of(shown))["items"]
                yes = {"piece_id": first["pieceId"], "decision": "approve"}
                no = {"piece_id": second["pieceId"], "decision": "reject", "reason": "dull"}
                assert (
                    orjson.loads(text_of(await session.call_tool("review_piece", yes)))["state"] == "approved"
                )
                rejected = orjson.loads(text_of(await session.call_tool("review_piece", no)))
                assert (rejected["state"], rejected["reviewReason"]) == ("rejected", "dull")

    run(story())


def test_an_agent_casts_a_spell_and_waits_for_it(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port, studio.running():
            _, _, key = await owner_key(studio)
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
                made = await client.post("/api/v1/spells", json={"document": SPELL})
                edit = {"If-Match": made.headers["etag"]}
                published = await client.post("/api/v1/spells/greeting/publish", headers=edit)
                assert published.status_code == 200, published.text
            async with agent(port, key) as session:
                listed = orjson.loads(text_of(await session.call_tool("list_spells", {})))
                assert [each["slug"] for each in listed["items"]] == ["greeting"]
                order = {"spell": "greeting", "inputs": {"words": "Good morning"}}
                cast = orjson.loads(text_of(await session.call_tool("cast_spell", order)))
                assert cast["status"] == "completed"
                assert "Good morning" in orjson.dumps(cast["outputs"]).decode()
                again = await session.call_tool("look_at_cast", {"cast_id": cast["castId"]})
                assert orjson.loads(text_of(again))["castId"] == cast["castId"]

    run(story())


def test_what_is_refused_is_told_to_the_agent(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            _, _, key = await owner_key(studio, "read")
            async with agent(port, key) as session:
                for tool, arguments, said in (
                    ("watch_cook", {"cook_id": "none", "wait_s": 0}, "not_found"),
                    ("start_cook", {"collection_id": "none"}, "forbidden"),
                    ("review_piece", {"piece_id": "c.1", "decision": "approve"}, "forbidden"),
                    ("review_piece", {"piece_id": "c.1", "decision": "burn"}, "decision"),
                ):
                    result = await session.call_tool(tool, arguments)
                    assert result.is_error
                    assert said in text_of(result)

    run(story())


def test_nobody_gets_in_without_a_key(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await owner_key(studio)
            async with httpx2.AsyncClient() as client:
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
                answer = await client.post(f"http://127.0.0.1:{port}/mcp", json=body)
                assert answer.status_code == 401
                assert answer.json()["code"] == "unauthenticated"

    run(story())


def test_without_the_extra_it_says_what_to_install(run, home, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name == "mcp" or name.startswith("mcp.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)

    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            _, _, key = await owner_key(studio)
            async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
                answer = await client.post(f"http://127.0.0.1:{port}/mcp", json={})
                assert answer.status_code == 503
                assert "cauldron-studio[mcp]" in answer.json()["detail"]

    run(story())
