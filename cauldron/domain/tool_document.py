"""Tool and port declarations as documents: strict reading, and writing back."""

import re
from collections.abc import Mapping
from typing import Any

from cauldron.domain.errors import InvalidMany, Problem
from cauldron.domain.field_reader import MISSING, FieldReader
from cauldron.domain.json_values import shown
from cauldron.domain.tool import Costing, Kind, Port, Tool, check_value

TOOL_FORMAT = 1
TOOL_ID = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*){0,5}")
VERSION = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){2}")
PORT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
MAX_PORTS, MAX_CHOICES, MAX_NESTING = 100, 1_000, 6
KINDS = tuple(kind.value for kind in Kind)
COST_MODELS = ("static", "per_second", "per_unit")
COST_SOURCES = ("reported", "tariff", "measured", "unknown")
NUMERIC = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.LIST})


def parse_tool(raw: Any, *, source: str = "") -> Tool:
    """The tool that the document ``raw`` declares.

    Raises:
        InvalidMany: every problem at once; paths like ``inputs[2].minimum``.
    """
    problems: list[Problem] = []
    fields = FieldReader(raw, "", problems)
    if fields.take("cauldronTool") != TOOL_FORMAT:
        fields.problem("cauldronTool", "format_version", f"must be {TOOL_FORMAT}, the format version")
    tool = Tool(
        id=fields.text("id", default=None, pattern=TOOL_ID, wanted="an id like noise.field"),
        version=fields.text("version", default=None, pattern=VERSION, wanted="a quoted version like 1.0.0"),
        display_name=fields.text("displayName", default=None),
        description=fields.text("description", longest=10_000),
        category=fields.text("category", default="image", longest=60),
        adapter=fields.text("adapter", default="local", longest=60),
        deterministic=fields.flag("deterministic", default=True),
        cpu_bound=fields.flag("cpuBound", default=True),
        timeout_s=fields.number("timeoutS", low=0.1, high=86_400) or 120.0,
        costing=_costing(fields),
        inputs=parse_ports(fields, "inputs"),
        outputs=parse_ports(fields, "outputs"),
    )
    fields.finish()
    if not tool.outputs and not problems:
        fields.problem("outputs", "missing", "must declare at least one output")
    if tool.costing.model == "per_unit" and tool.input(tool.costing.unit or "") is None:
        fields.problem("costing.unit", "unknown_input", "must name an input when the model is per_unit")
    if problems:
        raise InvalidMany(problems, source=source)
    return tool


def _costing(fields: FieldReader) -> Costing:
    raw = fields.take("costing")
    if raw is MISSING:
        return Costing()
    inner = FieldReader(raw, fields.at("costing"), fields.problems)
    costing = Costing(
        model=inner.choice("model", COST_MODELS, default="static"),
        amount_micro_usd=inner.whole("amountMicroUsd", low=0, high=10**15) or 0,
        unit=inner.text("unit") or None,
        source=inner.choice("source", COST_SOURCES, default="tariff"),
    )
    inner.finish()
    return costing


def parse_ports(fields: FieldReader, name: str, *, depth: int = 0, most: int = MAX_PORTS) -> tuple[Port, ...]:
    """The list of ports in the field ``name``; port names are unique in it."""
    ports: list[Port] = []
    for path, raw in fields.items(name, most=most):
        port = parse_port(raw, path, problems=fields.problems, depth=depth)
        if port.name and any(port.name == other.name for other in ports):
            fields.problems.append(
                Problem(path=f"{path}.name", code="duplicate", message=f"{port.name!r} is there twice")
            )
        ports.append(port)
    return tuple(ports)


