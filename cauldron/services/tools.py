"""The tool registry: built-in tools, files in folders, entry points and the table ``tools``."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cauldron.domain.errors import CauldronError, Duplicate, Invalid, InvalidMany, Problem
from cauldron.domain.registry import ToolConflict, ToolSet, read_tools, tool_hash
from cauldron.domain.strict_yaml import MAX_DOCUMENT_BYTES
from cauldron.domain.times import iso
from cauldron.domain.tool import Tool
from cauldron.domain.tool_document import parse_tool, tool_document
from cauldron.ports.storage import Doc, Index, Insert, Store, Table

TOOLS = "tools"
TABLES: tuple[Table, ...] = (
    Table(name=TOOLS, indexes=(Index(fields=("toolId", "version"), unique=True), Index(fields=("owner",)))),
)
ENTRY_POINTS = "cauldron.tools"
SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILES = 1_000
PAGE = 500

Sourced = tuple[str, Tool]  # where it was declared, the declaration


def installed() -> Iterable[importlib.metadata.EntryPoint]:
    """The entry points ``cauldron.tools`` of all installed distributions."""
    return importlib.metadata.entry_points(group=ENTRY_POINTS)


class ToolRegistry:
    """Every declared tool version, from all sources; nothing is read before the first question."""

    def __init__(
        self,
        declared: Iterable[Tool] = (),
        *,
        folders: Sequence[Path] = (),
        entry_points: Callable[[], Iterable[importlib.metadata.EntryPoint]] = installed,
    ) -> None:
        """``declared`` are the built-in tools; folders that are not there hold no tools."""
        self._declared = tuple(declared)
        self._folders = tuple(folders)
        self._entry_points = entry_points
        self._loaded: ToolSet | None = None
        self._sources: dict[tuple[str, str], str] = {}

    def resolve(self, tool_id: str, version_range: str = "*") -> Tool:
        """The greatest version of a tool inside a range.

        Raises:
            UnknownTool, UnknownVersion: there is none.
            Invalid: the range, or one of the sources, is malformed.
            ToolConflict: two sources declare one version differently.
        """
        return self._tools().resolve(tool_id, version_range)

    def all(self) -> tuple[Tool, ...]:
        """All tools, by id and version. Raises as :meth:`resolve` does for the sources."""
        return tuple(self._tools())

    def source_of(self, tool: Tool) -> str:
        """Where a tool was declared first: ``built in``, a file, an entry point, ``database``."""
        self._tools()
        return self._sources[tool.id, tool.version]

    async def refresh(self, store: Store) -> None:
        """Add what the table ``tools`` holds by now. Raises ToolConflict as the sources do."""
        tools = self._tools()
        for tool in await stored_tools(store):
            self._add(tools, "database", tool)

    def _tools(self) -> ToolSet:
        if self._loaded is None:
            tools = ToolSet()
            self._sources = {}
            for source, tool in self._declarations():
                self._add(tools, source, tool)
            self._loaded = tools
        return self._loaded

    def _declarations(self) -> Iterator[Sourced]:
        yield from (("built in", checked(tool, source=f"built-in {tool.id}")) for tool in self._declared)
        yield from folder_tools(self._folders)
        for point in self._entry_points():
            yield from entry_point_tools(point)

    def _add(self, tools: ToolSet, source: str, tool: Tool) -> None:
        first = self._sources.setdefault((tool.id, tool.version), source)
        try:
            tools.add(tool)
        except ToolConflict as error:
            raise ToolConflict(
                f"{source}: {error.message} ({first})", **error.details, source=source, first=first
            ) from error


def checked(tool: Tool, *, source: str) -> Tool:
    """``tool``, after holding a declaration made in code to the rules for documents.

    Raises:
        InvalidMany: it breaks one of them.
    """
    parse_tool(tool_document(tool), source=source)
    return tool


def folder_tools(folders: Sequence[Path]) -> Iterator[Sourced]:
    """The tools declared by the YAML and JSON files right in ``folders``, hidden files left out.

    Raises:
        InvalidMany: every problem of every file; paths begin with the file.
    """
    problems: list[Problem] = []
    for folder in folders:
        for path in _files(folder):
            try:
                yield from ((str(path), tool) for tool in read_tools(_text(path, folder), source=str(path)))
            except InvalidMany as error:
                problems += [
                    Problem(path=f"{path}: {p.path}", code=p.code, message=p.message) for p in error.problems
                ]
            except Invalid as error:
                reason = error.message.removeprefix(f"{path}: ")
                problems.append(Problem(path=str(path), code=error.code, message=reason))
    if problems:
        raise InvalidMany(problems)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()
    )
    if len(paths) > MAX_FILES:
        raise Invalid(f"{folder}: has {len(paths)} tool files, {MAX_FILES} allowed")
    return paths


def _text(path: Path, folder: Path) -> str:
    """The content of a file that lies in ``folder`` itself, links included."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Invalid(f"{path}: is a link out of its folder")
    if not path.is_file():
        raise Invalid(f"{path}: is no regular file")
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_DOCUMENT_BYTES:
            raise Invalid(f"{path}: has {size_bytes} bytes, {MAX_DOCUMENT_BYTES} allowed")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {error.strerror}") from error


