"""A cook's summary as lines for people: time to go, cost with its source; failures are told elsewhere."""

from collections.abc import Mapping
from typing import Any

from cauldron.cli.progress import duration

BASIS = {
    "history": "from earlier cooks",
    "recent": "from the latest cooks",
    "calibrated": "from how far off earlier ones were",
    "tariff": "by tariff",
}


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """At most a few lines; nothing is said of what is not known."""
    lines = []
    eta, cost = summary["eta"], summary["cost"]
    if eta["low"] is not None:
        between = f"{duration(eta['low'])} to {duration(eta['high'])}"
        held = f", held {eta['hitRate']:.0%} of the time" if eta["hitRate"] is not None else ""
        lines.append(f"left {between} in 8 of 10 cooks ({BASIS.get(eta['basis'], eta['basis'])}{held})")
    if cost["usdPerPiece"] is not None:
        source = " and ".join(cost["sources"]) or "unknown"
        sure = "" if cost["known"] else ", so the cost is not known"
        lines.append(f"${cost['usdPerPiece']:.4f} a piece ({source}{sure})")
    return lines
