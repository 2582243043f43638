"""Layers, strangers, purity, sizes and names; each rule is also seen to fail on a planted fault."""

import shutil
from pathlib import Path

import pytest

from tests import architecture as house
from tests.architecture import RULES

FOLDER = Path(__file__).parents[1] / house.PACKAGE
DOC = '"""A planted module."""\n'


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule):
    faults = sorted(set(rule(house.read_package(FOLDER))))
    assert not faults, "\n" + "\n".join(faults)


def test_the_rules_see_the_whole_package():
    modules = house.read_package(FOLDER)
    assert len(modules) == len(list(FOLDER.rglob("*.py")))
    assert {"cauldron", "cauldron.domain.errors", "cauldron.ports.storage"} <= set(modules)


def test_every_exception_is_explained_and_still_needed(monkeypatch):
    exceptions = dict(house.EXCEPTIONS)
    monkeypatch.setattr(house, "EXCEPTIONS", {})
    graph = house.edges(house.read_package(FOLDER))
    for (name, target), reason in exceptions.items():
        assert reason, f"{name} → {target} has no reason"
        assert target in graph[name], f"{name} does not import {target} any more"


def body(lines: int, *, indent: str = "    ") -> str:
    return "".join(f"{indent}x{n} = {n}\n" for n in range(lines))


WIDE = "from typing import Protocol\nclass Wide(Protocol):\n" + "".join(
    f"    def m{n}(self) -> None: ...\n" for n in range(8)
)
DYNAMIC = "import importlib\nimportlib.import_module('cauldron.cli.app')\n"
PLANTED = [  # rule, path in the package, source, what must be said about it
    ("imports_point_down", "domain/planted.py", "from cauldron.ports import storage\n", "imports point down"),
    ("imports_point_down", "domain/planted.py", "from ..ports.storage import Store\n", "imports point down"),
    ("imports_point_down", "ports/planted.py", "import cauldron.persistence\n", "imports point down"),
    ("imports_point_down", "persistence/planted.py", "import cauldron.services\n", "imports point down"),
    (
        "imports_point_down",
        "services/planted.py",
        "def f():\n    from cauldron.cli import app\n",
        "imports point down",
    ),
    ("imports_point_down", "services/planted.py", DYNAMIC, "imports point down"),
    ("imports_point_down", "planted.py", "", "'planted' is no layer"),
    (
        "imports_point_down",
        "__init__.py",
        "from cauldron.domain import errors\n",
        "imports nothing of its own",
    ),
    ("rows_are_strangers", "services/planted.py", "from cauldron.adapters import local\n", "are strangers"),
    ("rows_are_strangers", "adapters/planted.py", "import cauldron.services\n", "are strangers"),
    (
        "adapters_are_strangers",
        "adapters/planted.py",
        "from cauldron.adapters.local import png\n",
        "never import one another",
    ),
    (
        "adapters_are_strangers",
        "adapters/local/planted.py",
        "from cauldron.adapters import importers\n",
        "never import one another",
    ),
    ("no_cycles", "domain/planted.py", "from cauldron.domain import planted2\n", "domain.planted"),
    ("no_cycles", "cli/planted.py", "from cauldron.cli.planted2 import x\n", "cli.planted"),
    ("domain_is_pure", "domain/planted.py", "import os\n", "imports os"),
    ("domain_is_pure", "domain/planted.py", "from uuid import uuid4\n", "imports uuid.uuid4"),
    ("domain_is_pure", "domain/planted.py", "import urllib.request\n", "imports urllib.request"),
    (
        "domain_is_pure",
        "domain/planted.py",
        "from datetime import datetime, UTC\nAT = datetime.now(UTC)\n",
        "calls datetime.now",
    ),
    (
        "domain_is_pure",
        "domain/planted.py",
        "from datetime import date\nAT = date.today()\n",
        "calls date.today",
    ),
    ("domain_is_pure", "domain/planted.py", "TEXT = open('x').read()\n", "calls open"),
    ("domain_is_pure", "domain/planted.py", "import random\nX = random.random()\n", "calls random.random"),
    ("domain_is_pure", "domain/planted.py", "import random\nX = random.Random()\n", "without a seed"),
    ("domain_is_pure", "domain/planted.py", "from random import choice\n", "unseeded global"),
    ("domain_is_pure", "domain/planted.py", "from numpy.random import rand\n", "unseeded global"),
    (
        "domain_is_pure",
        "domain/planted.py",
        "import numpy as np\nX = np.random.default_rng()\n",
        "without a seed",
    ),
    (
        "domain_is_pure",
        "domain/planted.py",
        "import numpy as np\nX = np.random.shuffle([1])\n",
        "unseeded global",
    ),
    ("domain_is_pure", "domain/planted.py", "import numpy as np\nX = np.load('x')\n", "touches no files"),
    ("modules_are_short", "domain/planted.py", body(400, indent=""), "401 lines"),
    ("functions_are_short", "domain/planted.py", "def f():\n" + body(50), "f has 51 lines"),
    (
        "functions_are_short",
        "domain/planted.py",
        "class A:\n    async def f(self):\n" + body(50, indent=" " * 8),
        "f has 51 lines",
    ),
    ("names_mean_something", "domain/planted_utils.py", "", "says nothing"),
    ("names_mean_something", "domain/base.py", "", "says nothing"),
    ("names_mean_something", "domain/planted.py", "class CookManager:\n    pass\n", "class CookManager"),
    ("ports_are_narrow", "ports/planted.py", WIDE, "8 methods"),
]

