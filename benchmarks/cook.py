"""A whole collection through the command line: plan, cook, approve, export; HashLips on the same layers.

Everything is counted: starting the commands, the plan, storing the layers, durable records of every
piece and every execution, metadata, proofs, rarity, report and contact sheet. The peer only draws
and writes files, one after the other, as its code does.

    python -m benchmarks.cook [--pieces 10000] [--size 1024] [--editions 100]
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.cartoon_layers import CATEGORIES, WEIGHTS, make_layers
from benchmarks.hashlips import engine_folder, run_hashlips
from benchmarks.processes import Ran, cauldron

MOST_ALL_MB, MOST_CORE_MB = 700.0, 300.0


def collection(layers: dict[str, list[Path]], *, supply: int, size: int, base: Path) -> dict[str, Any]:
    """The collection document of the layer folders, weights as in the file names."""
    categories = [
        {
            "name": category,
            "options": [
                {"name": path.stem.split("#")[0], "weight": weight, "value": {"image": _within(path, base)}}
                for path, weight in zip(layers[category], WEIGHTS, strict=True)
            ],
        }
        for category in CATEGORIES
    ]
    stack = [f"[[{category}]]" for category in CATEGORIES]
    inputs = {"width": size, "height": size, "layers": stack}
    return {
        "cauldron": 1,
        "name": "Benchmark",
        "slug": "benchmark",
        "supply": supply,
        "seed": "benchmark",
        "generator": {"tool": "layers.compose", "inputs": inputs},
        "categories": categories,
    }


def _within(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix()


def cook(folder: Path, *, layers: dict[str, list[Path]], pieces: int, size: int) -> dict[str, Ran]:
    """Cook and export ``pieces``; what each command took."""
    document, home = folder / "collection.json", folder / "home"
    document.write_bytes(harness.plain_json(collection(layers, supply=pieces, size=size, base=folder)))
    ran = {"cook": cauldron("cook", "start", str(document), "--wait", home=home)}
    cook_id = str(ran["cook"].answer["cookId"])
    ran["approve"] = cauldron("review", "approve", cook_id, "--all", home=home)
    ran["export"] = cauldron("export", "start", cook_id, "--to", str(folder / "drop"), home=home)
    if ran["export"].answer["pieces"] != pieces:
        raise RuntimeError(f"{ran['export'].answer['pieces']} of {pieces} pieces were exported")
    return ran


def rows(ran: dict[str, Ran], *, pieces: int, size: int, peer_ms: float, peer: str) -> list[harness.Row]:
    """The figures that must be kept."""
    wall_s, core_mb = sum(each.wall_s for each in ran.values()), ran["cook"].core_mb
    what = f"{pieces:,} pieces of {size}² with export"
    most = "must be at most"
    return [
        harness.Row(
            name=f"cook {what}", ours=wall_s * 1e3 / pieces, peer=peer_ms, peer_name=peer, unit="ms/piece"
        ),
        harness.Row(
            name="peak memory of all processes (PSS)",
            ours=max(max(each.all_mb) for each in ran.values()),
            peer=MOST_ALL_MB,
            peer_name=most,
            unit="MB",
        ),
        harness.Row(
            name="peak memory of the core process (PSS)",
            ours=max(core_mb),
            peer=MOST_CORE_MB,
            peer_name=most,
            unit="MB",
        ),
        harness.Row(
            name="growth of the core process over the last half of the cook",
            ours=max(0.1, growth_mb(core_mb)),
            peer=30.0,
            peer_name=most,
            unit="MB",
        ),
    ]


def growth_mb(samples: Sequence[float]) -> float:
    """How much more the last tenth of the samples holds than the tenth in the middle."""
    tenth, middle = max(1, len(samples) // 10), len(samples) // 2
    return statistics.median(samples[-tenth:]) - statistics.median(samples[middle : middle + tenth])


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--editions", type=int, default=100, help="pictures the peer makes")
    parser.add_argument("--alone", action="store_true", help="without the peer; nothing is recorded")
    args = parser.parse_args()
    if not args.alone:
        engine_folder()
    with tempfile.TemporaryDirectory(prefix="cook-") as name:
        folder = Path(name)
        layers = make_layers(folder / "layers", size=args.size)
        ran = cook(folder, layers=layers, pieces=args.pieces, size=args.size)
        stages = {
            stage: {"wallS": round(each.wall_s, 2), "cpuS": round(each.cpu_s, 2)}
            for stage, each in ran.items()
        }
        print(stages, file=sys.stderr)
        if args.alone:
            for row in rows(ran, pieces=args.pieces, size=args.size, peer_ms=0, peer=""):
                print(harness.line(row))
            return
        peer = run_hashlips(folder / "layers", editions=args.editions, size=args.size)
    made = rows(
        ran,
        pieces=args.pieces,
        size=args.size,
        peer_ms=peer.ms_per_edition,
        peer=f"HashLips {peer.engine}, canvas {peer.canvas}",
    )
    harness.record("cook", made, notes={"stages": stages})


if __name__ == "__main__":
    main()