def parse_port(raw: Any, path: str, *, problems: list[Problem], named: bool = True, depth: int = 0) -> Port:
    """One port; problems go to ``problems``. An ``item`` port (``named=False``) needs no name."""
    fields = FieldReader(raw, path, problems)
    before = len(problems)
    name = _port_name(fields, default=None if named else "")
    kind = Kind(fields.choice("kind", KINDS, default=None))
    port = Port(
        name=name,
        kind=kind,
        description=fields.text("description", longest=2_000),
        required=fields.flag("required", default=False),
        nullable=fields.flag("nullable", default=False),
        default=_default(fields),
        minimum=fields.number("minimum") if kind in NUMERIC else None,
        maximum=fields.number("maximum") if kind in NUMERIC else None,
        max_length=fields.whole("maxLength", low=0, high=10**7) if kind is Kind.TEXT else None,
        choices=_choices(fields) if kind is Kind.CHOICE else (),
        item=_item(fields, depth=depth) if kind is Kind.LIST else None,
        fields=_object_fields(fields, depth=depth) if kind is Kind.OBJECT else (),
    )
    fields.finish()
    if len(problems) == before:
        problems += _port_problems(port, path)
    return port


def _port_name(fields: FieldReader, *, default: str | None) -> str:
    return fields.text(
        "name", default=default, pattern=PORT_NAME, wanted="a name of letters, digits, - and _"
    )


def _default(fields: FieldReader) -> Any:
    value = fields.take("default")
    return None if value is MISSING else value


def _choices(fields: FieldReader) -> tuple[str, ...]:
    choices = []
    for path, choice in fields.items("choices", most=MAX_CHOICES):
        if isinstance(choice, str) and choice not in choices:
            choices.append(choice)
        else:
            message = f"must be text that is not there yet, not {shown(choice)}"
            fields.problems.append(Problem(path=path, code="not_a_choice", message=message))
    if not choices:
        fields.problem("choices", "missing", "must list at least one text")
    return tuple(choices)


def _item(fields: FieldReader, *, depth: int) -> Port | None:
    raw = fields.take("item")
    if raw is MISSING or _too_deep(fields, depth):
        return None
    return parse_port(raw, fields.at("item"), problems=fields.problems, named=False, depth=depth + 1)


def _object_fields(fields: FieldReader, *, depth: int) -> tuple[Port, ...]:
    return () if _too_deep(fields, depth) else parse_ports(fields, "fields", depth=depth + 1)


def _too_deep(fields: FieldReader, depth: int) -> bool:
    if depth >= MAX_NESTING:
        fields.problem("", "too_deep", f"ports are nested deeper than {MAX_NESTING}")
    return depth >= MAX_NESTING


def _port_problems(port: Port, path: str) -> list[Problem]:
    """What contradicts itself inside one well-formed port."""
    low, high = port.minimum, port.maximum
    if low is not None and high is not None and low > high:
        message = f"minimum {low} is above maximum {high}"
        return [Problem(path=f"{path}.minimum", code="out_of_range", message=message)]
    if port.default is None:
        return []
    return check_value(port, port.default, path=f"{path}.default")


def tool_document(tool: Tool) -> dict[str, Any]:
    """``tool`` as a document that :func:`parse_tool` reads back to an equal tool."""
    costing = tool.costing
    return {
        "cauldronTool": TOOL_FORMAT,
        "id": tool.id,
        "version": tool.version,
        "displayName": tool.display_name,
        "description": tool.description,
        "category": tool.category,
        "adapter": tool.adapter,
        "deterministic": tool.deterministic,
        "cpuBound": tool.cpu_bound,
        "timeoutS": tool.timeout_s,
        "costing": {
            "model": costing.model,
            "amountMicroUsd": costing.amount_micro_usd,
            **({"unit": costing.unit} if costing.unit else {}),
            "source": costing.source,
        },
        "inputs": [port_document(port) for port in tool.inputs],
        "outputs": [port_document(port) for port in tool.outputs],
    }


def port_document(port: Port) -> dict[str, Any]:
    """``port`` as a document, without what is at its default."""
    document: dict[str, Any] = {"name": port.name} if port.name else {}
    document["kind"] = port.kind.value
    optional: Mapping[str, Any] = {
        "description": port.description or None,
        "required": port.required or None,
        "nullable": port.nullable or None,
        "default": port.default,
        "minimum": port.minimum,
        "maximum": port.maximum,
        "maxLength": port.max_length,
        "choices": list(port.choices) or None,
        "item": port_document(port.item) if port.item else None,
        "fields": [port_document(field) for field in port.fields] or None,
    }
    return document | {name: value for name, value in optional.items() if value is not None}
