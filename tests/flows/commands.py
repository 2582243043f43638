"""Running the real command in processes of its own, and a small collection to cook with it."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from cauldron.cli.app import app

COMMAND = [sys.executable, "-c", "from cauldron.cli.app import main; main()"]
TIMEOUT_S = 180


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Shell:
    """A data directory, and commands that use it."""

    home: Path
    cwd: Path
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the caller's settings leaks in."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CAULDRON_")}
        return kept | {"CAULDRON_HOME": str(self.home), "NO_COLOR": "1", **dict(self.settings)}

    def __call__(self, *words: str, timeout_s: float = TIMEOUT_S) -> Answer:
        """Run ``cauldron <words>`` to its end."""
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str) -> Any:
        """Run ``cauldron <words> --json``, which must succeed; its answer."""
        answer = self(*words, "--json")
        assert answer.code == 0, f"{words}: {answer.code}\n{answer.out}\n{answer.err}"
        return answer.json

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start ``cauldron <words>`` in a process group of its own."""
        return subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.cwd,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


class Inside(Shell):
    """The same commands in this process: sooner done, where nothing is killed."""

    def __call__(self, *words: str, timeout_s: float = TIMEOUT_S) -> Answer:
        """Run ``cauldron <words>`` to its end."""
        others = dict.fromkeys(name for name in os.environ if name.startswith("CAULDRON_"))
        own = {"CAULDRON_HOME": str(self.home), "NO_COLOR": "1", **dict(self.settings)}
        with contextlib.chdir(self.cwd):
            done = CliRunner().invoke(app, list(words), env={**others, **own})
        return Answer(done.exit_code, done.stdout, done.stderr)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a command with every process it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def make_collection(folder: Path, *, supply: int = 60, size: int = 96, options: int = 6) -> Path:
    """A layered collection of small pictures below ``folder``; the path of its document."""
    chance = random.Random(7)
    shapes = {"Sky": _sky, "Body": _body, "Hat": _hat}
    categories = []
    for name, draw in shapes.items():
        choices = []
        for number in range(options):
            picture = Image.new("RGBA", (size, size), (0, 0, 0, 0))
            colour = tuple(chance.randrange(30, 225) for _ in range(3))
            draw(ImageDraw.Draw(picture), size, (*colour, 255))
            path = folder / name.lower() / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
            image = {"image": f"{name.lower()}/{number}.png"}
            choices.append({"name": f"{name} {number}", "weight": number + 1, "value": image})
        categories.append({"name": name, "options": choices})
    categories[2]["none"] = 0.25
    document = {
        "cauldron": 1,
        "name": "Small Things",
        "supply": supply,
        "seed": "flows",
        "generator": {
            "tool": "layers.compose",
            "inputs": {"layers": [f"[[{name}]]" for name in shapes]},
        },
        "categories": categories,
        "metadata": {"name": "Thing #{{number}}", "description": "Under a [[Sky]]."},
    }
    target = folder / "collection.yaml"
    target.write_text(yaml.safe_dump(document, sort_keys=False))
    return target


def _sky(draw: ImageDraw.ImageDraw, size: int, colour: tuple[int, ...]) -> None:
    draw.rectangle((0, 0, size, size), fill=colour)


def _body(draw: ImageDraw.ImageDraw, size: int, colour: tuple[int, ...]) -> None:
    draw.ellipse((size * 0.2, size * 0.4, size * 0.8, size * 0.98), fill=colour)


def _hat(draw: ImageDraw.ImageDraw, size: int, colour: tuple[int, ...]) -> None:
    draw.polygon([(size * 0.3, size * 0.42), (size * 0.7, size * 0.42), (size * 0.5, 4)], fill=colour)


def folder_bytes(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` by its relative name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
