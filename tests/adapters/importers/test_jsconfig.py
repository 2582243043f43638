"""The static reader of JavaScript configurations: what it knows, what it leaves, what it refuses."""

import json
import string
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cauldron.adapters.importers.jsconfig import read_configuration
from cauldron.adapters.importers.jsvalues import Opaque
from cauldron.domain.errors import Invalid
from tests.adapters.importers.projects import CONFIG


def value(text, **known):
    """The value of one JavaScript expression."""
    return read_configuration(f"const it = {text};", name="c.js", known=known).constants["it"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a\\'b'", "a'b"),
        ('"\\x41\\u0042\\u{1F319}\\n"', "AB\U0001f319\n"),
        ('"\\ud83c\\udf19"', "\U0001f319"),
        ("'one\\\ntwo'", "onetwo"),
        ("`multi\nline`", "multi\nline"),
        ("`${1 + 1} of ${'x'}`", "2 of x"),
        ("`${`in ${'side'}`}`", "in side"),
        ("2 / 128", 0.015625),
        ("-3 + 2 * 5 % 4", -1),
        ("2 ** 10", 1024),
        ("10_000", 10_000),
        ("0xff + 0b11 + 0o17", 255 + 3 + 15),
        (".5e1", 5),
        ("1e3", 1000),
        ("'v' + 1 + true", "v1true"),
        ("[1, , 2].length", None),
        ("[1, 2,].length", 2),
        ("{a: {b: [1, 2]}}.a.b[1]", 2),
        ("{'quoted key': 1, 2: 'n', ['com' + 'puted']: 3,}", {"quoted key": 1, "2": "n", "computed": 3}),
        ("[...[1, 2], 3]", [1, 2, 3]),
        ("{...{a: 1, b: 1}, b: 2}", {"a": 1, "b": 2}),
        ("true ? 'yes' : 'no'", "yes"),
        ("null ?? undefined ?? 'last'", "last"),
        ("0 || 'or'", "or"),
        ("'' && 'and'", ""),
        ("!0", True),
        ("1 === 1 && 'a' !== 'b'", True),
        ("Object.freeze({a: 1})", {"a": 1}),
        ("/* in */ 7 // after", 7),
        ("({a: 1})", {"a": 1}),
        ("void 0", None),
    ],
)
def test_expressions_of_known_values_are_evaluated(text, expected):
    found = value(text)
    if expected is None and isinstance(found, Opaque):
        return
    assert found == expected
    assert type(found) is type(expected)


def test_constants_of_other_files_are_known_by_name():
    config = (
        'const { MODE } = require("./m.js");\n'
        'module.exports = { a: MODE.screen, b: MODE["multiply"], c: MODE.no };'
    )
    found = read_configuration(config, name="c.js", known={"MODE": {"screen": "screen", "multiply": "mul"}})
    assert found.exports == {"a": "screen", "b": "mul", "c": None}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("() => { return 1 }", "is a function"),
        ("x => x + 1", "is a function"),
        ("function () { return [1, 2] }", "is a function"),
        ("async () => {}", "is a function"),
        ("fs.readFileSync('/etc/passwd')", "refers to fs"),
        ("require('child_process').execSync('id')", "calls a function"),
        ("process.env.HOME", "refers to process"),
        ("Math.random() * 100", "refers to Math"),
        ("new Date()", "uses new"),
        ("[1, 2].map(x => x)", "uses .map"),
        ("'a'.constructor", "uses .constructor"),
        ("{}.__proto__", "uses .__proto__"),
        ("{}['constructor']", "uses .constructor"),
        ("/a[/]b/g", "is a regular expression"),
        ("a = 5", "refers to a"),
        ("5 instanceof Object", "uses instanceof"),
        ("1 / 0", "is no finite number"),
        ("9 ** 9 ** 9", "is no finite number"),
        ("1e999", "is no finite number"),
        ("[1, , 2]", "has holes"),
        ("this.x", "uses this"),
        ("tag`x`", "refers to tag"),
        ("1 | 2", "uses |"),
    ],
)
def test_what_needs_running_is_opaque_and_says_why(text, reason):
    found = value(text)
    assert isinstance(found, Opaque)
    assert found.reason.startswith(reason)
    assert found.line == 1


