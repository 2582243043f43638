"""``/mcp``: the studio for agents (Model Context Protocol, streamable HTTP), over the handlers of the routes.

Every request stands alone: it is authenticated like any other, and no session is kept.
The protocol comes from the official SDK, an optional extra.
"""

# ruff: noqa: PLC0415 - the SDK is an extra, loaded where it is used

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from cauldron import __version__
from cauldron.api.access import caller_of, principal_of, studio_of
from cauldron.api.routes import casts, collections, cooks, pieces, spells
from cauldron.api.routes.cook_shapes import StartBody
from cauldron.bootstrap import Studio
from cauldron.domain.errors import CauldronError, Unavailable
from cauldron.domain.identity import Principal
from cauldron.domain.media import digest_of, is_media
from cauldron.services.casting import Casting

ABSENT = "agents need the extra: install cauldron-studio[mcp] and start the server again"
MOST_TEXT = 20_000  # characters of an answer
MOST_WAIT_S = 60.0
MOST_PICTURES = 12
EDGE = 256  # pixels of a thumbnail
RESTING = ("Completed", "Exported", "Stopped", "Failed", "Paused")
INSTRUCTIONS = (
    "A studio for generative media. Spells are run by cast_spell. A collection is cooked into pieces by "
    "start_cook; watch_cook tells how far it is; list_unreviewed shows finished pieces as pictures; "
    "review_piece approves or rejects one."
)
Seconds = Annotated[float, Field(ge=0, le=MOST_WAIT_S, description="How long to wait for the end.")]
Name = Annotated[str, Field(max_length=200)]


