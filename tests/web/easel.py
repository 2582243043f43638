"""A spell that costs points, of tools that draw what they are given and wait until they are let go on."""

import io
from typing import Any

from PIL import Image, ImageFilter, ImageOps

from cauldron.bootstrap import Studio
from cauldron.domain.tool import Costing, Kind, Port, Tool
from cauldron.ports.tools import ToolCall, ToolResult
from cauldron.services.tools import register_tools
from tests.web.stage import publish

PICTURES = ("trace", "ink", "wash", "press")
COST_MICRO_USD = 3_000  # a step: three points where a thousand are a dollar
ETCHING: dict[str, Any] = {
    "cauldronSpell": 1,
    "name": "Etching",
    "slug": "etching",
    "description": "Your picture traced, inked and washed, then pressed on one sheet.",
    "visibility": "public",
    "inputs": [
        {"name": "title", "kind": "text", "required": True, "maxLength": 40},
        {"name": "picture", "kind": "image", "required": True, "description": "What is to be etched."},
        {"name": "mood", "kind": "choice", "choices": ["dawn", "noon", "dusk"], "default": "dusk"},
        {"name": "depth", "kind": "number", "minimum": 0, "maximum": 1, "default": 0.6},
        {"name": "edition", "kind": "integer", "minimum": 1, "required": True},
        {"name": "seed", "kind": "integer", "minimum": 0, "maximum": 9999, "default": 7},
    ],
    "steps": [
        {
            "id": "trace",
            "label": "The trace",
            "tool": "easel.trace",
            "inputs": {"picture": {"input": "picture"}, "note": {"input": "title"}},
        },
        {
            "id": "ink",
            "label": "The ink",
            "tool": "easel.ink",
            "inputs": {"picture": {"step": "trace"}, "amount": {"input": "depth"}},
        },
        {
            "id": "wash",
            "label": "The wash",
            "tool": "easel.wash",
            "inputs": {
                "picture": {"input": "picture"},
                "under": {"step": "trace"},
                "note": {"template": "{{input.mood}}"},
            },
        },
        {
            "id": "press",
            "label": "The press",
            "tool": "easel.press",
            "inputs": {
                "picture": {"step": "wash"},
                "under": {"step": "ink"},
                "amount": {"input": "edition"},
                "count": {"input": "seed"},
            },
        },
    ],
    "output": {"step": "press"},
}


def easel_tool(name: str) -> Tool:
    """A tool of pictures."""
    return Tool(
        id=f"easel.{name}",
        version="1.0.0",
        display_name=name.title(),
        description="",
        adapter="easel",
        deterministic=False,
        costing=Costing(amount_micro_usd=COST_MICRO_USD),
        inputs=(
            Port(name="picture", kind=Kind.IMAGE, required=True),
            Port(name="under", kind=Kind.IMAGE),
            Port(name="note", kind=Kind.TEXT),
            Port(name="amount", kind=Kind.NUMBER),
            Port(name="count", kind=Kind.INTEGER),
        ),
        outputs=(Port(name="image", kind=Kind.IMAGE),),
    )


class Easel:
    """Runs them: what is in ``held`` waits, what is in ``broken`` fails."""

    def __init__(self, studio: Studio) -> None:
        self._blobs = studio.blobs
        self.held: set[str] = set()
        self.broken: dict[str, str] = {}

    def clear(self) -> None:
        """Nothing waits and nothing fails any more."""
        self.held, self.broken = set(), {}

    async def submit(self, call: ToolCall) -> ToolResult:
        return ToolResult(status="dispatched", run_id=call.run_id or call.key, wake_after_s=0.02)

    async def poll(self, call: ToolCall) -> ToolResult:
        name = call.tool.id.removeprefix("easel.")
        if name in self.held:
            return ToolResult(status="dispatched", run_id=call.run_id, wake_after_s=0.02)
        if name in self.broken:
            return ToolResult(
                status="failed", run_id=call.run_id, error_code="jammed", error=self.broken[name]
            )
        picture = await self._picture(call.inputs["picture"])
        under = await self._picture(call.inputs["under"]) if "under" in call.inputs else None
        data, size = drawn(name, picture, under)
        digest = await self._blobs.put(data)
        ref = {"media": f"sha256:{digest}", "mime": "image/png", "sizeBytes": len(data)}
        ref |= {"width": size[0], "height": size[1]}
        return ToolResult(status="success", run_id=call.run_id, outputs={"image": ref})

    async def _picture(self, ref: Any) -> Image.Image:
        path = await self._blobs.local_path(ref["media"].removeprefix("sha256:"))
        return Image.open(path).convert("RGB")

    async def cancel(self, call: ToolCall) -> None:
        return None

    def parse_webhook(self, headers: Any, body: bytes) -> dict[str, Any]:
        return {}

    def estimate(self, call: ToolCall) -> int:
        return COST_MICRO_USD

    async def close(self) -> None:
        return None


def drawn(name: str, picture: Image.Image, under: Image.Image | None) -> tuple[bytes, tuple[int, int]]:
    """A picture after a step, as PNG."""
    gray = ImageOps.grayscale(picture)
    if name == "trace":
        made = ImageOps.invert(ImageOps.autocontrast(gray.filter(ImageFilter.FIND_EDGES))).convert("RGB")
    elif name == "ink":
        made = ImageOps.colorize(ImageOps.autocontrast(gray), "#1c2340", "#f7efe0")
    elif name == "wash":
        made = ImageOps.colorize(ImageOps.posterize(gray, 3), "#3a2f5b", "#fbe3c0", mid="#c9736a")
    else:
        made = Image.blend(picture, (under or picture).resize(picture.size), 0.35)
    sheet = io.BytesIO()
    made.save(sheet, "PNG")
    return sheet.getvalue(), made.size


async def set_up(studio: Studio) -> Easel:
    """The easel at work in a studio, and its spell published."""
    easel = Easel(studio)
    studio.runners["easel"] = easel
    await register_tools(
        studio.store,
        [easel_tool(name) for name in PICTURES],
        owner=studio.owner,
        actor="t",
        environment="live",
        now_ms=studio.clock(),
    )
    await publish(studio, ETCHING)
    return easel