def test_an_opaque_value_hides_only_itself():
    found = read_configuration(
        "module.exports = {\n  a: 1,\n  b: () => [{x: 1}, ')'],\n  c: f({,}) ,\n"
        "  d() { return {} },\n  e: [g(), 2],\n};",
        name="c.js",
    ).exports
    assert found["a"] == 1
    assert (found["b"].line, found["c"].line, found["d"].line) == (3, 4, 5)
    assert isinstance(found["e"][0], Opaque)
    assert found["e"][1] == 2


def test_what_a_function_without_parameters_returns_is_read_where_it_is_a_literal():
    found = value("() => [ // nothing yet\n ]")
    assert isinstance(found, Opaque)
    assert found.result == []


@pytest.mark.parametrize(
    "text",
    [
        "const a = 1; module.exports = { a };",
        "const a = 1\nexports.a = a",
        "module.exports.a = 1",
        "export const a = 1;",
        "const a = 1; export { a };",
        "const b = 1; export { b as a };",
        "export default { a: 1 };",
        "exports = module.exports = { a: 1 }",
        "var a\na = 1\nmodule.exports = {a}",
        "const {a} = {a: 1}; module.exports = {a}",
        "const {x: a} = {x: 1}; module.exports = {a}",
        "\ufeff#!/usr/bin/env node\n'use strict'\nmodule.exports = { 'a': 1 }",
    ],
)
def test_every_way_to_export_is_followed(text):
    found = read_configuration(text, name="c.js")
    assert found.exports == {"a": 1}
    assert found.passed_over == []


def test_other_statements_are_passed_over_and_listed_with_their_lines():
    text = (
        "const list = [1];\nlist.push(2);\nif (x)\n  list = [3];\nelse { list = [4] }\nfor (;;) {}\n"
        "module.exports = { list };"
    )
    found = read_configuration(text, name="c.js")
    assert found.exports == {"list": [1]}
    assert [statement.line for statement in found.passed_over] == [2, 3, 6]
    assert found.passed_over[0].text == "list.push(2);"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("const a = 1;\nconst b = 'x", 2, "a string is never closed"),
        ("\n\n/* x", 3, "a comment is never closed"),
        ("const a = `x${1", 1, "never closed"),
        ("const a = [1,\n2", 1, "'[' is never closed"),
        ("const a = {]};", 1, "does not close"),
        ("const a = 1;\n}", 2, "closes nothing"),
        ('const s = {\n url: "" // later "x",\n other: 1 }', 3, "',' or '}' expected"),
        ("const a = ;", 1, "a value expected"),
        ("const a = 1 2", 1, "';' expected"),
        ("const 1 = 2", 1, "a name expected"),
        ("const a = {1.5}", 1, "a property name expected"),
        ("const a = {1}", 1, "':' expected"),
        ("const a = '\\u{110000}'", 1, "an escape names no character"),
        ("const a = '\\xZZ'", 1, "an escape is malformed"),
        ("const a = 1 @ 2", 1, "unexpected '@'"),
    ],
)
def test_what_is_no_javascript_is_one_error_with_file_and_line(text, line, reason):
    with pytest.raises(Invalid) as caught:
        read_configuration(text, name="src/config.js")
    assert str(caught.value).startswith(f"src/config.js:{line}: ")
    assert reason in str(caught.value)


