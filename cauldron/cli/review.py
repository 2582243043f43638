"""``cauldron review``: decide on pieces, and have others made for those turned down."""

from typing import Annotated

import typer

from cauldron.bootstrap import Studio
from cauldron.cli.cook import watch_here
from cauldron.cli.output import command, counted, emit, talk
from cauldron.cli.session import run
from cauldron.domain.errors import Invalid

group = typer.Typer(no_args_is_help=True, help="Approve, reject, cull and re-roll pieces.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
CookId = Annotated[str, typer.Argument(metavar="COOK", help="A cook's id, or the start of it.")]
Numbers = Annotated[
    list[str] | None, typer.Argument(metavar="NUMBER…", help="Piece numbers and ranges: 3 7 10-20.")
]
Everything = Annotated[bool, typer.Option("--all", help="Every piece that waits for this decision.")]
Reason = Annotated[str, typer.Option("--reason", help="Kept with the pieces.")]
MOST = 1_000_000


def register(app: typer.Typer) -> None:
    """Add the ``review`` group to the command."""
    app.add_typer(group, name="review")


def numbers_of(texts: list[str] | None, *, everything: bool) -> list[int] | None:
    """Piece numbers from ``3``, ``10-20``; None for all.

    Raises:
        Invalid: neither or both were given, or a text is not a number or range.
    """
    if everything == bool(texts):
        raise Invalid("name piece numbers, or --all")
    if everything:
        return None
    found: list[int] = []
    for text in texts or []:
        low, _, high = text.partition("-")
        if not (low.isdecimal() and (high or low).isdecimal()):
            raise Invalid(f"{text!r} is not a piece number or a range like 10-20")
        first, last = int(low), int(high or low)
        if not 1 <= first <= last <= MOST:
            raise Invalid(f"{text!r} is not a range of piece numbers")
        found += range(first, last + 1)
    return found


def _decide(cook: str, decision: str, pieces: list[int] | None, *, reason: str, as_json: bool) -> None:
    async def work(app: Studio) -> None:
        cook_id = await app.find_cook(cook)
        changed = await app.reviewing.review(cook_id, decision, pieces=pieces, actor=app.owner, reason=reason)
        emit({"changed": changed}, as_json=as_json, text=f"{counted(changed, 'piece')} changed")

    run(work)


@group.command("approve")
@command
def approve(
    cook: CookId, numbers: Numbers = None, everything: Everything = False, as_json: AsJson = False
) -> None:
    """Approve pieces: they will be part of the collection."""
    _decide(cook, "approve", numbers_of(numbers, everything=everything), reason="", as_json=as_json)


@group.command("reject")
@command
def reject(
    cook: CookId,
    numbers: Numbers = None,
    everything: Everything = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Reject pieces: re-roll makes others for their slots."""
    chosen = numbers_of(numbers, everything=everything)
    _decide(cook, "reject", chosen, reason=reason, as_json=as_json)


@group.command("cull")
@command
def cull(
    cook: CookId,
    numbers: Numbers = None,
    everything: Everything = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Leave approved pieces out of the collection, in a second round."""
    _decide(cook, "cull", numbers_of(numbers, everything=everything), reason=reason, as_json=as_json)


@group.command("revive")
@command
def revive(
    cook: CookId, numbers: Numbers = None, everything: Everything = False, as_json: AsJson = False
) -> None:
    """Bring culled pieces back."""
    _decide(cook, "revive", numbers_of(numbers, everything=everything), reason="", as_json=as_json)


@group.command("keep")
@command
def keep(
    cook: CookId, numbers: Numbers = None, everything: Everything = False, as_json: AsJson = False
) -> None:
    """Mark approved pieces as kept in the second round, or bring culled ones back."""
    _decide(cook, "keep", numbers_of(numbers, everything=everything), reason="", as_json=as_json)


@group.command("undo")
@command
def undo(
    cook: CookId, numbers: Numbers = None, everything: Everything = False, as_json: AsJson = False
) -> None:
    """Take decisions back: the pieces wait for review again."""
    _decide(cook, "reset", numbers_of(numbers, everything=everything), reason="", as_json=as_json)


@group.command("reroll")
@command
def reroll(
    cook: CookId,
    numbers: Numbers = None,
    same: Annotated[bool, typer.Option("--same", help="Try the same selection again.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Make the new pieces here, now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make new pieces for rejected and failed ones; rules, counts and all other pieces stay."""
    chosen = numbers_of(numbers, everything=not numbers)

    async def work(app: Studio) -> None:
        cook_id = await app.find_cook(cook)
        changed = await app.reviewing.refill(cook_id, pieces=chosen, actor=app.owner, same=same)
        if wait:
            await watch_here(app, cook_id, quiet=as_json)
        emit({"changed": changed}, as_json=as_json, text=f"{counted(changed, 'piece')} queued again")
        if not wait:
            talk.print(f"make them with: cauldron cook watch {cook_id} --work")

    run(work)
