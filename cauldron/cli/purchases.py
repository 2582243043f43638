"""``cauldron points buy|payments|settle``: points for money."""

from typing import Annotated, Any

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.output import command, emit
from cauldron.cli.session import run
from cauldron.domain.errors import Invalid
from cauldron.domain.ledger import check_account, milli_of

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``points``."""
    group.command("buy")(command(buy))
    group.command("payments")(command(payments))
    group.command("settle")(command(settle))


def buy(
    account: Account,
    amount: Annotated[str, typer.Argument(metavar="POINTS", help="Points, with at most three decimals.")],
    rail: Annotated[str | None, typer.Option(help="What takes the money; default: the first one.")] = None,
    key: Annotated[str | None, typer.Option("--id", help="Said again, the same id is one purchase.")] = None,
    as_json: AsJson = False,
) -> None:
    """Open a page to pay for points at; they come when the rail says that it has the money."""
    milli = milli_of(amount)

    async def work(app: Studio) -> dict[str, Any]:
        base = app.settings.public_url.rstrip("/")
        if not base:
            raise Invalid("CAULDRON_PUBLIC_URL must say where people come back to", path="public_url")
        return await app.workshop.payments.checkout(
            account, milli, actor=app.owner, return_url=f"{base}/points", rail=rail, payment_id=key
        )

    found = run(work)
    money = f"{found['money']:.2f} {found['currency'].upper()}"
    emit(found, as_json=as_json, text=f"{found['paymentId']}  {money}\n{found['checkoutUrl']}")


def payments(
    account: Account,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Payments, newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Purchases of an account, newest first."""
    check_account(account)

    async def work(app: Studio) -> list[dict[str, Any]]:
        return (await app.workshop.payments.listing(account, limit=limit))[0]

    found = run(work)
    lines = [
        f"{p['createdAt']}  {p['paymentId']}  {p['state']:<13} {p['points']:>12,.3f} points  "
        f"{p['money']:>10,.2f} {p['currency'].upper()}  {p['problem']}".rstrip()
        for p in found
    ]
    text = "\n".join(lines) or f"{account} has bought nothing"
    emit({"account": account, "payments": found}, as_json=as_json, text=text)


def settle(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment's id.")],
    as_json: AsJson = False,
) -> None:
    """Ask the rail how a payment stands, and post what follows."""

    async def work(app: Studio) -> dict[str, Any]:
        return await app.workshop.payments.settle(payment)

    found = run(work)
    emit(found, as_json=as_json, text=f"{found['paymentId']}  {found['state']}  {found['problem']}".rstrip())
