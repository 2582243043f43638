"""Notes on parents while their parts pass by: in memory up to a bound, beyond it in a scratch store."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from cauldron.ports.storage import Compare, Delete, Op, Put, Store, Table

TABLE = "notes"
TABLES = (Table(name=TABLE),)
PAGE = 1000
END = "\U0010ffff"
Note = dict[str, Any]


class Notebook:
    """Keyed JSON objects. Only what was fetched (or never put aside) can be seen by ``get``."""

    def __init__(self, scratch: Store, *, most: int) -> None:
        """``scratch`` must be open with :data:`TABLES`; ``most`` notes stay in memory."""
        self._scratch = scratch
        self._most = most
        self._here: dict[str, Note] = {}
        self._aside = False  # whether anything was ever put aside

    async def fetch(self, keys: Iterable[str]) -> None:
        """Make sure that ``get`` sees these, where they exist."""
        if not self._aside:
            return
        missing = [key for key in dict.fromkeys(keys) if key not in self._here]
        for start in range(0, len(missing), PAGE):
            for doc in await self._scratch.get(TABLE, missing[start : start + PAGE]):
                if doc is not None and doc["note"] is not None:
                    self._here[doc["_id"]] = doc["note"]

    def get(self, key: str) -> Note | None:
        """A note to read or to change in place."""
        return self._here.get(key)

    def put(self, key: str, note: Note) -> None:
        """Keep a note."""
        self._here[key] = note

    async def take(self, keys: list[str]) -> dict[str, Note]:
        """Fetch notes and forget them."""
        await self.fetch(keys)
        found = {key: self._here.pop(key) for key in keys if key in self._here}
        if self._aside and found:
            ops: list[Op] = [Delete(TABLE, key) for key in found]
            for start in range(0, len(ops), PAGE):
                await self._scratch.commit(ops[start : start + PAGE], atomic=False)
        return found

    async def shed(self) -> None:
        """Put the oldest half aside when there are too many."""
        if len(self._here) > self._most:
            await self._put_aside(list(self._here)[: len(self._here) // 2])

    async def _put_aside(self, keys: list[str]) -> None:
        self._aside = True
        for start in range(0, len(keys), PAGE):
            ops: list[Op] = []
            for key in keys[start : start + PAGE]:
                note = self._here.pop(key)
                ops.append(Put(TABLE, {"_id": key, "note": note}))
            await self._scratch.commit(ops, atomic=False)

    async def rest(self, prefix: str) -> AsyncIterator[tuple[str, Note]]:
        """Every note left whose key begins with ``prefix``, by key."""
        if not self._aside:
            for key in sorted(key for key in self._here if key.startswith(prefix)):
                yield key, self._here[key]
            return
        await self._put_aside([key for key in self._here if key.startswith(prefix)])
        bounds, after = [Compare(">=", prefix), Compare("<", prefix + END)], None
        while True:
            page = await self._scratch.find(TABLE, {"_id": bounds}, limit=PAGE, after=after)
            for doc in page:
                yield doc["_id"], doc["note"]
            if len(page) < PAGE:
                return
            after = [page[-1]["_id"]]
