"""Records of the earlier system from a live MongoDB, in the order of ``_id``."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, PyMongoError

from cauldron.adapters.legacy_source.values import split
from cauldron.domain.errors import Invalid, Unavailable
from cauldron.ports.legacy import Block, Fault, Part

SYSTEM = ("admin", "local", "config")
TRIES = 4
BATCH = 1000  # documents


class MongoSource:
    """A live MongoDB, read in the order of ``_id``; a lost connection is taken up where it was."""

    def __init__(self, url: str) -> None:
        """``url`` with a database reads that one, without it every database but the system's."""
        self.faults: list[Fault] = []
        try:
            self._client: AsyncMongoClient[Any] = AsyncMongoClient(url, serverSelectionTimeoutMS=10_000)
            self._only = urlsplit(url).path.strip("/")
        except (ConfigurationError, PyMongoError, ValueError) as error:
            raise Invalid(f"not an address of a MongoDB: {type(error).__name__}", path="from") from error

    async def parts(self) -> list[Part]:
        """Every collection, by database and name. Raises Unavailable."""
        try:
            names = [self._only] if self._only else await self._client.list_database_names()
            found = []
            for name in (n for n in names if n not in SYSTEM):
                collections = await self._client[name].list_collection_names()
                found += [Part(database=name, collection=c, place=c) for c in sorted(collections)]
        except PyMongoError as error:
            raise Unavailable(f"the database did not answer: {type(error).__name__}") from error
        return [part for part in found if not part.collection.startswith("system.")]

    async def blocks(self, part: Part) -> AsyncIterator[Block]:
        """The documents of a collection. Raises Unavailable when it stays away."""
        count, last, tries = 0, None, 0
        while True:
            try:
                async for raw in self._batches(part, last):
                    data = _after(raw, last)
                    last, tries = _last_id(raw), 0
                    if data:
                        number = sum(1 for _ in split(data))
                        yield Block(form="bson", data=data, first=count)
                        count += number
                return
            except PyMongoError as error:
                tries += 1
                if tries >= TRIES:
                    raise Unavailable(
                        f"{part.name}: {type(error).__name__}, after {count} documents"
                    ) from error
                await asyncio.sleep(0.2 * 2**tries)

    async def _batches(self, part: Part, last: Any) -> AsyncIterator[bytes]:
        collection = self._client[part.database][part.place]
        cursor = collection.find_raw_batches({}, batch_size=BATCH).sort("_id", 1)
        if last is not None:  # a bound of the index: comparisons in a filter see one type only
            cursor = cursor.hint([("_id", 1)]).min([("_id", last)])
        async for raw in cursor:
            yield raw

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()


def _last_id(raw: bytes) -> Any:
    *_, last = split(raw)
    return RawBSONDocument(last)["_id"]


def _after(raw: bytes, last: Any) -> bytes:
    """The batch without its first document when that was read before."""
    if last is None:
        return raw
    first = next(split(raw), b"")
    try:
        again = bool(first) and RawBSONDocument(first)["_id"] == last
    except BSONError:
        again = False
    return raw[len(first) :] if again else raw
