"""The two clients: the same resources, one carried out in the calling thread, one in the event loop."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from cauldron.client.flows import Answer, Ask, Emit, Flow, Lost, Open, Read, Step, Wait
from cauldron.client.resources import Account, Casts, Collections, Cooks, Exports, Media, Pieces

T = TypeVar("T")
TIMEOUT_S = 30.0


def _http_of(url: str, key: str | None) -> dict[str, Any]:
    """Arguments of httpx2 for a client. Raises ValueError: an address or a key that cannot be one."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address: it begins with http:// or https://")
    shown = (key or "").strip()
    if not shown.isascii() or any(each.isspace() for each in shown):
        raise ValueError("an API key is letters, digits, - and _")
    headers = {"Authorization": f"Bearer {shown}"} if shown else {}
    return {"base_url": url, "headers": headers, "timeout": TIMEOUT_S}


def _request(ask: Ask) -> dict[str, Any]:
    """Arguments of httpx2 for a request."""
    parts: dict[str, Any] = {"method": ask.method, "url": ask.path, "headers": dict(ask.headers)}
    if ask.query:
        parts["params"] = dict(ask.query)
    if ask.json is not None:
        parts["json"] = ask.json
    if ask.files:
        parts["files"] = [("file", each) for each in ask.files]
    return parts


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _timeout(silence_s: float) -> httpx2.Timeout:
    return httpx2.Timeout(TIMEOUT_S, read=silence_s)


class Client:
    """Blocking; a context manager. ``key`` is an API key; only a server on this machine may need none."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._http = httpx2.Client(**_http_of(url, key))
        self.collections: Collections[Client] = Collections(self)
        self.cooks: Cooks[Client] = Cooks(self)
        self.pieces: Pieces[Client] = Pieces(self)
        self.casts: Casts[Client] = Casts(self)
        self.exports: Exports[Client] = Exports(self)
        self.media: Media[Client] = Media(self)
        self.account: Account[Client] = Account(self)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every connection."""
        self._http.close()

    def run(self, flow: Flow[T]) -> T:
        """Carry out a flow; its result."""
        steps = self._steps(flow)
        try:
            while True:
                next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    def iterate(self, flow: Flow[Any]) -> Generator[Any, None, None]:
        """Carry out a flow; what it emits."""
        yield from self._steps(flow)

    def _steps(self, flow: Flow[T]) -> Generator[Any, None, T]:
        with ExitStack() as stack:
            opened: dict[str, Any] = {}
            outcome: Any = None
            failure: Lost | None = None
            while True:
                try:
                    step: Step = flow.send(outcome) if failure is None else flow.throw(failure)
                except StopIteration as end:
                    result: T = end.value
                    return result
                outcome = failure = None
                if isinstance(step, Emit):
                    yield step.item
                    continue
                try:
                    outcome = self._do(step, stack, opened)
                except httpx2.TransportError as error:
                    failure = Lost(f"{type(error).__name__}: {error}")

    def _do(self, step: Step, stack: ExitStack, opened: dict[str, Any]) -> Any:
        if isinstance(step, Ask):
            answer = self._http.request(**_request(step))
            return Answer(answer.status_code, _lowered(answer.headers), answer.content)
        if isinstance(step, Wait):
            time.sleep(step.seconds)
        elif isinstance(step, Open):
            stack.close()
            streaming = self._http.stream(**_request(step.ask), timeout=_timeout(step.silence_s))
            response = stack.enter_context(streaming)
            opened["bytes"] = response.iter_bytes()
            content = b"" if response.status_code == 200 else response.read()
            return Answer(response.status_code, _lowered(response.headers), content)
        elif isinstance(step, Read):
            return next(opened["bytes"], b"")
        return None


class AsyncClient:
    """The same for use with ``await``; an asynchronous context manager."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._http = httpx2.AsyncClient(**_http_of(url, key))
        self.collections: Collections[AsyncClient] = Collections(self)
        self.cooks: Cooks[AsyncClient] = Cooks(self)
        self.pieces: Pieces[AsyncClient] = Pieces(self)
        self.casts: Casts[AsyncClient] = Casts(self)
        self.exports: Exports[AsyncClient] = Exports(self)
        self.media: Media[AsyncClient] = Media(self)
        self.account: Account[AsyncClient] = Account(self)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.aclose()

    async def run_async(self, flow: Flow[T]) -> T:
        """Carry out a flow; its result."""
        kept: list[T] = []
        async for _ in self._steps(flow, kept):
            pass
        return kept[0]

    def iterate_async(self, flow: Flow[Any]) -> AsyncGenerator[Any, None]:
        """Carry out a flow; what it emits."""
        return self._steps(flow, [])

    async def _steps(self, flow: Flow[T], kept: list[T]) -> AsyncGenerator[Any, None]:
        async with AsyncExitStack() as stack:
            opened: dict[str, Any] = {}
            outcome: Any = None
            failure: Lost | None = None
            while True:
                try:
                    step: Step = flow.send(outcome) if failure is None else flow.throw(failure)
                except StopIteration as end:
                    kept.append(end.value)
                    return
                outcome = failure = None
                if isinstance(step, Emit):
                    yield step.item
                    continue
                try:
                    outcome = await self._do(step, stack, opened)
                except httpx2.TransportError as error:
                    failure = Lost(f"{type(error).__name__}: {error}")

    async def _do(self, step: Step, stack: AsyncExitStack, opened: dict[str, Any]) -> Any:
        if isinstance(step, Ask):
            answer = await self._http.request(**_request(step))
            return Answer(answer.status_code, _lowered(answer.headers), answer.content)
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Open):
            await stack.aclose()
            streaming = self._http.stream(**_request(step.ask), timeout=_timeout(step.silence_s))
            response = await stack.enter_async_context(streaming)
            opened["bytes"] = aiter(response.aiter_bytes())
            content = b"" if response.status_code == 200 else await response.aread()
            return Answer(response.status_code, _lowered(response.headers), content)
        elif isinstance(step, Read):
            return await anext(opened["bytes"], b"")
        return None
