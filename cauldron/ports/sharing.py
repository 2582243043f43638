"""What draws the picture that other sites show beside a link to a spell."""

from pathlib import Path
from typing import Protocol

CARD_WIDTH, CARD_HEIGHT = 1200, 630  # pixels, as sites that show links expect them
CARD_MIME = "image/jpeg"


class ShareCards(Protocol):
    """Draws cards of CARD_WIDTH × CARD_HEIGHT pixels."""

    async def draw(self, picture: Path | None, *, title: str, caption: str) -> bytes:
        """A JPEG of the picture with a title; of the title alone when there is none, or it is damaged."""
        ...
