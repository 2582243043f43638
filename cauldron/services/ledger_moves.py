"""Moves of all points of one account to another, finished by whoever began them or by the follower."""

from collections.abc import Mapping
from typing import Any

from cauldron.domain.ledger import check_account
from cauldron.domain.ledger_commands import MovePoints, ReceivePoints
from cauldron.services.ledger import SYSTEM, Ledger

BRING = frozenset({
    "PointsGranted", "PointsDeposited", "PointsReleased", "PointsRefunded", "DepositReversed",
    "DepositRestored",
})  # fmt: skip


async def hand_over(ledger: Ledger, account: str, *, to: str, actor: str) -> None:
    """Send what an account has and owes to another, for good; again, what came since.

    Raises:
        Refused: another account has taken it over. Invalid: an id is malformed, or both are the same.
    """
    moves = (await ledger.accounts.load(f"account:{check_account(account)}")).state.moves
    if moves:  # whoever sent it may have died before it arrived
        before = await ledger.streams.find_command(f"move:{account}:{moves}")
        for event in before["events"] if before is not None else ():
            if event["type"] == "PointsMoved":
                await finish_move(ledger, event["data"])
    now = ledger.clock()
    command = MovePoints(account=account, to=check_account(to), number=moves + 1, now=now)
    moved = await ledger.post(ledger.accounts, f"account:{account}", command, actor=actor)
    if moved is not None:
        await finish_move(ledger, moved.data)


async def finish_move(ledger: Ledger, moved: Mapping[str, Any]) -> None:
    """Post the arrival of what left; once, however often it is asked."""
    command = ReceivePoints(
        account=moved["to"],
        source=moved["account"],
        number=moved["number"],
        grants=moved["grants"],
        debt_milli=moved["debtMilli"],
        now=ledger.clock(),
    )
    await ledger.post(ledger.accounts, f"account:{moved['to']}", command, actor=SYSTEM)


async def send_after(ledger: Ledger, account: str) -> None:
    """Send what came to an account to the one that took it over; nothing where none did."""
    to = (await ledger.accounts.load(f"account:{account}")).state.moved_to
    if to:
        await hand_over(ledger, account, to=to, actor=SYSTEM)
