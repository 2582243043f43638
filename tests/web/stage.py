"""A studio with a published spell behind a real server, run on a thread, for browsers and plain clients."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import yaml

from cauldron.bootstrap import Studio
from cauldron.config import Settings
from tests.api.foundation.threaded import Threaded
from tests.api.live.live_world import serving

ROOT = Path(__file__).parents[2]
POSTCARDS = ROOT / "examples/postcards"
VISTA, STAMP, FRAME = (
    POSTCARDS / "art" / name for name in ("vista/lighthouse.png", "stamp/whale.png", "frame.png")
)
CHROMIUM = shutil.which("chromium")
LANTERN: dict[str, Any] = {
    "cauldronSpell": 1,
    "name": "Lantern card",
    "slug": "lantern",
    "description": "A short text on a card.",
    "visibility": "public",
    "inputs": [{"name": "words", "kind": "text", "required": True, "maxLength": 40}],
    "steps": [
        {
            "id": "card",
            "label": "The card",
            "tool": "text.card",
            "inputs": {"text": {"input": "words"}, "width": 320, "height": 240},
        }
    ],
    "output": {"step": "card"},
}


def postcard() -> dict[str, Any]:
    """The spell of the bundled example, open to visitors."""
    return yaml.safe_load((POSTCARDS / "spell.yaml").read_text()) | {"visibility": "public"}


async def publish(studio: Studio, document: dict[str, Any], *, owner: str = "") -> Any:
    """A published version of a spell."""
    await studio.tools.refresh(studio.store)
    book = studio.spells if not owner else replace(studio.spells, owner=owner, actor=owner)
    await book.save(document, new_id=studio.new_id(), now_ms=studio.clock())
    return (await book.publish(document["slug"], now_ms=studio.clock())).version


async def show(studio: Studio, slug: str, picture: Path) -> None:
    """A picture is what the spell is shown with."""
    digest = await studio.blobs.put(picture.read_bytes())
    ref = {"media": f"sha256:{digest}", "mime": "image/png", "width": 1200, "height": 840}
    await studio.spells.show_images(slug, [ref], now_ms=studio.clock())


class Stage(Threaded):
    """``studio`` at work behind ``address``."""

    def __init__(self, home: Path) -> None:
        super().__init__(self._opened(home))

    def __enter__(self) -> Self:
        super().__enter__()
        self.studio, self.address = self.inside
        return self

    @asynccontextmanager
    async def _opened(self, home: Path) -> AsyncIterator[tuple[Studio, str]]:
        studio = Studio(Settings(home=home, processes=1, slots=4))
        await studio.open()
        try:
            async with serving(studio) as port, studio.running():
                yield studio, f"http://127.0.0.1:{port}"
        finally:
            await studio.feeds.close()
            await studio.close()
