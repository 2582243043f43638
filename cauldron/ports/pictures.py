"""What looks at pictures that strangers supply, before anything of them is kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture as it is kept: encoded anew, upright, without what its file said beside the pixels."""

    data: bytes
    mime: str
    width: int  # pixels
    height: int  # pixels
    frames: int = 1


class Pictures(Protocol):
    """Decodes and encodes pictures.

    Guarantees: (1) what a file is, is found by decoding it, never by its name;
    (2) nothing is decoded whose header declares more than the limits allow;
    (3) nothing but pixels, durations and the loop count survives.
    """

    async def taken(self, path: Path) -> Picture:
        """The picture in a file. Raises InvalidMany: it is none, is too large or is damaged."""
        ...

    async def thumbnail(self, path: Path, *, edge: int) -> Picture:
        """The first frame, scaled down so that its longer side is at most ``edge`` pixels.

        Raises:
            InvalidMany: as :meth:`taken`.
        """
        ...
