"""The documentation is true: everything public is on its page, links lead somewhere, the code agrees."""

import ast
import re
from pathlib import Path

import pytest

from cauldron.api import problems
from cauldron.domain import cast, events, generation
from scripts import error_tables, reference, state_tables

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
KNOWN_COMMANDS = {"cauldron", "make", "git", "cd", "curl", "docker", "python", "pre-commit", "npm"}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def test_every_error_code_in_the_source_is_documented():
    page = text_of("errors.md")
    codes = {c.code for c in error_tables.classes()} | set(error_tables.named())
    assert not [code for code in sorted(codes) if f"`{code}` |" not in page], "run `make docs`"
    assert len(codes) > 150
    assert {"count_above_supply", "insufficient_points", "tool_crashed"} <= codes


def test_error_codes_are_unique_and_those_that_are_explained_are_given_somewhere():
    codes = [c.code for c in error_tables.classes()]
    assert len(codes) == len(set(codes)) >= 34
    given = set(error_tables.named()) | set(problems.CODES.values())
    assert set(problems.ANSWERS) <= given
    assert set(generation.FAILURES) <= given


def test_a_code_is_found_however_it_is_handed_on():
    source = """
class Wrong(Exception):
    def __init__(self, code: str, message: str): ...
class Reader:
    def problem(self, name, code: str, message: str): ...
def _failure(code: str, message: str, *more): ...
message = "in a variable"
Wrong("a_class", message)
fields.problem("name", "a_method", "said")
_failure("a_function", f"of {n} things", 1)
Problem(path="p", code="an_argument" if x else "another", message="")
answer = {"code": "a_document", "message": "m"}
code = "a_variable"
seen.problem("too", "few")
Wrong("A sentence.", "x")
"""
    tree = ast.parse(source)
    found = dict(error_tables.codes_of(tree, dict(error_tables.takers_of(tree))))
    assert found == {
        "a_class": "in a variable", "a_method": "said", "a_function": "of … things", "an_argument": "",
        "another": "", "a_document": "m", "a_variable": "",
    }  # fmt: skip


@pytest.mark.parametrize("event", [*events.EVENT_TYPES, *events.FLATTENED])
def test_every_event_type_is_documented(event):
    assert f"| `{event}` |" in text_of("events.md"), "run `make docs`"


def test_every_event_that_can_be_folded_has_a_name_in_the_list():
    shapes = {n for n, shape in vars(events).items() if hasattr(shape, "__required_keys__")}
    records = {"StepRecord", "CastEnded", "_QueuedRange", "_From"}
    assert shapes - records <= set(events.EVENT_TYPES)


def test_every_command_is_documented():
    page = text_of("cli.md")
    missing = [name for name, _ in reference.commands() if f"\n### {name}\n" not in page]
    assert not missing, "run `make docs`"


def test_every_setting_is_documented():
    page = text_of("settings.md")
    missing = [name for name in reference.settings() if f"`{name}`" not in page]
    assert not missing


def faulty_links(page: Path, text: str) -> list[str]:
    """Relative links of a page that lead nowhere."""
    targets = [a or b for a, b in LINK.findall(prose(text))]
    local = [t for t in targets if not re.match(r"[a-z]+:|#|<", t)]
    return [t for t in local if not (page.parent / t.split("#")[0]).exists()]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    assert not faulty_links(page, page.read_text(encoding="utf-8"))


def test_a_broken_link_is_found():
    text = "[a](nowhere.md#x) [b](glossary.md) ![c](no.png) `[d](code.md)` [e](#here) [f](https://x.invalid)"
    assert faulty_links(ROOT / "docs/README.md", text) == ["nowhere.md#x", "no.png"]


