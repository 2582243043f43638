"""What every test may use: Hypothesis profiles, a runner for coroutines, a home of its own."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

PATIENT = [HealthCheck.too_slow, HealthCheck.data_too_large]  # cores are shared; speed is measured elsewhere
settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=PATIENT)
settings.register_profile(
    "ci", max_examples=50, deadline=None, derandomize=True, print_blob=True, suppress_health_check=PATIENT
)
settings.register_profile("soak", max_examples=2000, deadline=None, suppress_health_check=PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

configure = structlog.configure


def configure_for_tests(**settings: Any) -> None:
    """As asked, but loggers are not kept: what one test sets up, no later one of the process is bound to."""
    configure(**settings | {"cache_logger_on_first_use": False})


structlog.configure = configure_for_tests


@pytest.fixture
def run() -> Any:
    """Run coroutines to their end on one event loop for the whole test: ``run(store.get("a"))``."""
    with asyncio.Runner() as runner:

        def to_end(coroutine: Coroutine[Any, Any, Any], *, timeout_s: float = 60.0) -> Any:
            return runner.run(_bounded(coroutine, timeout_s))

        yield to_end


async def _bounded(coroutine: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
    async with asyncio.timeout(timeout_s):
        return await coroutine


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, named by CAULDRON_HOME; no other setting leaks in from outside."""
    for name in [n for n in os.environ if n.startswith("CAULDRON_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("CAULDRON_HOME", str(folder))
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file below the test's folder, parents included; returns its path."""

    def to_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file
