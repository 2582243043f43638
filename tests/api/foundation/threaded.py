"""What runs on the loop of another thread, for clients that are not asynchronous; a town among it."""

import asyncio
import threading
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self

from tests.api.foundation.town import Town, town


class Threaded:
    """``inside`` is what ``context`` opens in a thread; coroutines are run on its loop."""

    def __init__(self, context: AbstractAsyncContextManager[Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._context = context

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def __enter__(self) -> Self:
        self._thread.start()
        self.inside = self.run(self._context.__aenter__())
        return self

    def __exit__(self, *failure: object) -> None:
        self.run(self._context.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class ThreadedTown(Threaded):
    """A town; ``app`` hands each request over to its loop."""

    def __init__(self, home: Path, database_url: str = "") -> None:
        super().__init__(town(home, database_url, rate_limit_reads=0, rate_limit_writes=0))

    def __enter__(self) -> Self:
        super().__enter__()
        self.town: Town = self.inside
        self.ann = self.town.ann
        return self

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """The application, whatever loop it is asked on."""
        here = asyncio.get_running_loop()

        async def receiving() -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(receive(), here))

        async def sending(message: Any) -> None:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(send(message), here))

        if scope["type"] == "lifespan":
            return
        there = asyncio.run_coroutine_threadsafe(self.town.app(scope, receiving, sending), self._loop)
        await asyncio.wrap_future(there)
