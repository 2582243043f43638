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


def _decision(name: str, says: str, *, decision: str = "", reasoned: bool = False) -> None:
    """Add the command ``name``, that decides on pieces; ``decision`` is its name in the service."""

    def decide(
        cook: CookId,
        numbers: Numbers = None,
        everything: Everything = False,
        reason: Reason = "",
        as_json: AsJson = False,
    ) -> None:
        pieces = numbers_of(numbers, everything=everything)

        async def work(app: Studio) -> None:
            changed = await app.reviewing.review(
                await app.find_cook(cook), decision or name, pieces=pieces, actor=app.owner, reason=reason
            )
            emit({"changed": changed}, as_json=as_json, text=f"{counted(changed, 'piece')} changed")

        run(work)

    def plain(
        cook: CookId, numbers: Numbers = None, everything: Everything = False, as_json: AsJson = False
    ) -> None:
        decide(cook, numbers, everything, as_json=as_json)

    group.command(name, help=says)(command(decide if reasoned else plain))


_decision("approve", "Approve pieces: they will be part of the collection.")
_decision("reject", "Reject pieces: re-roll makes others for their slots.", reasoned=True)
_decision("cull", "Leave approved pieces out of the collection, in a second round.", reasoned=True)
_decision("revive", "Bring culled pieces back.")
_decision("keep", "Mark approved pieces as kept in the second round, or bring culled ones back.")
_decision("undo", "Take decisions back: the pieces wait for review again.", decision="reset")


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
