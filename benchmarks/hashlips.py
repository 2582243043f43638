"""The HashLips art engine as a peer: run unchanged from ``HASHLIPS_DIR`` on our layer folders.

``HASHLIPS_DIR`` is a checkout of the engine with its packages installed (``index.js``, ``src/main.js``,
``node_modules/canvas``). Nothing in it is read but by node and nothing is written to it: the run happens
in a temporary folder that links to the engine and brings only the user's own file, ``src/config.js``.

    python -m benchmarks.hashlips [EDITIONS] [SIZE]
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cartoon_layers import CATEGORIES, make_layers
from benchmarks.harness import MissingPeer

LINKED = ("index.js", "constants", "modules", "node_modules", "src/main.js")
TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class HashlipsRun:
    """One run of the engine."""

    editions: int
    ms_per_edition: float  # between the first and the last edition, start-up left out
    wall_s: float  # whole process, start-up and metadata included
    image_kb: float  # mean size of a picture, 1000 bytes
    peak_rss_mb: float
    engine: str  # version, and git's blob id of src/main.js
    canvas: str  # version of node-canvas


def engine_folder() -> Path:
    """The engine's folder from ``HASHLIPS_DIR``.

    Raises:
        MissingPeer: it is not set, not the engine, or its packages are not installed.
    """
    name = os.environ.get("HASHLIPS_DIR")
    if not name:
        raise MissingPeer(
            "set HASHLIPS_DIR to a checkout of the HashLips art engine (see benchmarks/README.md)"
        )
    folder = Path(name).resolve()
    for part in (*LINKED, "node_modules/canvas/package.json"):
        if not (folder / part).exists():
            raise MissingPeer(f"HASHLIPS_DIR has no {part}")
    if shutil.which("node") is None:
        raise MissingPeer("node is not installed")
    return folder


def run_hashlips(layers: Path, *, editions: int, size: int, order: Sequence[str] = CATEGORIES) -> HashlipsRun:
    """Generate ``editions`` pictures of ``size`` × ``size`` pixels from the folders in ``layers``.

    Raises:
        MissingPeer: see :func:`engine_folder`.
        RuntimeError: the engine stopped before the last edition.
    """
    engine = engine_folder()
    with tempfile.TemporaryDirectory(prefix="hashlips-") as name:
        work = Path(name)
        _lay_out(work, engine, layers)
        (work / "src/config.js").write_text(_config(order, editions, size), encoding="utf-8")
        said = _watch(work)
        images = list((work / "build/images").glob("*.png"))
        if len(said.marks) != editions or len(images) != editions:
            raise RuntimeError(f"HashLips made {len(images)} of {editions} editions")
        mean_bytes = sum(path.stat().st_size for path in images) / editions
    steady_s = (said.marks[-1] - said.marks[0]) / (editions - 1) if editions > 1 else said.wall_s
    return HashlipsRun(
        editions=editions,
        ms_per_edition=steady_s * 1e3,
        wall_s=said.wall_s,
        image_kb=mean_bytes / 1e3,
        peak_rss_mb=said.peak_mb,
        engine=f"{_version(engine)} {_blob_id(engine / 'src/main.js')}",
        canvas=_version(engine / "node_modules/canvas"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HashlipsSelection:
    """How far the engine's own trait selection came."""

    wanted: int
    made: int  # unique editions chosen before it finished or gave up
    rejected: int  # duplicates drawn
    gave_up: bool
    wall_s: float  # with its bookkeeping and metadata, without pictures


def run_selection(weights: Sequence[Sequence[int]], *, editions: int) -> HashlipsSelection:
    """Let the engine choose traits only: the same code, with a canvas that draws nothing.

    ``weights`` holds one category's weights per row, in layer order. The engine gives up after 10,000
    duplicates, its own default.

    Raises:
        MissingPeer: see :func:`engine_folder`.
    """
    engine = engine_folder()
    memory = Path("/dev/shm")  # so that no disk is in the figure
    with tempfile.TemporaryDirectory(prefix="hashlips-", dir=memory if memory.is_dir() else None) as name:
        work = Path(name)
        order = [f"Layer {number}" for number in range(len(weights))]
        _empty_layers(work / "layers", dict(zip(order, weights, strict=True)))
        _lay_out(work, engine, None)
        (work / "node_modules/canvas").mkdir()
        (work / "node_modules/canvas/index.js").write_text(NO_CANVAS, encoding="utf-8")
        (work / "src/config.js").write_text(_config(order, editions, 8), encoding="utf-8")
        lines = _watch(work)
    return HashlipsSelection(
        wanted=editions,
        made=len(lines.marks),
        rejected=lines.rejected,
        gave_up=len(lines.marks) < editions,
        wall_s=lines.wall_s,
    )


