"""``cauldron piece``, ``output`` and ``upload``: what was made, and pictures brought in."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.output import command, emit, talk
from cauldron.cli.session import run
from cauldron.cli.tool import table
from cauldron.domain.errors import Invalid, NotFound
from cauldron.domain.export import EXTENSIONS
from cauldron.domain.media import digest_of
from cauldron.ports.storage import Doc, Where
from cauldron.services.media_grants import media_in
from cauldron.services.owned import owned
from cauldron.services.pages import Listing
from cauldron.services.piece_listing import MOST_NUMBER, PieceQuery

pieces = typer.Typer(no_args_is_help=True, help="Look at the pieces of a cook.")
outputs = typer.Typer(no_args_is_help=True, help="Look at single executions of tools, and what they made.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
CookId = Annotated[str, typer.Argument(metavar="COOK", help="A cook's id, or the start of it.")]
OutputId = Annotated[str, typer.Argument(metavar="OUTPUT", help="The execution's id.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")]
State = Annotated[str | None, typer.Option("--state", help="generated, approved, rejected, failed, …")]


def register(app: typer.Typer) -> None:
    """Add the groups ``piece`` and ``output``, and the command ``upload``."""
    app.add_typer(pieces, name="piece")
    app.add_typer(outputs, name="output")
    app.command("upload")(upload)


@pieces.command("list")
@command
def list_pieces(
    cook: CookId,
    state: State = None,
    trait: Annotated[
        list[str] | None, typer.Option("--trait", metavar="LABEL=VALUE", help="Shown by all. Repeatable.")
    ] = None,
    first: Annotated[int, typer.Option("--from", min=1, help="The lowest number.")] = 1,
    last: Annotated[int, typer.Option("--to", min=1, help="The highest number.")] = MOST_NUMBER,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List pieces that have been made, by number."""
    traits = dict(_pair(text) for text in trait or ())

    async def work(app: Studio) -> list[Doc]:
        cook_id = await app.find_cook(cook)
        query = PieceQuery(cook_id=cook_id, state=state, first=first, last=last, traits=traits)
        return (await app.workshop.pieces.page(query, limit=limit)).items

    found = [_piece(doc) for doc in run(work)]
    rows = [each | {"traits": ", ".join(f"{k}={v}" for k, v in each["traits"].items())} for each in found]
    emit({"pieces": found}, as_json=as_json, text=table(rows, ("number", "state", "traits")))


def _pair(text: str) -> tuple[str, str]:
    label, equals, value = text.partition("=")
    if not equals or not label:
        raise Invalid(f"--trait {text!r} is not of the form LABEL=VALUE")
    return label, value


def _piece(doc: Doc) -> dict[str, Any]:
    names = ("cookId", "number", "state", "output", "outputId", "error", "reviewReason", "updatedAt")
    return {"pieceId": doc["_id"], **{n: doc.get(n) for n in names}, "traits": doc.get("traits") or {}}


@outputs.command("list")
@command
def list_outputs(
    cook: Annotated[str | None, typer.Option("--cook", help="Of a cook.")] = None,
    cast: Annotated[str | None, typer.Option("--cast", help="Of a cast.")] = None,
    tool: Annotated[str | None, typer.Option("--tool", help="Of a tool, by its id.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="success, failed, …")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List executions of tools, newest first."""

    async def work(app: Studio) -> list[Doc]:
        where: Where = {"owner": app.owner}
        order: tuple[str, ...] = ("-requestTimestamp",)
        if cast is not None or cook is not None:
            key = "castId" if cast is not None else "cookId"
            where, order = {key: cast if cook is None else await app.find_cook(cook)}, (key,)
        wanted = {"owner": app.owner, "toolId": tool, "status": status}
        listing = Listing(
            table="generationOutputs",
            where=where,
            order=order,
            admits=lambda doc: all(v is None or doc.get(k) == v for k, v in wanted.items()),
        )
        return (await listing.page(app.store, limit=limit)).items

    found = [_output(doc) for doc in run(work)]
    columns = ("outputId", "toolId", "status", "durationMs", "costUsd", "requestTimestamp")
    emit({"outputs": found}, as_json=as_json, text=table(found, columns))


def _output(doc: Doc) -> dict[str, Any]:
    kept = {key: value for key, value in doc.items() if key not in ("_id", "_v", "cacheKey", "seq")}
    return {"outputId": doc["_id"]} | kept


@outputs.command("show")
@command
def show_output(
    output: OutputId,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write the media it made there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one execution: inputs, outputs, cost, duration, delivery."""

    async def work(app: Studio) -> tuple[Doc, list[str]]:
        doc = await owned(app.store, "generationOutputs", output, caller=app.caller, noun="output")
        return doc, await _written(app, doc, out) if out is not None else []

    doc, files = run(work)
    emit(_output(doc) | ({"files": files} if out is not None else {}), as_json=as_json)


async def _written(app: Studio, doc: Doc, folder: Path) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for place, ref in media_in(doc.get("outputs") or {}):
        plain = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in place).strip("-")
        path = folder / f"{plain}.{EXTENSIONS.get(ref['mime'], 'bin')}"
        path.write_bytes(await app.blobs.get(digest_of(ref)))
        talk.print(f"wrote {path}", markup=False)
        files.append(str(path))
    return files


@command
def upload(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="PNG, JPEG, WebP or GIF pictures.")],
    as_json: AsJson = False,
) -> None:
    """Keep pictures for traits and inputs: encoded anew, so that only their pixels are kept."""
    for path in files:
        if not path.is_file():
            raise NotFound(f"{path}: no such file")

    async def work(app: Studio) -> list[Doc]:
        return [await app.workshop.uploading.take(path, caller=app.caller, actor=app.owner) for path in files]

    kept = [{"uploadId": doc["_id"], "ref": doc["ref"], "frames": doc["frames"]} for doc in run(work)]
    emit({"uploads": kept}, as_json=as_json, text="\n".join(each["ref"]["media"] for each in kept))
