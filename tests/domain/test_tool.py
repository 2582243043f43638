"""Checking arguments against a tool's declared inputs."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.errors import InvalidMany
from cauldron.domain.hashing import canonical_json
from cauldron.domain.tool import Kind, Port, Tool, check_inputs, check_value

MEDIA = {"media": "sha256:" + "ab" * 32, "mime": "image/png", "sizeBytes": 10}
LAYER = Port(
    name="",
    kind=Kind.OBJECT,
    fields=(
        Port(name="image", kind=Kind.IMAGE, required=True),
        Port(name="opacity", kind=Kind.NUMBER, minimum=0, maximum=1, default=1),
        Port(name="mask", kind=Kind.IMAGE),
        Port(
            name="at",
            kind=Kind.OBJECT,
            fields=(Port(name="x", kind=Kind.INTEGER, default=0), Port(name="y", kind=Kind.INTEGER)),
        ),
    ),
)


def port(kind: str, **rest) -> Port:
    return Port(name="p", kind=Kind(kind), **rest)


def tool(*inputs: Port) -> Tool:
    return Tool(
        id="a.b", version="1.0.0", display_name="A", description="", inputs=inputs,
        outputs=(Port(name="out", kind=Kind.TEXT),),
    )  # fmt: skip


def problems(declared: Tool, values) -> list[tuple[str, str]]:
    with pytest.raises(InvalidMany) as caught:
        check_inputs(declared, values)
    return [(p.path, p.code) for p in caught.value.problems]


GOOD = [
    ("text", {}, ""),
    ("text", {"max_length": 3}, "äöü"),
    ("text", {}, "{{input.x}} [[Hat]]"),
    ("integer", {"minimum": 1, "maximum": 3}, 1),
    ("integer", {"minimum": 1, "maximum": 3}, 3),
    ("integer", {}, -(2**63)),
    ("number", {"minimum": 0.5}, 0.5),
    ("number", {}, 7),
    ("boolean", {}, False),
    ("choice", {"choices": ("a", "b")}, "b"),
    ("color", {}, "#a1B2c3"),
    ("color", {}, "#a1B2c3ff"),
    ("image", {}, MEDIA),
    ("image", {}, {**MEDIA, "mime": "image/svg+xml"}),
    ("file", {}, {**MEDIA, "mime": "application/zip"}),
    ("json", {}, {"a": [1, None, {"b": 1.5}]}),
    ("list", {"item": port("integer")}, []),
    ("list", {"item": port("integer"), "maximum": 2}, [1, 2]),
    ("list", {"item": port("integer", nullable=True)}, [None]),
    ("text", {"nullable": True}, None),
]


@pytest.mark.parametrize(("kind", "rest", "value"), GOOD)
def test_a_fitting_value_has_no_problem_and_is_handed_on_as_it_is(kind, rest, value):
    declared = port(kind, **rest)
    assert check_value(declared, value, path="x") == []
    checked = check_inputs(tool(declared), {"p": value})["p"]
    assert checked == value
    assert type(checked) is type(value)


BAD = [
    ("text", {}, 1, "x", "wrong_type"),
    ("text", {}, ["a"], "x", "wrong_type"),
    ("text", {"max_length": 2}, "abc", "x", "too_long"),
    ("text", {}, "\ud800", "x", "wrong_type"),
    ("integer", {}, True, "x", "wrong_type"),
    ("integer", {}, 1.0, "x", "wrong_type"),
    ("integer", {}, "1", "x", "wrong_type"),
    ("integer", {}, 2**64, "x", "wrong_type"),
    ("integer", {}, 10**5000, "x", "wrong_type"),
    ("integer", {"minimum": 1}, 0, "x", "out_of_range"),
    ("integer", {"maximum": 1}, 2, "x", "out_of_range"),
    ("number", {}, True, "x", "wrong_type"),
    ("number", {}, math.nan, "x", "wrong_type"),
    ("number", {}, math.inf, "x", "wrong_type"),
    ("number", {"minimum": 0}, math.inf, "x", "wrong_type"),
    ("number", {}, -math.inf, "x", "wrong_type"),
    ("number", {}, 10**400, "x", "wrong_type"),
    ("number", {}, "0.5", "x", "wrong_type"),
    ("boolean", {}, 0, "x", "wrong_type"),
    ("boolean", {}, "true", "x", "wrong_type"),
    ("choice", {"choices": ("a",)}, "A", "x", "not_a_choice"),
    ("choice", {"choices": ("a",)}, ["a"], "x", "not_a_choice"),
    ("color", {}, "#fff", "x", "wrong_type"),
    ("color", {}, "#a1b2c3\n", "x", "wrong_type"),
    ("color", {}, "red", "x", "wrong_type"),
    ("image", {}, "art/a.png", "x", "wrong_type"),
    ("image", {}, {"media": 5}, "x", "wrong_type"),
    ("image", {}, {"media": MEDIA["media"]}, "x.mime", "wrong_type"),
    ("image", {}, {**MEDIA, "mime": 5}, "x.mime", "wrong_type"),
    ("image", {}, {**MEDIA, "mime": "image"}, "x.mime", "wrong_type"),
    ("image", {}, {**MEDIA, "media": "sha256:../../etc/passwd"}, "x.media", "wrong_type"),
    ("image", {}, {**MEDIA, "media": "sha256:" + "AB" * 32}, "x.media", "wrong_type"),
    ("image", {}, {**MEDIA, "media": MEDIA["media"] + "\n"}, "x.media", "wrong_type"),
    ("image", {}, {**MEDIA, "mime": "video/mp4"}, "x", "wrong_type"),
    ("image", {}, {**MEDIA, "width": math.nan}, "x", "wrong_type"),
    ("list", {}, "abc", "x", "wrong_type"),
    ("list", {}, b"abc", "x", "wrong_type"),
    ("list", {}, {"a": 1}, "x", "wrong_type"),
    ("list", {}, [math.nan], "x", "wrong_type"),
    ("list", {"minimum": 1}, [], "x", "out_of_range"),
    ("list", {"maximum": 1}, [1, 2], "x", "out_of_range"),
    ("list", {}, [0] * 1001, "x", "out_of_range"),
    ("list", {"item": port("integer")}, [1, "2"], "x[1]", "wrong_type"),
    ("list", {"item": port("list", item=port("integer"))}, [[1], [2, None]], "x[1][1]", "wrong_type"),
    ("object", {}, [], "x", "wrong_type"),
    ("object", {}, {"a": 1}, "x.a", "unknown_field"),
    ("object", {"fields": (Port(name="a", kind=Kind.TEXT, required=True),)}, {}, "x.a", "missing"),
    ("object", {"fields": (Port(name="a", kind=Kind.TEXT, required=True),)}, {"a": None}, "x.a", "missing"),
    ("json", {}, {"a": [math.inf]}, "x", "wrong_type"),
    ("json", {}, {1: "a"}, "x", "wrong_type"),
    ("json", {}, {"a": {1, 2}}, "x", "wrong_type"),
    ("json", {}, 2**70, "x", "wrong_type"),
    ("text", {}, None, "x", "wrong_type"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "rest", "value", "path", "code"), BAD, ids=map(str, range(len(BAD))))
def test_an_unfitting_value_is_refused_with_its_place(kind, rest, value, path, code):
    found = check_value(port(kind, **rest), value, path="x")
    assert [(p.path, p.code) for p in found] == [(path, code)]
    assert len(found[0].message) < 400


def test_deep_json_is_refused_without_running_out_of_stack():
    value: list = []
    for _ in range(100_000):
        value = [value]
    assert check_value(port("json"), value, path="x")[0].code == "wrong_type"
    assert check_value(port("number"), value, path="x")[0].code == "wrong_type"


def test_every_problem_of_a_call_is_listed_with_its_path():
    declared = tool(
        Port(name="layers", kind=Kind.LIST, item=LAYER, minimum=1, required=True),
        Port(name="width", kind=Kind.INTEGER, minimum=1, required=True),
    )
    values = {
        "layers": [
            {"image": MEDIA, "opacity": 2},
            {"image": {**MEDIA, "mime": "audio/ogg"}, "blend": "x", "at": {"x": "left"}},
            {"opacity": 1},
        ],
        "height": 3,
    }
    assert problems(declared, values) == [
        ("a.b.height", "unknown_input"),
        ("a.b.layers[0].opacity", "out_of_range"),
        ("a.b.layers[1].blend", "unknown_field"),
        ("a.b.layers[1].image", "wrong_type"),
        ("a.b.layers[1].at.x", "wrong_type"),
        ("a.b.layers[2].image", "missing"),
        ("a.b.width", "missing"),
    ]


def test_defaults_are_filled_in_at_every_depth():
    declared = tool(
        Port(name="layers", kind=Kind.LIST, item=LAYER), Port(name="width", kind=Kind.INTEGER, default=64)
    )
    layer = {"image": MEDIA, "mask": None, "at": {"y": 2}}
    assert check_inputs(declared, {"layers": [layer]}) == {
        "layers": [{"image": MEDIA, "opacity": 1, "at": {"x": 0, "y": 2}}],
        "width": 64,
    }
    assert layer == {"image": MEDIA, "mask": None, "at": {"y": 2}}, "what was handed in is not changed"


def test_null_is_absent_unless_the_port_is_nullable():
    plain = tool(port("integer", default=5))
    nullable = tool(port("integer", default=5, nullable=True))
    assert check_inputs(plain, {"p": None}) == {"p": 5}
    assert check_inputs(nullable, {"p": None}) == {"p": None}
    assert check_inputs(nullable, {}) == {"p": 5}
    assert check_inputs(tool(port("integer", nullable=True)), {}) == {}


def test_a_required_input_may_be_null_where_it_is_nullable_but_never_absent():
    declared = tool(port("integer", nullable=True, required=True))
    assert check_inputs(declared, {"p": None}) == {"p": None}
    assert problems(declared, {}) == [("a.b.p", "missing")]
    assert problems(tool(port("integer", required=True)), {"p": None}) == [("a.b.p", "missing")]


def test_a_default_that_does_not_fit_is_a_problem_too():
    assert problems(tool(port("integer", default="five")), {}) == [("a.b.p", "wrong_type")]


def test_inputs_come_back_in_the_order_of_declaration():
    declared = tool(Port(name="a", kind=Kind.TEXT), Port(name="b", kind=Kind.TEXT, default="x"))
    assert list(check_inputs(declared, {"b": "2", "a": "1"})) == ["a", "b"]


def test_a_hostile_name_does_not_break_the_path():
    assert problems(tool(), {"a\nb": 1, "x" * 500: 2})[0] == ("a.b.'a\\nb'", "unknown_input")
    assert len(problems(tool(), {"x" * 500: 2})[0][0]) < 100


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.just(MEDIA),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["image", "opacity", "media", "mime", "at", "x"]) | st.integers(), inner
        )
        | st.tuples(inner)
    ),
    max_leaves=8,
)
PORTS = st.sampled_from(
    [Port(name="p", kind=kind, choices=("a",)) for kind in Kind]
    + [
        Port(name="p", kind=LAYER.kind, fields=LAYER.fields, nullable=True),
        Port(name="p", kind=Kind.LIST, item=LAYER, default=[], maximum=2),
        Port(name="p", kind=Kind.NUMBER, minimum=0, maximum=1, required=True),
    ]
)


@given(PORTS, ANYTHING)
def test_whatever_comes_in_is_either_refused_or_can_be_hashed_and_written(declared, value):
    """Accepted values survive canonical JSON, and checking them again changes nothing."""
    try:
        checked = check_inputs(tool(declared), {"p": value})
    except InvalidMany as error:
        assert all(p.path.startswith("a.b.p") for p in error.problems)
        return
    assert json.loads(canonical_json(checked)) == json.loads(json.dumps(checked))
    assert check_inputs(tool(declared), checked) == checked
