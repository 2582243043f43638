"""``cauldron cook``: start, watch and steer cooks."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cauldron.bootstrap import Studio
from cauldron.cli.budgets import BudgetPoints, BudgetUsd, DryRun, Pay, budget_lines, checked, lines, raised
from cauldron.cli.callback import Callback, told
from cauldron.cli.output import command, emit, size, talk
from cauldron.cli.progress import COLOURS, ago, follow_cook, line, settled
from cauldron.cli.session import find_collection, naming, run
from cauldron.cli.summary_lines import summary_lines
from cauldron.domain.collection import MAX_SUPPLY
from cauldron.domain.errors import Invalid, Refused
from cauldron.domain.times import iso
from cauldron.services.cook_log import latest
from cauldron.services.cooking import Wanted
from cauldron.services.estimating import Estimate

group = typer.Typer(no_args_is_help=True, help="Make the pieces of a collection.")

LOOKED_AT = 1000  # failed pieces whose reasons are told
FULL_BYTES = 1_000_000  # with less than this left, hardly anything can be written
SHOWN = 5  # reasons, and piece numbers of each
ENDED = ("Completed", "Exported")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
CookId = Annotated[str, typer.Argument(metavar="COOK", help="A cook's id, or the start of it.")]
Amount = Annotated[
    int | None, typer.Option(min=1, max=MAX_SUPPLY, help="Pieces to make; default: the rest of the supply.")
]
Reason = Annotated[str, typer.Option("--reason", help="Kept with the cook and shown.")]
Source = Annotated[str, typer.Argument(metavar="FILE|ID", help="A collection document, id or slug.")]


def register(app: typer.Typer) -> None:
    """Add the ``cook`` group to the command."""
    app.add_typer(group, name="cook")


@group.command("start")
@command
def start(
    source: Source,
    amount: Amount = None,
    seed: Annotated[str | None, typer.Option(help="Seed of the plan; default: the collection's.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Work here until the cook rests.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start even if the disk looks too small.")] = False,
    budget_points: BudgetPoints = None,
    budget_usd: BudgetUsd = None,
    pay: Pay = False,
    dry_run: DryRun = False,
    callback: Callback = None,
    as_json: AsJson = False,
) -> None:
    """Start a cook, or go on with the one that is active."""
    checked(budget_points, budget_usd)

    async def work(app: Studio) -> None:
        record = await find_collection(app, source)
        forecasting = app.workshop.forecasting
        with naming(source):
            forecast = await forecasting.cook(record["_id"], amount=amount, caller=app.caller, seed=seed)
        if dry_run:
            emit(forecast.document(), as_json=as_json, text=lines(forecast))
            return
        estimate = await app.estimating.estimate(record["_id"], amount=amount)
        _check_room(estimate, force=force)
        make = forecast.budget_to_pay if pay else forecast.budget
        wanted = Wanted(
            collection_id=record["_id"],
            amount=amount,
            seed=seed,
            budget=make(points=budget_points, usd=budget_usd),
            estimate=forecast.kept(),
            pay=pay,
        )
        with naming(source):
            started = await app.cooking.start(wanted, caller=await told(app, callback))
        if not started.fresh:
            await _tell_going_on(app, started.cook_id, record)
        if not wait:
            emit({"cookId": started.cook_id}, as_json=as_json, text=started.cook_id)
            watching = f"cauldron cook watch {started.cook_id} --work"
            talk.print(f"make it here:  {watching}", soft_wrap=True)
            talk.print("or leave it to cauldron worker or cauldron serve, here or elsewhere", soft_wrap=True)
            return
        await _work_until_it_rests(app, started.cook_id, as_json=as_json)

    run(work)


async def _work_until_it_rests(app: Studio, cook_id: str, *, as_json: bool) -> None:
    """Raises Refused: it came to no good end."""
    status = await watch_here(app, cook_id, quiet=as_json)
    emit(public(status), as_json=as_json, text=line(status))
    await tell_failures(app, status)
    if status["state"] in ("Paused", "Failed"):
        raise Refused(f"the cook is {status['state']}: {status['pauseReason']}")
    if not as_json:
        _tell_next(status)


def _tell_next(status: Mapping[str, Any]) -> None:
    """What there is to do with a cook that has been made."""
    cook_id = status["cookId"]
    if status.get("unreviewed"):
        talk.print(f"approve it:  cauldron review approve {cook_id} --all", soft_wrap=True)
    if status["state"] in ENDED:
        talk.print(f"export it:   cauldron export start {cook_id} --to drop", soft_wrap=True)


async def watch_here(app: Studio, cook_id: str, *, quiet: bool = False) -> dict[str, Any]:
    """Work on whatever is queued until this cook rests; returns its last status."""

    def trouble() -> str:
        free = app.free_bytes()
        waits = "what is made waits, nothing is lost; it goes on by itself when there is room"
        return f"the disk is full ({size(free)} left): {waits}" if free < FULL_BYTES else ""

    async with app.running():
        try:
            return dict(await follow_cook(lambda: app.cooking.status(cook_id), quiet=quiet, trouble=trouble))
        except asyncio.CancelledError:
            talk.print("what is being made is finished first; Ctrl-C again ends it at once", soft_wrap=True)
            talk.print(f"go on with it: cauldron cook watch {cook_id} --work", soft_wrap=True)
            raise


async def _tell_going_on(app: Studio, cook_id: str, record: Mapping[str, Any]) -> None:
    [cook] = await app.store.get("cooks", [cook_id])
    if cook is not None and cook["status"] in ENDED:
        talk.print(f"nothing is left to make: cook {cook_id} has made it all", soft_wrap=True)
    else:
        talk.print(f"going on with cook {cook_id} of this collection", soft_wrap=True)
    if cook is not None and cook["collectionVersion"] != record["version"]:
        talk.print(
            "note: the collection has changed since; this cook goes on with what it was started with. "
            f"To cook what it is now: cauldron cook stop {cook_id}, then start again",
            style="yellow",
            soft_wrap=True,
        )


async def tell_failures(app: Studio, status: Mapping[str, Any]) -> None:
    """Say why pieces failed, the commonest reason first, and what to do about it."""
    if not status["failed"]:
        return
    where = {"cookId": status["cookId"], "state": "failed"}
    docs = await app.store.find("pieces", where, order=("cookId", "state", "number"), limit=LOOKED_AT)
    reasons: dict[str, list[int]] = {}
    for doc in docs:
        error = doc["error"] or {}
        said = f"{error.get('code', 'unknown')}: {error.get('message', 'no reason was recorded')}"
        reasons.setdefault(said, []).append(doc["number"])
    for reason, numbers in sorted(reasons.items(), key=lambda each: -len(each[1]))[:SHOWN]:
        shown = ", ".join(map(str, numbers[:SHOWN])) + (", …" if len(numbers) > SHOWN else "")
        talk.print(f"failed: piece {shown}: {reason}", style="red", markup=False, soft_wrap=True)
    again = f"cauldron review reroll {status['cookId']} --same --wait"
    talk.print(f"when that is mended: {again}", soft_wrap=True)


def _check_room(estimate: Estimate, *, force: bool) -> None:
    if estimate.enough or force:
        return
    raise Refused(
        f"the cook needs about {size(estimate.size_bytes)} and {size(estimate.free_bytes)} are free; "
        "make room, cook fewer pieces, or use --force",
        needed=estimate.size_bytes,
        free=estimate.free_bytes,
    )


def public(status: dict[str, Any]) -> dict[str, Any]:
    """A status without the store's own fields."""
    return {key: value for key, value in status.items() if not key.startswith("_")}


