"""Which rows of a collection's plan belong to which cook, and which cook is active."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.commands import ActivateCook, ReserveRows
from cauldron.domain.errors import Refused
from cauldron.domain.events import Event


@dataclass(slots=True)
class Rows:
    """The reservations of one collection: the rows of each plan are given out once, in order."""

    used: dict[str, int] = field(default_factory=dict)  # planHash -> rows given out, from row 0
    active: str = ""  # the cook that was started or activated last
    reserved: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # cookId -> RowsReserved


def decide(rows: Rows, command: ReserveRows | ActivateCook) -> list[Event]:
    """The reservation; none when another cook is active (``rows.active`` names it).

    Raises:
        Refused: the plan has no unused row, or not as many as asked for.
    """
    if rows.active and rows.active not in (command.ended, command.cook_id):
        return []
    if isinstance(command, ActivateCook):
        return [] if rows.active == command.cook_id else [_activated(command.cook_id)]
    if command.cook_id in rows.reserved:
        return []
    used = rows.used.get(command.plan_hash, 0)
    left = command.supply - used
    amount = left if command.amount is None else command.amount
    if left <= 0:
        raise Refused(
            f"all {command.supply} rows of the plan are used by earlier cooks", supply=command.supply
        )
    if amount > left:
        raise Refused(f"only {left} of {command.supply} rows of the plan are left, not {amount}", left=left)
    body = {
        "cookId": command.cook_id,
        "slotFrom": used,
        "amount": amount,
        "planHash": command.plan_hash,
    }
    return [Event("RowsReserved", body)]


def _activated(cook_id: str) -> Event:
    return Event("CookActivated", {"cookId": cook_id})


def evolve(rows: Rows, event: Event, *, ts: int) -> None:
    """Fold one event, in place."""
    rows.active = event.data["cookId"]
    if event.type == "RowsReserved":
        rows.reserved[rows.active] = event.data
        rows.used[event.data["planHash"]] = event.data["slotFrom"] + event.data["amount"]
