"""Ctrl-C during a cook: it says what happens, finishes what it began, and can be gone on with."""

import json
import signal
import subprocess
import time
from pathlib import Path

from tests.flows.commands import COMMAND, Shell

NOISE = {"tool": "noise.field", "inputs": {"width": 256, "height": 256, "seed": "[[Number]]"}}
DOCUMENT = {
    "cauldron": 1,
    "name": "Long",
    "supply": 5000,
    "generator": NOISE,
    "categories": [{"name": "Number", "range": {"from": 1, "to": 5000}}],
}
PATIENCE_S = 30


def until_cooking(log: Path) -> None:
    """Wait until the first pieces are said to be made."""
    deadline = time.monotonic() + PATIENCE_S
    while "Cooking: " not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_an_interrupted_cook_says_how_to_go_on(tmp_path: Path) -> None:
    shell = Shell(home=tmp_path / "home", cwd=tmp_path, settings=(("CAULDRON_PROCESSES", "1"),))
    (tmp_path / "c.json").write_text(json.dumps(DOCUMENT))
    log = tmp_path / "said.txt"
    with log.open("w") as said:
        process = subprocess.Popen(
            [*COMMAND, "cook", "start", "c.json", "--wait"],
            cwd=tmp_path, env=shell.environment, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
    until_cooking(log)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) == 130
    [cook] = shell("cook", "list", "--json").json["cooks"]
    assert cook["state"] == "Cooking"
    assert "what is being made is finished first" in log.read_text()
    assert f"cauldron cook watch {cook['cookId']} --work" in log.read_text()
    assert "Traceback" not in log.read_text()
