"""What a cook will take: bytes on disk, from pieces already made or from the picture size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cauldron.domain.collection import Collection, parse_collection
from cauldron.ports.storage import Store
from cauldron.services.collecting import Collecting

RECORD_BYTES = 6_000  # event, piece and generation output of one piece, about
BYTES_PER_PIXEL = 0.6  # a PNG of mixed art; flat art takes a fifth of that
DEFAULT_PIXELS = 1024 * 1024
SAMPLE = 100  # pieces looked at
SPARE_BYTES = 64 * 1024 * 1024  # kept free beside the estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Bytes that the pieces of a cook will take, and bytes that are free."""

    pieces: int
    size_bytes: int
    free_bytes: int
    measured: bool  # from pieces of the same collection, not from the picture size

    @property
    def enough(self) -> bool:
        """Whether there is room, with some to spare."""
        return self.size_bytes + SPARE_BYTES <= self.free_bytes


@dataclass(slots=True)
class Estimating:
    """Estimates for collections of one store."""

    store: Store
    collecting: Collecting
    free_bytes: Callable[[], int]

    async def estimate(self, collection_id: str, *, amount: int | None) -> Estimate:
        """The room that ``amount`` pieces (None: the whole supply) will take. Raises NotFound."""
        record = await self.collecting.get(collection_id)
        pieces = amount or int(record["supply"])
        sizes = await self._sizes(collection_id)
        each = sum(sizes) / len(sizes) if sizes else _guess(parse_collection(record["definition"]))
        return Estimate(
            pieces=pieces,
            size_bytes=int(pieces * (each + RECORD_BYTES)),
            free_bytes=self.free_bytes(),
            measured=bool(sizes),
        )

    async def _sizes(self, collection_id: str) -> list[int]:
        where = {"collectionId": collection_id}
        cooks = await self.store.find("cooks", where, order=("collectionId", "-startedAt"), limit=1)
        if not cooks:
            return []
        order = ("cookId", "number")
        pieces = await self.store.find("pieces", {"cookId": cooks[0]["_id"]}, order=order, limit=SAMPLE)
        return [piece["output"]["sizeBytes"] for piece in pieces if "sizeBytes" in (piece["output"] or {})]


def _guess(collection: Collection) -> float:
    inputs: Any = collection.generator.inputs
    width, height = inputs.get("width"), inputs.get("height")
    pixels = width * height if isinstance(width, int) and isinstance(height, int) else DEFAULT_PIXELS
    return pixels * BYTES_PER_PIXEL
