"""``cauldron spell``, what comes after publishing: versions retired and compared, the price, the pictures."""

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.output import command, counted, emit
from cauldron.cli.session import run
from cauldron.cli.spell import AsJson, Slug, group, record_body, version_body
from cauldron.cli.spell import register as register_spells
from cauldron.domain.ledger import milli_of
from cauldron.domain.spell_diff import Change
from cauldron.ports.storage import Doc
from cauldron.services.spell_versions import DRAFT, SpellVersions, margin_of

SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": "↕"}
MAX_VALUE = 60  # characters of a value on a line
Number = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="A published version.")]


class Visibility(StrEnum):
    """Who may see a spell."""

    PRIVATE = "private"
    UNLISTED = "unlisted"
    PUBLIC = "public"


def register(app: typer.Typer) -> None:
    """Add the whole ``spell`` group to the command."""
    register_spells(app)


def _side(text: str) -> int | None:
    """A version's number; None is the draft."""
    if text == DRAFT:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) < 10**9:
        raise typer.BadParameter("a version's number, or draft")
    return int(text)


@group.command("retire")
@command
def retire_command(
    slug: Slug,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Another version than the one on offer.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Kept with the version.")] = "",
    as_json: AsJson = False,
) -> None:
    """Offer a version no more: nothing new is begun with it, what pinned it goes on."""

    async def work(app: Studio) -> tuple[Doc, Doc]:
        book = SpellVersions(book=app.spells)
        return await book.retire(slug, version=version, reason=reason, now_ms=app.clock())

    record, retired = run(work)
    left = record["publishedVersion"]
    offers = f"version {left} is on offer" if left else "nothing is on offer now"
    _tell(record, retired, f"{slug} version {retired['version']} is retired; {offers}", as_json=as_json)


@group.command("restore")
@command
def restore_command(slug: Slug, version: Number, as_json: AsJson = False) -> None:
    """Take a retirement back."""

    async def work(app: Studio) -> tuple[Doc, Doc]:
        return await SpellVersions(book=app.spells).restore(slug, version=version, now_ms=app.clock())

    record, restored = run(work)
    left = record["publishedVersion"]
    offers = f"version {left} is on offer" if left else f"cauldron spell publish {slug} offers the draft"
    _tell(record, restored, f"{slug} version {version} is restored; {offers}", as_json=as_json)


def _tell(record: Doc, version: Doc, text: str, *, as_json: bool) -> None:
    marks = {name: version.get(name) for name in ("retiredAt", "retiredReason")}
    body = version_body(version) | marks | {"offeredVersion": record["publishedVersion"]}
    emit(body, as_json=as_json, text=text)


@group.command("diff")
@command
def diff_command(
    slug: Slug,
    before: Annotated[
        str | None, typer.Argument(metavar="BEFORE", help="A version's number; absent: the one on offer.")
    ] = None,
    after: Annotated[str, typer.Argument(metavar="AFTER", help="A version's number, or draft.")] = DRAFT,
    as_json: AsJson = False,
) -> None:
    """Say field by field what differs between two versions, or between a version and the draft."""
    for side in (before, after):
        _side(side or DRAFT)

    async def work(app: Studio) -> tuple[str, list[Change]]:
        await app.tools.refresh(app.store)
        first = before or str((await app.spells.find(slug))["publishedVersion"] or DRAFT)
        versions = SpellVersions(book=app.spells)
        return first, await versions.diff(slug, before=_side(first), after=_side(after))

    first, changes = run(work)
    body = {"slug": slug, "before": first, "after": after}
    emit(
        body | {"changes": [change._asdict() for change in changes]},
        as_json=as_json,
        text=diff_text(slug, first, after, changes),
    )


def diff_text(slug: str, before: str, after: str, changes: list[Change]) -> str:
    """What differs, a line a field: ``~ steps.card.inputs.width  320 → 480``."""
    head = f"{slug}, {_named(before)} → {_named(after)}: {counted(len(changes), 'change')}"
    width = min(40, max((len(change.path) for change in changes), default=0))
    return "\n".join([head, *(_line(change, width) for change in changes)])


def _named(side: str) -> str:
    return side if side == DRAFT else f"version {side}"


def _line(change: Change, width: int) -> str:
    shown = {"added": _shown(change.after), "removed": _shown(change.before)}.get(
        change.change, f"{_shown(change.before)} → {_shown(change.after)}"
    )
    return f"{SIGNS[change.change]} {change.path.ljust(width)}  {shown}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


@group.command("margin")
@command
def margin_command(
    slug: Slug,
    percent: Annotated[float, typer.Option(min=0, max=10_000, help="Of what a run costs.")] = 0,
    flat: Annotated[str, typer.Option(metavar="POINTS", help="Points a run.")] = "0",
    as_json: AsJson = False,
) -> None:
    """Set what you ask for on top of what a run costs, from the next quote on."""
    milli = milli_of(flat)

    async def work(app: Studio) -> Doc:
        versions = SpellVersions(book=app.spells)
        bps = round(percent * 100)
        return await versions.set_margin(slug, markup_bps=bps, flat_milli=milli, now_ms=app.clock())

    margin = margin_of(run(work))
    said = f"{slug}: cost + {margin['percent']:g} % + {margin['flatPts']:g} points a run"
    emit({"slug": slug, "margin": margin}, as_json=as_json, text=said)


@group.command("previews")
@command
def previews_command(
    slug: Slug,
    outputs: Annotated[
        list[str] | None, typer.Argument(metavar="OUTPUT", help="Ids of outputs; none: no pictures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the spell with pictures of its own outputs; everybody who may see it sees them."""

    async def work(app: Studio) -> Doc:
        return await SpellVersions(book=app.spells).choose_previews(slug, outputs or [], now_ms=app.clock())

    shown = run(work)["previewImages"]
    said = f"{slug} is shown with {counted(len(shown), 'picture')}"
    emit({"slug": slug, "previewImages": shown}, as_json=as_json, text=said)


@group.command("visibility")
@command
def visibility_command(slug: Slug, visibility: Visibility, as_json: AsJson = False) -> None:
    """Say who may see a spell: private, unlisted (who has the address), or public."""

    async def work(app: Studio) -> Doc:
        record = await app.spells.find(slug)
        document = record["draft"] | {"visibility": visibility.value}
        saved = await app.spells.save(
            document, new_id=app.new_id(), now_ms=app.clock(), spell_id=record["_id"]
        )
        return saved.record

    emit(record_body(run(work)), as_json=as_json, text=f"{slug} is {visibility.value}")
