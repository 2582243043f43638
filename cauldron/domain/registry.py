"""Choosing a tool version among declarations, by a version range.

A range is ``*`` (any), a prefix (``1``, ``1.2``), an exact version (``1.2.3`` or
``=1.2.3``), ``^1.2`` (no change of the first number that is not 0) or ``~1.2``
(no change of the second number). The greatest version inside the range is taken.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from cauldron.domain.errors import Invalid, InvalidMany, NotFound, Problem, Refused
from cauldron.domain.hashing import content_hash
from cauldron.domain.json_values import shown
from cauldron.domain.strict_yaml import read_document
from cauldron.domain.tool import Tool
from cauldron.domain.tool_document import VERSION, parse_tool, tool_document

Version = tuple[int, int, int]
RANGE = re.compile(r"\*|(?P<sign>[\^~=]?)(?P<numbers>(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){0,2})")
MAX_TOOLS_PER_FILE = 200
GREATEST = 10**9


class UnknownTool(NotFound):
    """No tool has this id."""

    code = "unknown_tool"


class UnknownVersion(NotFound):
    """The tool exists, but no version of it lies in the range."""

    code = "unknown_version"


class ToolConflict(Refused):
    """One tool version was declared twice with different content."""

    code = "tool_conflict"


def parse_version(text: str) -> Version:
    """``1.2.3`` as numbers, which compare in order of precedence. Raises Invalid."""
    if not isinstance(text, str) or VERSION.fullmatch(text) is None:
        raise Invalid(f"{shown(text)} is not a version like 1.0.0")
    major, minor, patch = (int(part) for part in text.split("."))
    return major, minor, patch


def range_problem(text: Any) -> str | None:
    """Why ``text`` is no version range, or None when it is one."""
    if isinstance(text, float):
        return f"must be quoted: {text} is read as a number"
    match = RANGE.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match["sign"] == "=" and match["numbers"].count(".") != 2):
        return f'must be a version range like "1", "1.2.3", "^1.2", "~1.2" or "*", not {shown(text)}'
    return None


@lru_cache(maxsize=1024)
def bounds(version_range: str) -> tuple[Version, Version]:
    """The versions of a range: from the first (included) to the second (excluded).

    Raises:
        Invalid: not a range.
    """
    if (problem := range_problem(version_range)) is not None:
        raise Invalid(f"the version {problem}")
    match = RANGE.fullmatch(version_range)
    if match is None or match["numbers"] is None:
        return (0, 0, 0), (GREATEST, 0, 0)
    numbers = [int(part) for part in match["numbers"].split(".")]
    low = _padded(numbers)
    kept = _kept(match["sign"], numbers)
    high = [*numbers[: kept - 1], numbers[kept - 1] + 1]
    return low, _padded(high)


def _kept(sign: str, numbers: list[int]) -> int:
    """How many leading numbers of a range's versions are fixed."""
    if sign == "~":
        return min(len(numbers), 2)
    if sign == "^":
        return next((i + 1 for i, number in enumerate(numbers) if number), len(numbers))
    return len(numbers)


def _padded(numbers: list[int]) -> Version:
    major, minor, patch = [*numbers, 0, 0][:3]
    return major, minor, patch


def admits(version_range: str, version: str) -> bool:
    """Whether ``version`` lies in the range. Raises Invalid when either is malformed."""
    low, high = bounds(version_range)
    return low <= parse_version(version) < high


def tool_hash(tool: Tool) -> str:
    """The content hash of a declaration: 64 hex digits."""
    return content_hash(tool_document(tool))


class ToolSet:
    """Tools by id and version; one content per (id, version)."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._by_id: dict[str, dict[Version, Tool]] = {}
        for tool in tools:
            self.add(tool)

    def add(self, tool: Tool) -> bool:
        """Add a tool; False when the same declaration is there already.

        Raises:
            Invalid: its version is malformed.
            ToolConflict: another declaration has the same id and version.
        """
        versions = self._by_id.setdefault(tool.id, {})
        known = versions.setdefault(parse_version(tool.version), tool)
        if known is not tool and tool_hash(known) != tool_hash(tool):
            raise ToolConflict(
                f"the tool {tool.id} {tool.version} is declared already, with other content",
                tool=tool.id,
                version=tool.version,
            )
        return known is tool

    def resolve(self, tool_id: str, version_range: str = "*") -> Tool:
        """The tool of this id with the greatest version inside the range.

        Raises:
            UnknownTool, UnknownVersion: there is none; the message names what there is.
            Invalid: the range is malformed.
        """
        low, high = bounds(version_range)
        versions = self._by_id.get(tool_id)
        if not versions:
            near = difflib.get_close_matches(tool_id, self._by_id, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UnknownTool(f"there is no tool {shown(tool_id)}{hint}", tool=tool_id)
        inside = [version for version in versions if low <= version < high]
        if not inside:
            there = ", ".join(versions[version].version for version in sorted(versions))
            raise UnknownVersion(
                f"{tool_id} has no version {version_range}; there is {there}",
                tool=tool_id,
                version=version_range,
            )
        return versions[max(inside)]

    def __iter__(self) -> Iterator[Tool]:
        """All tools, by id, then by version, oldest first."""
        for tool_id in sorted(self._by_id):
            versions = self._by_id[tool_id]
            yield from (versions[version] for version in sorted(versions))


def read_tools(text: str, *, source: str) -> tuple[Tool, ...]:
    """The tools declared in YAML or JSON ``text``: one document, or a list of them.

    Raises:
        Invalid: not readable.
        InvalidMany: every problem at once; in a list, paths begin with ``[index]``.
    """
    raw = read_document(text, source=source)
    if not isinstance(raw, list):
        return (parse_tool(raw, source=source),)
    if not 1 <= len(raw) <= MAX_TOOLS_PER_FILE:
        raise Invalid(
            f"{source}: declares {len(raw)} tools, 1 to {MAX_TOOLS_PER_FILE} allowed", source=source
        )
    tools, problems = [], []
    for index, item in enumerate(raw):
        try:
            tools.append(parse_tool(item))
        except InvalidMany as error:
            problems += [
                Problem(path=f"[{index}].{p.path}", code=p.code, message=p.message) for p in error.problems
            ]
    if problems:
        raise InvalidMany(problems, source=source)
    return tuple(tools)
