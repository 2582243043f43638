"""Workers: being one, and looking at all of them."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.output import command, emit, talk
from cauldron.cli.session import run
from cauldron.ports.storage import Doc

MOST_WORKERS = 10_000
SHOWN_JOBS = 3
LOOK_EVERY_S = 0.5
group = typer.Typer(invoke_without_command=True, help="Work on whatever is queued, or list who does.")


def register(app: typer.Typer) -> None:
    """Add ``worker`` and ``worker list``."""
    app.add_typer(group, name="worker")


@group.callback()
@command
def worker(
    context: typer.Context,
    slots: Annotated[int | None, typer.Option(min=1, max=1024, help="Jobs run at once.")] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Leave when nothing is queued.")] = False,
) -> None:
    """Work on whatever is queued, until told to stop (SIGTERM drains)."""
    if context.invoked_subcommand is None:
        run(lambda app: _work(app, slots=slots, until_idle=until_idle))


async def _work(app: Studio, *, slots: int | None, until_idle: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with app.running(slots=slots) as engine:
        talk.print(f"worker {engine.worker.name if engine.worker else ''} at work; Ctrl-C drains it")
        while not stop.is_set():
            if until_idle and await app.is_idle():
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):  # wait_for may swallow a cancellation
                    await stop.wait()
    if engine.worker is not None:
        done = engine.worker.counters
        talk.print(f"done {done.done}, failed {done.failed}, retried {done.retried}, lost {done.lost}")


@group.command("list")
@command
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every worker session: host, age of its last beat, slots, jobs it runs, rate."""

    async def look(app: Studio) -> list[dict[str, Any]]:
        rows = await app.store.find("workers", {}, limit=MOST_WORKERS)
        return sessions(rows, now=app.clock())

    found = run(look)
    emit({"workers": found}, as_json=as_json, text=_table(found))


def sessions(rows: Sequence[Doc], *, now: int) -> list[dict[str, Any]]:
    """What is shown of rows of the table ``workers``: the busiest hosts' names in order.

    ``rate`` is jobs ended per second since the beat before the last; ``alive``
    is false when the lease is over, so that others take the jobs back.
    """
    shown = [
        {
            "session": row["_id"],
            "name": row["name"],
            "host": row.get("host") or row["name"].rpartition(":")[0],
            "alive": row["until"] >= now,
            "beatAgeMs": max(0, now - row["beatAt"]),
            "startedAt": row.get("startedAt"),
            "slots": row["slots"],
            "running": row["running"],
            "done": row["done"],
            "failed": row["failed"],
            "rate": row.get("rate", 0.0),
        }
        for row in rows
    ]
    return sorted(shown, key=lambda each: (each["host"], each["name"], each["session"]))


def _table(found: Sequence[dict[str, Any]]) -> str:
    if not found:
        return "no worker is there: cauldron worker starts one"
    head = f"{'worker':<32} {'beat':>8} {'slots':>6} {'runs':>5} {'done':>9} {'failed':>7} {'rate':>8}  jobs"
    return "\n".join([head, *map(_line, found)])


def _line(each: dict[str, Any]) -> str:
    beat = f"{each['beatAgeMs'] / 1000:.1f} s" if each["alive"] else "silent"
    jobs = " ".join(each["running"][:SHOWN_JOBS]) + (" …" if len(each["running"]) > SHOWN_JOBS else "")
    return (
        f"{each['name']:<32} {beat:>8} {each['slots']:>6} {len(each['running']):>5} "
        f"{each['done']:>9,} {each['failed']:>7,} {each['rate']:>6.1f}/s  {jobs}"
    ).rstrip()