INNOCENT = [  # what looks alike and is allowed
    ("imports_point_down", "services/planted.py", "from cauldron.domain.errors import Invalid\n"),
    ("adapters_are_strangers", "adapters/sqlite_planted.py", "from cauldron.adapters import sqlite\n"),
    ("no_cycles", "domain/planted.py", "from cauldron.domain import errors\n"),
    ("domain_is_pure", "domain/planted.py", "import numpy as np\nX = np.random.default_rng(7).random()\n"),
    ("domain_is_pure", "services/planted.py", "import os\n"),
    ("domain_is_pure", "domain/planted.py", "def f(random):\n    return random.random()\n"),
    ("domain_is_pure", "domain/planted.py", "import random\nX = random.Random(7).random()\n"),
    ("modules_are_short", "domain/planted.py", body(399, indent="")),
    ("functions_are_short", "domain/planted.py", "def f():\n" + body(49)),
    ("functions_are_short", "domain/planted.py", "def f():\n    '''Long.\n" + "\n" * 60 + "    '''\n"),
    ("names_mean_something", "domain/planted.py", "class Database:\n    pass\n"),
]


def plant(tmp_path: Path, path: str, source: str) -> dict[str, house.Module]:
    """The package's modules from a copy with one more module in it."""
    folder = tmp_path / house.PACKAGE
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__", "static", "*.png"))
    for name in ("domain", "cli"):  # the other half of the planted cycles
        (folder / name / "planted2.py").write_text(f"{DOC}from cauldron.{name} import planted\n")
    (folder / "adapters" / "sqlite.py").touch()
    (folder / path).write_text(DOC + source, encoding="utf-8")
    return house.read_package(folder)


@pytest.mark.parametrize(("rule", "path", "source", "said"), PLANTED)
def test_a_planted_fault_is_found(rule, path, source, said, tmp_path):
    faults = list(getattr(house, rule)(plant(tmp_path, path, source)))
    named = path.removesuffix(".py").replace("/", ".").removesuffix("__init__")
    assert any(said in fault and named in fault for fault in faults), faults


def test_a_module_without_a_sentence_is_found(tmp_path):
    modules = plant(tmp_path, "domain/planted.py", "")
    assert not any("planted" in fault for fault in house.modules_say_what_they_are(modules))
    (tmp_path / house.PACKAGE / "domain/planted.py").write_text("x = 1\n")
    faults = list(house.modules_say_what_they_are(house.read_package(tmp_path / house.PACKAGE)))
    assert "cauldron.domain.planted has no docstring" in faults


@pytest.mark.parametrize(("rule", "path", "source"), INNOCENT)
def test_what_is_allowed_is_not_found(rule, path, source, tmp_path):
    modules = plant(tmp_path, path, source)
    assert not [
        fault for fault in getattr(house, rule)(modules) if "planted " in fault or "planted:" in fault
    ]
