"""Two accounts on one store, each behind the application, and cooks whose pieces end by command.

Nothing is patched: the accounts are two studios on the same database and blobs, and
requests come as the local owner of each.
"""

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image

from cauldron.api.app import create_app
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.commands import RecordPiece
from cauldron.domain.media import MediaRef
from cauldron.services.cooking import Wanted
from cauldron.services.projecting import stream_of

COLORS = ("red", "green", "blue", "gold")
DOCUMENT: dict[str, Any] = {
    "cauldron": 1,
    "name": "Desk Pieces",
    "slug": "desk-pieces",
    "seed": "desk",
    "generator": {"tool": "text.card", "inputs": {"text": "[[Color]] [[Mood]]"}},
    "categories": [
        {"name": "Color", "options": [{"name": name} for name in COLORS]},
        {"name": "Mood", "options": [{"name": name} for name in ("calm", "wild", "odd")]},
        {"name": "Serial", "range": {"from": 1, "to": 20_000}},
    ],
}


@dataclass(slots=True)
class Desk:
    """A studio and a client of its API."""

    studio: Studio
    client: httpx2.AsyncClient
    cooks: list[str] = field(default_factory=list)

    async def cook(self, supply: int = 12, *, slug: str = "desk-pieces") -> str:
        """A cook whose pieces are all to be made; no job of it runs."""
        document = DOCUMENT | {"supply": supply, "slug": slug}
        record = await self.studio.collecting.save(document, caller=self.studio.caller)
        started = await self.studio.cooking.start(
            Wanted(collection_id=record["_id"]), caller=self.studio.caller
        )
        self.cooks.append(started.cook_id)
        return started.cook_id

    async def end(
        self,
        cook_id: str,
        pieces: Sequence[int],
        *,
        output: MediaRef | None = None,
        error: str | None = None,
        duration_ms: int = 40,
        cost_micro_usd: int = 1000,
    ) -> None:
        """Pieces of a cook are made, or fail with ``error``."""
        commands = [
            _ended(cook_id, n, output=output, error=error, duration_ms=duration_ms, cost=cost_micro_usd)
            for n in pieces
        ]
        for start in range(0, len(commands), 500):
            await self.studio.cooks.handle_many(
                stream_of(cook_id), commands[start : start + 500], actor="system"
            )
        await self.studio.cooking.project(cook_id)

    async def made(self, supply: int = 12, *, output: MediaRef | None = None) -> str:
        """A cook whose pieces are all made."""
        cook_id = await self.cook(supply)
        await self.end(cook_id, range(1, supply + 1), output=output)
        return cook_id

    async def commits(self, cook_id: str) -> list[dict[str, Any]]:
        """The log of a cook."""
        return await self.studio.cook_streams.tail(stream_of(cook_id), after=0)

    async def picture(self, color: str = "red", size: int = 64) -> MediaRef:
        """A stored picture, that nothing refers to."""
        data = png(color, size)
        digest = await self.studio.blobs.put(data)
        return MediaRef(
            media=f"sha256:{digest}", mime="image/png", sizeBytes=len(data), width=size, height=size
        )


def png(color: str = "red", size: int = 64) -> bytes:
    """The bytes of a picture in one colour."""
    held = io.BytesIO()
    Image.new("RGB", (size, size), color).save(held, "PNG")
    return held.getvalue()


def _ended(
    cook_id: str, number: int, *, output: MediaRef | None, error: str | None, duration_ms: int, cost: int
) -> RecordPiece:
    value: dict[str, Any] = dict(output) if output else {"value": f"piece {number}"}
    step: dict[str, Any] = {
        "step": "make",
        "toolId": "text.card",
        "toolVersion": "1.0.0",
        "toolDisplayName": "Text card",
        "status": "failed" if error else "success",
        "startMs": 1_000,
        "endMs": 1_000 + duration_ms,
        "inputs": {},
        "outputs": {} if error else {"made": value if output else f"piece {number}"},
        "costMicroUsd": cost,
        "costSource": "tariff",
    }
    if error:
        step["error"] = {"code": error, "message": "it did not work", "retryable": "no"}
    return RecordPiece(
        key=f"gen:{cook_id}.{number}",
        piece=number,
        attempt=1,
        steps=[step],
        output=None if error else value,
        error={"code": error, "message": "it did not work"} if error else None,
        duration_ms=duration_ms,
        cost_micro_usd=cost,
    )


@asynccontextmanager
async def desk(
    home: Path, database_url: str, *, owner: str = "local", **settings: Any
) -> AsyncIterator[Desk]:
    """A studio of an account on a home, with a client."""
    options = Settings(home=home, database_url=database_url, owner=owner, processes=1, slots=2, **settings)
    studio = Studio(options)
    await studio.open()
    transport = httpx2.ASGITransport(app=create_app(studio))
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Desk(studio, client)
    finally:
        await studio.close()


@dataclass(slots=True)
class Desks:
    """Desks on one store, one per account."""

    home: Path
    database_url: str
    stack: AsyncExitStack
    settings: dict[str, Any] = field(default_factory=dict)

    async def open(self, owner: str = "local", **settings: Any) -> Desk:
        """The desk of an account."""
        return await self.stack.enter_async_context(
            desk(self.home, self.database_url, owner=owner, **(self.settings | settings))
        )
