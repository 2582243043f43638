"""``cauldron points``: grants, balances, statements, withdrawals, refunds, and whether the books balance."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from cauldron.bootstrap import Studio
from cauldron.cli import purchases
from cauldron.cli.output import REFUSED, command, emit
from cauldron.cli.session import run
from cauldron.domain.ledger import check_account, milli_of, points
from cauldron.domain.times import iso
from cauldron.services.statements import as_csv, ledger_account

group = typer.Typer(no_args_is_help=True, help="Points: who has how many, and where they went.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account.")]
Amount = Annotated[str, typer.Argument(metavar="POINTS", help="Points, with at most three decimals.")]
Key = Annotated[str | None, typer.Option("--id", help="Said again, the same id changes nothing.")]
DAY_MS = 86_400_000


class Format(StrEnum):
    """How a statement is written."""

    TEXT = "text"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the ``points`` group to the command."""
    app.add_typer(group, name="points")


purchases.register(group)


@group.command("grant")
@command
def grant(
    account: Account,
    amount: Amount,
    kind: Annotated[str, typer.Option(help="paid, promo or adjust.")] = "promo",
    days: Annotated[float | None, typer.Option(min=0, help="Expires after so many days; never.")] = None,
    priority: Annotated[int, typer.Option(min=0, max=100, help="Lower is spent first.")] = 50,
    note: Annotated[str, typer.Option(help="Shown in the statement.")] = "",
    grant_id: Key = None,
    as_json: AsJson = False,
) -> None:
    """Give an account points."""
    milli = milli_of(amount)

    async def work(app: Studio) -> Mapping[str, Any]:
        ends = None if days is None else app.clock() + round(days * DAY_MS)
        given = await app.workshop.ledger.grant(
            account,
            milli,
            actor=app.owner,
            kind=kind,
            grant_id=grant_id,
            priority=priority,
            expires_at=ends,
            note=note,
        )
        balance = await app.workshop.ledger.balance(account)
        return {"grant": given["grant"], "points": points(given["amountMilli"])} | balance

    emit(run(work), as_json=as_json)


@group.command("balance")
@command
def balance(account: Account, as_json: AsJson = False) -> None:
    """What an account may spend, what is set aside, and what may be withdrawn."""

    async def work(app: Studio) -> dict[str, Any]:
        found = await app.workshop.ledger.balance(account)
        ends = found["nextExpiry"]
        return found | {"nextExpiry": iso(ends) if ends else None}

    emit(run(work), as_json=as_json)


@group.command("statement")
@command
def statement(
    account: Account,
    of: Annotated[
        str, typer.Option("--of", help="available, held, creator, accrued; or a whole ledger account.")
    ] = "available",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows, newest first.")] = 100,
    output: Annotated[Format, typer.Option("--format", help="text, csv or json.")] = Format.TEXT,
    as_json: AsJson = False,
) -> None:
    """Every posting of an account, newest first."""
    check_account(account)
    name = _ledger_account(account, of)

    async def work(app: Studio) -> list[dict[str, Any]]:
        statements = app.workshop.statements
        await statements.catch_up(account)
        return [row async for page in statements.all(name, limit=limit) for row in page]

    rows = run(work)
    if as_json or output is Format.JSON:
        emit({"account": name, "rows": rows}, as_json=True)
    elif output is Format.CSV:
        sys.stdout.write(as_csv(rows))
    else:
        lines = [f"{r['at']}  {r['points']:>14,.3f}  {r['kind']:<18} {r['group']}" for r in rows]
        emit({}, as_json=False, text="\n".join(lines) or f"nothing was ever posted to {name}")


def _ledger_account(account: str, of: str) -> str:
    return of if ":" in of else ledger_account(account, of)


@group.command("verify")
@command
def verify(as_json: AsJson = False) -> None:
    """Fold the books anew: every group sums to 0, every balance is the sum of its postings."""

    async def work(app: Studio) -> dict[str, Any]:
        found = await app.workshop.ledger_check.verify()
        shared = {
            a: points(m) for a, m in sorted(found.sums.items()) if not a.startswith(("user:", "creator:"))
        }
        return {
            "ok": not found.differing,
            "groups": found.groups,
            "streams": found.streams,
            "postings": found.postings,
            "accounts": len(found.sums),
            "sum": points(sum(found.sums.values())),
            "differing": found.differing,
            "problems": found.problems,
            "totals": shared,
        }

    found = run(work)
    lines = [f"{found['groups']:,} groups in {found['streams']:,} streams, {found['differing']:,} problems"]
    lines += [f"  {problem['id']}: {problem['reason']}" for problem in found["problems"]]
    emit(found, as_json=as_json, text="\n".join(lines))
    if found["differing"]:
        raise typer.Exit(REFUSED)


@group.command("withdraw")
@command
def withdraw(account: Account, amount: Amount, withdrawal: Key = None, as_json: AsJson = False) -> None:
    """Pay a creator out what their spells have earned."""
    milli = milli_of(amount)

    async def work(app: Studio) -> dict[str, Any]:
        done = await app.workshop.ledger.withdraw(account, milli, actor=app.owner, withdrawal=withdrawal)
        left = (await app.workshop.ledger.balance(account))["payablePts"]
        return {"group": done["group"], "points": points(done["amountMilli"]), "payablePts": left}

    emit(run(work), as_json=as_json)


@group.command("refund")
@command
def refund(
    capture: Annotated[str, typer.Argument(metavar="CAPTURE", help="The capture's group, cap:…")],
    line: Annotated[str, typer.Option("--line", help="One line of it, piece/step; default: all.")] = "",
    reason: Annotated[str, typer.Option(help="Shown in the log.")] = "",
    as_json: AsJson = False,
) -> None:
    """Give back what a capture took, once."""

    async def work(app: Studio) -> dict[str, Any]:
        done = await app.workshop.ledger.refund(capture, actor=app.owner, line=line, reason=reason)
        return {"refund": done["refund"], "account": done["account"], "points": points(done["amountMilli"])}

    emit(run(work), as_json=as_json)


@group.command("rate")
@command
def rate(
    micro_usd: Annotated[
        int | None, typer.Argument(metavar="[MICRO_USD]", help="What a point is worth from now on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a point is worth, or set it; what is quoted already keeps its rate."""

    async def work(app: Studio) -> dict[str, Any]:
        ledger = app.workshop.ledger
        found = (
            await ledger.rate() if micro_usd is None else await ledger.set_rate(micro_usd, actor=app.owner)
        )
        return {"rateId": found.rate_id, "microUsdPerPoint": found.micro_usd_per_point}

    emit(run(work), as_json=as_json)
