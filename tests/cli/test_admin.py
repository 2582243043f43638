"""Commands for whoever runs the place, on a store with work in it."""

import asyncio
import importlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cauldron.bootstrap import Studio, studio
from cauldron.cli import app as cli
from cauldron.cli.output import own_name, size
from cauldron.config import load_settings, usable_cores
from cauldron.ports.storage import Delete, Patch

Ask = Callable[..., Result]


@pytest.fixture
def ask(home: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """``ask("doctor")`` runs a command in this process."""
    monkeypatch.chdir(home)
    app = typer.Typer()
    app.callback()(cli.root)
    for noun in ("cast", "cook", "admin"):
        importlib.import_module(f"cauldron.cli.{noun}").register(app)
    return lambda *words: CliRunner().invoke(app, words)


def in_the_store(work: Callable[[Studio], object]) -> None:
    """Do something to the store that no command would do."""

    async def session() -> None:
        async with studio(load_settings()) as app:
            await work(app)  # a coroutine

    asyncio.run(session())


@pytest.fixture
def cast_id(ask: Ask) -> str:
    """A stand-alone cast that has ended."""
    done = ask("cast", "gradient", "--input", "width=16", "--input", "height=16", "--wait", "--json")
    assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["runId"])


def test_rebuild_compares_casts_with_their_streams(ask: Ask, cast_id: str) -> None:
    answer = json.loads(ask("rebuild", "--check", "--json").stdout)
    assert (answer["ok"], answer["casts"], answer["documents"]) == (True, 1, 2)  # the cast and its output


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda i: Patch("casts", i, {"status": "failed"}), "differs in status"),
        (lambda i: Patch("generationOutputs", f"{i}.1.0", {"durationMs": -5}), "differs in durationMs"),
        (lambda i: Delete("generationOutputs", f"{i}.1.0"), "missing"),
    ],
    ids=["cast changed", "output changed", "output gone"],
)
def test_rebuild_finds_and_mends_casts_that_say_something_else(ask: Ask, cast_id: str, harm, reason) -> None:
    in_the_store(lambda app: app.store.commit([harm(cast_id)], atomic=False))
    checked = ask("rebuild", "--check")
    assert (checked.exit_code, reason in checked.stdout) == (1, True), checked.output
    assert ask("rebuild").exit_code == 0
    assert json.loads(ask("rebuild", "--check", "--json").stdout)["ok"] is True


def test_what_was_committed_a_moment_ago_is_projected_rather_than_reported(ask: Ask, cast_id: str) -> None:
    in_the_store(lambda app: app.store.commit([Delete("casts", cast_id)], atomic=False))
    assert json.loads(ask("rebuild", "--check", "--json").stdout)["ok"] is True
    in_the_store(lambda app: app.casting.get(cast_id))  # it is there again


def test_what_is_in_the_usual_folder_is_backed_up_and_brought_back(
    ask: Ask, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data directory is ``data`` in the current folder unless told otherwise: a relative path."""
    monkeypatch.setenv("CAULDRON_HOME", "data")
    words = ("cast", "gradient", "--input", "width=16", "--input", "height=16", "--wait", "--json")
    made = json.loads(ask(*words).stdout)
    kept = ask("backup", "kept.tar")
    assert kept.exit_code == 0, kept.output
    monkeypatch.setenv("CAULDRON_HOME", "again")
    assert ask("restore", "kept.tar").exit_code == 0
    back = json.loads(ask("rebuild", "--check", "--json").stdout)
    assert (back["ok"], back["casts"], made["status"]) == (True, 1, "completed")


def test_doctor_shows_what_is_there_in_units(ask: Ask, cast_id: str) -> None:
    text = ask("doctor").stdout
    assert "generationOutputs" in text
    assert "review_leases" not in text  # an empty table says nothing
    assert "processes" in text
    told = json.loads(ask("doctor", "--json").stdout)
    assert told["tables"]["review_leases"] == {"rows": 0, "bytes": 0}


def test_an_empty_store_is_told_in_a_line(ask: Ask) -> None:
    assert "all empty" in ask("doctor").stdout


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_210_000, "3.2 MB")]
)
def test_sizes_have_units(count: int, shown: str) -> None:
    assert size(count) == shown


def test_a_system_that_hides_its_cores_from_a_process_still_has_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS and Windows ``os.sched_getaffinity`` does not exist."""
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert usable_cores() >= 1


def test_commands_are_told_as_this_shell_can_run_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After ``make run`` the command is in .venv/bin, which is on nobody's PATH yet."""
    command = tmp_path / ".venv" / "bin" / "cauldron"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(command)])
    monkeypatch.setenv("PATH", "/nowhere")
    assert own_name() == ".venv/bin/cauldron"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert own_name() == str(command)
    monkeypatch.setenv("PATH", str(command.parent))
    assert own_name() == "cauldron"
