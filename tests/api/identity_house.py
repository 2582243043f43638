"""A whole API on a real engine with cheap hashes and a clock that is told the time; browsers and scripts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from cauldron.api.app import create_app
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.services.identity import Identity
from tests.kitchen import SteppingClock
from tests.services.identity_place import PASSWORD, CountedPasswords, acting, new_id

HERE = "http://localhost:8420"
OUTSIDE = "https://studio.example"


@dataclass
class House:
    """The API of one process, and what asks it."""

    studio: Studio
    app: Any
    clock: SteppingClock
    _clients: list[httpx2.AsyncClient] = field(default_factory=list)

    def script(
        self, *, key: str | None = None, base: str = HERE, client: str = "127.0.0.1", **headers: str
    ) -> httpx2.AsyncClient:
        """A client that is no browser: it says nothing of pages and keeps no cookies for others."""
        transport = httpx2.ASGITransport(app=self.app, client=(client, 4711))
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        said |= {"authorization": f"Bearer {key}"} if key else {}
        made = httpx2.AsyncClient(transport=transport, base_url=base, headers=said)
        self._clients.append(made)
        return made

    def browser(self, *, base: str = HERE, client: str = "127.0.0.1") -> httpx2.AsyncClient:
        """A page of the studio itself: its requests carry Origin and Sec-Fetch-Site."""
        return self.script(base=base, client=client, origin=base, sec_fetch_site="same-origin")

    async def owner(self, name: str = "ann") -> Any:
        return await self.studio.identity.users.set_up(name, PASSWORD)

    async def add(self, name: str, role: Any = "creator", **more: Any) -> Any:
        return await self.studio.identity.users.add(name, role=role, actor="t", password=PASSWORD, **more)

    async def key(self, user: Any, **more: Any) -> str:
        return (await self.studio.identity.keys.create(acting(user), label="k", **more))[1]

    async def signed_in(self, name: str, **more: Any) -> httpx2.AsyncClient:
        """A browser with a session and its CSRF token."""
        browser = self.browser(**more)
        answer = await browser.post("/api/v1/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        browser.headers["x-csrf-token"] = answer.json()["csrfToken"]
        return browser

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def house(home: Path, database_url: str = "", **settings: Any) -> AsyncIterator[House]:
    """An open house."""
    studio = Studio(Settings(home=home, database_url=database_url, processes=1, slots=1, **settings))
    clock = SteppingClock()
    studio.identity = Identity(
        store=studio.store, passwords=CountedPasswords(), clock=clock, new_id=new_id, account="local"
    )
    await studio.open()
    made = House(studio, create_app(studio), clock)
    try:
        yield made
    finally:
        await made.close()
        await studio.close()
