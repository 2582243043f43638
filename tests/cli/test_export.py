"""``cauldron export verify``: what it prints and how it leaves."""

import asyncio
import json

import pytest
import typer
from typer.testing import CliRunner

from cauldron.cli import export
from tests.export_samples import exported


@pytest.fixture
def out(tmp_path):
    result = asyncio.run(exported(tmp_path))
    return tmp_path / "out", result


@pytest.fixture
def cauldron():
    app = typer.Typer()
    export.register(app)

    @app.callback()
    def root() -> None:
        """Two levels, as the real command has."""

    return lambda *arguments: CliRunner().invoke(app, ["export", "verify", *map(str, arguments)])


def test_a_good_export_is_told_and_leaves_with_0(out, cauldron):
    folder, result = out
    done = cauldron(folder, "--json", "--merkle-root", result.merkle_root)
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"ok": True, "pieces": 12, "problems": [], "unlisted": 0}
    assert "12 pieces" in cauldron(folder).stdout


def test_problems_are_listed_and_leave_with_1(out, cauldron):
    folder, _ = out
    (folder / "images/2.png").write_bytes(b"x")
    done = cauldron(folder, "--json")
    assert done.exit_code == 1
    body = json.loads(done.stdout)
    assert body["ok"] is False
    assert {"path", "code", "message"} == set(body["problems"][0])
    assert "images/2.png" in {problem["path"] for problem in body["problems"]}
    plain = cauldron(folder)
    assert plain.exit_code == 1
    assert "problems" in plain.stdout


def test_a_name_that_looks_like_markup_is_printed_as_it_is(out, cauldron):
    folder, _ = out
    (folder / "[red]x[nothing]\x1b[2J").write_bytes(b"x")
    done = cauldron(folder)
    assert done.exit_code == 1
    assert "[red]x[nothing]" in done.output
    assert "\x1b" not in done.output


def test_no_folder_leaves_with_1_and_a_bad_root_with_2(out, tmp_path, cauldron):
    folder, _ = out
    assert cauldron(tmp_path / "nowhere").exit_code == 1
    assert cauldron(folder, "--merkle-root", "abc").exit_code == 2
