"""A market: ann owns the studio, cora sells spells in it, bob buys, guests come by; time can be passed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.tool import Costing
from cauldron.services.spell_versions import SpellVersions
from cauldron.services.tools import register_tools
from tests.api.foundation.town import BASE, Town, peopled
from tests.mongod import database

COST_MICRO_USD = 50_000  # 50 points at 1,000 micro-USD each
DEAR = "9.0.0"  # the version of a built-in tool that has a tariff here
LANTERN: dict[str, Any] = {
    "cauldronSpell": 1,
    "name": "Lantern card",
    "slug": "lantern",
    "visibility": "public",
    "inputs": [{"name": "words", "kind": "text", "required": True, "maxLength": 40}],
    "steps": [
        {
            "id": "card",
            "tool": "text.card",
            "version": "=1.0.0",
            "inputs": {"text": {"input": "words"}, "width": 64, "height": 64},
        }
    ],
    "output": {"step": "card"},
}


class LateStudio(Studio):
    """A studio whose day can be moved on."""

    ahead_ms = 0

    def clock(self) -> int:
        return super().clock() + self.ahead_ms


@dataclass
class Market(Town):
    """A town whose people sell and buy."""

    studio: LateStudio

    def browser(self, **more: Any) -> httpx2.AsyncClient:
        """A page of the studio itself."""
        return self.client(origin=more.get("base", BASE), sec_fetch_site="same-origin", **more)

    async def guest(self) -> Any:
        """A browser that goes on as a guest, and its account."""
        browser = self.browser()
        answer = await browser.post("/api/v1/session/guest", json={})
        assert answer.status_code == 201, answer.text
        browser.headers["x-csrf-token"] = answer.json()["csrfToken"]
        return browser, answer.json()["account"]

    def account(self, name: str) -> str:
        return str(self.users[name]["account"])

    def versions(self, owner: str = "cora") -> SpellVersions:
        """The spells of one of them."""
        account = self.account(owner)
        return SpellVersions(book=replace(self.studio.spells, owner=account, actor=account))

    async def publish(self, slug: str, *, owner: str = "cora", dear: bool = False, **changes: Any) -> Any:
        """A published version of the lantern under a slug; a dear one costs 50 points."""
        step = LANTERN["steps"][0] | ({"version": f"={DEAR}"} if dear else {})
        document = LANTERN | {"slug": slug, "steps": [step]} | changes
        await self.studio.tools.refresh(self.studio.store)
        book, now = self.versions(owner).book, self.studio.clock()
        await book.save(document, new_id=self.studio.new_id(), now_ms=now)
        return (await book.publish(slug, now_ms=now)).version

    async def quoted(self, who: Any, slug: str, **more: Any) -> Any:
        answer = await self.asker(who).post(
            "/api/v1/payments/invoice", json={"spellSlug": slug, "asset": "points"} | more
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def asker(self, who: Any) -> httpx2.AsyncClient:
        return self.clients[who] if isinstance(who, str) else who

    def cast(self, who: Any, slug: str, token: str, **context: Any) -> Any:
        body = {"slug": slug, "invoiceId": token, "context": {"words": "hi"} | context}
        return self.asker(who).post("/api/v1/spells/cast", json=body)

    async def started(self, who: Any, slug: str, **context: Any) -> Any:
        """A run on a fresh invoice: its ids, and the token."""
        token = (await self.quoted(who, slug))["invoiceId"]
        answer = await self.cast(who, slug, token, **context)
        assert answer.status_code == 202, answer.text
        return answer.json() | {"token": token}

    async def done(self, who: Any, run_id: str) -> Any:
        """A run that has ended, with all that follows from it in the books."""
        async with self.studio.running(), asyncio.timeout(60):
            while True:
                answer = (await self.asker(who).get(f"/api/v1/casts/{run_id}")).json()
                hold = await self._hold(run_id)
                if answer["status"] != "running" and not await self.studio.workshop.ledger.is_open(hold):
                    break
                await asyncio.sleep(0.02)
        await self.studio.workshop.ledger.settle(hold)  # what the follower has not posted yet
        return answer

    async def _hold(self, run_id: str) -> str:
        [doc] = await self.studio.store.get("casts", [run_id])
        return str(doc["creditTxId"])

    async def balance(self, account: str) -> Any:
        return await self.studio.workshop.ledger.balance(account)

    async def grant(self, account: str, points: int) -> None:
        await self.studio.workshop.ledger.grant(account, points * 1000, actor="t")

    async def verified(self) -> None:
        """The books balance, to the milli-point."""
        assert (await self.studio.workshop.ledger_check.verify()).problems == []

    async def stream(self, who: Any, slug: str, query: str, **headers: str) -> Any:
        """Status and problem code of a stream that is asked for; its events are not read."""
        said: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        body, client = bytearray(), self.asker(who)
        pairs = [*client.headers.raw, *((k.encode(), v.encode()) for k, v in headers.items())]
        pairs += [(b"host", b"localhost:8420")]
        pairs += [(b"cookie", f"{c.name}={c.value}".encode()) for c in client.cookies.jar]
        path = f"/api/v1/spells/{slug}/stream"
        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "headers": pairs,
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "client": ("127.0.0.1", 1), "server": ("localhost", 8420),
        }  # fmt: skip

        async def receive() -> Any:
            await said
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                said.set_result(message["status"])
            else:
                body.extend(message.get("body", b""))

        await self.app(scope, receive, send)
        return said.result()


def code(answer: Any) -> Any:
    """Status and problem code of an answer."""
    return answer.status_code, answer.json().get("code")


@asynccontextmanager
async def opened(home: Path, database_url: str = "", **settings: Any) -> AsyncIterator[Market]:
    """An open market."""
    studio = LateStudio(Settings(home=home, database_url=database_url, processes=1, slots=4, **settings))
    people = (("ann", "owner"), ("bob", "creator"), ("cora", "creator"))
    async with peopled(Market, studio, *people) as market:
        dear = replace(
            studio.tools.resolve("text.card"), version=DEAR, costing=Costing(amount_micro_usd=COST_MICRO_USD)
        )
        now = studio.clock()
        await register_tools(
            studio.store, [dear], owner=studio.owner, actor="t", environment="live", now_ms=now
        )
        yield market


@contextmanager
def running(engine: str, home: Path, **settings: Any) -> Iterator[Any]:
    """A market on one engine, and what runs coroutines in it."""
    with ExitStack() as outer, asyncio.Runner() as runner:
        url = "" if engine == "sqlite" else outer.enter_context(database())
        context = opened(home, url, **settings)
        market = runner.run(context.__aenter__())

        def run(coroutine: Any, *, timeout_s: float = 60.0) -> Any:
            async def bounded() -> Any:
                async with asyncio.timeout(timeout_s):
                    return await coroutine

            return runner.run(bounded())

        yield market, run
        runner.run(context.__aexit__(None, None, None))