@group.command("status")
@command
def status(cook: CookId, as_json: AsJson = False) -> None:
    """Where a cook is."""

    async def work(app: Studio) -> None:
        cook_id = await app.find_cook(cook)
        found = await app.cooking.status(cook_id)
        summary = await app.summarizing.cook(cook_id, status=found)
        text = "\n".join([line(found), *summary_lines(summary)])
        emit(public(found) | {"summary": summary}, as_json=as_json, text=text)
        await tell_failures(app, found)

    run(work)


@group.command("watch")
@command
def watch(
    cook: CookId,
    work_here: Annotated[bool, typer.Option("--work", help="Also work on the queue here.")] = False,
    as_json: AsJson = False,
) -> None:
    """Follow a cook until it rests; Ctrl-C stops watching, not the cook."""

    async def work(app: Studio) -> None:
        cook_id = await app.find_cook(cook)
        if work_here:
            found = await watch_here(app, cook_id, quiet=as_json)
        else:
            found = dict(await follow_cook(lambda: app.cooking.status(cook_id), quiet=as_json))
        emit(public(found), as_json=as_json, text=line(found))
        await tell_failures(app, found)

    run(work)


@group.command("pause")
@command
def pause(cook: CookId, reason: Reason = "", as_json: AsJson = False) -> None:
    """Start no further piece; pieces in flight finish."""
    _steer(cook, "pause", reason, as_json=as_json)


@group.command("resume")
@command
def resume(
    cook: CookId,
    reason: Reason = "",
    budget_points: BudgetPoints = None,
    budget_usd: BudgetUsd = None,
    as_json: AsJson = False,
) -> None:
    """Go on after a pause or a stop, with a higher budget if one is given."""
    _steer(cook, "resume", reason, as_json=as_json, budget=raised(budget_points, budget_usd))