def entry_point_tools(point: importlib.metadata.EntryPoint) -> Iterator[Sourced]:
    """The tools of one entry point: a Tool, several, or a function that returns either.

    Raises:
        Invalid: it cannot be loaded, or gives something else.
        InvalidMany: a declaration breaks the rules.
    """
    source = f"entry point {point.name} = {point.value}"
    try:
        found: Any = point.load()
        found = found() if callable(found) else found
        tools = (found,) if isinstance(found, Tool) else tuple(found)
    except CauldronError:
        raise
    except Exception as error:
        raise Invalid(f"{source}: {type(error).__name__}: {error}", source=source) from error
    for tool in tools:
        if not isinstance(tool, Tool):
            raise Invalid(f"{source}: gives a {type(tool).__name__}, not a Tool", source=source)
        yield source, checked(tool, source=source)


async def register_tools(
    store: Store,
    tools: Iterable[Tool],
    *,
    owner: str,
    actor: str,
    environment: str,
    now_ms: int,
) -> int:
    """Record tool versions in the database; returns how many were new.

    Raises:
        InvalidMany: a declaration breaks the rules; nothing was recorded.
        ToolConflict: the same id and version are recorded with other content.
    """
    wanted = list(ToolSet(checked(tool, source=tool.id) for tool in tools))
    docs = [
        _record(tool, owner=owner, actor=actor, environment=environment, at=iso(now_ms)) for tool in wanted
    ]
    ids = [doc["_id"] for doc in docs]
    _refuse_changed(docs, await store.get(TOOLS, ids) if ids else [])
    results = await store.commit([Insert(TOOLS, doc) for doc in docs], atomic=False)
    again = [doc for doc, result in zip(docs, results, strict=True) if isinstance(result, Duplicate)]
    if again:
        _refuse_changed(again, await store.get(TOOLS, [doc["_id"] for doc in again]))
    return len(docs) - len(again)


def _refuse_changed(docs: Sequence[Doc], known: Sequence[Doc | None]) -> None:
    for doc, other in zip(docs, known, strict=True):
        if other is not None and other["contentHash"] != doc["contentHash"]:
            raise ToolConflict(
                f"the tool {doc['toolId']} {doc['version']} is recorded already, with other content; "
                "give the changed tool a new version",
                tool=doc["toolId"],
                version=doc["version"],
            )


def _record(tool: Tool, *, owner: str, actor: str, environment: str, at: str) -> Doc:
    return {
        "_id": f"{tool.id}@{tool.version}",
        "schemaVersion": 2,
        "toolId": tool.id,
        "version": tool.version,
        "displayName": tool.display_name,
        "contentHash": tool_hash(tool),
        "declaration": tool_document(tool),
        "owner": owner,
        "actor": actor,
        "visibility": "public",
        "environment": environment,
        "createdAt": at,
        "updatedAt": at,
    }


async def stored_tools(store: Store) -> list[Tool]:
    """Every tool version of the table ``tools``, by id. Raises InvalidMany for a damaged one."""
    tools: list[Tool] = []
    after: list[Any] | None = None
    while True:
        page = await store.find(TOOLS, {}, order=("_id",), limit=PAGE, after=after)
        tools += [parse_tool(doc["declaration"], source=doc["_id"]) for doc in page]
        if len(page) < PAGE:
            return tools
        after = [page[-1]["_id"]]
