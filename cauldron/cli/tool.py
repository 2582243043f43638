"""``cauldron tool``: what can be used in spells and collections."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from cauldron.adapters.local import registry as builtin
from cauldron.bootstrap import Studio
from cauldron.cli.output import command, emit
from cauldron.cli.session import run
from cauldron.config import load_settings
from cauldron.domain.tool import Port, Tool
from cauldron.domain.tool_document import tool_document
from cauldron.services.tools import ToolRegistry

R = TypeVar("R")

group = typer.Typer(no_args_is_help=True, help="The tools there are: built in, installed, from files.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
ToolId = Annotated[str, typer.Argument(metavar="ID", help="A tool's id, such as noise.field.")]
Range = Annotated[str, typer.Option("--version", metavar="RANGE", help="1, 1.2.3, ^1.2, ~1.2 or *.")]


def register(app: typer.Typer) -> None:
    """Add the ``tool`` group to the command."""
    app.add_typer(group, name="tool")


@group.command("list")
@command
def list_command(as_json: AsJson = False) -> None:
    """List every version of every tool."""

    tools = with_tools(lambda known: [summary(tool, source=known.source_of(tool)) for tool in known.all()])
    emit({"tools": tools}, as_json=as_json, text=table(tools, ("id", "version", "displayName", "source")))


@group.command("show")
@command
def show_command(tool_id: ToolId, version: Range = "*", as_json: AsJson = False) -> None:
    """Show a tool: its inputs with bounds and defaults, its outputs, its cost."""

    def found(known: ToolRegistry) -> tuple[Tool, str]:
        tool = known.resolve(tool_id, version)
        return tool, known.source_of(tool)

    tool, source = with_tools(found)
    emit(tool_document(tool) | {"source": source}, as_json=as_json, text=described(tool, source=source))


def with_tools(work: Callable[[ToolRegistry], R]) -> R:
    """Do ``work`` with every tool there is; a store that is not there yet is not made for it."""
    settings = load_settings()
    if settings.store_path is not None and not settings.store_path.exists():
        declared = (tool for tool, _ in builtin.TOOLS.values())
        return work(ToolRegistry(declared, folders=[settings.home / "tools"]))

    async def refreshed(app: Studio) -> R:
        await app.tools.refresh(app.store)
        return work(app.tools)

    return run(refreshed)


def summary(tool: Tool, *, source: str) -> dict[str, Any]:
    """One line of the list."""
    return {
        "id": tool.id,
        "version": tool.version,
        "displayName": tool.display_name,
        "category": tool.category,
        "adapter": tool.adapter,
        "deterministic": tool.deterministic,
        "source": source,
    }


def table(rows: list[dict[str, Any]], columns: tuple[str, ...], *, empty: str = "none") -> str:
    """``rows`` as aligned columns with a heading; ``empty`` when there are no rows."""
    if not rows:
        return empty
    cells = [list(columns), *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


def described(tool: Tool, *, source: str) -> str:
    """A tool for people: what it does, then a line per port."""
    lines = [f"{tool.display_name} ({tool.id} {tool.version}, {source})", tool.description, "", "Inputs"]
    lines += [f"  {port.name}: {kind_of(port)}{_notes(port)}" for port in tool.inputs]
    lines += ["", "Outputs", *(f"  {port.name}: {kind_of(port)}" for port in tool.outputs)]
    return "\n".join(lines)


def kind_of(port: Port) -> str:
    """The kind of a port with its bounds: ``integer 1 to 4096``, ``list of number``."""
    inside = f" of {kind_of(port.item)}" if port.item else ""
    inside = f" of {', '.join(field.name for field in port.fields)}" if port.fields else inside
    inside = f" of {', '.join(port.choices)}" if port.choices else inside
    low, high = port.minimum, port.maximum
    bounds = f" {low} to {high}" if low is not None and high is not None else ""
    bounds = f" from {low}" if low is not None and high is None else bounds
    bounds = f" up to {high}" if low is None and high is not None else bounds
    length = f" up to {port.max_length} characters" if port.max_length is not None else ""
    return f"{port.kind.value}{bounds}{length}{inside}"


def _notes(port: Port) -> str:
    notes = ["required"] if port.required else []
    notes += [f"default {port.default}"] if port.default is not None else []
    notes += [port.description] if port.description else []
    return f" — {'; '.join(notes)}" if notes else ""
