"""The reference page of the built-in tools, written from their declarations."""

from collections.abc import Iterator

from cauldron.adapters.local.declared.layers import LAYER
from cauldron.adapters.local.registry import TOOLS
from cauldron.domain.tool import Kind, Port, Tool

HEAD = """# Built-in tools

Every tool here runs on this machine without a key, gives the same bytes for the same inputs, and
refuses inputs outside the bounds below with the path of the input (`image.effect.strength`). Images may be
PNG, JPEG, WebP or GIF of up to 64 million pixels. This page is written from the declarations by
`cauldron.adapters.local.reference`; a test keeps both equal.
"""
COLUMNS = "| input | kind | bounds | default | |\n|---|---|---|---|---|\n"


def markdown() -> str:
    """The whole page, `docs/reference/tools.md`."""
    return "\n".join([HEAD, *(_section(tool) for tool, _ in TOOLS.values())])


def _section(tool: Tool) -> str:
    lines = [f"## {tool.id} {tool.version}", "", tool.description, "", COLUMNS + _rows(tool.inputs)]
    if tool.id == "layers.compose":
        lines += ["A layer given as an object has these fields:", "", COLUMNS + _rows(LAYER.fields)]
    made = ", ".join(f"`{port.name}` ({port.kind.value}): {port.description}" for port in tool.outputs)
    return "\n".join([*lines, f"Output: {made}.", ""])


def _rows(ports: tuple[Port, ...]) -> str:
    return "".join(
        f"| `{port.name}` | {_kind(port)} | {'; '.join(_bounds(port))} | {_default(port)} "
        f"| {port.description} |\n"
        for port in ports
    )


def _kind(port: Port) -> str:
    if port.kind is Kind.LIST and port.item is not None:
        return f"list of {'layer' if port.item.kind is Kind.JSON else port.item.kind.value}"
    return port.kind.value


def _bounds(port: Port) -> Iterator[str]:
    if port.minimum is not None or port.maximum is not None:
        what = " items" if port.kind is Kind.LIST else ""
        yield f"{_figure(port.minimum)}–{_figure(port.maximum)}{what}"
    if port.max_length is not None:
        yield f"{port.max_length:,} characters"
    if port.choices:
        yield ", ".join(f"`{choice}`" for choice in port.choices)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if float(value).is_integer() else f"{value:g}"


def _default(port: Port) -> str:
    if port.required:
        return "required"
    if port.default is None:
        return ""
    return f"`{str(port.default).lower() if isinstance(port.default, bool) else port.default}`"
