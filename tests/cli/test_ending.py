"""How commands end when something is wrong with where they write, or with themselves."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "from cauldron.cli.app import main; main()"
DOCUMENT = {
    "cauldron": 1,
    "name": "Grüße",
    "supply": 2,
    "generator": {"tool": "text.card", "inputs": {"text": "[[Größe]]"}},
    "categories": [{"name": "Größe", "options": [{"name": "groß"}, {"name": "klein"}]}],
}


def run(*words: str, cwd: Path, stdout: object = subprocess.PIPE, code: str = MAIN, **env: str):
    environment = {**os.environ, **env}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd, env=environment, stdout=stdout, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "c.json").write_text(json.dumps(DOCUMENT))
    return tmp_path


def test_letters_that_the_terminal_lacks_are_replaced(folder):
    said = run("collection", "forecast", "c.json", cwd=folder, PYTHONIOENCODING="ascii")
    assert (said.returncode, said.stderr) == (0, b"")
    assert b"Gr??e" in said.stdout


def test_json_is_whole_where_the_terminal_lacks_letters(folder):
    said = run("collection", "forecast", "c.json", "--json", cwd=folder, PYTHONIOENCODING="latin-1")
    assert [c["category"] for c in json.loads(said.stdout)["categories"]] == ["Größe"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_an_answer_that_cannot_be_written_is_one_sentence(folder, flag):
    with Path("/dev/full").open("wb") as full:
        said = run("collection", "count", "c.json", *flag, cwd=folder, stdout=full)
    assert said.returncode == 1
    assert said.stderr.decode() == "it cannot go on: [Errno 28] No space left on device\n"


BROKEN = """
import sys
from cauldron.cli.ending import ended_well
with ended_well():
    raise KeyError("flux")
"""


def test_a_defect_leaves_its_stack_in_the_log(tmp_path):
    said = run(cwd=tmp_path, code=BROKEN)
    assert (said.returncode, b"KeyError: 'flux'" in said.stderr) == (1, True)


def test_a_defect_is_a_sentence_at_a_terminal_and_its_stack_a_file(tmp_path):
    ours, theirs = pty.openpty()
    ended = subprocess.run(
        [sys.executable, "-c", BROKEN],
        env=os.environ | {"TMPDIR": str(tmp_path)}, stdout=theirs, stderr=theirs, check=False,
    )  # fmt: skip
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    [kept] = tmp_path.glob("cauldron-*.txt")
    assert (ended.returncode, "Traceback" in said, str(kept) in said) == (1, False, True)
    assert "KeyError: 'flux'" in kept.read_text()
