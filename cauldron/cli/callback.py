"""``cauldron callback``: the signing secret, and what became of messages about ended runs."""

from typing import Annotated, Any

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.output import command, emit, talk
from cauldron.cli.session import run
from cauldron.cli.tool import table
from cauldron.domain.times import iso
from cauldron.persistence.tables import DELIVERIES
from cauldron.ports.storage import Doc, Where
from cauldron.services.casting import Caller
from cauldron.services.owned import owned

group = typer.Typer(no_args_is_help=True, help="Messages to addresses that want to hear how a run ended.")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
NONE = "none yet: --callback URL of cauldron cast and cauldron cook start asks for one"
FIELDS = ("runId", "type", "url", "status", "attempts", "answer", "error", "createdAt", "deliveredAt")


Callback = Annotated[
    str | None, typer.Option("--callback", metavar="URL", help="Where to tell how it ended; see callback.")
]


async def told(app: Studio, url: str | None) -> Caller:
    """Who asks, with where the end is to be told. Raises InvalidMany."""
    return await app.workshop.told(app.caller, url)


def register(app: typer.Typer) -> None:
    """Add the ``callback`` group to the command."""
    app.add_typer(group, name="callback")


@group.command("rotate")
@command
def rotate(as_json: AsJson = False) -> None:
    """Make a new signing secret and show it this once; the old one signs beside it for a day."""

    async def work(app: Studio) -> Doc:
        return await app.workshop.webhook_secrets.rotate(app.owner)

    doc = run(work)
    emit({"secret": doc["secret"], "createdAt": doc["createdAt"]}, as_json=as_json, text=doc["secret"])
    talk.print("keep it: it is not shown again")


@group.command("list")
@command
def list_deliveries(
    of: Annotated[str | None, typer.Option("--run", metavar="ID", help="Of one cast or cook.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List messages, newest first."""

    async def work(app: Studio) -> list[Doc]:
        where: Where = {"owner": app.owner} | ({"runId": of} if of is not None else {})
        return await app.store.find(DELIVERIES, where, order=("-createdAt",), limit=limit)

    found = [_shown(doc) for doc in run(work)]
    columns = ("deliveryId", "type", "status", "attempts", "answer", "createdAt")
    emit({"deliveries": found}, as_json=as_json, text=table(found, columns, empty=NONE))


def _shown(doc: Doc) -> dict[str, Any]:
    upcoming = iso(doc["runAt"]) if doc["status"] == "pending" else None
    return {"deliveryId": doc["_id"], **{name: doc[name] for name in FIELDS}, "nextTryAt": upcoming}


@group.command("retry")
@command
def retry(
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="A message that was given up.")],
    as_json: AsJson = False,
) -> None:
    """Send a dropped message again, under the same id; whoever works next does it."""

    async def work(app: Studio) -> None:
        await owned(app.store, DELIVERIES, delivery, caller=app.caller, noun="delivery")
        await app.workshop.callbacks.retry(delivery)

    run(work)
    emit({"retried": delivery}, as_json=as_json, text=f"{delivery} is due again")
