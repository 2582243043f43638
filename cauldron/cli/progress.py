"""A cook's progress in the terminal: a live panel, or a line per tenth without one."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import RenderableType
from rich.live import Live
from rich.progress import Progress
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cauldron.cli.output import talk
from cauldron.domain.times import from_iso

Status = Mapping[str, Any]
RESTING = ("Completed", "Exported", "Stopped", "Failed", "Paused")
REFRESH_S = 0.15
COLOURS = {
    "Cooking": "cyan",
    "Paused": "yellow",
    "Completed": "green",
    "Exported": "green",
    "Stopped": "bright_black",
    "Failed": "red",
}


async def follow_cook(
    read: Callable[[], Awaitable[Status]], *, quiet: bool = False, trouble: Callable[[], str] = lambda: ""
) -> Status:
    """Show a cook until it rests; returns its last status. Ctrl-C leaves it running.

    ``trouble`` says what keeps everything from going on, or nothing.
    """
    status = await read()
    if quiet or not is_live():
        return await _by_lines(read, status, quiet=quiet, trouble=trouble)
    with Live(panel(status), console=talk, refresh_per_second=8, transient=True) as live:
        while status["state"] not in RESTING or status["running"]:
            await asyncio.sleep(REFRESH_S)
            status = await read()
            live.update(panel(status, trouble=trouble()))
    return status


async def _by_lines(
    read: Callable[[], Awaitable[Status]], status: Status, *, quiet: bool, trouble: Callable[[], str]
) -> Status:
    told = -1
    in_trouble = False
    while status["state"] not in RESTING or status["running"]:  # its end is the command's result
        tenth = 10 * settled(status) // max(1, status["targetSupply"])
        if tenth > told and not quiet:
            talk.print(line(status), soft_wrap=True, markup=False)
            told = tenth
        said = trouble()
        if said and not in_trouble:
            talk.print(said, style="yellow", soft_wrap=True, markup=False)
        in_trouble = bool(said)
        await asyncio.sleep(REFRESH_S)
        status = await read()
    return status


@contextmanager
def bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for counted work; a line per tenth without a terminal."""
    if quiet:
        yield lambda done, total: None
    elif not is_live():
        yield _tenths(title)
    else:
        with Progress(console=talk, transient=True) as progress:
            task = progress.add_task(title, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)


def is_live() -> bool:
    """Whether what was written can be overwritten: at a terminal that is not a dumb one."""
    return sys.stderr.isatty() and not talk.is_dumb_terminal


def _tenths(title: str) -> Callable[[int, int], None]:
    told = -1

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(1, total)
        if tenth > told:
            told = tenth
            talk.print(f"{title}: {done:,} of {total:,}", markup=False)

    return tell


def settled(status: Status) -> int:
    """Slots that are neither queued nor running."""
    return int(status["targetSupply"]) - int(status["queued"]) - int(status["running"])


def panel(status: Status, *, trouble: str = "") -> Table:
    """The live display, at most 80 columns wide."""
    done, total = settled(status), status["targetSupply"]
    head = Text.assemble(
        (f"{status['state']}", f"bold {COLOURS.get(status['state'], 'white')}"),
        ("  "),
        (f"{done:,}", "bold"),
        (f" of {total:,} pieces", "bright_black"),
    )
    bar = ProgressBar(total=max(1, total), completed=done, width=76, complete_style="dark_orange")
    rows = Table.grid()
    parts: list[RenderableType] = [head, bar, _figures(status), *_reason(status)]
    if trouble:
        parts.append(Text(trouble, style="yellow", overflow="fold"))
    for part in parts:
        rows.add_row(part)
    return rows


def _figures(status: Status) -> Table:
    table = Table.grid(padding=(0, 3))
    cells = [
        f"{status['rate']:.1f}/s" if status["rate"] else "–/s",
        f"left {duration(status['eta'])}",
        f"running {status['running']}",
        f"[red]failed {status['failed']}[/red]" if status["failed"] else "failed 0",
        money(status),
    ]
    table.add_row(*cells)
    return table


def _reason(status: Status) -> list[Text]:
    if not status.get("pauseReason"):
        return []
    words = str(status["pauseReason"]).replace("_", " ")
    detail = f": {status['pauseDetail']}" if status.get("pauseDetail") else ""
    return [Text(f"{words}{detail}", style="yellow", overflow="fold")]


def line(status: Status) -> str:
    """The status as one line of text: how fast it goes while it goes, what to decide once it rests."""
    done, total = settled(status), int(status["targetSupply"])
    share = 100 * done // max(1, total)
    resting = status["state"] in RESTING
    facts = _decided(status) if resting else [f"{status['rate']:.1f}/s", f"left {duration(status['eta'])}"]
    made = f"{done:,} of {total:,} pieces ({share} %)"
    return f"{status['state']}: " + ", ".join([made, *facts, f"failed {status['failed']:,}", money(status)])


def _decided(status: Status) -> list[str]:
    counts = [(status.get("approved", 0), "approved"), (status.get("unreviewed", 0), "to review")]
    return [f"{count:,} {what}" for count, what in counts if count]


def money(status: Status) -> str:
    """Points first, money behind: ``12.4 pts · $0.0042``."""
    return f"{status['costPts']:g} pts · ${status['costUsd']:.4f}"


def ago(instant: str, *, now_ms: int) -> str:
    """How long ago an instant of a record was: ``12 s ago``, ``3 h 5 m ago``; its day after two days."""
    seconds = (now_ms - from_iso(instant)) / 1000
    return f"{duration(max(0, seconds))} ago" if seconds < 2 * 86_400 else instant[:10]


def duration(seconds: float | None) -> str:
    """``1 m 12 s``; an en dash when unknown."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes} m"
    return f"{minutes} m {rest} s" if minutes else f"{rest} s"
