"""Tools: what there is, and what each takes and gives as JSON Schema."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from cauldron.api.access import Reader, TheStudio
from cauldron.api.answers import json_answer
from cauldron.api.shapes import MAX_PAGE, Answer, decode_cursor, encode_cursor
from cauldron.domain.port_schema import schema_of
from cauldron.domain.tool import Tool
from cauldron.domain.tool_document import port_document

router = APIRouter(prefix="/api/v1", tags=["tools"])


class ToolSummary(Answer):
    """A tool in its newest version."""

    tool_id: str
    version: str
    display_name: str
    description: str
    category: str
    deterministic: bool


class ToolAnswer(ToolSummary):
    """A tool with its ports, and the schemas of its inputs and outputs."""

    versions: list[str]
    adapter: str
    timeout_s: float
    costing: dict[str, Any]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class ToolPage(Answer):
    """Tools by id; ``next`` is the cursor of the page that follows."""

    items: list[ToolSummary]
    next: str | None


def tool_summary(tool: Tool) -> dict[str, Any]:
    """What a list shows of a tool."""
    return {
        "toolId": tool.id,
        "version": tool.version,
        "displayName": tool.display_name,
        "description": tool.description,
        "category": tool.category,
        "deterministic": tool.deterministic,
    }


@router.get("/tools", summary="List the tools", responses={200: {"model": ToolPage}})
async def list_tools(
    studio: TheStudio,
    who: Reader,
    category: Annotated[str | None, Query(max_length=60)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Every tool in its newest version, by id."""
    await studio.tools.refresh(studio.store)
    after = str(decode_cursor(cursor, fields=1)[0]) if cursor is not None else ""
    ids = sorted({tool.id for tool in studio.tools.all() if tool.id > after})
    newest = (studio.tools.resolve(tool_id) for tool_id in ids)
    fitting = [tool for tool in newest if category in (None, tool.category)]
    more = encode_cursor([fitting[limit - 1].id]) if len(fitting) > limit else None
    return json_answer({"items": [tool_summary(tool) for tool in fitting[:limit]], "next": more})


@router.get(
    "/tools/{tool_id}", summary="Look at one tool and what it takes", responses={200: {"model": ToolAnswer}}
)
async def get_tool(
    tool_id: Annotated[str, Path(max_length=400, examples=["noise.field"])],
    studio: TheStudio,
    who: Reader,
    version: Annotated[str, Query(max_length=60, description="A version, or a range of them.")] = "*",
) -> Response:
    """Its inputs and outputs, as ports and as JSON Schemas (2020-12)."""
    await studio.tools.refresh(studio.store)
    tool = studio.tools.resolve(tool_id, version)
    versions = [each.version for each in studio.tools.all() if each.id == tool.id]
    costing = tool.costing
    return json_answer(
        tool_summary(tool)
        | {
            "versions": versions,
            "adapter": tool.adapter,
            "timeoutS": tool.timeout_s,
            "costing": {
                "model": costing.model,
                "amountMicroUsd": costing.amount_micro_usd,
                "unit": costing.unit,
                "source": costing.source,
            },
            "inputs": [port_document(port) for port in tool.inputs],
            "outputs": [port_document(port) for port in tool.outputs],
            "inputSchema": schema_of(tool.inputs, title=f"Inputs of {tool.display_name}"),
            "outputSchema": schema_of(tool.outputs, title=f"Outputs of {tool.display_name}"),
        }
    )
