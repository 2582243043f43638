"""The first level of the command: help without loading anything, typing mistakes, completion by the shell."""

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from cauldron.cli import app as cli
from cauldron.cli.contents import COMMANDS

HELP = """
import sys
from cauldron.cli.app import app
app(["--help"], standalone_mode=False)
print(sorted(m for m in sys.modules if m.startswith(("cauldron.", "numpy", "pydantic"))))
"""


def test_help_lists_every_command_and_loads_none():
    said = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True).stdout
    *page, loaded = said.strip().splitlines()
    assert all(any(f"│ {name} " in line for line in page) for name in COMMANDS)
    assert "cauldron.bootstrap" not in loaded
    assert "numpy" not in loaded
    assert "<bool>" not in said  # flags take no value


@pytest.mark.parametrize("name", COMMANDS)
def test_a_line_of_the_contents_says_what_the_command_says_of_itself(name):
    own = (cli.found(name).help or "").split()
    assert COMMANDS[name].said.split()[:3] == own[:3]


@pytest.mark.parametrize("module", sorted({entry.module for entry in COMMANDS.values()}))
def test_every_command_of_a_module_is_in_the_contents(module):
    home = typer.Typer()
    home.callback()(lambda: None)
    __import__(f"cauldron.cli.{module}", fromlist=["register"]).register(home)
    assert {n for n, e in COMMANDS.items() if e.module == module} == set(typer.main.get_group(home).commands)


def test_a_misspelt_command_is_answered_with_the_one_that_was_meant():
    answer = CliRunner().invoke(cli.app, ["exprot", "start"])
    assert answer.exit_code == 2
    assert "Did you mean 'export'?" in answer.stderr


COMPLETING = """
import sys
sys.argv[0] = "cauldron"
from cauldron.cli.app import main
main()
"""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("cauldron re", {"review", "restore", "rebuild"}), ("cauldron cook st", {"start", "status", "stop"})],
)
def test_the_shell_completes_commands(typed, offered):
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_CAULDRON_COMPLETE": "complete_bash"}
    call = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'cauldron'\nfrom cauldron.cli.app import main; main()",
    ]
    answer = subprocess.run(call, env=os.environ | asked, capture_output=True, text=True, check=True)
    assert set(answer.stdout.split()) == offered
