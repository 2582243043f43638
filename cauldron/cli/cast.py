"""``cauldron cast``: run one spell or tool once."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from cauldron.adapters.documents import SUFFIXES, read_mapping
from cauldron.adapters.media_files import load
from cauldron.bootstrap import Studio
from cauldron.cli.callback import Callback, told
from cauldron.cli.output import command, emit, talk
from cauldron.cli.session import run
from cauldron.domain.errors import Invalid, InvalidMany, NotFound, Problem, Refused
from cauldron.domain.media import digest_of, is_media
from cauldron.domain.registry import UnknownTool
from cauldron.domain.snapshot import Snapshot, snapshot_of_tool, take_snapshot
from cauldron.domain.spell_graph import check_document
from cauldron.domain.strict_yaml import read_document
from cauldron.domain.tool import MEDIA_KINDS, Kind, Port
from cauldron.domain.trait_reading import suggestion

ENDED = ("completed", "failed", "cancelled")
EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif"}

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Spell = Annotated[
    str, typer.Argument(metavar="SLUG", help="A published spell, a tool's id, or a spell document.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME=VALUE",
        help="A value; NAME=@file stores a file. Again for the next of a list.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the ``cast`` command."""
    app.command("cast")(cast)


@command
def cast(
    spell: Spell,
    inputs: Inputs = None,
    wait: Annotated[bool, typer.Option("--wait", help="Work here until the cast has ended.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write media outputs there.")
    ] = None,
    callback: Callback = None,
    as_json: AsJson = False,
) -> None:
    """Run a spell or a tool once."""

    async def work(app: Studio) -> None:
        snapshot = await snapshot_for(app, spell)
        values = await _values(app, snapshot, inputs or [])
        started = await app.casting.start(snapshot, values, caller=await told(app, callback))
        if not (wait or out):
            emit(started | {"status": "running"}, as_json=as_json, text=started["runId"])
            return
        record = await _finished(app, started["runId"])
        files = await _write(app, record["outputs"], out) if out else []
        body = started | {"status": record["status"], "outputs": record["outputs"], "error": record["error"]}
        emit(body, as_json=as_json, text=_summary(record, files))
        if record["status"] != "completed":
            raise Refused(f"the cast {record['status']}: {(record['error'] or {}).get('message', '')}")

    run(work)


async def snapshot_for(app: Studio, name: str) -> Snapshot:
    """The snapshot of a spell document, a published spell, or a tool.

    Raises:
        NotFound: there is no such spell or tool. InvalidMany: its graph is broken.
    """
    if name.lower().endswith(SUFFIXES):
        checked = check_document(read_mapping(Path(name)), app.tools, source=name)
        return take_snapshot(checked)
    try:
        return await app.spells.snapshot(name)
    except NotFound as no_spell:
        try:
            return snapshot_of_tool(app.tools.resolve(name))
        except UnknownTool:
            near = suggestion(name, [tool.id for tool in app.tools.all()])
            raise NotFound(f"{no_spell.message}, and no tool of that name{near}", slug=name) from None


async def _values(app: Studio, snapshot: Snapshot, texts: list[str]) -> dict[str, Any]:
    ports = {port.name: port for port in snapshot.checked.inputs}
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise Invalid(f"--input {text!r} is not of the form NAME=VALUE")
        port = ports.get(name)
        if port is None:
            known = ", ".join(ports) or "none"
            raise Invalid(f"there is no input {name!r}; there are: {known}", input=name)
        if port.item is not None and port.item.kind in MEDIA_KINDS and value.startswith("@"):
            values.setdefault(name, []).append(await _stored(app, port, Path(value[1:])))
        else:
            values[name] = await _value(app, port, value)
    return values


async def _value(app: Studio, port: Port, text: str) -> Any:
    if port.kind in MEDIA_KINDS:
        return await _stored(app, port, Path(text.removeprefix("@")))
    if port.kind in (Kind.TEXT, Kind.CHOICE, Kind.COLOR):
        return text
    return read_document(text, source=f"--input {port.name}")


async def _stored(app: Studio, port: Port, path: Path) -> Any:
    """The reference of a file, checked and stored. Raises InvalidMany, naming the input."""
    wanted = port.item or port
    kind = "image" if wanted.kind is Kind.IMAGE else "file"
    document = {"generator": {"inputs": {port.name: {kind: path.name}}}}  # as a collection names files
    try:
        loaded = await load(document, base=path.absolute().parent, blobs=app.blobs)
    except InvalidMany as error:
        at = f"--input {port.name}"
        problems = [Problem(path=at, code=p.code, message=p.message) for p in error.problems]
        raise InvalidMany(problems) from error
    return loaded["generator"]["inputs"][port.name]


async def _finished(app: Studio, cast_id: str) -> dict[str, Any]:
    async with app.running():
        while True:
            record = await app.casting.get(cast_id)
            if record["status"] in ENDED:
                return record
            await asyncio.sleep(0.02)


async def _write(app: Studio, outputs: dict[str, Any], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, value in outputs.items():
        if is_media(value):
            path = folder / f"{name}{EXTENSIONS.get(value['mime'], '.bin')}"
            path.write_bytes(await app.blobs.get(digest_of(value)))
            talk.print(f"wrote {path}", markup=False)
            written.append(path)
    return written


def _summary(record: dict[str, Any], files: list[Path]) -> str:
    values = [f"{k}: {v}" for k, v in record["outputs"].items() if not is_media(v)]
    media = [] if files else [f"{k}: {v['media']}" for k, v in record["outputs"].items() if is_media(v)]
    return "\n".join([record["status"], *values, *media])