NO_CANVAS = """\
const context = { clearRect() {}, drawImage() {} };
const canvas = { getContext: () => context, toBuffer: () => Buffer.alloc(0) };
module.exports = { createCanvas: () => canvas, loadImage: async () => ({}) };
"""


def _empty_layers(folder: Path, weights: Mapping[str, Sequence[int]]) -> None:
    for name, options in weights.items():
        (folder / name).mkdir(parents=True)
        for number, weight in enumerate(options):
            (folder / name / f"o{number}#{weight}.png").touch()


def _lay_out(work: Path, engine: Path, layers: Path | None) -> None:
    """Links to the engine; with ``layers`` also to its canvas."""
    (work / "src").mkdir()
    for part in LINKED:
        if layers or part != "node_modules":
            (work / part).symlink_to(engine / part)
    if layers:
        (work / "layers").symlink_to(layers.resolve())
        return
    (work / "node_modules").mkdir()
    (work / "node_modules/sha1").symlink_to(engine / "node_modules/sha1")


def _config(order: Sequence[str], editions: int, size: int) -> str:
    """The user's settings: plain layers, no generated background, nothing extra to do."""
    settings = {
        "format": {"width": size, "height": size, "smoothing": False},
        "baseUri": "ipfs://unset",
        "description": "A benchmark.",
        "background": {"generate": False, "brightness": "80%", "static": False, "default": "#000000"},
        "uniqueDnaTorrance": 10_000,
        "layerConfigurations": [{"growEditionSizeTo": editions, "layersOrder": [{"name": n} for n in order]}],
        "rarityDelimiter": "#",
        "shuffleLayerConfigurations": False,
        "debugLogs": False,
        "extraMetadata": {},
        "text": {"only": False, "spacer": " => "},
        "namePrefix": "Benchmark",
        "network": "eth",
        "solanaMetadata": {},
        "gif": {"export": False},
    }
    return f"module.exports = {json.dumps(settings, indent=2)};\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """What a run said: the instants of its editions (s), duplicates, wall time, peak memory."""

    marks: list[float]
    rejected: int
    wall_s: float
    peak_mb: float


def _watch(work: Path) -> _Output:
    marks: list[float] = []
    last: deque[str] = deque(maxlen=5)
    rejected, start = 0, time.perf_counter()
    process = subprocess.Popen(
        ["node", "index.js"], cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            last.append(line.rstrip())
            rejected += line.startswith("DNA exists")
            if line.startswith("Created edition"):
                marks.append(time.perf_counter())
            if time.perf_counter() - start > TIMEOUT_S:
                raise RuntimeError(f"HashLips took more than {TIMEOUT_S} s")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
    if process.returncode:
        raise RuntimeError("HashLips failed: " + " | ".join(last))
    scale = 1 if sys.platform == "darwin" else 1024
    wall_s = time.perf_counter() - start
    return _Output(marks=marks, rejected=rejected, wall_s=wall_s, peak_mb=usage.ru_maxrss * scale / 1e6)


def _version(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text(encoding="utf-8")).get("version", "unknown"))


def _blob_id(path: Path) -> str:
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()[:12]


def main() -> None:
    """Measure the engine alone and print the figures."""
    parser = argparse.ArgumentParser(description="Run HashLips on generated layers.")
    parser.add_argument("editions", type=int, nargs="?", default=60)
    parser.add_argument("size", type=int, nargs="?", default=1024)
    args = parser.parse_args()
    engine_folder()
    with tempfile.TemporaryDirectory() as name:
        make_layers(Path(name), size=args.size)
        print(run_hashlips(Path(name), editions=args.editions, size=args.size))


if __name__ == "__main__":
    main()
