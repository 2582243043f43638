"""Tool declarations: typed inputs and outputs, costing, and checking of arguments."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cauldron.domain.errors import InvalidMany, Problem
from cauldron.domain.json_values import is_unicode, json_problem, shown
from cauldron.domain.media import is_media

COLOR = re.compile(r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MIME = re.compile(r"[a-z]+/[A-Za-z0-9][A-Za-z0-9.+-]{0,100}")
MAX_ITEMS = 1_000  # of a list whose port names no maximum
SHOWN_CHOICES = 20
ABSENT: Any = object()  # no value at all, not even null


class Kind(StrEnum):
    """What a port carries. Media kinds carry a :class:`MediaRef`."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    COLOR = "color"  # "#rrggbb" or "#rrggbbaa"
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    FILE = "file"
    JSON = "json"
    LIST = "list"  # of ``item``
    OBJECT = "object"  # with ``fields``


MEDIA_KINDS = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.AUDIO, Kind.FILE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One typed input or output. Bounds are inclusive; ``None`` is no bound."""

    name: str
    kind: Kind
    description: str = ""
    required: bool = False
    default: Any = None  # used when the input is absent; ``None`` stays absent
    minimum: float | None = None  # INTEGER, NUMBER; LIST: least number of items
    maximum: float | None = None  # INTEGER, NUMBER; LIST: greatest number of items
    max_length: int | None = None  # TEXT, characters
    choices: tuple[str, ...] = ()  # CHOICE
    item: "Port | None" = None  # LIST
    fields: tuple["Port", ...] = ()  # OBJECT
    nullable: bool = False  # ``null`` is accepted and handed on


@dataclass(frozen=True, slots=True, kw_only=True)
class Costing:
    """What one execution costs, before points: micro-USD, integers.

    ``model`` is ``static`` (``amount`` per run), ``per_second`` (``amount`` per
    second of run time) or ``per_unit`` (``amount`` × the input named ``unit``).
    """

    model: str = "static"
    amount_micro_usd: int = 0
    unit: str | None = None
    source: str = "tariff"  # reported | tariff | measured | unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One declared capability. ``id`` and ``version`` together are immutable."""

    id: str  # "layers.compose"
    version: str  # "1.0.0"
    display_name: str
    description: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    category: str = "image"
    adapter: str = "local"  # which ToolRunner executes it
    deterministic: bool = True  # same inputs, same bytes: results may be cached
    cpu_bound: bool = True  # run in the process pool rather than in the event loop
    timeout_s: float = 120.0
    costing: Costing = field(default_factory=Costing)

    def input(self, name: str) -> Port | None:
        """The input port called ``name``, or None."""
        return next((port for port in self.inputs if port.name == name), None)

    def output(self, name: str) -> Port | None:
        """The output port called ``name``, or None."""
        return next((port for port in self.outputs if port.name == name), None)


