"""``cauldron tool`` and ``cauldron spell``, through the command itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from cauldron.cli import spell, tool

DOCUMENT = """
cauldronSpell: 1
name: Postcard
inputs:
  - {name: place, kind: text, required: true, maxLength: 40}
steps:
  - {id: sky, tool: noise.field, inputs: {width: 64, height: 64}}
  - id: card
    tool: text.card
    inputs: {text: {template: "From {{input.place}}"}, background_image: {step: sky}}
"""
Command = Callable[..., Result]


@pytest.fixture
def cauldron(home: Path) -> Command:
    """Run one command in a data directory of its own."""
    app = typer.Typer()
    tool.register(app)
    spell.register(app)

    def call(*words: Any) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    return call


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_tools_are_listed_and_shown_without_making_a_store(cauldron: Command, home: Path):
    tools = answer(cauldron("tool", "list", "--json"))["tools"]
    assert {"noise.field", "layers.compose", "text.card"} <= {each["id"] for each in tools}
    assert {each["source"] for each in tools} == {"built in"}
    shown = answer(cauldron("tool", "show", "noise.field", "--version", "1", "--json"))
    assert shown["outputs"] == [{"name": "image", "kind": "image"}] or shown["outputs"][0]["name"] == "image"
    text = cauldron("tool", "show", "noise.field").stdout
    assert "width: integer 1 to 4096" in text
    assert list(home.iterdir()) == []


def test_a_tool_file_in_the_data_directory_is_found_and_a_bad_one_is_named(cauldron: Command, home: Path):
    (home / "tools").mkdir()
    declared = {
        "cauldronTool": 1,
        "id": "sign.paint",
        "version": "1.0.0",
        "displayName": "Sign",
        "outputs": [{"name": "image", "kind": "image"}],
    }
    (home / "tools/sign.json").write_text(json.dumps(declared))
    assert answer(cauldron("tool", "show", "sign.paint", "--json"))["source"].endswith("sign.json")
    (home / "tools/bad.yaml").write_text("cauldronTool: 1\n")
    result = cauldron("tool", "list")
    assert result.exit_code == 2
    assert "bad.yaml: id: is required" in result.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [(("noise.fiel",), "did you mean noise.field?"), (("noise.field", "--version", "9"), "no version 9")],
)
def test_an_unknown_tool_is_refused(cauldron: Command, words: tuple[str, ...], reason: str):
    result = cauldron("tool", "show", *words)
    assert result.exit_code == 1
    assert reason in result.stderr


def test_a_malformed_range_is_malformed_input(cauldron: Command):
    assert cauldron("tool", "show", "noise.field", "--version", ">1").exit_code == 2


def test_a_valid_spell_is_described(cauldron: Command, home: Path, write: Any):
    file = write("postcard.yaml", DOCUMENT)
    body = answer(cauldron("spell", "validate", file, "--json"))
    assert (body["ok"], body["problems"], body["order"]) == (True, [], ["sky", "card"])
    assert body["tools"]["sky"] == "noise.field@1.0.0"
    assert "sky (noise.field) → card (text.card)" in cauldron("spell", "validate", file).stdout
    assert list(home.iterdir()) == []


def test_every_problem_of_a_spell_is_told_with_file_and_path(cauldron: Command, write: Any):
    file = write("bad.yaml", DOCUMENT.replace("noise.field", "noise.fiel").replace("maxLength", "maxLenght"))
    result = cauldron("spell", "validate", file, "--json")
    assert result.exit_code == 2
    body = json.loads(result.stdout)
    assert body["ok"] is False
    assert [(p["path"], p["code"]) for p in body["problems"]] == [
        ("inputs[0].maxLenght", "unknown_key"),
        ("steps[sky].tool", "unknown_tool"),
    ]
    told = cauldron("spell", "validate", file)
    assert told.exit_code == 2
    assert f"{file}: steps[sky].tool: there is no tool" in told.stderr


@pytest.mark.parametrize("command", ["validate", "save"])
def test_what_is_no_document_is_refused(cauldron: Command, write: Any, command: str):
    assert cauldron("spell", command, "absent.yaml").exit_code == 1
    result = cauldron("spell", command, write("a.yaml", "a: 1\na: 2\n"))
    assert result.exit_code == 2
    assert "line 2" in result.stderr


def test_a_spell_is_saved_published_shown_and_taken_away(cauldron: Command, write: Any):
    file = write("postcard.yaml", DOCUMENT)
    saved = answer(cauldron("spell", "save", file, "--json"))
    assert (saved["slug"], saved["revision"], saved["publishable"]) == ("postcard", 1, True)
    first = answer(cauldron("spell", "publish", "postcard", "--json"))
    assert (first["version"], first["new"], first["spellId"]) == (1, True, saved["spellId"])
    assert answer(cauldron("spell", "publish", "postcard", "--json"))["new"] is False

    file.write_text(DOCUMENT.replace("From", "Greetings from"))
    assert answer(cauldron("spell", "save", file, "--revision", 1, "--json"))["revision"] == 2
    assert cauldron("spell", "save", file, "--revision", 1).exit_code == 1
    assert answer(cauldron("spell", "publish", "postcard", "--json"))["version"] == 2
    versions = answer(cauldron("spell", "versions", "postcard", "--json"))["versions"]
    assert [each["version"] for each in versions] == [2, 1]
    assert versions[1]["contentHash"] == first["contentHash"]

    shown = cauldron("spell", "show", "postcard", "--version", 1).stdout
    again = write("again.json", shown)
    assert answer(cauldron("spell", "save", again, "--json"))["revision"] == 3
    assert answer(cauldron("spell", "publish", "postcard", "--json"))["version"] == 1
    assert cauldron("spell", "show", "postcard", "--version", 7).exit_code == 1

    listed = answer(cauldron("spell", "list", "--json"))["spells"]
    assert [(each["slug"], each["publishedVersion"], each["lastVersion"]) for each in listed] == [
        ("postcard", 1, 2)
    ]
    assert answer(cauldron("spell", "unpublish", "postcard", "--json"))["publishedVersion"] is None
    assert cauldron("spell", "delete", "postcard").exit_code == 0
    assert cauldron("spell", "show", "postcard").exit_code == 1
    assert "no spells yet" in cauldron("spell", "list").stdout


def test_a_draft_with_problems_is_saved_but_not_published(cauldron: Command, write: Any):
    file = write("bad.yaml", DOCUMENT.replace("noise.field", "noise.fiel"))
    saved = answer(cauldron("spell", "save", file, "--json"))
    assert saved["publishable"] is False
    assert saved["problems"][0]["path"] == "steps[sky].tool"
    assert "not yet publishable: steps[sky].tool" in cauldron("spell", "save", file).stderr
    assert cauldron("spell", "publish", "postcard").exit_code == 2
