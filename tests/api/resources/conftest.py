"""Desks on both engines."""

import contextlib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.api.resources.desk import Desks
from tests.mongod import studio_database


@pytest.fixture(params=["sqlite", "mongo"])
def desks(request: pytest.FixtureRequest, home: Path, run: Any) -> Iterator[Desks]:
    """Accounts on one store of either engine: ``await desks.open("ann")``."""
    with contextlib.ExitStack() as outer:
        url = "" if request.param == "sqlite" else outer.enter_context(studio_database())
        stack = AsyncExitStack()
        yield Desks(home, url, stack)
        run(stack.aclose())
