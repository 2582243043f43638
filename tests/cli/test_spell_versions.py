"""``cauldron spell``, after publishing: retire, restore, diff, margin, previews, visibility; and sponsors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from cauldron.cli import cast, spell_versions, sponsor
from tests.cli.test_spell import DOCUMENT, answer

Command = Callable[..., Result]


@pytest.fixture
def cauldron(home: Path) -> Command:
    """Run one command in a data directory of its own."""
    app = typer.Typer()
    for module in (spell_versions, sponsor, cast):
        module.register(app)

    def call(*words: Any) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    return call


@pytest.fixture
def published(cauldron: Command, write: Any) -> Command:
    """With two versions of a postcard."""
    for text in (DOCUMENT, DOCUMENT.replace("width: 64", "width: 96")):
        assert cauldron("spell", "save", write("spell.yaml", text)).exit_code == 0
        assert cauldron("spell", "publish", "postcard").exit_code == 0
    return cauldron


def test_what_differs_is_a_line_a_field(published: Command):
    changes = answer(published("spell", "diff", "postcard", "1", "2", "--json"))["changes"]
    assert changes == [{"path": "steps.sky.inputs.width", "change": "changed", "before": 64, "after": 96}]
    lines = published("spell", "diff", "postcard", "1", "2").stdout.splitlines()
    assert lines == ["postcard, version 1 → version 2: 1 change", "~ steps.sky.inputs.width  64 → 96"]
    assert published("spell", "diff", "postcard").stdout == "postcard, version 2 → draft: 0 changes\n"
    for words in (("x",), ("0",), ("1", "y"), ("draft", "-")):
        assert published("spell", "diff", "postcard", *words).exit_code == 2
    assert published("spell", "diff", "postcard", "9").exit_code == 1


def test_a_version_is_retired_and_restored(published: Command):
    retired = published("spell", "retire", "postcard", "--reason", "old")
    assert retired.stdout == "postcard version 2 is retired; nothing is on offer now\n"
    run = published("cast", "postcard", "--input", "place=Ember")
    assert run.exit_code == 1 and "not published" in run.output
    assert published("spell", "publish", "postcard").exit_code == 1  # the same content
    again = answer(published("spell", "retire", "postcard", "--version", "1", "--json"))
    assert again["retiredAt"] and again["offeredVersion"] is None
    versions = answer(published("spell", "versions", "postcard", "--json"))["versions"]
    assert all(each["retiredAt"] for each in versions)
    restored = published("spell", "restore", "postcard", "2").stdout
    assert restored == "postcard version 2 is restored; version 2 is on offer\n"
    assert answer(published("spell", "restore", "postcard", "1", "--json"))["offeredVersion"] == 2
    assert published("spell", "restore", "postcard", "9").exit_code == 1
    assert published("spell", "retire", "postcard", "--reason", "x" * 201).exit_code == 2


def test_what_was_unpublished_is_not_offered_by_a_restoration(published: Command):
    published("spell", "retire", "postcard")
    published("spell", "unpublish", "postcard")
    assert answer(published("spell", "restore", "postcard", "2", "--json"))["offeredVersion"] is None


def test_margin_and_visibility_are_set_and_shown(published: Command):
    said = published("spell", "margin", "postcard", "--percent", "12.5", "--flat", "1.25").stdout
    assert said == "postcard: cost + 12.5 % + 1.25 points a run\n"
    assert published("spell", "visibility", "postcard", "public").stdout == "postcard is public\n"
    shown = answer(published("spell", "show", "postcard", "--json"))
    assert (shown["margin"], shown["visibility"]) == ({"percent": 12.5, "flatPts": 1.25}, "public")
    assert published("spell", "margin", "postcard", "--flat", "0.0001").exit_code == 2
    assert published("spell", "margin", "postcard", "--percent", "-1").exit_code == 2
    assert published("spell", "visibility", "postcard", "secret").exit_code == 2


def test_pictures_are_outputs_of_the_spell(published: Command):
    made = answer(published("cast", "postcard", "--input", "place=Ember", "--wait", "--json"))
    shown = published("spell", "previews", "postcard", f"{made['runId']}.1.0")
    assert shown.stdout == "postcard is shown with 1 picture\n"
    assert published("spell", "previews", "postcard", "nothing").exit_code == 1
    assert published("spell", "previews", "postcard").stdout == "postcard is shown with 0 pictures\n"


def test_who_is_paid_for_is_listed_until_it_ends(cauldron: Command):
    assert "nobody" in cauldron("sponsor", "list").stdout
    assert cauldron("sponsor", "add", "guest-1", "--most", "2.5").exit_code == 0
    [paid] = answer(cauldron("sponsor", "list", "--json"))["sponsored"]
    assert (paid["accountId"], paid["mostPts"]) == ("guest-1", 2.5)
    assert answer(cauldron("sponsor", "list", "--payer", "other", "--json"))["sponsored"] == []
    assert cauldron("sponsor", "add", "local", "--most", "1").exit_code == 2  # oneself
    assert cauldron("sponsor", "end", "guest-1").exit_code == 0
    assert cauldron("sponsor", "end", "guest-1").exit_code == 1