@group.command("stop")
@command
def stop(cook: CookId, reason: Reason = "", as_json: AsJson = False) -> None:
    """End the cook; what is not made stays unmade until it is resumed."""
    _steer(cook, "stop", reason, as_json=as_json)


def _steer(
    cook: str, verb: str, reason: str, *, as_json: bool, budget: Mapping[str, Any] | None = None
) -> None:
    async def work(app: Studio) -> None:
        cook_id = await app.find_cook(cook)
        steer = getattr(app.cooking, verb)
        more = {"budget": budget} if budget is not None else {}
        await steer(cook_id, actor=app.owner, reason=reason, **more)
        found = await app.cooking.status(cook_id)
        emit(public(found), as_json=as_json, text=line(found))

    run(work)


@group.command("budget")
@command
def budget(
    cook: CookId,
    points: BudgetPoints = None,
    usd: BudgetUsd = None,
    clear: Annotated[bool, typer.Option("--clear", help="Let the cook take what it takes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a cook's budget, give it another one, or none."""
    wanted = raised(points, usd)
    if clear and wanted:
        raise Invalid("--clear stands alone", path="--clear")

    async def work(app: Studio) -> dict[str, Any]:
        cook_id = await app.find_cook(cook)
        if clear or wanted:
            await app.cooking.set_budget(cook_id, wanted, actor=app.owner)
        found = await app.cooking.status(cook_id)
        return {"cookId": cook_id, "state": found["state"], "budget": found.get("budget")}

    told_budget = run(work)
    emit(told_budget, as_json=as_json, text=budget_lines(told_budget))


@group.command("list")
@command
def listing(as_json: AsJson = False) -> None:
    """The latest cooks."""

    async def work(app: Studio) -> None:
        cooks = [public(doc) for doc in await app.cooking.listing(owner=app.owner)]
        if as_json:
            emit({"cooks": cooks}, as_json=True)
            return
        if not cooks:
            talk.print("no cooks yet: cauldron cook start collection.yaml --wait")
            return
        table = Table("cook", "state", box=None, pad_edge=False)
        for title in ("pieces", "approved", "failed"):
            table.add_column(title, justify="right")
        table.add_column("started")
        for doc in cooks:
            state = f"[{COLOURS.get(doc['state'], 'white')}]{doc['state']}[/]"
            made = f"{settled(doc | {'running': 0}):,}/{doc['targetSupply']:,}"
            row = (doc["cookId"][:16], state, made, f"{doc['approved']:,}", f"{doc['failed']:,}")
            table.add_row(*row, ago(doc["startedAt"], now_ms=app.clock()))
        Console(highlight=False).print(table)

    run(work)


@group.command("events")
@command
def events(
    cook: CookId,
    limit: Annotated[int, typer.Option(min=1, help="Newest events to show.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """What happened, a row per event, oldest first."""

    async def work(app: Studio) -> None:
        found = await latest(app.cook_streams, await app.find_cook(cook), limit=limit)
        rows = [row | {"ts": iso(row["ts"])} for row in found]
        if as_json:
            emit({"events": rows}, as_json=True)
            return
        for row in rows:
            body = json.dumps(row["payload"], ensure_ascii=False)
            short = body if len(body) <= 120 else body[:119] + "…"
            sys.stdout.write(f"{row['ts']}  {row['type']:<18} {row['actor']:<8} {short}\n")

    run(work)


@group.command("analytics")
@command
def analytics(cook: CookId, as_json: AsJson = False) -> None:
    """Show approval per trait value, cost and duration, and failures by reason."""

    async def work(app: Studio) -> dict[str, Any]:
        cook_id = await app.find_cook(cook)
        return {"cookId": cook_id} | await app.workshop.analysing.of(cook_id)

    found = run(work)
    emit(found, as_json=as_json, text=_analytics_text(found))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"


def _analytics_text(found: dict[str, Any]) -> str:
    time, cost = found["durationMs"], found["costUsd"]
    lines = [
        f"duration  median {_ms(time['p50'])}, 90 % within {_ms(time['p90'])}, longest {_ms(time['max'])}",
        f"cost      ${cost['total']:.4f} in all, median ${cost['p50'] or 0:.4f}",
        *(f"failed    {each['count']:,} × {each['code']}" for each in found["failures"]),
    ]
    lines += ["", "approved  pieces  trait"] if found["traits"] else []
    for trait in found["traits"]:
        for value in trait["values"]:
            rate = "–" if value["approvalRate"] is None else f"{value['approvalRate']:.0%}"
            lines.append(f"{rate:>8}  {value['pieces']:>6,}  {trait['trait']}: {value['value']}")
    return "\n".join(lines)
