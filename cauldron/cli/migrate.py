"""Commands that bring records over: from the earlier system, and from older versions of our own."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from cauldron.adapters.legacy_source import decode, source_for
from cauldron.adapters.sqlite import SqliteStore
from cauldron.bootstrap import Studio
from cauldron.cli import move
from cauldron.cli.output import REFUSED, command, emit, talk
from cauldron.cli.session import run
from cauldron.domain.errors import Invalid
from cauldron.domain.legacy.values import ms_of
from cauldron.persistence import schema
from cauldron.services import migrating_notebook, migrating_writing
from cauldron.services.migrating import Migrating, Wanted
from cauldron.services.migrating_paused import Pausing
from cauldron.services.migrating_report import Report

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
From = Annotated[
    list[str], typer.Option("--from", metavar="DIR|URL", help="A dump folder (repeatable), or mongodb://…")
]
Apply = Annotated[bool, typer.Option("--apply", help="Write; without it nothing is changed.")]
ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="A JSON line per document: what became of it, and why."),
]
Cutoff = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Deliveries older than this are never made; default: now, so none is."),
]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--account", metavar="OLD=NEW", help="An old owner as an account here; *=… all others."),
]
Tools = Annotated[
    list[str] | None,
    typer.Option("--tool", metavar="OLD=NEW", help="An old tool or workflow as a tool here."),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="OLD=NEW", help="An old input of generators as one here."),
]
Processes = Annotated[
    int | None, typer.Option(min=0, max=64, help="Processes that read ahead; default: 2 for large dumps.")
]
LARGE_BYTES = 16_000_000  # more is mapped by processes beside this one
SHOWN = 40  # rules


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Bring records of earlier systems and versions over.")
    group.command("legacy")(legacy)
    group.command("status")(status)
    group.command("up")(up)
    move.add_to(group)
    app.add_typer(group, name="migrate")


@command
def legacy(
    places: From,
    apply: Apply = False,
    report: ReportFile = None,
    cutoff: Cutoff = None,
    account: Accounts = None,
    tool: Tools = None,
    rename: Inputs = None,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Bring over the records of the earlier system; without --apply only say what would be."""
    cutoff_ms, accounts = _instant(cutoff), _pairs(account, "account")
    tools, inputs = _pairs(tool, "tool"), _pairs(rename, "input")

    async def work(app: Studio) -> dict[str, Any]:
        wanted = Wanted(
            apply=apply,
            cutoff_ms=cutoff_ms,
            environment=app.settings.environment,
            accounts=accounts,
            tools=tools,
            inputs=inputs,
            processes=_processes(processes, places),
        )
        with _lines(report) as line:
            return await _migrate(app, places, wanted, Report(line))

    found = run(work)
    emit(found, as_json=as_json, text=_told(found))
    if found["faults"] or found.get("written", {}).get("refusedCount"):
        raise typer.Exit(REFUSED)


async def _migrate(app: Studio, places: list[str], wanted: Wanted, report: Report) -> dict[str, Any]:
    await app.store.open(migrating_writing.TABLES)
    source = source_for(places)
    try:
        async with _scratch() as scratch:
            migrating = Migrating(
                source=source,
                decode=decode,
                store=app.store,
                scratch=scratch,
                clock=app.clock,
                report=report,
                tell=_progress(),
                pausing=Pausing(app.cooking),
            )
            return await migrating.run(wanted)
    finally:
        await source.close()


@asynccontextmanager
async def _scratch() -> Any:
    store = SqliteStore(None, synchronous="NORMAL")
    await store.open(migrating_notebook.TABLES)
    try:
        yield store
    finally:
        await store.close()


def _processes(asked: int | None, places: list[str]) -> int:
    if asked is not None:
        return asked
    files = [
        file for place in places if "://" not in place for file in Path(place).rglob("*") if file.is_file()
    ]
    return 2 if sum(file.stat().st_size for file in files) > LARGE_BYTES else 0


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    ms = ms_of(text)
    if ms is None:
        raise Invalid(f"--cutoff {text!r} is no date like 2026-01-31 or 2026-01-31T12:00:00Z", path="cutoff")
    return ms


