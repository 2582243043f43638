"""What a person gave is refused in one clear sentence, before anything is stored or made."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from cauldron.cli import app as cli

Ask = Callable[..., Result]
GENERATOR = {"tool": "layers.compose", "inputs": {"layers": ["[[Sky]]", "[[Hat]]"]}}


@pytest.fixture
def ask(home: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """``ask("cook", "list")`` runs a command in this process, in an empty folder."""
    monkeypatch.chdir(home)
    app = typer.Typer()
    app.callback()(cli.root)
    for noun in ("callback", "cast", "cook", "collection", "review", "spell", "user", "workers"):
        importlib.import_module(f"cauldron.cli.{noun}").register(app)
    return lambda *words: CliRunner().invoke(app, words)


def collection(folder: Path, *, hat: tuple[int, int] = (32, 32), **changes: object) -> str:
    """A collection document of two skies and two hats beside its pictures."""
    for name, size in {"day": (32, 32), "night": (32, 32), "cap": (32, 32), "crown": hat}.items():
        Image.new("RGBA", size, (len(name), 90, 90, 255)).save(folder / f"{name}.png")
    categories = [
        {"name": name, "options": [{"name": o, "value": {"image": f"{o}.png"}} for o in options]}
        for name, options in {"Sky": ("day", "night"), "Hat": ("cap", "crown")}.items()
    ]
    document = {"cauldron": 1, "name": "Refused", "supply": 4, "generator": GENERATOR}
    path = folder / "c.json"
    path.write_text(json.dumps({**document, "categories": categories, **changes}))
    return str(path)


def test_a_layer_of_another_size_is_refused_before_a_cook_begins(ask: Ask, home: Path) -> None:
    source = collection(home, hat=(64, 64))
    checked = json.loads(ask("collection", "validate", source, "--json").stdout)
    assert [p["path"] for p in checked["problems"]] == ["categories[1].options[1].value (crown.png)"]
    started = ask("cook", "start", source)
    assert started.exit_code == 2
    assert f"{source}: categories[1].options[1].value (crown.png): is 64 × 64 pixels" in started.stderr
    assert json.loads(ask("cook", "list", "--json").stdout) == {"cooks": []}


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (
            {"tool": "layers.compse"},
            "generator: there is no tool 'layers.compse'; did you mean layers.compose?",
        ),
        ({**GENERATOR, "version": "9"}, "generator: layers.compose has no version 9; there is 1.0.0"),
        ({"tool": "layers.compose", "inputs": {"layrs": []}}, "generator.inputs.layrs: no such input"),
    ],
    ids=["tool", "version", "input"],
)
def test_a_generator_that_cannot_work_is_told_by_validate_and_by_start(
    ask: Ask, home: Path, generator: object, said: str
) -> None:
    source = collection(home, generator=generator)
    for words in (("collection", "validate", source), ("cook", "start", source)):
        answer = ask(*words)
        assert (answer.exit_code, said in " ".join((answer.stdout + answer.stderr).split())) == (2, True), (
            answer
        )


def test_a_file_is_an_input_of_a_cast(ask: Ask, home: Path) -> None:
    collection(home)
    done = ask("cast", "image.effect", "--input", "image=@day.png", "--input", "effect=sepia", "--out", "o")
    assert done.exit_code == 0, done.output
    assert (home / "o" / "image.png").is_file()


def test_a_list_of_files_is_given_file_by_file(ask: Ask, home: Path) -> None:
    collection(home)
    frames = [word for name in ("day", "night") for word in ("--input", f"frames=@{name}.png")]
    done = ask("cast", "anim.loop", *frames, "--input", "format=gif", "--out", "o")
    assert done.exit_code == 0, done.output
    with Image.open(home / "o" / "image.gif") as loop:
        assert loop.n_frames == 2
    assert ask("cast", "static.media", "--input", "media=@day.png", "--out", "p").exit_code == 0


@pytest.mark.parametrize("name", ["missing.png", "text.png", "../outside.png", "c\0d.png"])
def test_a_file_that_is_no_picture_is_refused_naming_the_input(ask: Ask, home: Path, name: str) -> None:
    (home / "text.png").write_text("not a picture")
    refused = ask("cast", "image.effect", "--input", f"image=@{name}", "--wait")
    assert (refused.exit_code, "--input image: " in refused.stderr) == (2, True), refused.output
    assert "Traceback" not in refused.output


def spell(folder: Path) -> dict[str, object]:
    """A generator whose pieces fail only when they are made: its canvas is worked out in a step."""
    steps = [
        {"id": "sky", "tool": "gradient", "inputs": {"width": 64, "height": 64}},
        {"id": "out", "tool": "layers.compose", "inputs": {"layers": [{"step": "sky"}, {"input": "hat"}]}},
    ]
    inputs = [{"name": "hat", "kind": "image", "required": True}]
    document = {"cauldronSpell": 1, "name": "Late", "inputs": inputs, "steps": steps}
    return {"generator": {"spell": document, "inputs": {"hat": "[[Hat]]"}}}


def test_why_pieces_failed_is_said_with_what_to_do(ask: Ask, home: Path) -> None:
    done = ask("cook", "start", collection(home, **spell(home)), "--wait", "--json")
    cook = json.loads(done.stdout.splitlines()[0])["cookId"]
    for answer in (done, ask("cook", "status", cook)):
        assert "failed: piece 1, 2" in answer.stderr
        assert "is 32 × 32, the canvas 64 × 64" in answer.stderr
        assert f"cauldron review reroll {cook} --same --wait" in answer.stderr


def test_a_cook_that_goes_on_with_an_earlier_document_says_so(ask: Ask, home: Path) -> None:
    ask("cook", "start", collection(home))
    assert "changed since" not in ask("cook", "start", collection(home)).stderr
    again = ask(
        "cook",
        "start",
        collection(home, rules=[{"id": "r", "excludes": [{"Sky": "day"}, {"Hat": "cap"}]}], supply=3),
    )
    assert (again.exit_code, "changed since" in again.stderr) == (0, True), again.output


def test_a_misspelt_tool_is_answered_with_the_one_that_was_meant(ask: Ask) -> None:
    said = ask("cast", "gradiant")
    message = "there is no spell 'gradiant', and no tool of that name (did you mean \"gradient\"?)"
    assert (said.exit_code, said.stderr.strip()) == (1, message)


def test_what_to_do_with_a_finished_cook_is_said(ask: Ask, home: Path) -> None:
    done = ask("cook", "start", collection(home), "--wait")
    assert (done.exit_code, "4 to review" in done.stdout) == (0, True), done.output
    cook = json.loads(ask("cook", "list", "--json").stdout)["cooks"][0]["cookId"]
    assert f"cauldron review approve {cook} --all" in done.stderr
    assert f"cauldron export start {cook} --to drop" in done.stderr
    assert f"nothing is left to make: cook {cook}" in ask("cook", "start", collection(home), "--wait").stderr


def test_an_amount_that_no_collection_has_is_refused_before_room_is_looked_for(ask: Ask, home: Path) -> None:
    refused = ask("cook", "start", collection(home), "--amount", "99999999999")
    assert (refused.exit_code, "less than or equal to 1000000" in refused.stderr) == (2, True)


def test_the_beginning_of_a_cooks_id_names_it_when_it_is_long_enough(ask: Ask, home: Path) -> None:
    cook = json.loads(ask("cook", "start", collection(home), "--json").stdout)["cookId"]
    assert json.loads(ask("cook", "status", cook[:12], "--json").stdout)["cookId"] == cook
    assert "give 4 letters of its id or more" in ask("cook", "status", cook[:3]).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cook", "list"), "cauldron cook start"),
        (("spell", "list"), "cauldron spell save"),
        (("worker", "list"), "cauldron worker"),
        (("user", "list"), "cauldron user add --owner"),
        (("callback", "list"), "--callback URL"),
    ],
)
def test_where_nothing_is_yet_the_next_step_is_said(ask: Ask, words: tuple[str, ...], said: str) -> None:
    assert said in ask(*words).output


def test_a_cook_is_paid_with_points_and_its_budget_is_shown_and_changed(ask: Ask, home: Path) -> None:
    source = collection(home)
    estimate = json.loads(ask("cook", "start", source, "--dry-run", "--json").stdout)
    assert estimate["costPts"]["middle"] == 0  # its tools cost nothing, and say so
    assert ask("cook", "start", source, "--pay", "--budget-points", "-1").exit_code == 2
    cook = ask("cook", "start", source, "--pay", "--budget-points", "5").stdout.strip()
    status = json.loads(ask("cook", "status", cook, "--json").stdout)
    assert (status["charge"]["account"], status["charge"]["capPts"]) == ("local", 0)
    told = json.loads(ask("cook", "budget", cook, "--json").stdout)
    assert (told["state"], told["budget"]["points"], told["budget"]["spentPts"]) == ("Cooking", 5, 0)
    more = ("cook", "budget", cook, "--budget-points", "7")
    assert json.loads(ask(*more, "--json").stdout)["budget"]["points"] == 7
    assert "of 7 points" in ask("cook", "budget", cook).stdout
    assert ask("cook", "budget", cook, "--clear", "--budget-usd", "3").exit_code == 2
    kept = ask("cook", "budget", cook, "--clear")
    assert (kept.exit_code, "keeps a budget in points" in kept.stderr) == (1, True)
    done = json.loads(ask("cook", "watch", cook, "--work", "--json").stdout)
    assert (done["state"], done["costPts"]) == ("Completed", 0)
