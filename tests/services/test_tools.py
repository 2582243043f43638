"""The registry: every source of tools, and what is refused from each."""

import importlib.metadata
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cauldron.adapters.local.registry import TOOLS as BUILT_IN
from cauldron.adapters.sqlite import SqliteStore
from cauldron.domain.errors import Invalid, InvalidMany
from cauldron.domain.registry import ToolConflict, UnknownTool
from cauldron.domain.tool import Tool
from cauldron.domain.tool_document import parse_tool, tool_document
from cauldron.services.tools import TABLES, ToolRegistry, register_tools, stored_tools
from tests.domain.spell_samples import TOOLS

NOISE = TOOLS.resolve("noise.field", "1.0")
NOW = 5
SEVERAL = [NOISE, TOOLS.resolve("math.sum")]
NOT_TOOLS = ["noise"]
WHO = {"owner": "ann", "actor": "ann", "environment": "live"}
Write = Callable[[str, str | bytes], Path]


def made() -> list[Tool]:
    return SEVERAL


def failing() -> list[Tool]:
    raise RuntimeError("no licence")


def none() -> list[importlib.metadata.EntryPoint]:
    return []


def registry(*folders: Path, declared: Any = (), points: Any = none) -> ToolRegistry:
    return ToolRegistry(declared, folders=folders, entry_points=points)


def text(tool: Tool) -> str:
    return json.dumps(tool_document(tool))


@pytest.mark.parametrize(
    "tool", [declaration for declaration, _ in BUILT_IN.values()], ids=lambda tool: tool.id
)
def test_every_built_in_tool_keeps_the_rules_for_declarations(tool: Tool):
    assert parse_tool(json.loads(json.dumps(tool_document(tool)))) == tool
    assert registry(declared=[tool]).resolve(tool.id, "1") == tool


def test_tools_of_all_sources_are_merged(tmp_path: Path, write: Write):
    write("tools/sum.yaml", text(TOOLS.resolve("math.sum")))
    write("tools/.hidden.yaml", "not a tool: [")
    write("tools/notes.txt", "not a tool")
    write("tools/more/deep.yaml", "not a tool: [")
    point = entry("one", "made")
    found = registry(
        tmp_path / "tools",
        tmp_path / "absent",
        declared=[TOOLS.resolve("noise.field", "1.2")],
        points=lambda: [point],
    )
    assert [(t.id, t.version) for t in found.all()] == [
        ("math.sum", "1.0.0"),
        ("noise.field", "1.0.0"),
        ("noise.field", "1.2.0"),
    ]
    assert found.source_of(TOOLS.resolve("math.sum")).endswith("sum.yaml")
    assert found.source_of(NOISE).startswith("entry point one")
    assert found.source_of(TOOLS.resolve("noise.field", "1.2")) == "built in"


def test_nothing_is_read_before_the_first_question(tmp_path: Path, write: Write):
    write("tools/bad.yaml", "[")
    lazy = registry(tmp_path / "tools")
    with pytest.raises(InvalidMany):
        lazy.all()
    (tmp_path / "tools/bad.yaml").unlink()
    assert lazy.all() == ()


def test_every_malformed_file_is_named_with_path_and_reason(tmp_path: Path, write: Write):
    write("tools/a.yaml", "cauldronTool: 1\nid: A\n")
    write("tools/b.json", '{"cauldronTool": 1')
    write("tools/c.yml", b"\xff\xfe")
    write("tools/d.yaml", text(NOISE))
    with pytest.raises(InvalidMany) as caught:
        registry(tmp_path / "tools").all()
    places = [
        (Path(p.path.partition(": ")[0]).name, p.path.partition(": ")[2]) for p in caught.value.problems
    ]
    assert places == [
        ("a.yaml", "id"),
        ("a.yaml", "version"),
        ("a.yaml", "displayName"),
        ("b.json", ""),
        ("c.yml", ""),
    ]
    assert "UTF-8" in caught.value.problems[-1].message


