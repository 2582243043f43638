"""``cauldron migrate engine``: a whole store to another engine, and its blobs to another place."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from cauldron.bootstrap import TABLES, clock, new_id
from cauldron.cli.output import REFUSED, command, emit, talk
from cauldron.config import STORES, Settings, file_of, load_settings, setting_error, without_login
from cauldron.domain.errors import NotFound
from cauldron.log import set_up_logging
from cauldron.places import blobs_at, naming, store_at
from cauldron.ports.storage import Store
from cauldron.services import migrating_writing, moving
from cauldron.services.copying import copy_blobs
from cauldron.services.moving import Moving

EVERY_TABLE = tuple({table.name: table for table in (*TABLES, *migrating_writing.TABLES)}.values())


def add_to(group: typer.Typer) -> None:
    """Add ``engine`` to the group ``migrate``."""
    group.command("engine")(engine)


@command
def engine(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="sqlite:///FILE or mongodb://…")],
    target: Annotated[
        str, typer.Option("--to", metavar="URL", help="An empty store of the other engine, or its own copy.")
    ] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare both sides only; change nothing.")
    ] = False,
    blobs: Annotated[
        str, typer.Option(metavar="URL", help="Copy blobs there too, from CAULDRON_BLOBS_URL.")
    ] = "",
    unlock: Annotated[
        bool, typer.Option("--unlock", help="Give a move up: the old store opens again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Copy a store that nobody uses to another engine; run it again after an interruption."""
    settings = load_settings()
    set_up_logging(settings.log_level)
    if unlock:
        opened = asyncio.run(_unlock(source, settings))
        emit({"unlocked": opened}, as_json=as_json, text="open again" if opened else "it was not shut")
        return
    if not target:
        raise setting_error("--to", "missing", "say where to")
    if without_login(source) == without_login(target):
        raise setting_error("--to", "same", "is the store it comes from")
    found = asyncio.run(_move(source, target, blobs, settings, verify=verify))
    emit(found, as_json=as_json, text=_told(found))
    if found["differing"]:
        raise typer.Exit(REFUSED)


async def _unlock(url: str, settings: Settings) -> bool:
    async with _opened(url, settings, "--from") as store:
        return await moving.unlock(store)


async def _move(source: str, target: str, blobs: str, settings: Settings, *, verify: bool) -> dict[str, Any]:
    async with _opened(source, settings, "--from") as here, _opened(target, settings, "--to") as there:
        move = Moving(
            source=here,
            target=there,
            tables=EVERY_TABLE,
            places=(without_login(source), without_login(target)),
            clock=clock,
            new_id=new_id,
            tell=_tell,
        )
        copied = await _blobs(blobs, settings) if blobs and not verify else None
        outcome = await (move.verify() if verify else move.run())
    return {
        "ok": not outcome.differing,
        "documents": outcome.documents,
        "differing": outcome.differing,
        "tables": {
            name: {"documents": s.documents, "copied": outcome.copied.get(name, 0), "sha256": s.digest}
            for name, s in outcome.tables.items()
            if s.documents or name in outcome.differing
        },
        "blobs": copied,
    }


async def _blobs(url: str, settings: Settings) -> dict[str, int]:
    """Blobs first: a store is never switched over to where they are missing."""
    source, target = blobs_at(settings.blobs_url, settings), blobs_at(url, settings, name="--blobs")
    for store, name in ((source, "blobs_url"), (target, "--blobs")):
        if (look := getattr(store, "open", None)) is not None:
            with naming(name):
                await look()
    return await copy_blobs(source, target, tell=lambda done: _tell("blobs", done, 0))


@asynccontextmanager
async def _opened(url: str, settings: Settings, name: str) -> AsyncIterator[Store]:
    path = file_of(url, STORES, name=name)
    if name == "--from" and path is not None and not path.is_file():
        raise NotFound(f"{path}: no such file", path=str(path))
    store = store_at(url, synchronous=settings.synchronous, name=name)
    try:
        with naming(name):
            await store.open(EVERY_TABLE)
        yield store
    finally:
        await store.close()


def _told(found: dict[str, Any]) -> str:
    lines = [f"{name:<20} {t['documents']:>10,} documents" for name, t in found["tables"].items()]
    if found["blobs"] is not None:
        lines.append(
            f"{'blobs':<20} {found['blobs']['blobs']:>10,} of them {found['blobs']['copied']:,} copied"
        )
    return "\n".join([*lines, "both sides are equal" if found["ok"] else "both sides DIFFER"])


def _tell(table: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        talk.print(f"{table} {done:,}" + (f" of {total:,}" if total else ""), end="\r")
