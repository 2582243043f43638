"""What the parts say of the whole: costs counted once, pieces per state, links; folded as they pass.

A tally is a plain JSON object, so that it can be put aside and taken up again.
"""

from typing import Any, NamedTuple

from cauldron.domain.legacy.mapping import FINAL, STEP, Facts

FIRST_PAGE = 100  # ids kept in a parent record
Tally = dict[str, Any]
STATES = ("generated", "approved", "rejected", "failed", "culled", "kept")


def new_cast() -> Tally:
    """A cast nothing is known of."""
    return {"steps": 0, "total": None, "final": None, "finalCost": 0, "ids": [], "count": 0, "points": 0,
            "first": 0, "last": 0, "ok": False, "owner": "", "spell": None, "cook": None}  # fmt: skip


def new_cook() -> Tally:
    """A cook nothing is known of."""
    return {"cost": 0, "points": 0, "duration": 0, "ids": [], "count": 0, "made": 0, "pieces": 0,
            "first": 0, "last": 0, "owner": "", "collection": None, "states": {}, "lastMade": 0}  # fmt: skip


class Own(NamedTuple):
    """What an execution cost by itself, and a correction of an earlier final: (its id, its cost)."""

    micro_usd: int
    correction: tuple[str, int] | None = None


def count_in_cast(tally: Tally, facts: Facts, *, output_id: str) -> Own:
    """Add an execution to its cast; a final's cost is what the steps do not account for.

    The earlier system wrote the cast's whole cost into its final: adding up a
    cast's records counted everything twice.
    """
    cost = facts.micro_usd or 0
    correction = None
    if facts.role == FINAL and tally["final"] is None:
        tally["final"], tally["total"] = output_id, facts.micro_usd
        own = max(0, cost - tally["steps"])
        tally["finalCost"] = own
        tally["ok"] = facts.status == "success"
    elif facts.role == FINAL:  # a second final only raises the whole, which the first one carries
        own = 0
        tally["total"] = max(tally["total"] or 0, cost)
        correction = _rest(tally)
    else:
        tally["steps"] += cost
        own = cost
        correction = _rest(tally)
        if facts.role != STEP and facts.status == "success":
            tally["ok"] = True
    _count(tally, facts, output_id)
    tally["spell"] = tally["spell"] or facts.spell_id
    tally["cook"] = tally["cook"] or facts.cook_id
    return Own(own, correction)


def _rest(tally: Tally) -> tuple[str, int] | None:
    """What the final has beyond the steps, if that has changed: (its id, its cost)."""
    rest = max(0, (tally["total"] or 0) - tally["steps"])
    if tally["final"] is None or rest == tally["finalCost"]:
        return None
    tally["finalCost"] = rest
    return str(tally["final"]), rest


def cast_cost(tally: Tally) -> int:
    """The cost of the cast so far, micro-USD: its steps, and what its final has beyond them."""
    return int(tally["steps"] + tally["finalCost"])


def count_in_cook(tally: Tally, facts: Facts, *, output_id: str, own_micro_usd: int) -> int:
    """Add an execution to its cook; returns the number of its piece, 0 when it is none.

    Numbers are given out in the order of arrival: places were used again after
    rejections, numbers never are.
    """
    tally["cost"] += own_micro_usd
    tally["points"] += facts.points
    _count(tally, facts, output_id)
    tally["collection"] = tally["collection"] or facts.collection_id
    if not facts.state:
        return 0
    tally["pieces"] += 1
    states = tally["states"]
    states[facts.state] = states.get(facts.state, 0) + 1
    if facts.state != "failed":
        tally["made"] += 1
        tally["lastMade"] = tally["pieces"]
        tally["duration"] += facts.duration_ms
    return int(tally["pieces"])


def _count(tally: Tally, facts: Facts, output_id: str) -> None:
    tally["count"] += 1
    tally["owner"] = tally["owner"] or facts.owner
    if "steps" in tally:
        tally["points"] += facts.points
    if len(tally["ids"]) < FIRST_PAGE:
        tally["ids"].append(output_id)
    if facts.at_ms:
        tally["first"] = min(tally["first"] or facts.at_ms, facts.at_ms)
        tally["last"] = max(tally["last"], facts.at_ms + facts.duration_ms)
