"""Commands for whoever runs the place: workers, backups, rebuilds, a look at the health."""

import asyncio
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cauldron import __version__
from cauldron.adapters.backup import Summary
from cauldron.adapters.backup import backup as write_backup
from cauldron.adapters.backup import restore as read_backup
from cauldron.bootstrap import Studio
from cauldron.cli.output import REFUSED, command, emit, talk
from cauldron.cli.session import run
from cauldron.config import load_settings
from cauldron.services.rebuilding import Findings, Rebuilding

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the operator's commands."""
    app.command("worker")(worker)
    app.command("rebuild")(rebuild)
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("doctor")(doctor)


@command
def worker(
    slots: Annotated[int | None, typer.Option(min=1, max=1024, help="Jobs run at once.")] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Leave when nothing is queued.")] = False,
) -> None:
    """Work on whatever is queued, until told to stop (SIGTERM drains)."""

    async def work(app: Studio) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with app.running(slots=slots) as engine:
            talk.print(f"worker {engine.worker.name if engine.worker else ''} at work; Ctrl-C drains it")
            while not stop.is_set():
                if until_idle and await app.is_idle():
                    break
                try:
                    await asyncio.wait_for(stop.wait(), 0.5)
                except TimeoutError:
                    continue
        if engine.worker is not None:
            done = engine.worker.counters
            talk.print(f"done {done.done}, failed {done.failed}, retried {done.retried}, lost {done.lost}")

    run(work)


@command
def rebuild(
    cook: Annotated[str | None, typer.Argument(metavar="COOK", help="One cook; default: all.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare only; exit 1 when anything differs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the read models anew from the event log, or check them against it."""

    async def work(app: Studio) -> Findings:
        rebuilding = Rebuilding(app.store, app.cook_streams, app.projector)
        findings = Findings()
        ids = [await app.find_cook(cook)] if cook else await app.cook_ids()
        for cook_id in ids:
            step = rebuilding.check if check else rebuilding.rewrite
            await step(cook_id, findings)
        return findings

    found = run(work)
    body = {
        "ok": found.differing == 0,
        "cooks": found.cooks,
        "documents": found.documents,
        "differing": found.differing,
        "examples": found.examples,
    }
    verb = "compared" if check else "written"
    text = f"{found.cooks} cooks, {found.documents:,} documents {verb}, {found.differing:,} differ"
    emit(body, as_json=as_json, text=text)
    if found.differing:
        raise typer.Exit(REFUSED)


@command
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write.")],
    as_json: AsJson = False,
) -> None:
    """Write store, blobs and keys to one archive, while everything goes on."""
    settings = load_settings()
    done = write_backup(settings.home, settings.store_path, settings.blobs_path, to, progress=_tell)
    emit({"archive": str(to), **_plain(done)}, as_json=as_json)


@command
def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="An archive written by backup.")],
    as_json: AsJson = False,
) -> None:
    """Bring an archive back into an empty data directory, checking every byte."""
    settings = load_settings()
    done = read_backup(archive, settings.home, progress=_tell)
    emit({"home": str(settings.home), **_plain(done)}, as_json=as_json)


def _plain(result: Summary) -> dict[str, Any]:
    return {"files": result.files, "sizeBytes": result.size_bytes}


def _tell(done: int, total: int) -> None:
    if sys.stderr.isatty():
        talk.print(f"{done:,} of {total:,}", end="\r")


@command
def doctor(as_json: AsJson = False) -> None:
    """Look at the store, the blobs, the tools and the room on disk."""

    async def work(app: Studio) -> dict[str, Any]:
        tables = await app.store.tables_info()
        return {
            "version": __version__,
            "python": sys.version.split()[0],
            "sqlite": sqlite3.sqlite_version,
            "home": str(app.settings.home),
            "store": str(app.settings.store_path),
            "blobs": str(app.settings.blobs_path),
            "freeBytes": app.free_bytes(),
            "tools": len(app.tools.all()),
            "poolSize": app.settings.pool_size,
            "tables": {name: {"rows": rows, "bytes": size} for name, (rows, size) in tables.items()},
        }

    found = run(work)
    lines = [f"{key:<10} {value}" for key, value in found.items() if key != "tables"]
    lines += [
        f"  {name:<20} {t['rows']:>10,} rows {t['bytes']:>14,} bytes" for name, t in found["tables"].items()
    ]
    emit(found, as_json=as_json, text="\n".join(lines))
