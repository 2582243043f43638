"""Version ranges, sets of tools, and tool declarations as documents."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.errors import Invalid, InvalidMany
from cauldron.domain.registry import (
    ToolConflict,
    ToolSet,
    UnknownTool,
    UnknownVersion,
    admits,
    bounds,
    parse_version,
    range_problem,
    read_tools,
)
from cauldron.domain.tool import Costing, Kind, Port, Tool
from cauldron.domain.tool_document import parse_tool, tool_document

RANGES = [
    ("*", ["0.0.0", "1.2.3", "99.0.0"], []),
    ("1", ["1.0.0", "1.99.99"], ["0.9.9", "2.0.0", "10.0.0"]),
    ("1.2", ["1.2.0", "1.2.9"], ["1.1.9", "1.3.0", "1.20.0"]),
    ("1.2.3", ["1.2.3"], ["1.2.2", "1.2.4"]),
    ("=1.2.3", ["1.2.3"], ["1.2.4"]),
    ("^1", ["1.0.0", "1.9.9"], ["2.0.0", "0.9.9"]),
    ("^1.2", ["1.2.0", "1.9.0"], ["1.1.9", "2.0.0"]),
    ("^1.2.3", ["1.2.3", "1.3.0"], ["1.2.2", "2.0.0"]),
    ("^0.2", ["0.2.0", "0.2.9"], ["0.3.0", "0.1.9"]),
    ("^0.2.3", ["0.2.3", "0.2.9"], ["0.2.2", "0.3.0"]),
    ("^0.0.3", ["0.0.3"], ["0.0.4", "0.0.2"]),
    ("^0.0", ["0.0.0", "0.0.9"], ["0.1.0"]),
    ("^0", ["0.0.0", "0.9.9"], ["1.0.0"]),
    ("~1", ["1.0.0", "1.9.9"], ["2.0.0"]),
    ("~1.2", ["1.2.0", "1.2.9"], ["1.3.0", "1.1.9"]),
    ("~1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3.0"]),
]


@pytest.mark.parametrize(("version_range", "inside", "outside"), RANGES, ids=[r[0] for r in RANGES])
def test_a_range_admits_what_its_sign_says(version_range, inside, outside):
    assert [v for v in inside + outside if admits(version_range, v)] == inside


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1",
        "1.",
        ".1",
        "01",
        "1.2.3.4",
        "=1.2",
        "=1",
        "^",
        "~*",
        "1-beta",
        ">1",
        "1 ",
        "1\n",
        "٣",
        None,
        1.2,
        1,
    ],
)
def test_what_is_no_range_is_refused(text):
    assert range_problem(text)
    if isinstance(text, str):
        with pytest.raises(Invalid):
            bounds(text)


def test_an_unquoted_decimal_is_named_as_the_mistake():
    assert "quoted" in (range_problem(1.2) or "")


@pytest.mark.parametrize("text", ["1", "1.0", "01.0.0", "1.0.0-beta", "1.0.0\n", "", "a.b.c"])
def test_what_is_no_version_is_refused(text):
    with pytest.raises(Invalid):
        parse_version(text)


numbers = st.tuples(st.integers(0, 3), st.integers(0, 12), st.integers(0, 12))


@given(
    st.lists(numbers, min_size=1, unique=True),
    st.sampled_from(["", "^", "~"]),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
)
def test_the_greatest_version_inside_the_range_is_taken(versions, sign, wanted):
    """Numbers compare as numbers: 1.10.0 is after 1.9.0."""
    tools = ToolSet(sample(version=".".join(map(str, v))) for v in versions)
    version_range = sign + ".".join(map(str, wanted))
    inside = [v for v in versions if admits(version_range, ".".join(map(str, v)))]
    if inside:
        assert tools.resolve("a.b", version_range).version == ".".join(map(str, max(inside)))
    else:
        with pytest.raises(UnknownVersion):
            tools.resolve("a.b", version_range)


def sample(**changes) -> Tool:
    return replace(
        Tool(
            id="a.b",
            version="1.0.0",
            display_name="A",
            description="",
            inputs=(Port(name="n", kind=Kind.INTEGER, minimum=1, maximum=9, default=3),),
            outputs=(Port(name="out", kind=Kind.TEXT),),
        ),
        **changes,
    )


def test_tools_are_listed_by_id_then_by_version():
    tools = ToolSet([sample(version="1.10.0"), sample(version="1.9.0"), sample(id="a.a", version="2.0.0")])
    assert [(tool.id, tool.version) for tool in tools] == [
        ("a.a", "2.0.0"),
        ("a.b", "1.9.0"),
        ("a.b", "1.10.0"),
    ]


def test_one_version_has_one_content():
    tools = ToolSet([sample()])
    assert tools.add(sample()) is False
    with pytest.raises(ToolConflict, match=r"a\.b 1\.0\.0"):
        tools.add(sample(display_name="B"))
    assert tools.resolve("a.b").display_name == "A"


def test_an_unknown_tool_suggests_a_near_one_and_a_missing_version_names_those_there_are():
    tools = ToolSet([sample(), sample(version="1.4.0")])
    with pytest.raises(UnknownTool, match=r"did you mean a\.b"):
        tools.resolve("a.bb")
    with pytest.raises(UnknownVersion, match=r"1\.0\.0, 1\.4\.0"):
        tools.resolve("a.b", "2")


FULL = sample(
    description="Does it.",
    category="text",
    adapter="http",
    deterministic=False,
    cpu_bound=False,
    timeout_s=5.5,
    costing=Costing(model="per_unit", amount_micro_usd=12, unit="n", source="measured"),
    inputs=(
        Port(name="n", kind=Kind.INTEGER, minimum=0, maximum=0, default=0, nullable=True, required=True),
        Port(name="t", kind=Kind.TEXT, max_length=0, default="", description="Text."),
        Port(name="c", kind=Kind.CHOICE, choices=("a", "b"), default="b"),
        Port(
            name="l",
            kind=Kind.LIST,
            minimum=1,
            maximum=4,
            default=[{"on": False}],
            item=Port(name="", kind=Kind.OBJECT, fields=(Port(name="on", kind=Kind.BOOLEAN, default=False),)),
        ),
    ),
)


@pytest.mark.parametrize(
    "tool",
    [
        sample(),
        FULL,
        *(sample(inputs=(Port(name="x", kind=k, choices=("a",) if k is Kind.CHOICE else ()),)) for k in Kind),
    ],
)
def test_a_declaration_reads_back_equal(tool):
    assert parse_tool(tool_document(tool)) == tool


DOCUMENT = {
    "cauldronTool": 1,
    "id": "a.b",
    "version": "1.0.0",
    "displayName": "A",
    "outputs": [{"name": "out", "kind": "text"}],
}
MALFORMED = [
    ({"cauldronTool": 2}, "cauldronTool", "format_version"),
    ({"id": "A.b"}, "id", "malformed"),
    ({"id": "a/../b"}, "id", "malformed"),
    ({"id": 5}, "id", "wrong_type"),
    ({"id": "a\u0000b"}, "id", "control_character"),
    ({"version": 1.0}, "version", "wrong_type"),
    ({"version": "1.0"}, "version", "malformed"),
    ({"displayName": ""}, "displayName", "missing"),
    ({"surprise": 1}, "surprise", "unknown_key"),
    ({"deterministic": "yes"}, "deterministic", "wrong_type"),
    ({"timeoutS": 0}, "timeoutS", "out_of_range"),
    ({"timeoutS": float("nan")}, "timeoutS", "out_of_range"),
    ({"outputs": []}, "outputs", "missing"),
    ({"outputs": "out"}, "outputs", "wrong_type"),
    ({"costing": 5}, "costing", "wrong_type"),
    ({"costing": {"amountMicroUsd": -1}}, "costing.amountMicroUsd", "out_of_range"),
    ({"costing": {"amountMicroUsd": 0.5}}, "costing.amountMicroUsd", "wrong_type"),
    ({"costing": {"model": "per_unit", "unit": "n"}}, "costing.unit", "unknown_input"),
    ({"costing": {"model": "free"}}, "costing.model", "not_a_choice"),
    ({"inputs": [5]}, "inputs[0]", "wrong_type"),
    ({"inputs": [{"kind": "text"}]}, "inputs[0].name", "missing"),
    ({"inputs": [{"name": "a.b", "kind": "text"}]}, "inputs[0].name", "malformed"),
    ({"inputs": [{"name": "a"}]}, "inputs[0].kind", "missing"),
    ({"inputs": [{"name": "a", "kind": "picture"}]}, "inputs[0].kind", "not_a_choice"),
    (
        {"inputs": [{"name": "a", "kind": "text"}, {"name": "a", "kind": "text"}]},
        "inputs[1].name",
        "duplicate",
    ),
    ({"inputs": [{"name": "a", "kind": "text", "minimum": 1}]}, "inputs[0].minimum", "unknown_key"),
    (
        {"inputs": [{"name": "a", "kind": "number", "minimum": 2, "maximum": 1}]},
        "inputs[0].minimum",
        "out_of_range",
    ),
    ({"inputs": [{"name": "a", "kind": "number", "minimum": True}]}, "inputs[0].minimum", "wrong_type"),
    (
        {"inputs": [{"name": "a", "kind": "number", "maximum": 1, "default": 2}]},
        "inputs[0].default",
        "out_of_range",
    ),
    ({"inputs": [{"name": "a", "kind": "choice"}]}, "inputs[0].choices", "missing"),
    (
        {"inputs": [{"name": "a", "kind": "choice", "choices": ["x", "x"]}]},
        "inputs[0].choices[1]",
        "not_a_choice",
    ),
    (
        {"inputs": [{"name": "a", "kind": "list", "item": {"kind": "x"}}]},
        "inputs[0].item.kind",
        "not_a_choice",
    ),
    (
        {"inputs": [{"name": "a", "kind": "list", "item": {"kind": "text", "name": "b c"}}]},
        "inputs[0].item.name",
        "malformed",
    ),
    (
        {"inputs": [{"name": "a", "kind": "object", "fields": [{"name": "b"}]}]},
        "inputs[0].fields[0].kind",
        "missing",
    ),
]


@pytest.mark.parametrize(("change", "path", "code"), MALFORMED, ids=map(str, range(len(MALFORMED))))
def test_a_malformed_declaration_is_refused_with_path_and_code(change, path, code):
    with pytest.raises(InvalidMany) as caught:
        parse_tool(DOCUMENT | change, source="tools/a.yaml")
    assert [(p.path, p.code) for p in caught.value.problems] == [(path, code)]
    assert caught.value.message.startswith("tools/a.yaml: ")


def test_ports_cannot_be_nested_without_end():
    port: dict = {"kind": "text"}
    for _ in range(20):
        port = {"kind": "list", "item": port}
    with pytest.raises(InvalidMany) as caught:
        parse_tool(DOCUMENT | {"inputs": [{"name": "a", **port}]})
    assert [p.code for p in caught.value.problems] == ["too_deep"]


def test_a_file_may_declare_several_tools_and_all_problems_are_listed():
    text = """
- {cauldronTool: 1, id: a.b, version: "1.0.0", displayName: A, outputs: [{name: out, kind: text}]}
- {cauldronTool: 1, id: a.c, version: 1.0, displayName: A, outputs: [{name: out, kind: text}], x: 1}
"""
    with pytest.raises(InvalidMany) as caught:
        read_tools(text, source="t.yaml")
    assert [p.path for p in caught.value.problems] == ["[1].version", "[1].x"]
    good = read_tools(text.replace("1.0, ", '"1.0.0", ').replace(", x: 1", ""), source="t.yaml")
    assert [tool.id for tool in good] == ["a.b", "a.c"]
    with pytest.raises(Invalid, match=r"t\.yaml: declares 0 tools"):
        read_tools("[]", source="t.yaml")
