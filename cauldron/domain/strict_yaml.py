"""Reading YAML or JSON text strictly: nothing is guessed, repeated or expanded.

Scalars follow the YAML 1.2 core schema (``yes`` and ``2026-01-01`` are text).
Repeated keys, aliases, tags, NaN, deep nesting and unpaired surrogates are errors.
"""

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode

from cauldron.domain.errors import Invalid
from cauldron.domain.json_values import MAX_DEPTH, json_problem, shown

MAX_DOCUMENT_BYTES = 4_000_000
MAX_DIGITS = 30
LONGEST_PLACE = 120  # characters of a path in a message
NULL, BOOL, INT, FLOAT = (f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float"))


def read_document(text: str, *, source: str = "document", max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """The one document in ``text``, as JSON values (dict, list, str, int, float, bool, None).

    Args:
        text: YAML, or JSON when its first character is ``{`` or ``[`` and it parses as such.
        source: file name, for messages only.
        max_bytes: refuse longer texts before looking at them.

    Raises:
        Invalid: not readable; the message holds the place and the reason.
    """
    size_bytes = len(text.encode("utf-8", "replace"))
    if size_bytes > max_bytes:
        raise Invalid(f"{source}: has {size_bytes} bytes, {max_bytes} allowed", source=source)
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _checked(
                json.loads(text, object_pairs_hook=_pairs, parse_constant=float, parse_int=_integer),
                source,
            )
        except (json.JSONDecodeError, RecursionError):
            pass  # YAML's flow style opens with the same brackets
        except ValueError as error:
            _yaml(text, source)  # says the line of a key that appears twice
            raise Invalid(f"{source}: {error}", source=source) from error
    return _checked(_yaml(text, source), source)


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_Strict)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise Invalid(f"{source}:{where} {error.problem or error.context}", source=source) from error
    except (yaml.YAMLError, ValueError) as error:
        raise Invalid(f"{source}: {str(error).splitlines()[0]}", source=source) from error


class _Strict(yaml.SafeLoader):
    """The core schema without aliases, merge keys, tags or repeated keys."""

    depth = 0
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no types
        if isinstance(event, AliasEvent):
            raise _refusal("aliases (*name) are not allowed", event.start_mark)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refusal(f"tags ({shown(tag)}) are not allowed", event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _refusal(f"nested deeper than {MAX_DEPTH}", event.start_mark)
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _refusal("a key must be text", key.start_mark)
            if key.value in seen:
                raise _refusal(f"the key {shown(key.value)} appears twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_core_int(self, node: ScalarNode) -> int:
        text = node.value
        return _integer(text[2:], {"o": 8, "x": 16}[text[1]]) if text[1:2] in ("o", "x") else _integer(text)

    def construct_core_float(self, node: ScalarNode) -> float:
        return float(node.value)


_Strict.add_implicit_resolver(NULL, re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Strict.add_implicit_resolver(BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Strict.add_implicit_resolver(
    INT, re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_Strict.add_implicit_resolver(
    FLOAT,
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
_Strict.yaml_constructors = {
    key: value
    for key, value in yaml.SafeLoader.yaml_constructors.items()
    if key in (NULL, BOOL) or str(key).rpartition(":")[2] in ("str", "seq", "map")
}
_Strict.add_constructor(INT, _Strict.construct_core_int)
_Strict.add_constructor(FLOAT, _Strict.construct_core_float)


def _refusal(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _integer(digits: str, radix: int = 10) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("the document has a whole number outside 64 bits")
    return int(digits, radix)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {shown(key)} appears twice")
        result[key] = value
    return result


def _checked(value: Any, source: str) -> Any:
    """``value``, after refusing what canonical JSON cannot hold."""
    problem = json_problem(value)
    if problem:
        raise Invalid(f"{source}: {_place(value) or 'the document'} {problem}", source=source)
    return value


def _place(value: Any) -> str:
    """The path of the first thing in ``value`` that JSON cannot hold, such as ``a[2].b``."""
    path = ""
    while isinstance(value, dict | list) and path.count(".") + path.count("[") < MAX_DEPTH:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        found = next(((key, child) for key, child in pairs if json_problem(child)), None)
        if found is None:  # a key is at fault
            break
        key, value = found
        path += f"[{key}]" if isinstance(key, int) else f".{key}"
    return path.removeprefix(".")[:LONGEST_PLACE]