def test_links_out_of_the_folder_pipes_and_huge_files_are_refused(tmp_path: Path, write: Write):
    outside = write("secret.yaml", text(NOISE))
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/link.yaml").symlink_to(outside)
    os.mkfifo(tmp_path / "tools/pipe.yaml")
    with (tmp_path / "tools/zero.yaml").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(InvalidMany) as caught:
        registry(tmp_path / "tools").all()
    reasons = [p.message for p in caught.value.problems]
    assert [word in reason for word, reason in zip(("link", "regular", "bytes"), reasons, strict=True)] == [
        True
    ] * 3


def test_a_version_declared_twice_must_be_the_same(tmp_path: Path, write: Write):
    write("tools/noise.yaml", text(NOISE))
    assert len(registry(tmp_path / "tools", declared=[NOISE]).all()) == 1
    with pytest.raises(ToolConflict, match=r"noise\.yaml: the tool noise\.field 1\.0\.0 .* \(built in\)"):
        registry(tmp_path / "tools", declared=[replace(NOISE, timeout_s=1.0)]).all()


def entry(name: str, attribute: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint(name, f"{__name__}:{attribute}", "cauldron.tools")


@pytest.mark.parametrize(("attribute", "count"), [("NOISE", 1), ("SEVERAL", 2), ("made", 2)])
def test_an_entry_point_gives_a_tool_several_or_a_function(attribute: str, count: int):
    assert len(registry(points=lambda: [entry("e", attribute)]).all()) == count


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [("missing", "AttributeError"), ("NOT_TOOLS", "gives a str"), ("failing", "no licence"), ("NOW", "e = ")],
)
def test_an_entry_point_that_gives_no_tools_is_named(attribute: str, reason: str):
    with pytest.raises(Invalid, match=reason) as caught:
        registry(points=lambda: [entry("e", attribute)]).all()
    assert caught.value.message.startswith("entry point e = ")


def test_a_tool_made_in_code_is_held_to_the_rules_for_documents():
    with pytest.raises(InvalidMany, match="built-in Noise: id"):
        registry(declared=[replace(NOISE, id="Noise")]).all()


def test_what_is_not_there_is_unknown():
    with pytest.raises(UnknownTool):
        registry().resolve("noise.field")


@pytest.fixture
def stores(tmp_path: Path, run: Any) -> Any:
    """Two handles on one file."""
    both = [SqliteStore(tmp_path / "store.db") for _ in range(2)]
    for store in both:
        run(store.open(TABLES))
    yield both
    for store in both:
        run(store.close())


def test_recorded_tools_are_read_back_by_any_handle(stores: list[SqliteStore], run: Any):
    assert run(register_tools(stores[0], TOOLS, now_ms=0, **WHO)) == len(list(TOOLS))
    assert run(register_tools(stores[1], TOOLS, now_ms=5, **WHO)) == 0
    assert sorted(t.id for t in run(stored_tools(stores[1]))) == sorted(t.id for t in TOOLS)
    lazy = registry()
    run(lazy.refresh(stores[1]))
    assert lazy.all() == tuple(TOOLS)
    assert lazy.source_of(NOISE) == "database"
    record = run(stores[1].get("tools", ["noise.field@1.0.0"]))[0]
    assert record["createdAt"] == "1970-01-01T00:00:00.000Z"
    assert (record["schemaVersion"], record["owner"], record["environment"]) == (2, "ann", "live")


def test_a_recorded_version_never_changes(stores: list[SqliteStore], run: Any):
    run(register_tools(stores[0], [NOISE], now_ms=0, **WHO))
    changed = replace(NOISE, timeout_s=1.0)
    with pytest.raises(ToolConflict, match="new version"):
        run(register_tools(stores[1], [TOOLS.resolve("math.sum"), changed], now_ms=1, **WHO))
    assert [t.id for t in run(stored_tools(stores[1]))] == ["noise.field"], "nothing of the call took effect"
    assert run(stored_tools(stores[0]))[0].timeout_s == NOISE.timeout_s
    run(register_tools(stores[1], [replace(changed, version="1.0.1")], now_ms=1, **WHO))
    assert len(run(stored_tools(stores[0]))) == 2
