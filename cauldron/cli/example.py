"""``cauldron run-example``: the bundled collection from trait tree to finished drop, in one command."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cauldron.adapters.directory import Directory
from cauldron.adapters.importers.example import example_folder
from cauldron.bootstrap import Studio
from cauldron.cli.cook import public, watch_here
from cauldron.cli.export import exported
from cauldron.cli.output import command, emit, own_name, talk
from cauldron.cli.progress import bar, line
from cauldron.cli.session import run, store_file
from cauldron.domain.errors import Refused
from cauldron.services.cooking import Wanted
from cauldron.services.shipping import Shipment

ACTOR = "system"
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the ``run-example`` command."""
    app.command("run-example")(run_example)


@command
def run_example(
    name: Annotated[str, typer.Argument(help="Which bundled collection.")] = "lantern-keepers",
    to: Annotated[Path, typer.Option("--to", help="Where the finished drop goes.")] = Path("out"),
    auto_approve: Annotated[
        bool, typer.Option("--auto-approve", help="Approve every piece, as the actor system.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Cook the bundled example collection, approve it and export it."""
    source = example_folder(name) / "collection.yaml"

    async def work(app: Studio) -> None:
        record = await store_file(app, source)
        talk.print(f"[bold]{record['name']}[/bold]: {record['supply']} pieces", highlight=False)
        cook_id, status = await _cooked(app, record["_id"], quiet=as_json)
        if auto_approve:
            await app.reviewing.review(cook_id, "approve", pieces=None, actor=ACTOR, reason="auto-approve")
            status = dict(await app.cooking.status(cook_id))
        talk.print(line(status), highlight=False)
        if not auto_approve:
            emit(public(status), as_json=as_json, text=cook_id)
            talk.print(f"review them: {own_name()} review approve {cook_id} --all", soft_wrap=True)
            return
        folder = to / record["slug"]
        with bar("exporting", quiet=as_json) as progress:
            export_id, result = await app.shipping.ship(
                Shipment(cook_id=cook_id), target=Directory(folder), actor=ACTOR, progress=progress
            )
        body: dict[str, Any] = {"cookId": cook_id, "to": str(folder), **exported(export_id, result)}
        emit(body, as_json=as_json, text=_farewell(folder, cook_id, result.pieces))

    run(work)


async def _cooked(app: Studio, collection_id: str, *, quiet: bool) -> tuple[str, dict[str, Any]]:
    """The example's cook: the one there is, gone on with if it was interrupted, else a new one."""
    cooks = await app.cooking.listing(owner=app.owner)
    mine = [doc for doc in cooks if doc["collectionId"] == collection_id]
    if mine and mine[0]["state"] in ("Completed", "Exported"):
        talk.print("it is cooked already: nothing to make again")
        return mine[0]["_id"], dict(await app.cooking.status(mine[0]["_id"]))
    if mine and mine[0]["state"] in ("Paused", "Stopped"):
        await app.cooking.resume(mine[0]["_id"], actor=ACTOR)
    started = await app.cooking.start(Wanted(collection_id=collection_id), caller=app.caller)
    status = await watch_here(app, started.cook_id, quiet=quiet)
    if status["state"] not in ("Completed", "Exported"):
        raise Refused(f"the cook is {status['state']}: {status['pauseReason']} {status['pauseDetail'] or ''}")
    return started.cook_id, status


def _farewell(folder: Path, cook_id: str, pieces: int) -> str:
    return (
        f"{pieces:,} pieces in {folder}\n"
        f"  images         {folder / 'images'}\n"
        f"  metadata       {folder / 'metadata'}\n"
        f"  contact sheet  {folder / 'contact-sheet.jpg'}\n"
        f"  rarity report  {folder / 'report.html'}\n"
        f"check it         {own_name()} export verify {folder}\n"
        f"look into it     {own_name()} cook status {cook_id}\n"
        f"open the studio  make serve"
    )