DOUBLING = "\n".join(f"const a{i + 1} = [a{i}, a{i}];" for i in range(100))
SPREADING = "\n".join(f"const a{i + 1} = [...a{i}, ...a{i}];" for i in range(100))
JOINING = "\n".join(f"const a{i + 1} = a{i} + a{i};" for i in range(100))
LONG = "x" * 90_000
HOSTILE = {
    "a megabyte of brackets": "[" * 1_000_000,
    "more than a megabyte": " " * 1_000_001,
    "deep lists": "const a = " + "[" * 5_000 + "]" * 5_000,
    "deep objects": "const a = " + "{a:" * 5_000 + "1" + "}" * 5_000,
    "deep parentheses": "const a = " + "(" * 5_000 + "1" + ")" * 5_000,
    "a tower of powers": "const a = " + "2 ** " * 5_000 + "2",
    "deep templates": "const a = " + "`${" * 5_000 + "1" + "}`" * 5_000,
    "long conditions": "const a = " + "1 ? 2 : " * 5_000 + "3",
    "copies of long text": f"const a = '{LONG}';\n"
    + "\n".join(f"const b{i} = a + {i};" for i in range(2_000)),
    "spreads of long lists": f"const a = [{'1,' * 90_000}];\n" + "const b = [...a];\n" * 2_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_quickly(name):
    begun = time.process_time()
    with pytest.raises(Invalid):
        read_configuration(HOSTILE[name], name="c.js")
    assert time.process_time() - begun < 5  # about 0.6 s alone for a megabyte; cores are shared


@pytest.mark.parametrize(
    "text",
    [f"const a0 = [1];\n{DOUBLING}", f"const a0 = [1];\n{SPREADING}", f"const a0 = 'x';\n{JOINING}"],
    ids=["nested", "spread", "joined"],
)
def test_values_that_double_a_hundred_times_stay_small(text):
    found = [read_configuration(text, name="c.js").constants["a100"]]
    values = 0
    while found and values <= 100_000:
        value = found.pop()
        values += len(value) if isinstance(value, str) else 1
        found += value if isinstance(value, list) else []
    assert not found


names = st.text(string.ascii_letters + "_$", min_size=1, max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False).map(
        lambda x: int(x) if x.is_integer() and abs(x) <= 2**53 else x
    )
    | st.text(max_size=20)
)
literals = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def as_javascript(thing, draw):
    """``thing`` written as JavaScript in one of the many ways people write it."""
    blank = draw(st.sampled_from(["", " ", "\n", " /* c */ ", " // c\n"]))
    if isinstance(thing, dict):
        entries = [f"{as_text(k, draw, key=True)}:{blank}{as_javascript(v, draw)}" for k, v in thing.items()]
        return (
            "{"
            + ",".join(entries)
            + draw(st.sampled_from(["", ","]) if entries else st.just(""))
            + blank
            + "}"
        )
    if isinstance(thing, list):
        comma = draw(st.sampled_from(["", ","])) if thing else ""
        return "[" + blank + ",".join(as_javascript(item, draw) for item in thing) + comma + "]"
    if isinstance(thing, str):
        return as_text(thing, draw)
    return blank + json.dumps(thing)


def as_text(text, draw, *, key=False):
    quote = draw(st.sampled_from("'\"" if key else "'\"`"))
    escapes = {"\\": "\\\\", quote: "\\" + quote, "\n": "\\n", "\r": "\\r", "$": "\\$"}
    return quote + "".join(escapes.get(c, c) for c in text) + quote


@given(data=st.data(), thing=literals)
def test_every_literal_comes_back_as_it_was_written(data, thing):
    assert value(f"({as_javascript(thing, data.draw)})") == thing


TOKENS = [
    *"{}[]();,.=+-*/!?:<>&|`'\"$\\@#\n 1a",
    "=>", "...", "const ", "let ", "export ", "module.exports", "function ", "async ", "class ", "${", "//",
    "/*", "*/", "?.", "=", "==", "if", "else ", "for", "return ", "import ", "require", "default ",
    "from ", "new ",
    "'x'", "0x", "1e", "_", "\u2028", "\ud800", "MODE", "typeof ", "void ", "in ", "&&", "??",
]  # fmt: skip


@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(TOKENS), max_size=60).map("".join)))
@example("export {")
@example("const {a = 1")
@example("function")
@example("export default")
@example("import")
@example("a.b.")
@example("const a = b.")
@example("({a")
@example("const a = () =>")
@example("module.exports =")
def test_any_text_is_read_or_refused_as_invalid(text):
    try:
        read_configuration(text, name="c.js")
    except Invalid as refusal:
        assert str(refusal).startswith("c.js:")


@given(st.data())
def test_a_damaged_configuration_is_read_or_refused_as_invalid(data):
    begin = data.draw(st.integers(0, len(CONFIG)))
    end = data.draw(st.integers(begin, min(len(CONFIG), begin + 40)))
    text = CONFIG[:begin] + data.draw(st.sampled_from(["", *TOKENS])) + CONFIG[end:]
    try:
        read_configuration(text, name="c.js")
    except Invalid as refusal:
        assert str(refusal).startswith("c.js:")