class AgentEndpoint:
    """The endpoint; the server of the protocol is made with the first request."""

    def __init__(self) -> None:
        self._made: tuple[Studio, Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of somebody who may read."""
        request = Request(scope, receive)
        principal_of(request).need("read")
        studio = studio_of(request)
        if self._made is None or self._made[0] is not studio:
            self._made = (studio, server_of(studio))
        manager = _manager(self._made[1])
        async with manager.run():
            await manager.handle_request(scope, receive, send)


def _manager(server: Any) -> Any:
    """What answers a single request: each has its own, which ends with it."""
    from mcp.server.transport_security import TransportSecuritySettings

    guarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # our layers do that
    server.streamable_http_app(stateless_http=True, json_response=True, transport_security=guarded)
    return server.session_manager


def server_of(studio: Studio) -> Any:
    """The protocol's server with the studio's tools. Raises Unavailable: the extra is not installed."""
    try:
        from mcp.server import MCPServer
    except ImportError as absent:
        raise Unavailable(ABSENT) from absent
    server = MCPServer("cauldron", version=__version__, instructions=INSTRUCTIONS)
    for make in (_spell_tools, _cook_tools, _review_tools):
        make(server, studio)
    return server


def _who(context: Any) -> Principal:
    """Whose request a tool is called by."""
    return principal_of(context.request_context.request)


async def _told(work: Awaitable[Response]) -> str:
    """The document that a handler answers, as text; a refusal as the protocol's error of a tool."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        body = bytes((await work).body).decode()
    except CauldronError as error:
        raise ToolError(f"{error.code}: {error.message}") from error
    return body if len(body) <= MOST_TEXT else f"{body[:MOST_TEXT]}… (cut: {len(body)} characters)"


def _spell_tools(server: Any, studio: Studio) -> None:
    from mcp.server.mcpserver import Context

    async def list_spells(context: Context, limit: Annotated[int, Field(ge=1, le=50)] = 20) -> str:
        """The account's spells: slug, name, published version."""
        return await _told(spells.list_spells(studio, _who(context), limit=limit))

    async def cast_spell(context: Context, spell: Name, inputs: dict[str, Any], wait_s: Seconds = 30) -> str:
        """Run a spell (slug or id) once; its outputs, or the castId of a cast that is still running."""

        async def work() -> Response:
            who = _who(context)
            who.need("cast")
            body = casts.CastBody.model_validate({"spell": spell, "inputs": inputs})
            started = orjson.loads((await casts.start_cast(body, studio, who, None)).body)
            await _until(lambda: _cast_ended(studio.casting, started["castId"]), wait_s)
            return await casts.get_cast(started["castId"], studio, who)

        return await _told(work())

    async def look_at_cast(context: Context, cast_id: Name) -> str:
        """A cast: its status, outputs and steps."""
        return await _told(casts.get_cast(cast_id, studio, _who(context)))

    _offer(server, list_spells, cast_spell, look_at_cast)


def _cook_tools(server: Any, studio: Studio) -> None:
    from mcp.server.mcpserver import Context

    async def list_collections(context: Context, limit: Annotated[int, Field(ge=1, le=20)] = 10) -> str:
        """The account's collections with their ids, latest change first."""
        return await _told(collections.listing(studio, _who(context), limit=limit))

    async def start_cook(
        context: Context, collection_id: Name, amount: Annotated[int, Field(ge=1)] | None = None
    ) -> str:
        """Cook pieces of a collection (absent: the rest of its supply); answers with the cookId."""

        async def work() -> Response:
            who = _who(context)
            who.need("cook")
            body = StartBody.model_validate({} if amount is None else {"amount": amount})
            return await cooks.start_cook(studio, who, collection_id, body, key=None)

        return await _told(work())

    async def watch_cook(context: Context, cook_id: Name, wait_s: Seconds = 20) -> str:
        """How far a cook is, once it rests or the wait is over."""

        async def work() -> Response:
            who = _who(context)
            await cooks.own_cook(studio, who, cook_id)
            await _until(lambda: _cook_rests(studio, cook_id), wait_s)
            return await cooks.get(cook_id, studio, who)

        return await _told(work())

    _offer(server, list_collections, start_cook, watch_cook)


def _review_tools(server: Any, studio: Studio) -> None:
    from mcp.server.mcpserver import Context

    async def list_unreviewed(
        context: Context, cook_id: Name, limit: Annotated[int, Field(ge=1, le=MOST_PICTURES)] = 6
    ) -> list[Any]:
        """Finished pieces that wait for a decision, each with its picture; kept from other reviewers."""
        who = _who(context)

        async def work() -> Response:
            who.need("review")
            body = pieces.PopBody.model_validate({"limit": limit, "again": True})
            return await pieces.pop(cook_id, studio, who, body)

        text = await _told(work())
        found = orjson.loads(text)["items"] if not text.endswith(")") else []
        return [text, *[picture for piece in found if (picture := await _picture(studio, who, piece))]]

    async def review_piece(
        context: Context, piece_id: Name, decision: Literal["approve", "reject"], reason: str = ""
    ) -> str:
        """Approve or reject one piece, with a reason that is kept."""

        async def work() -> Response:
            who = _who(context)
            who.need("review")
            if decision == "approve":
                return await pieces.approve(piece_id, studio, who, None)
            body = pieces.ReviewBody.model_validate({"reason": reason})
            return await pieces.reject(piece_id, studio, who, None, body)

        return await _told(work())

    _offer(server, list_unreviewed, review_piece)


def _offer(server: Any, *tools: Callable[..., Awaitable[Any]]) -> None:
    for tool in tools:
        server.add_tool(tool, structured_output=False)


async def _picture(studio: Studio, who: Principal, piece: dict[str, Any]) -> Any:
    """A piece's thumbnail as the protocol's picture; None when it has none."""
    from mcp.types import ImageContent

    ref = piece.get("output")
    if not is_media(ref) or not str(ref.get("mime")).startswith("image/"):
        return None
    digest = digest_of(ref)
    try:
        mime = await studio.workshop.media.mime(digest, caller=caller_of(studio, who))
        path = await studio.workshop.thumbnails.path(digest, mime=mime, edge=EDGE)
    except CauldronError:
        return None
    data = await asyncio.to_thread(path.read_bytes)
    return ImageContent(type="image", data=base64.b64encode(data).decode(), mime_type="image/webp")


async def _cast_ended(casting: Casting, cast_id: str) -> bool:
    return bool((await casting.get(cast_id))["status"] != "running")


async def _cook_rests(studio: Studio, cook_id: str) -> bool:
    return (await studio.cooking.status(cook_id))["state"] in RESTING


async def _until(holds: Callable[[], Awaitable[bool]], wait_s: float) -> None:
    """Wait until it holds, or for so long."""
    end = asyncio.get_running_loop().time() + wait_s
    while not await holds() and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.2)


METHODS = ["GET", "POST", "DELETE"]
ROUTES: Sequence[BaseRoute] = (Route("/mcp", AgentEndpoint(), methods=METHODS, name="agents"),)
