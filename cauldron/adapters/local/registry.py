"""The built-in tools by id: declaration and body. A body is imported when it first runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from cauldron.adapters.local.declared import layers, pictures, words
from cauldron.domain.errors import NotFound
from cauldron.domain.tool import Tool, check_inputs
from cauldron.ports.tools import LocalTool, Media, Produced


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyBody:
    """A tool body named by its module, imported at the first call. Can be pickled."""

    module: str

    def __call__(self, inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
        produced: Sequence[Produced] = self.load()(inputs, media)
        return produced

    def load(self) -> LocalTool:
        """The function ``run`` of the module."""
        body: LocalTool = import_module(f"cauldron.adapters.local.{self.module}").run
        return body


_ALL: tuple[tuple[Tool, str], ...] = (
    (layers.COMPOSE, "compose"),
    (pictures.EFFECT, "effect"),
    (pictures.NOISE, "noise"),
    (pictures.GRADIENT, "gradient"),
    (pictures.PATTERN, "pattern"),
    (pictures.AVATAR, "avatar"),
    (words.CARD, "card"),
    (words.TEMPLATE, "template"),
    (words.SVG, "svg"),
    (words.STATIC, "static"),
    (words.LOOP, "animation"),
)

TOOLS: Mapping[str, tuple[Tool, LocalTool]] = MappingProxyType(
    {tool.id: (tool, LazyBody(module=module)) for tool, module in _ALL}
)


def run_tool(tool_id: str, inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """Check ``inputs``, fill in defaults and run the tool in this process.

    Raises:
        NotFound: there is no such built-in tool, or a media reference is not stored.
        InvalidMany: inputs that the declaration or the tool itself refuses.
    """
    if tool_id not in TOOLS:
        raise NotFound(f"no built-in tool {tool_id!r}; there are {', '.join(TOOLS)}")
    tool, body = TOOLS[tool_id]
    return body(check_inputs(tool, inputs), media)
