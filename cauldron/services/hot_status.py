"""The status of cooks for those who ask often: worked out once for everybody, encoded once.

What is handed out is never older than 50 ms, and never older than what this process
has done itself: who gives a command and looks at the status sees what came of it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from cauldron.domain.errors import NotFound
from cauldron.ports.storage import Doc
from cauldron.services.casting import Caller
from cauldron.services.cook_finding import newest_of
from cauldron.services.cooking import Cooking
from cauldron.services.projecting import stream_of

FRESH_S = 0.05
KEPT = 1024


@dataclass(slots=True)
class _Known:
    body: bytes
    seq: int
    until_s: float
    owner: str
    environment: str


@dataclass(slots=True)
class _Newest:
    cook_id: str
    seq: int
    until_s: float


class HotStatus:
    """Encoded statuses by cook, and the newest cook by collection."""

    def __init__(self, cooking: Cooking, show: Callable[[Doc], object], *, fresh_s: float = FRESH_S) -> None:
        self._cooking = cooking
        self._show = show
        self._fresh_s = fresh_s
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._newest: OrderedDict[tuple[str, str], _Newest] = OrderedDict()
        self._turns: dict[str, asyncio.Lock] = {}

    def kept(self, cook_id: str, *, caller: Caller) -> bytes | None:
        """The status, if it is known well enough to be given without a look at the store."""
        known = self._known.get(cook_id)
        if known is None or known.until_s < _now() or known.seq < self._seen(stream_of(cook_id)):
            return None
        return known.body if _is_of(known, caller) else None

    async def of(self, cook_id: str, *, caller: Caller) -> bytes:
        """The status of the caller's cook. Raises NotFound."""
        found = self.kept(cook_id, caller=caller)
        if found is not None:
            return found
        turn = self._turns.setdefault(cook_id, asyncio.Lock())
        try:
            async with turn:
                return self.kept(cook_id, caller=caller) or await self._look(cook_id, caller)
        finally:
            if not turn.locked():
                self._turns.pop(cook_id, None)

    async def _look(self, cook_id: str, caller: Caller) -> bytes:
        until_s = _now() + self._fresh_s
        status = await self._cooking.status(cook_id)
        known = _Known(
            body=orjson.dumps(self._show(status)),
            seq=int(status.get("seq") or 0),
            until_s=until_s,
            owner=status["owner"],
            environment=status["environment"],
        )
        if not _is_of(known, caller):
            raise NotFound(f"there is no cook {cook_id!r:.80}")
        self._known[cook_id] = known
        _shorten(self._known)
        return known.body

    def kept_newest(self, collection_id: str, *, caller: Caller) -> str | None:
        """The newest cook of a collection, if that is known well enough."""
        newest = self._newest.get((caller.account, collection_id))
        stream = f"collection:{collection_id}"
        if newest is None or newest.until_s < _now() or newest.seq < self._started(stream):
            return None
        return newest.cook_id

    async def newest_of(self, collection_id: str, *, caller: Caller) -> str:
        """The cook of the caller's collection that was started last. Raises NotFound."""
        known = self.kept_newest(collection_id, caller=caller)
        if known is not None:
            return known
        until_s, seq = _now() + self._fresh_s, self._started(f"collection:{collection_id}")
        cook_id = await newest_of(self._cooking.store, collection_id, owner=caller.account)
        if cook_id is None:
            raise NotFound(f"no cook of a collection {collection_id!r:.80} was ever started")
        self._newest[caller.account, collection_id] = _Newest(cook_id, seq, until_s)
        _shorten(self._newest)
        return cook_id

    def _seen(self, stream: str) -> int:
        return self._cooking.cooks.seen(stream)

    def _started(self, stream: str) -> int:
        return self._cooking.rows.seen(stream)


def _is_of(known: _Known, caller: Caller) -> bool:
    return known.owner == caller.account and known.environment == caller.environment


def _shorten(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > KEPT:
        kept.popitem(last=False)


def _now() -> float:
    return asyncio.get_running_loop().time()
