"""Every planted fault is caught: a copy of the package with the fault in it makes the named test fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted_faults import FAULTS, Fault

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/explanation/reliability.md"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_a_fault_can_still_be_planted(fault: Fault):
    source = (ROOT / "cauldron" / fault.module).read_text(encoding="utf-8")
    assert source.count(fault.old) == 1, f"{fault.module} has changed: plant the fault anew"
    file, _, name = fault.test.partition("::")
    tests = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert f"def {name.partition('[')[0] or 'test_'}" in tests


def test_the_page_lists_every_fault_and_how_many_there_are():
    page = PAGE.read_text(encoding="utf-8")
    assert f"{len(FAULTS)}/{len(FAULTS)}" in page
    missing = [fault.name for fault in FAULTS if f"| {fault.name} |" not in page]
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_a_planted_fault_is_caught(fault: Fault, tmp_path: Path):
    plant(fault, tmp_path)
    result = run_tests(fault, tmp_path)
    assert result.returncode == 1, f"{fault.name} stayed unnoticed:\n{result.stdout[-2000:]}"
    assert "ImportError" not in result.stdout
    assert "SyntaxError" not in result.stdout


def plant(fault: Fault, folder: Path) -> None:
    """A copy of package and tests, with the fault in it."""
    for name in ("cauldron", "tests", "scripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    module = folder / "cauldron" / fault.module
    source = module.read_text(encoding="utf-8")
    assert source.count(fault.old) == 1
    module.write_text(source.replace(fault.old, fault.new), encoding="utf-8")


def run_tests(fault: Fault, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the fault's test in the copy; 1 is red."""
    file, _, name = fault.test.partition("::")
    only = ["-k", name.replace("[", " and ").replace("]", "")] if name else []
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", f"tests/{file}", *only]
    environment = os.environ | {"PYTHONPATH": str(folder), "HYPOTHESIS_PROFILE": "ci"}
    return subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
