"""Commands for whoever runs the place: backups, rebuilds, a look at the health."""

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
from cauldron.cli.output import REFUSED, command, emit, size
from cauldron.cli.progress import bar, is_live
from cauldron.cli.session import run
from cauldron.config import Settings, load_settings, without_login
from cauldron.domain.audit import BY_NAME, Tally
from cauldron.domain.errors import Refused
from cauldron.services.audit_streams import CastCheck
from cauldron.services.rebuilding import Findings, Rebuilding

MANY = 10  # cooks; fewer take no time worth telling
SHOWN = 10  # findings printed; --json has more
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the operator's commands."""
    app.command("rebuild")(rebuild)
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.command("doctor")(doctor)


@command
def rebuild(
    cook: Annotated[str | None, typer.Argument(metavar="COOK", help="One cook; default: all.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare only; exit 1 when anything differs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the read models anew from the event log, or check them against it."""

    async def work(app: Studio) -> tuple[Findings, int]:
        rebuilding = Rebuilding(app.store, app.cook_streams, app.projector)
        findings = Findings()
        ids = [await app.find_cook(cook)] if cook else await app.cook_ids()
        with bar("rebuild", quiet=as_json or len(ids) < MANY) as told:
            for number, cook_id in enumerate(ids, 1):
                step = rebuilding.check if check else rebuilding.rewrite
                await step(cook_id, findings)
                told(number, len(ids))
        if cook:
            return findings, 0
        await _books(app, findings, check=check)
        return findings, await _casts(app, findings, check=check)

    found, casts = run(work)
    body = {
        "ok": found.differing == 0,
        "cooks": found.cooks,
        "casts": casts,
        "documents": found.documents,
        "differing": found.differing,
        "examples": found.examples,
    }
    verb = "compared" if check else "written"
    text = f"{found.cooks} cooks, {casts} casts, {found.documents:,} documents {verb}, "
    lines = [f"{text}{found.differing:,} differ"]
    lines += [f"  {each['table']} {each['id']}: {each['reason']}" for each in found.examples[:SHOWN]]
    emit(body, as_json=as_json, text="\n".join(lines))
    if found.differing:
        raise typer.Exit(REFUSED)


async def _books(app: Studio, findings: Findings, *, check: bool) -> None:
    """Compare balances and statements with the log of the books, or write them anew."""
    if not check:
        if not await app.leases.acquire("follower:books"):
            raise Refused("a server keeps the balances: stop it, or use --check")
        findings.documents += await app.workshop.ledger_check.rewrite()
        await app.leases.release("follower:books")
        return
    found = await app.workshop.ledger_check.verify()
    findings.documents += found.postings
    findings.differing += found.differing
    findings.examples += [{"table": "ledger", **problem} for problem in found.problems]


async def _casts(app: Studio, findings: Findings, *, check: bool) -> int:
    """Compare stand-alone casts with their streams, or write those that differ; returns how many casts."""
    casts = CastCheck(app.store, app.clock(), app.casting.project)
    tally = Tally(BY_NAME["projections"])
    async for differing in casts.run(tally):
        for table, doc in differing if not check else ():
            await casts.put(table, doc)
    findings.documents += tally.checked
    if check:
        findings.differing += tally.found
        findings.examples += tally.samples
    return casts.casts


@command
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write.")],
    as_json: AsJson = False,
) -> None:
    """Write store, blobs and keys to one archive, while everything goes on."""
    settings = load_settings()
    store, blobs = _local(settings)
    with bar("backing up", quiet=not is_live()) as progress:
        done = write_backup(settings.home, store, blobs, to, progress=progress)
    emit({"archive": str(to), **_plain(done)}, as_json=as_json)


@command
def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="An archive written by backup.")],
    as_json: AsJson = False,
) -> None:
    """Bring an archive back into an empty data directory, checking every byte."""
    settings = load_settings()
    _local(settings)
    with bar("restoring", quiet=not is_live()) as progress:
        done = read_backup(archive, settings.home, progress=progress)
    emit({"home": str(settings.home), **_plain(done)}, as_json=as_json)


def _local(settings: Settings) -> tuple[Path, Path]:
    """Store and blobs, which must both be on this machine. Raises Refused."""
    store, blobs = settings.store_path, settings.blobs_path
    if store is None or blobs is None:
        what = "the store is in MongoDB" if store is None else "blobs are in S3"
        raise Refused(f"{what}: an archive holds local files only; back up with that system's own means")
    return store, blobs


def _plain(result: Summary) -> dict[str, Any]:
    return {"files": result.files, "sizeBytes": result.size_bytes}


@command
def doctor(as_json: AsJson = False) -> None:
    """Look at the store, the blobs, the tools and the room on disk."""

    async def work(app: Studio) -> dict[str, Any]:
        tables = await app.store.tables_info()
        return {
            "version": __version__,
            "python": sys.version.split()[0],
            "sqlite": sqlite3.sqlite_version,
            "home": str(app.settings.home.absolute()),
            "store": _place(app.settings.store_path, app.settings.database_url),
            "blobs": _place(app.settings.blobs_path, app.settings.blobs_url),
            "freeBytes": app.free_bytes() if app.settings.blobs_path else None,
            "tools": len(app.tools.all()),
            "poolSize": app.settings.pool_size,
            "tables": {name: {"rows": rows, "bytes": size} for name, (rows, size) in tables.items()},
        }

    found = run(work)
    emit(found, as_json=as_json, text="\n".join(_doctor_lines(found)))


def _place(path: Path | None, url: str) -> str:
    return without_login(url) if path is None else str(path.absolute())


def _doctor_lines(found: dict[str, Any]) -> list[str]:
    """For people: sizes in units, and only the tables that hold something."""
    free = found["freeBytes"]
    shown = {**found, "freeBytes": None if free is None else size(free)}
    words = {"freeBytes": "free", "poolSize": "processes"}
    lines = [
        f"{words.get(key, key):<10} {value}"
        for key, value in shown.items()
        if key != "tables" and value is not None
    ]
    tables = {name: each for name, each in found["tables"].items() if each["rows"]}
    if not tables:
        return [*lines, "tables     all empty"]
    lines.append(f"{'tables':<20} {'rows':>12} {'size':>10}")
    return lines + [f"  {name:<18} {t['rows']:>12,} {size(t['bytes']):>10}" for name, t in tables.items()]
