"""What is shown of a cook while it goes on, without a terminal and at one."""

import asyncio
import io
import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from cauldron.cli.progress import ago, follow_cook, line, panel
from cauldron.domain.times import from_iso

BASE = {
    "state": "Cooking", "targetSupply": 40, "queued": 40, "running": 0, "failed": 0, "rate": 0.0,
    "eta": None, "costPts": 0.0, "costUsd": 0.0, "pauseReason": None, "pauseDetail": None,
}  # fmt: skip
FULL = "the disk is full"
FOLLOWING = """
import asyncio
from cauldron.cli.progress import follow_cook
from tests.cli.test_progress import BASE
found = [{**BASE, "queued": 40 - n} for n in (0, 4, 8)] + [{**BASE, "state": "Completed", "queued": 0}]
async def read():
    return found.pop(0)
asyncio.run(follow_cook(read))
"""


def followed(*changes: dict[str, Any], trouble: list[str]) -> None:
    """Follow a cook through these statuses; each look finds what is next."""
    statuses = iter([{**BASE, **change} for change in changes])
    troubles = iter(trouble)

    async def read() -> dict[str, Any]:
        return next(statuses)

    asyncio.run(follow_cook(read, trouble=lambda: next(troubles)))


def test_without_a_terminal_trouble_is_said_once_and_again_when_it_is_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    going = [{"queued": 40 - n} for n in range(6)]
    followed(*going, {"state": "Completed", "queued": 0}, trouble=[FULL, FULL, "", "", FULL, FULL])
    assert capsys.readouterr().err.count(FULL) == 2


def test_what_rests_says_what_to_decide_and_what_goes_on_how_long_it_takes() -> None:
    going = {**BASE, "queued": 10, "rate": 2.0, "eta": 5.0}
    assert line(going) == "Cooking: 30 of 40 pieces (75 %), 2.0/s, left 5 s, failed 0, 0 pts · $0.0000"
    made = {**BASE, "state": "Completed", "queued": 0, "approved": 1, "unreviewed": 39}
    assert line(made) == (
        "Completed: 40 of 40 pieces (100 %), 1 approved, 39 to review, failed 0, 0 pts · $0.0000"
    )


def test_how_long_ago_something_was() -> None:
    instant = "2026-03-01T10:00:00.000Z"
    said = [ago(instant, now_ms=from_iso(instant) + 1000 * s) for s in (-5, 7, 3 * 3600 + 60, 3 * 86_400)]
    assert said == ["0 s ago", "7 s ago", "3 h 1 m ago", "2026-03-01"]


def test_the_end_is_left_to_the_result_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    followed({"queued": 40}, {"state": "Completed", "queued": 0}, trouble=[""])
    assert "Completed" not in capsys.readouterr().err


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_panel_fits_its_terminal(width: int) -> None:
    out = io.StringIO()
    status = {**BASE, "targetSupply": 100_000, "rate": 1234.5, "eta": 4000, "failed": 12, "running": 64}
    paused = {"pauseReason": "failure_budget", "pauseDetail": "a sentence that goes on and on " * 4}
    Console(file=out, width=width).print(panel(status | paused, trouble=FULL))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert any(FULL in line for line in lines)


@pytest.mark.parametrize(("term", "tenths"), [("dumb", True), ("xterm-256color", False)])
def test_a_dumb_terminal_gets_lines_and_another_a_panel_that_leaves_one(term: str, tenths: bool) -> None:
    """On a real pseudo-terminal: the panel is wiped at the end, so that only the result stays."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWING],
        stderr=follower,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TERM": term},
    ) as process:
        os.close(follower)
        said = b"".join(iter(lambda: _chunk(leader), b"")).decode()
    os.close(leader)
    assert process.returncode == 0, said
    assert ("Cooking: 4 of 40 pieces" in said) is tenths
    assert ("\x1b[2K" in said) is not tenths  # what erases a line


def _chunk(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:  # the other end is closed
        return b""