def unknown_words(text: str) -> list[str]:
    """Commands in console fences that are not known, or make targets and cauldron nouns that do not exist."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for language, code in FENCE.findall(text):
        lines = [line[2:] for line in code.splitlines() if line.startswith("$ ")]
        if language == "console" and not lines:
            wrong.append(code)
        for line in lines if language == "console" else ():
            for part in re.split(r"&&|\|", line.split("#")[0]):
                words = [w for w in part.split() if "=" not in w or w.startswith("-")]
                if words[0] not in KNOWN_COMMANDS:
                    wrong.append(line)
                if words[0] == "make":
                    wrong += [line for w in words[1:] if not w.startswith("-") and w not in targets]
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_console_fences_hold_commands_that_exist(page):
    assert not unknown_words(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "code", ["$ frobnicate x\n", "$ make nonsense\n", "make run\n", "$ cd x && rm -rf y\n"]
)
def test_a_wrong_console_fence_is_found(code):
    assert unknown_words(f"```console\n{code}```\n")


def test_commands_on_the_pages_exist():
    known = {name for name, _ in reference.commands()}
    for page in PAGES:
        for _, code in FENCE.findall(page.read_text(encoding="utf-8")):
            for words in re.findall(r"^\$ cauldron ((?:[a-z-]+ ?){1,3})", code, re.MULTILINE):
                tries = [" ".join(["cauldron", *words.split()[: n + 1]]) for n in range(3)]
                assert known & set(tries), f"{page_id(page)}: cauldron {words}"


def test_make_targets_in_the_text_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z-]+)`", page.read_text(encoding="utf-8")))
        assert named <= targets, page_id(page)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_generated_parts_are_what_the_code_says(page):
    text = page.read_text(encoding="utf-8")
    assert reference.renewed(text) == text, "run `make docs`"


def test_every_generated_part_stands_on_some_page():
    all_pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in reference.BLOCKS:
        assert f"<!-- generated: {name} -->" in all_pages


def test_a_generated_part_that_is_out_of_date_is_found():
    page = (ROOT / "docs/explanation/state-machines.md").read_text(encoding="utf-8")
    for wrong in (page.replace("| Cooking | pause | Paused |", ""), page.replace("**culled**", "**kept**")):
        assert wrong != page
        assert reference.renewed(wrong) == page


MACHINES = (ROOT / "docs/explanation/state-machines.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return MACHINES.split(f"\n## {name}\n")[1].split("\n## ")[0]


def test_the_piece_diagram_has_the_transitions_of_the_code():
    drawn = {tuple(m) for m in re.findall(r"^    (\w+) --> (\w+):", section("Piece"), re.MULTILINE)}
    head, _, *rows = [
        [c.strip(" *") for c in r.strip("|").split("|")] for r in state_tables.piece_table().split("\n")
    ]
    made = {(before, after) for row in rows for before, after in zip(head[1:], row[1:], strict=True)}
    assert drawn == {(a, b) for a, b in made if b in state_tables.PIECES}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Generation output", generation.STATUSES),
        ("Delivery", generation.DELIVERY_STATUSES),
        ("Cast and step", [state.value for state in cast.CastState if state is not cast.CastState.NONE]),
    ],
)
def test_every_state_in_the_code_is_drawn(name, words):
    drawn = set(re.findall(r"^    (\S+) --> (\w+)", section(name), re.MULTILINE))
    assert set(words) <= {word for pair in drawn for word in pair}


def test_every_status_of_a_job_is_drawn():
    source = (ROOT / "cauldron/persistence/jobs.py").read_text(encoding="utf-8")
    used = set(re.findall(r'"status": "(\w+)"', source)) - {"success"}
    drawn = {w for pair in re.findall(r"(\w+) --> (\w+)", section("Job")) for w in pair}
    assert {"queued", "running", "settled"} <= used
    assert used <= drawn


def test_decision_records_have_their_form_and_are_listed():
    index = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert [int(p.name[:4]) for p in records] == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert re.match(rf"# {record.name[:4]}\. .+\nStatus: \w+", text), record.name
        headings = re.findall(r"^## (\w+)", text, re.MULTILINE)
        assert headings[:3] == ["Context", "Decision", "Consequences"], record.name
        assert f"]({record.name})" in index, record.name
