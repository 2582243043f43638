"""A studio with two accounts, an operator and a service, each with a key; and a cook that is really made."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from cauldron.api.app import create_app
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.identity import ROLES, Principal
from tests.services.identity_place import PASSWORD, CountedPasswords

BASE = "http://localhost:8420"
DEFINITION: dict[str, Any] = {
    "cauldron": 1,
    "name": "Lanterns",
    "slug": "lanterns",
    "supply": 12,
    "generator": {"tool": "text.card", "inputs": {"text": "[[Light]] on [[Ground]]"}},
    "categories": [
        {"name": "Ground", "options": [{"name": n} for n in ("Moss", "Slate", "Clay")]},
        {"name": "Light", "options": [{"name": n} for n in ("Ember", "Moon", "Glow", "Star")]},
    ],
}


AnyTown = TypeVar("AnyTown", bound="Town")


@dataclass
class Town:
    """One server's studio with its people, and a client of each. ``nobody`` shows no key."""

    studio: Studio
    app: Any
    users: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, httpx2.AsyncClient] = field(default_factory=dict)

    def __getattr__(self, name: str) -> httpx2.AsyncClient:
        return self.clients[name]

    def client(self, *, address: str = "127.0.0.1", base: str = BASE, **headers: str) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self.app, client=(address, 4711))
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        made = httpx2.AsyncClient(transport=transport, base_url=base, headers=said, timeout=60)
        self.clients[f"client {len(self.clients)}"] = made
        return made

    async def settle(self, name: str, role: Any) -> None:
        users, keys = self.studio.identity.users, self.studio.identity.keys
        if role == "owner":
            user = await users.set_up(name, PASSWORD)
        else:
            user = await users.add(name, role=role, actor="t", password=PASSWORD)
        who = Principal(account=user["account"], user=user["_id"], scopes=ROLES[role], via="session")
        self.users[name] = user
        self.clients[name] = self.client(authorization=f"Bearer {(await keys.create(who, label=name))[1]}")

    async def collection(self, who: str = "ann", **changes: Any) -> str:
        answer = await self.clients[who].post(
            "/api/v1/collections", json={"definition": DEFINITION | changes}
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["collectionId"]

    async def started(self, who: str = "ann", **changes: Any) -> str:
        """A cook that nobody works on."""
        collection = await self.collection(who, **changes)
        answer = await self.clients[who].post(f"/api/v1/collections/{collection}/cook/start")
        assert answer.status_code == 202, answer.text
        return answer.json()["cookId"]

    async def cooked(self, who: str = "ann", **changes: Any) -> str:
        """A cook that is made to its end."""
        cook = await self.started(who, **changes)
        async with self.studio.running():
            await self.until(who, f"/api/v1/cooks/{cook}/status", lambda s: s["state"] == "Completed")
        return cook

    async def until(self, who: str, path: str, holds: Any, *, within_s: float = 40.0) -> Any:
        async with asyncio.timeout(within_s):
            while True:
                answer = await self.clients[who].get(path)
                if answer.status_code == 200 and holds(answer.json()):
                    return answer.json()
                await asyncio.sleep(0.05)


@asynccontextmanager
async def peopled(kind: type[AnyTown], studio: Studio, *people: tuple[str, str]) -> AsyncIterator[AnyTown]:
    """An open town in which these live, named with their roles."""
    studio.passwords = CountedPasswords()
    await studio.open()
    town = kind(studio, create_app(studio))
    try:
        for name, role in people:
            await town.settle(name, role)
        town.clients["nobody"] = town.client()
        yield town
    finally:
        await studio.feeds.close()
        for client in town.clients.values():
            await client.aclose()
        await studio.close()


@asynccontextmanager
async def town(home: Path, database_url: str = "", **settings: Any) -> AsyncIterator[Town]:
    """An open town: ann owns the place, bob creates on an account of his own, otto operates, eve serves."""
    studio = Studio(Settings(home=home, database_url=database_url, processes=1, slots=4, **settings))
    people = (("ann", "owner"), ("bob", "creator"), ("otto", "operator"), ("eve", "service"))
    async with peopled(Town, studio, *people) as made:
        yield made
