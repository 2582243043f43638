"""Plans: time to work out 10,000 to 1,000,000 selections, beside HashLips choosing traits only.

    HASHLIPS_DIR=… python -m benchmarks.plan [--no-peer]

HashLips has no exact counts and no rules; its rows are the same weights without them. It gives up
after 10,000 duplicates, so its rate is that of the pieces it reached.
"""

import argparse
import resource
from collections.abc import Sequence
from math import prod
from typing import Any

from benchmarks import harness, hashlips
from cauldron.domain.collection import Collection, parse_collection
from cauldron.domain.counting import count_combinations
from cauldron.domain.planning import distinct_pieces, make_plan

SKEWED = (30, 20, 15, 10, 8, 6, 5, 3, 2, 1)


def collection(
    weights: Sequence[Sequence[int]], *, supply: int, rules: int = 0, exact: bool = False
) -> Collection:
    """Categories with these weights, ``rules`` seeded pairs that exclude each other, perhaps exact counts."""
    categories = []
    for number, category in enumerate(weights):
        counts = _counts(category, supply)
        options = [
            {"name": f"o{i}", **({"count": counts[i]} if exact else {"weight": weight})}
            for i, weight in enumerate(category)
        ]
        categories.append({"name": f"C{number}", "options": options})
    return parse_collection(
        {
            "cauldron": 1,
            "name": "Benchmark",
            "supply": supply,
            "seed": "benchmark",
            "generator": {"tool": "layers.compose"},
            "categories": categories,
            "rules": _pairs([len(category) for category in weights], count=rules),
        }
    )


def _counts(weights: Sequence[int], supply: int) -> list[int]:
    counts = [supply * weight // sum(weights) for weight in weights]
    counts[0] += supply - sum(counts)
    return counts


def _pairs(sizes: Sequence[int], *, count: int) -> list[dict[str, Any]]:
    """Rules from a fixed linear congruential generator, so that they are the same everywhere."""
    state, rules = 11, []
    while len(rules) < count:
        draws = []
        for _ in range(4):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            draws.append(state >> 33)
        a, b = draws[0] % len(sizes), draws[1] % len(sizes)
        if a != b:
            terms = [{f"C{a}": f"o{draws[2] % sizes[a]}"}, {f"C{b}": f"o{draws[3] % sizes[b]}"}]
            rules.append({"id": f"r{len(rules)}", "excludes": terms})
    return rules


def planned(subject: Collection) -> harness.Timing:
    """How long a plan takes; it is checked to be whole and unique first."""
    plan = make_plan(subject)
    if distinct_pieces(plan) != subject.supply:
        raise SystemExit(f"the plan of {subject.supply} pieces repeats itself")
    return harness.timed(lambda: make_plan(subject), runs=3)


def bounded(name: str, subject: Collection, *, most: float, unit: str) -> harness.Row:
    """CPU time of a plan beside the bound that must be kept, in seconds or milliseconds."""
    seconds = planned(subject).best_cpu_s
    ours = seconds * 1000 if unit == "ms" else seconds
    return harness.Row(name=name, ours=ours, peer=most, peer_name="must be at most", unit=unit)


def beside_hashlips(name: str, weights: Sequence[Sequence[int]], *, supply: int) -> harness.Row:
    """Pieces per second of wall time, ours and the engine's."""
    ours = supply / planned(collection(weights, supply=supply)).median_s
    theirs = hashlips.run_selection(weights, editions=supply)
    end = f"gives up at {theirs.made:,}" if theirs.gave_up else "reaches all"
    return harness.Row(
        name=name, ours=ours, peer=theirs.made / theirs.wall_s, peer_name=f"HashLips, {end}", unit="pieces/s"
    )


def rows(*, with_peer: bool) -> list[harness.Row]:
    """Every figure; with the peer's where it can do the same."""
    seven, four = [SKEWED] * 7, [[1] * 8, [1] * 13, [1] * 8, [1] * 12]
    found = [
        bounded(
            "100,000 pieces of 10^7, exact counts, 30 pair rules: CPU",
            collection(seven, supply=100_000, rules=30, exact=True),
            most=1.5,
            unit="s",
        ),
        bounded("9,984 of 9,984 pieces: CPU", collection(four, supply=9_984), most=50, unit="ms"),
        bounded(
            "10,000 pieces of 10^7 by weight, 30 pair rules: CPU",
            collection(seven, supply=10_000, rules=30),
            most=50,
            unit="ms",
        ),
        bounded(
            "14,850 of 15,000 pieces, exact counts: CPU",
            collection([[1] * n for n in (10, 5, 5, 6, 10)], supply=14_850, exact=True),
            most=50,
            unit="ms",
        ),
    ]
    subject = collection(seven, supply=10_000, rules=30)
    count = harness.timed(lambda: count_combinations(subject), runs=5)
    found.append(
        harness.Row(
            name=f"counting {count_combinations(subject).combinations:,} valid combinations exactly: CPU",
            ours=count.best_cpu_s * 1000,
            peer=None,
            peer_name="",
            unit="ms",
        )
    )
    if with_peer:
        found.append(beside_hashlips("100,000 pieces of 10^7 by weight, no rules", seven, supply=100_000))
        name = f"{prod(map(len, four)):,} of {prod(map(len, four)):,} pieces"
        found.append(beside_hashlips(name, four, supply=9_984))
    million = planned(collection([SKEWED] * 9, supply=1_000_000, rules=30)).best_cpu_s
    found.append(
        harness.Row(
            name="1,000,000 pieces of 10^9 by weight, 30 pair rules: CPU",
            ours=million,
            peer=None,
            peer_name="",
            unit="s",
        )
    )
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    found.append(
        harness.Row(name="peak memory of all of this", ours=peak_mb, peer=None, peer_name="", unit="MB")
    )
    return found


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--no-peer", action="store_true", help="our figures only")
    with_peer = not parser.parse_args().no_peer
    if with_peer:
        hashlips.engine_folder()  # an error before minutes are spent
    harness.record("plan", rows(with_peer=with_peer))


if __name__ == "__main__":
    main()
