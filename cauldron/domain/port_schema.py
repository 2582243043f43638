"""JSON Schemas of what tools and spells take and give."""

from collections.abc import Iterable
from typing import Any

from cauldron.domain.tool import MAX_ITEMS, MEDIA_KINDS, Kind, Port

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MEDIA: dict[str, Any] = {
    "type": "object",
    "required": ["media", "mime"],
    "properties": {
        "media": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        "mime": {"type": "string"},
        "sizeBytes": {"type": "integer", "minimum": 0},
        "width": {"type": "integer", "minimum": 1},
        "height": {"type": "integer", "minimum": 1},
        "name": {"type": "string"},
    },
}


def schema_of(ports: Iterable[Port], *, title: str) -> dict[str, Any]:
    """The schema (2020-12) of an object with a property per port; nothing else is allowed in it."""
    return {"$schema": DIALECT, "title": title, **_object(tuple(ports))}


def _object(ports: tuple[Port, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "object",
        "properties": {port.name: _described(port) for port in ports},
        "additionalProperties": False,
    }
    required = [port.name for port in ports if port.required and port.default is None]
    return found | ({"required": required} if required else {})


def _described(port: Port) -> dict[str, Any]:
    schema = _value(port)
    if port.nullable:
        schema = {"anyOf": [schema, {"type": "null"}]}
    if port.description:
        schema = schema | {"description": port.description}
    return schema | ({"default": port.default} if port.default is not None else {})


def _value(port: Port) -> dict[str, Any]:
    if port.kind in MEDIA_KINDS:
        return MEDIA | {"title": str(port.kind)}
    match port.kind:
        case Kind.TEXT:
            return {"type": "string"} | _bounds(maxLength=port.max_length)
        case Kind.INTEGER | Kind.NUMBER:
            return {"type": str(port.kind)} | _bounds(minimum=port.minimum, maximum=port.maximum)
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.CHOICE:
            return {"type": "string", "enum": list(port.choices)}
        case Kind.COLOR:
            return {"type": "string", "pattern": "^#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})$"}
        case Kind.LIST:
            most = int(port.maximum) if port.maximum is not None else MAX_ITEMS
            items = {"items": _described(port.item)} if port.item is not None else {}
            return {"type": "array", "minItems": int(port.minimum or 0), "maxItems": most} | items
        case Kind.OBJECT:
            return _object(port.fields)
    return {}  # any JSON


def _bounds(**limits: float | None) -> dict[str, Any]:
    return {name: limit for name, limit in limits.items() if limit is not None}
