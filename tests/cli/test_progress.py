"""What is shown of a cook while it goes on, without a terminal and at one."""

import asyncio
import io
from typing import Any

import pytest
from rich.console import Console

from cauldron.cli.progress import follow_cook, panel

BASE = {
    "state": "Cooking", "targetSupply": 40, "queued": 40, "running": 0, "failed": 0, "rate": 0.0,
    "eta": None, "costPts": 0.0, "costUsd": 0.0, "pauseReason": None, "pauseDetail": None,
}  # fmt: skip
FULL = "the disk is full"


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
