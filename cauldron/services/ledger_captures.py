"""Captures of runs: what cooks and casts were charged, posted from their logs, a group per commit.

A hold is closed by the same follower, when it comes to the commit that says so: never
before what was charged earlier is posted.
"""

import structlog

from cauldron.domain import codec
from cauldron.domain.errors import Invalid, NotFound, Refused
from cauldron.domain.events import Event
from cauldron.domain.ledger_pricing import Line
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Commit
from cauldron.persistence.tables import CAST_EVENTS, COOK_EVENTS
from cauldron.services.following import Follower
from cauldron.services.ledger import Ledger

log = structlog.get_logger("cauldron.captures")
CANCELLED = frozenset({"CastCancelled", "CastFailed", "CookFailed"})


def lines_by_hold(events: list[Event]) -> dict[str, list[Line]]:
    """What a commit charges, by hold. The price of a line is what was taken: caps are applied already."""
    found: dict[str, list[Line]] = {}
    for event in events:
        hold = event.data.get("hold")
        if hold is None:
            continue
        piece = event.data.get("piece", 0)
        for step in event.data["steps"]:
            charge = step.get("charge")
            if charge and (charge["takenMilli"] or charge["costMilli"]):
                attempt = step.get("attempt", 1)
                line = Line(step["step"], piece, attempt, charge["takenMilli"], charge["costMilli"])
                found.setdefault(hold, []).append(line)
    return found


async def post_captures(ledger: Ledger, commit: Commit) -> None:
    """Post what one commit of a run charges and closes; doing it again changes nothing."""
    if not any("hold" in e["data"] or "closes" in e["data"] for e in commit["events"]):
        return
    events = codec.events_of(codec.unpack(commit))
    run, number = commit["stream"].partition(":")[2], str(commit["seq"])
    try:
        for hold, lines in lines_by_hold(events).items():
            await ledger.capture_lines(hold, number=number, lines=lines)
        for event in events:
            if "closes" in event.data:
                reason = "cancelled" if event.type in CANCELLED else "finished"
                await ledger.close(event.data["closes"], reason=reason)
    except (NotFound, Invalid, Refused) as wrong:
        if wrong.code == "stale_version":
            raise  # contended: again
        log.error("captures not posted", run=run, seq=commit["seq"], code=wrong.code)


def capture_followers(ledger: Ledger, leases: Leases) -> list[Follower]:
    """The followers of cooks and of casts."""

    async def handle(commit: Commit) -> None:
        await post_captures(ledger, commit)

    return [
        Follower(
            name=f"captures:{table}",
            table=table,
            store=ledger.store,
            leases=leases,
            clock=ledger.clock,
            handle=handle,
            whole=False,
        )
        for table in (COOK_EVENTS, CAST_EVENTS)
    ]
