"""``cauldron sponsor``: for whose casts an account pays."""

from typing import Annotated, Any

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.output import command, emit
from cauldron.cli.session import run
from cauldron.cli.tool import table
from cauldron.domain.ledger import milli_of
from cauldron.services.sponsoring import sponsorship_view

group = typer.Typer(no_args_is_help=True, help="Pay for casts of other accounts.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account whose casts are paid for.")]
Payer = Annotated[
    str | None,
    typer.Option("--payer", metavar="ACCOUNT", help="Who pays; absent: this studio's own account."),
]
COLUMNS = ("accountId", "mostPts", "totalPts", "usedPts", "actor", "updatedAt")


def register(app: typer.Typer) -> None:
    """Add the ``sponsor`` group to the command."""
    app.add_typer(group, name="sponsor")


@group.command("add")
@command
def add(
    account: Account,
    most: Annotated[str, typer.Option(metavar="POINTS", help="For one cast, at most.")],
    total: Annotated[
        str | None, typer.Option(metavar="POINTS", help="In all, at most; absent: without bound.")
    ] = None,
    payer: Payer = None,
    as_json: AsJson = False,
) -> None:
    """Pay for an account's casts from now on; said again, the last word counts."""
    milli, total_milli = milli_of(most), None if total is None else milli_of(total)

    async def work(app: Studio) -> dict[str, Any]:
        who, actor = payer or app.owner, app.owner
        doc = await app.workshop.sponsoring.allow(
            who, account, most_milli=milli, total_milli=total_milli, actor=actor
        )
        return sponsorship_view(doc, await app.workshop.ledger.sponsored(who))

    emit(run(work), as_json=as_json)


@group.command("list")
@command
def list_command(payer: Payer = None, as_json: AsJson = False) -> None:
    """For whom an account pays."""

    async def work(app: Studio) -> list[dict[str, Any]]:
        who = payer or app.owner
        used = await app.workshop.ledger.sponsored(who)
        return [sponsorship_view(doc, used) for doc in await app.workshop.sponsoring.of(who)]

    rows = run(work)
    none = "nobody: cauldron sponsor add ACCOUNT --most POINTS"
    emit({"sponsored": rows}, as_json=as_json, text=table(rows, COLUMNS, empty=none))


@group.command("end")
@command
def end(account: Account, payer: Payer = None, as_json: AsJson = False) -> None:
    """Pay for an account's casts no more; what was begun is still paid for."""

    async def work(app: Studio) -> None:
        await app.workshop.sponsoring.end(payer or app.owner, account)

    run(work)
    emit({"ended": account}, as_json=as_json, text=f"nothing is paid for {account} any more")