def _pairs(raw: list[str] | None, name: str) -> dict[str, str]:
    found = {}
    for pair in raw or ():
        old, mark, new = pair.rpartition("=")
        if not mark or not old.strip() or not new.strip():
            raise Invalid(f"--{name} {pair!r} is not OLD=NEW", path=name)
        found[old.strip()] = new.strip()
    return found


@contextmanager
def _lines(path: Path | None) -> Iterator[Callable[[bytes], object] | None]:
    """Where the line per document goes; the file appears when it is whole."""
    if path is None:
        yield None
        return
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        file: IO[bytes] = unfinished.open("wb")
    except OSError as error:
        raise Invalid(f"{path}: cannot be written: {error.strerror}", path="report") from error
    with file:
        yield file.write
    unfinished.replace(path)


def _progress() -> Callable[[int], object]:
    """A line about once a second: how many documents, how fast."""
    began = last = time.monotonic()

    def tell(documents: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1:
            last = now
            talk.print(f"{documents:,} documents, {documents / (now - began):,.0f}/s", markup=False)

    return tell


def _told(found: dict[str, Any]) -> str:
    head = "written" if found["applied"] else "rehearsed, nothing written (--apply writes)"
    lines = [f"{found['documents']:,} documents {head}; cost ${found['totals']['costUsd']:,.6f}", ""]
    lines += [f"  {table:<20} {count:>10,} records" for table, count in found["records"].items()]
    if found["applied"]:
        done = found["written"]
        refused = done["refusedCount"]
        lines += [
            "",
            f"  {done['inserted']:,} written, {done['existed']:,} were there, {refused:,} refused",
        ]
    for each in found.get("paused", ()):
        became = f"paused as cook {each['cook']}" if each["cook"] else f"a record only: {each['reason']}"
        lines.append(f"  collection {each['collection']} was cooking: {became}")
    lines += ["", "what was mapped, defaulted or set aside, and an example of each:"]
    for rule, body in list(found["rules"].items())[:SHOWN]:
        sample = body["samples"][0] if body["samples"] else {"in": "", "id": ""}
        lines.append(f"  {body['count']:>10,}  {rule:<32} {sample['in']} {sample['id']}")
    lines += [f"  not read: {each['in']}: {each['reason']}" for each in found["notRead"]]
    lines += [
        f"  damaged: {f['in']}: {f['reason']}; {f['wholeDocuments']:,} were whole" for f in found["faults"]
    ]
    return "\n".join(lines)


@command
def status(as_json: AsJson = False) -> None:
    """Say which records are stored in an older version, and what migrations there were."""

    async def work(app: Studio) -> dict[str, Any]:
        await app.store.open(schema.TABLES)
        tables = [await schema.standing(app.stored, table) for table in schema.UPS]
        runs = await app.store.find(schema.MIGRATIONS, {}, limit=1000)
        known = ("_id", "kind", "status", "documents", "startedAt", "finishedAt")
        return {
            "tables": [
                {"table": t.table, "version": t.version, "behind": t.behind, "done": t.done} for t in tables
            ],
            "migrations": [{key: run_[key] for key in known if key in run_} for run_ in runs],
        }

    found = run(work)
    lines = [f"{t['table']:<20} version {t['version']}, {t['behind']:,} behind" for t in found["tables"]]
    lines += [f"{m['_id']:<32} {m['status']}, {m['documents']:,} documents" for m in found["migrations"]]
    emit(found, as_json=as_json, text="\n".join(lines))


@command
def up(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Raise every stored record to its newest version, for good."""

    async def work(app: Studio) -> dict[str, Any]:
        await app.store.open(schema.TABLES)
        done = [
            await schema.backfill(app.stored, table, clock=app.clock, apply=not dry_run)
            for table in schema.UPS
        ]
        return {"applied": not dry_run, "tables": done}

    found = run(work)
    verb = "would be raised" if dry_run else "raised"
    lines = [
        f"{t['table']:<20} {t['raised']:,} of {t['documents']:,} {verb}: {json.dumps(t['fields'])}"
        for t in found["tables"]
    ]
    emit(found, as_json=as_json, text="\n".join(lines))
