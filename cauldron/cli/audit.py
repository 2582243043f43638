"""Commands that look after what is stored: audit, clean, erase."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cauldron.adapters.documents import read_mapping
from cauldron.bootstrap import TABLES, Studio
from cauldron.cli.output import REFUSED, command, emit, talk
from cauldron.cli.progress import bar
from cauldron.cli.session import run
from cauldron.domain.audit import compare
from cauldron.domain.errors import Unavailable
from cauldron.persistence.leases import Leases
from cauldron.services.audit_fixing import Fixing
from cauldron.services.auditing import Auditing, chosen
from cauldron.services.cleaning import LEASE_MS, TASKS, Cleaning, Limits
from cauldron.services.erasing import Erasing
from cauldron.services.marking import Sweeping
from cauldron.services.migrating_writing import TABLES as MIGRATION_TABLES
from cauldron.services.rebuilding import Rebuilding

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ALL_TABLES = (*TABLES, *MIGRATION_TABLES)
NAMES = frozenset(table.name for table in ALL_TABLES)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("audit")(audit)
    app.command("clean")(clean)
    app.command("erase")(erase)


@command
def audit(
    rule: Annotated[
        list[str] | None, typer.Option("--rule", metavar="RULE", help="Only these rules; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the report here.")] = None,
    baseline: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="An earlier report to compare with.")
    ] = None,
    fix: Annotated[
        list[str] | None,
        typer.Option("--fix", metavar="RULE", help="Show what would put this rule right; may be repeated."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Carry out what --fix shows, then audit again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look for what should not be there in the store; exit 1 when a rule is over its bound."""
    old = read_mapping(baseline) if baseline else None
    if old is not None:
        compare(old, {"rules": []})
    chosen([*(rule or ()), *(fix or ())])  # before anything is read

    async def work(app: Studio) -> dict[str, Any]:
        await app.store.open(ALL_TABLES)
        auditing = _auditing(app)
        total = 0 if as_json or not sys.stderr.isatty() else await _rows(app)
        with bar("audit", quiet=not total) as told:
            report = await auditing.run(rules=rule or (), progress=lambda done: told(done, total))
        if not fix:
            return report
        fixing = _fixing(app)
        plans = [await fixing.plan(name) for name in fix]
        if not yes:
            return report | {"fixes": plans}
        for line in _fix_lines(plans):
            talk.print(line, markup=False)
        done = [await fixing.carry_out(name) for name in fix]
        return await auditing.run(rules=rule or ()) | {"fixes": done}

    report = run(work)
    if old is not None:
        report["compared"] = compare(old, report)
    if out is not None:
        _write(out, report)
    emit(report, as_json=as_json, text="\n".join(_audit_lines(report)))
    if not report["ok"]:
        raise typer.Exit(REFUSED)


@command
def clean(
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help=f"Only these of {', '.join(TASKS)}; may be repeated.",
        ),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Remove; without it nothing is changed.")] = False,
    test_days: Annotated[float, typer.Option(min=0, help="Records of tests younger than this stay.")] = 1,
    job_days: Annotated[float, typer.Option(min=0, help="Done jobs younger than this stay.")] = 30,
    payment_days: Annotated[
        float, typer.Option(min=7, help="Events of payment rails younger than this stay.")
    ] = 90,
    grace_hours: Annotated[
        float, typer.Option(min=0, help="Blobs used within this time stay; at least 2 beside processes.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Remove records of tests, jobs of ended cooks, old events and rows, and blobs nothing refers to."""
    limits = Limits(
        test_ms=round(test_days * DAY_MS),
        jobs_ms=round(job_days * DAY_MS),
        payments_ms=round(payment_days * DAY_MS),
        grace_ms=round(grace_hours * HOUR_MS),
    )

    async def work(app: Studio) -> list[dict[str, Any]]:
        await app.store.open(ALL_TABLES)
        return await _cleaning(app, limits).run(task or (), apply=apply)

    tasks = run(work)
    body = {"applied": apply, "tasks": tasks, "sizeBytes": sum(t["sizeBytes"] for t in tasks)}
    emit(body, as_json=as_json, text="\n".join(_clean_lines(tasks)))
    if not apply and any(t["records"] for t in tasks):
        talk.print("nothing was changed; --apply removes these")


@command
def erase(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="collection, cast or account.")],
    erased_id: Annotated[str, typer.Argument(metavar="ID", help="Its id.")],
    apply: Annotated[bool, typer.Option("--apply", help="Erase; without it nothing is changed.")] = False,
    grace_hours: Annotated[
        float,
        typer.Option(min=0, help="Media used within this time are left to clean; 0 only when nothing works."),
    ] = 2,
    as_json: AsJson = False,
) -> None:
    """Erase the personal data of a collection, a cast or an account for good; the books stay."""

    async def work(app: Studio) -> dict[str, Any]:
        await app.store.open(ALL_TABLES)
        erasing = Erasing(
            store=app.store,
            tables=NAMES,
            rebuilding=_rebuilding(app),
            sweeping=_sweeping(app),
            clock=app.clock,
            is_idle=app.is_idle,
            grace_ms=round(grace_hours * HOUR_MS),
        )
        return await erasing.run(kind, erased_id, apply=apply)

    done = run(work)
    emit(done, as_json=as_json, text="\n".join(_erase_lines(done)))
    if not apply:
        talk.print("nothing was changed; --apply erases this, and there is no way back")


