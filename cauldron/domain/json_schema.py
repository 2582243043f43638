"""JSON Schemas compiled to plain functions, for documents that are checked by the hundred thousand.

Covers the keywords our own schemas use and refuses every other one, so that no
rule is silently left out. A document it refuses is explained by a full validator.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], bool]
Schema: TypeAlias = Mapping[str, Any]

_TYPES: dict[str, Check] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
}
_SILENT = {"$schema", "$id", "$defs", "title", "description", "examples"}
_OF_OBJECTS = {"required", "properties", "additionalProperties"}


def compile_schema(schema: Schema, *, root: Schema | None = None) -> Check:
    """A function that tells whether a document fits ``schema``.

    Raises:
        ValueError: the schema uses a keyword that is not covered.
    """
    whole = schema if root is None else root
    checks = [
        _KEYWORDS[keyword](schema, whole)
        for keyword in schema
        if keyword not in _SILENT and keyword not in _OF_OBJECTS and _covered(keyword)
    ]
    if not _OF_OBJECTS.isdisjoint(schema):
        checks.append(_object(schema, whole))
    return checks[0] if len(checks) == 1 else _all_of(tuple(checks))


def _all_of(checks: tuple[Check, ...]) -> Check:
    def check(value: Any) -> bool:
        for each in checks:  # noqa: SIM110 - a generator would double the time
            if not each(value):
                return False
        return True

    return check


def _covered(keyword: str) -> bool:
    if keyword not in _KEYWORDS:
        raise ValueError(f"the schema keyword {keyword!r} is not covered")
    return True


def _type(schema: Schema, root: Schema) -> Check:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    tests = [_TYPES[name] for name in names]
    return tests[0] if len(tests) == 1 else _one_of(tuple(tests))


def _ref(schema: Schema, root: Schema) -> Check:
    place: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        place = place[part]
    return compile_schema(place, root=root)


def _any_of(schema: Schema, root: Schema) -> Check:
    branches = [compile_schema(branch, root=root) for branch in schema["anyOf"]]
    return _one_of(tuple(branches))


def _one_of(checks: tuple[Check, ...]) -> Check:
    def check(value: Any) -> bool:
        for each in checks:  # noqa: SIM110 - a generator would double the time
            if each(value):
                return True
        return False

    return check


def _object(schema: Schema, root: Schema) -> Check:
    """The keywords about members, in one pass over them."""
    required = tuple(schema.get("required", ()))
    members = {name: compile_schema(part, root=root) for name, part in schema.get("properties", {}).items()}
    if schema.get("additionalProperties", False) is not False:
        raise ValueError("additionalProperties is covered only as false")
    closed = "additionalProperties" in schema

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        for name in required:
            if name not in value:
                return False
        for name, part in value.items():
            fits = members.get(name)
            if closed if fits is None else not fits(part):
                return False
        return True

    return check


def _items(schema: Schema, root: Schema) -> Check:
    each = compile_schema(schema["items"], root=root)
    return lambda value: not isinstance(value, list) or all(map(each, value))


def _pattern(schema: Schema, root: Schema) -> Check:
    search = re.compile(schema["pattern"]).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _bound(keyword: str, fits: Callable[[Any, Any], bool], *, kind: str) -> Callable[[Schema, Schema], Check]:
    def build(schema: Schema, root: Schema) -> Check:
        limit, applies = schema[keyword], _TYPES[kind]
        return lambda value: not applies(value) or fits(value, limit)

    return build


def _members(schema: Schema, root: Schema) -> Check:
    texts = tuple(schema["enum"])
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("enum is covered only for strings")
    return lambda value: isinstance(value, str) and value in texts


_KEYWORDS: dict[str, Callable[[Schema, Schema], Check]] = {
    "type": _type,
    "$ref": _ref,
    "anyOf": _any_of,
    "items": _items,
    "pattern": _pattern,
    "enum": _members,
    "minLength": _bound("minLength", lambda value, limit: len(value) >= limit, kind="string"),
    "maxLength": _bound("maxLength", lambda value, limit: len(value) <= limit, kind="string"),
    "minItems": _bound("minItems", lambda value, limit: len(value) >= limit, kind="array"),
    "minimum": _bound("minimum", lambda value, limit: value >= limit, kind="number"),
    "maximum": _bound("maximum", lambda value, limit: value <= limit, kind="number"),
}