def check_inputs(tool: Tool, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` checked against the tool's inputs, defaults filled in at every depth.

    An absent input takes its default, and so does one that is null where null is
    not accepted. A required input that is nullable may be null, but not absent.

    Returns:
        One entry per input that has a value, in the order of declaration.

    Raises:
        InvalidMany: unknown, missing, mistyped or out-of-bounds inputs; each
            problem's path starts with ``<tool id>.<input>``.
    """
    problems = [
        Problem(path=f"{tool.id}.{_plain_name(name)}", code="unknown_input", message="no such input")
        for name in values
        if tool.input(name) is None
    ]
    checked: dict[str, Any] = {}
    for port in tool.inputs:
        value = given(port, values)
        if value is ABSENT:
            if port.required:
                problems.append(_problem(f"{tool.id}.{port.name}", "missing", "is required"))
            continue
        found = check_value(port, value, path=f"{tool.id}.{port.name}")
        problems += found
        checked[port.name] = value if found else filled(port, value)
    if problems:
        raise InvalidMany(problems)
    return checked


def given(port: Port, values: Mapping[str, Any]) -> Any:
    """What ``values`` hold for ``port``, else its default, else ABSENT."""
    value = values.get(port.name, ABSENT)
    if value is ABSENT or (value is None and not port.nullable):
        return ABSENT if port.default is None else port.default
    return value


def filled(port: Port, value: Any) -> Any:
    """A checked ``value`` with the defaults of the objects inside it filled in."""
    if port.kind is Kind.LIST and port.item is not None and value is not None:
        return [filled(port.item, item) for item in value]
    if port.kind is not Kind.OBJECT or value is None:
        return value
    fields = ((field, given(field, value)) for field in port.fields)
    return {field.name: filled(field, inner) for field, inner in fields if inner is not ABSENT}


def check_value(port: Port, value: Any, *, path: str) -> list[Problem]:
    """What is wrong with ``value`` for ``port``; an empty list when nothing is."""
    if value is None and port.nullable:
        return []
    match port.kind:
        case Kind.TEXT:
            return _check_text(port, value, path)
        case Kind.INTEGER | Kind.NUMBER:
            return _check_number(port, value, path)
        case Kind.BOOLEAN:
            return [] if isinstance(value, bool) else [_mistyped(path, "true or false", value)]
        case Kind.CHOICE:
            return _check_choice(port, value, path)
        case Kind.COLOR:
            ok = isinstance(value, str) and COLOR.fullmatch(value) is not None
            return [] if ok else [_mistyped(path, "a colour like #a1b2c3", value)]
        case Kind.LIST:
            return _check_list(port, value, path)
        case Kind.OBJECT:
            return _check_object(port, value, path)
        case Kind.JSON:
            return _check_json(value, path)
    return _check_media(port, value, path)


def _check_text(port: Port, value: Any, path: str) -> list[Problem]:
    if not isinstance(value, str):
        return [_mistyped(path, "text", value)]
    if port.max_length is not None and len(value) > port.max_length:
        return [_problem(path, "too_long", f"has {len(value)} characters, {port.max_length} allowed")]
    return [] if is_unicode(value) else _check_json(value, path)


def _check_number(port: Port, value: Any, path: str) -> list[Problem]:
    whole = port.kind is Kind.INTEGER
    types = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, types) or json_problem(value):
        return [_mistyped(path, "a whole number of at most 64 bits" if whole else "a finite number", value)]
    low, high = port.minimum, port.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        return [_problem(path, "out_of_range", f"must be {_bounds(low, high)}, not {value}")]
    return []


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"between {low} and {high}"


def _check_choice(port: Port, value: Any, path: str) -> list[Problem]:
    if isinstance(value, str) and value in port.choices:
        return []
    wanted = ", ".join(port.choices[:SHOWN_CHOICES]) + (", …" if len(port.choices) > SHOWN_CHOICES else "")
    return [_problem(path, "not_a_choice", f"must be one of {wanted}, not {shown(value)}")]


def _check_list(port: Port, value: Any, path: str) -> list[Problem]:
    if not isinstance(value, list | tuple):
        return [_mistyped(path, "a list", value)]
    low, high = port.minimum or 0, port.maximum if port.maximum is not None else MAX_ITEMS
    if not low <= len(value) <= high:
        return [_problem(path, "out_of_range", f"must have {low} to {high} items, not {len(value)}")]
    if port.item is None:
        return _check_json(value, path)
    return [p for i, v in enumerate(value) for p in check_value(port.item, v, path=f"{path}[{i}]")]


def _check_object(port: Port, value: Any, path: str) -> list[Problem]:
    if not isinstance(value, Mapping):
        return [_mistyped(path, "an object", value)]
    known = {field.name for field in port.fields}
    problems = [
        _problem(f"{path}.{_plain_name(key)}", "unknown_field", "no such field")
        for key in value
        if key not in known
    ]
    for inner in port.fields:
        content = given(inner, value)
        if content is not ABSENT:
            problems += check_value(inner, content, path=f"{path}.{inner.name}")
        elif inner.required:
            problems.append(_problem(f"{path}.{inner.name}", "missing", "is required"))
    return problems


def _check_json(value: Any, path: str) -> list[Problem]:
    reason = json_problem(value)
    return [] if reason is None else [_problem(path, "wrong_type", reason)]


def _check_media(port: Port, value: Any, path: str) -> list[Problem]:
    if not is_media(value):
        return [_mistyped(path, f"a stored {port.kind.value}", value)]
    if DIGEST.fullmatch(value["media"]) is None:
        return [_mistyped(f"{path}.media", "sha256: and 64 hex digits", value["media"])]
    mime = value.get("mime")
    if not isinstance(mime, str) or MIME.fullmatch(mime) is None:
        return [_mistyped(f"{path}.mime", "a media type like image/png", mime)]
    if port.kind is not Kind.FILE and not mime.startswith(f"{port.kind.value}/"):
        return [_problem(path, "wrong_type", f"must be {port.kind.value} media, not {mime}")]
    return _check_json(value, path)


def _plain_name(name: Any) -> str:
    """A key as part of a path: cut, and quoted when it is no plain name."""
    plain = isinstance(name, str) and len(name) <= 60 and name.isprintable()
    return name if plain else shown(name)


def _problem(path: str, code: str, message: str) -> Problem:
    return Problem(path=path, code=code, message=message)


def _mistyped(path: str, wanted: str, value: Any) -> Problem:
    return _problem(path, "wrong_type", f"must be {wanted}, not {shown(value)}")
