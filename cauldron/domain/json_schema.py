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


def compile_schema(schema: Schema, *, root: Schema | None = None) -> Check:
    """A function that tells whether a document fits ``schema``.

    Raises:
        ValueError: the schema uses a keyword that is not covered.
    """
    whole = schema if root is None else root
    checks = [
        _KEYWORDS[keyword](schema, whole)
        for keyword in schema
        if keyword not in _SILENT and _covered(keyword)
    ]
    return lambda value: all(check(value) for check in checks)


def _covered(keyword: str) -> bool:
    if keyword not in _KEYWORDS:
        raise ValueError(f"the schema keyword {keyword!r} is not covered")
    return True


def _type(schema: Schema, root: Schema) -> Check:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    tests = [_TYPES[name] for name in names]
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _ref(schema: Schema, root: Schema) -> Check:
    place: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        place = place[part]
    return compile_schema(place, root=root)


def _any_of(schema: Schema, root: Schema) -> Check:
    branches = [compile_schema(branch, root=root) for branch in schema["anyOf"]]
    return lambda value: any(branch(value) for branch in branches)


def _required(schema: Schema, root: Schema) -> Check:
    names = tuple(schema["required"])
    return lambda value: not isinstance(value, dict) or all(name in value for name in names)


def _properties(schema: Schema, root: Schema) -> Check:
    checks = {name: compile_schema(part, root=root) for name, part in schema["properties"].items()}

    def check(value: Any) -> bool:
        return not isinstance(value, dict) or all(
            checks[name](part) for name, part in value.items() if name in checks
        )

    return check


def _additional(schema: Schema, root: Schema) -> Check:
    known = frozenset(schema.get("properties", {}))
    if schema["additionalProperties"] is not False:
        raise ValueError("additionalProperties is covered only as false")
    return lambda value: not isinstance(value, dict) or known.issuperset(value)


def _items(schema: Schema, root: Schema) -> Check:
    each = compile_schema(schema["items"], root=root)
    return lambda value: not isinstance(value, list) or all(each(item) for item in value)


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
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "pattern": _pattern,
    "enum": _members,
    "minLength": _bound("minLength", lambda value, limit: len(value) >= limit, kind="string"),
    "maxLength": _bound("maxLength", lambda value, limit: len(value) <= limit, kind="string"),
    "minItems": _bound("minItems", lambda value, limit: len(value) >= limit, kind="array"),
    "minimum": _bound("minimum", lambda value, limit: value >= limit, kind="number"),
    "maximum": _bound("maximum", lambda value, limit: value <= limit, kind="number"),
}