def _rebuilding(app: Studio) -> Rebuilding:
    return Rebuilding(app.store, app.cook_streams, app.projector)


def _auditing(app: Studio) -> Auditing:
    return Auditing(
        store=app.store,
        blobs=app.blobs,
        tables=NAMES,
        rebuilding=_rebuilding(app),
        clock=app.clock,
        environment=app.settings.environment,
        engine="mongodb" if app.settings.database_url.startswith("mongodb") else "sqlite",
        ledger=app.workshop.ledger_check.audit,
    )


def _cleaning(app: Studio, limits: Limits) -> Cleaning:
    return Cleaning(
        store=app.store,
        tables=NAMES,
        sweeping=_sweeping(app),
        leases=Leases(app.store, holder=app.session, clock=app.clock, ttl_ms=LEASE_MS),
        clock=app.clock,
        environment=app.settings.environment,
        is_idle=app.is_idle,
        limits=limits,
    )


def _sweeping(app: Studio) -> Sweeping | None:
    """None where the blob store cannot say when a blob was used last."""
    blobs: Any = app.blobs
    return Sweeping(app.store, blobs, NAMES) if hasattr(blobs, "discard") else None


def _fixing(app: Studio) -> Fixing:
    async def strays(*, apply: bool) -> int:
        [found] = await _cleaning(app, Limits()).run(["test-records"], apply=apply)
        return int(found["records"])

    return Fixing(
        store=app.store, rebuilding=_rebuilding(app), casting=app.casting, clock=app.clock, strays=strays
    )


async def _rows(app: Studio) -> int:
    """About how many records an audit reads, and compares with the streams."""
    return 2 * sum(rows for name, (rows, _) in (await app.store.tables_info()).items() if name in NAMES)


def _write(path: Path, report: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{path}: cannot be written: {error.strerror}") from error


def _audit_lines(report: Mapping[str, Any]) -> Iterator[str]:
    where = f"{report['environment']} on {report['engine']}"
    yield f"{where}: {report['records']:,} records in {report['seconds']:g} s"
    changes = {entry["rule"]: entry for entry in report.get("compared", ())}
    for entry in report["rules"]:
        yield _rule_line(entry, changes.get(entry["rule"]))
        for sample in entry["samples"] if not entry["ok"] else ():
            yield f"        {sample['table']} {sample['id']}: {sample['reason']}"
    yield from _fix_lines(report.get("fixes", ()))


def _rule_line(entry: Mapping[str, Any], change: Mapping[str, Any] | None) -> str:
    if not entry["applies"]:
        return f"–     {entry['rule']:<18} not applicable: {entry['why']}"
    mark = "ok   " if entry["ok"] else "OVER "
    share = f" ({100 * entry['share']:.3g} %)" if entry["found"] else ""
    counts = f"{entry['found']:,} of {entry['checked']:,}{share}"
    line = f"{mark} {entry['rule']:<18} {counts}, bound {entry['bound']}"
    if change is None or change["change"] in ("same", "new"):
        return line
    return f"{line}, {change['change']} than {change['before']['found']:,}"


def _fix_lines(fixes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in fixes:
        verb = "done" if entry["done"] else "plan"
        yield f"{verb}  {entry['rule']}: {entry['records']:,} records: {entry['action']}"


def _clean_lines(tasks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for task in tasks:
        if task.get("why"):
            yield f"{task['task']:<14} {task['why']}"
            continue
        left = f", {task['left']:,} left in use" if task["left"] else ""
        yield f"{task['task']:<14} {task['records']:,} ({task['sizeBytes']:,} bytes){left}"
        for table, records in sorted(task["byTable"].items()):
            yield f"  {table:<19} {records:,}"


def _erase_lines(done: Mapping[str, Any]) -> Iterator[str]:
    yield f"{done['kind']} {done['id']}: {'erased' if done['done'] else 'would be erased'}"
    yield f"  {'event log':<19} {done['commits']:,} commits redacted"
    for table, records in sorted(done["records"].items()):
        yield f"  {table:<19} {records:,}"
    yield f"  {'blobs':<19} {done['blobs']:,} ({done['sizeBytes']:,} bytes)"
    if done["blobsYoung"]:
        yield f"  {done['blobsYoung']:,} blobs were used too recently: cauldron clean takes them later"
