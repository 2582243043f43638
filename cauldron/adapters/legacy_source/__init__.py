"""The earlier system's records from dump files, or from a live MongoDB, a block at a time."""

from pathlib import Path
from typing import TYPE_CHECKING

from cauldron.adapters.legacy_source.dumps import DumpSource
from cauldron.adapters.legacy_source.values import decode
from cauldron.domain.errors import Invalid

if TYPE_CHECKING:
    from cauldron.adapters.legacy_source.live import MongoSource

__all__ = ["DumpSource", "decode", "source_for"]


def source_for(places: list[str]) -> "DumpSource | MongoSource":
    """What ``--from`` names: dump folders, or one address of a live MongoDB.

    Raises:
        Invalid: none, several addresses, or both kinds.
    """
    live = [place for place in places if place.startswith(("mongodb://", "mongodb+srv://"))]
    if not places or len(live) > 1 or (live and len(places) > 1):
        raise Invalid("give dump folders, or one mongodb:// address", path="from")
    if not live:
        return DumpSource([Path(place) for place in places])
    # Its driver takes long to load, and helpers that only take dumps apart would load it, too.
    from cauldron.adapters.legacy_source.live import MongoSource  # noqa: PLC0415

    return MongoSource(live[0])
