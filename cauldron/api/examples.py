"""Examples for the OpenAPI document, made from the schemas: the same each time, and valid by construction."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
ID = "01a1f93554e27f5b1647b928a108e46b"
KNOWN: Mapping[str, Any] = {  # by the name of the property
    "cookId": ID,
    "collectionId": "01a1f93552b05a9fb321210ba70a2b51",
    "castId": "01a1f93555112f0a66a8f54ad9ea0b62",
    "runId": "01a1f93555112f0a66a8f54ad9ea0b62",
    "pieceId": f"{ID}.7",
    "outputId": f"{ID}.7.1.0",
    "userId": "01a1f935510f52d6867d5b58f15314fb",
    "creditTxId": "01a1f93555112f0a66a8f54ad9ea0b63",
    "createdAt": "2026-11-20T09:30:00.000Z",
    "updatedAt": "2026-11-20T09:31:12.500Z",
    "startedAt": "2026-11-20T09:30:00.000Z",
    "completedAt": "2026-11-20T09:31:12.500Z",
    "ts": "2026-11-20T09:30:00.000Z",
    "name": "Lanterns",
    "slug": "lanterns",
    "version": "1.0.0",
    "state": "Cooking",
    "status": "running",
    "actor": "ann",
    "url": "https://app.example/hook",
    "callbackUrl": "https://app.example/hook",
    "traits": {"Light": "Moon"},
    "counts": {"approved": 3},
}
MOST_DEPTH = 8


def example_of(schema: Schema, parts: Mapping[str, Any], *, name: str = "", depth: int = 0) -> Any:
    """A value that is valid by ``schema``; ``parts`` are the named schemas it may refer to."""
    if "$ref" in schema:
        return example_of(parts[schema["$ref"].rpartition("/")[2]], parts, name=name, depth=depth + 1)
    for given in (schema.get("examples"), [schema["example"]] if "example" in schema else None):
        if given:
            return given[0]
    for word in ("const", "default"):
        if schema.get(word) is not None:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return example_of(schema[word][0], parts, name=name, depth=depth)
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return _object(schema, parts, name=name, depth=depth)
    if kind == "array":
        return _array(schema, parts, name=name, depth=depth)
    return _plain(schema, kind, name)


def _object(schema: Schema, parts: Mapping[str, Any], *, name: str, depth: int) -> Any:
    properties = schema.get("properties")
    if not properties:
        known = KNOWN.get(name)
        return known if isinstance(known, dict) else {}
    wanted = schema.get("required", ()) if depth > MOST_DEPTH else properties
    return {key: example_of(properties[key], parts, name=key, depth=depth + 1) for key in wanted}


def _array(schema: Schema, parts: Mapping[str, Any], *, name: str, depth: int) -> list[Any]:
    item = schema.get("items") or {}
    if depth > MOST_DEPTH or not item:
        return []
    one = example_of(item, parts, name=name.removesuffix("s"), depth=depth + 1)
    return [one] * max(1, int(schema.get("minItems", 1)))


def _plain(schema: Schema, kind: Any, name: str) -> Any:
    if kind == "string":
        known = KNOWN.get(name)
        fits = isinstance(known, str) and len(known) <= schema.get("maxLength", 1 << 30)
        text = str(known) if fits else (ID if name.endswith("Id") else "text")
        return text.ljust(schema.get("minLength", 0), "x")
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
        value = max(low, 1) if schema.get("maximum", 1) >= 1 else schema["maximum"]
        return int(value) if kind == "integer" else value
    if kind == "boolean":
        return True
    return None
