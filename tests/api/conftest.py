"""Towns on both engines."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.foundation.town import town
from tests.mongod import studio_database


@pytest.fixture(params=["sqlite", "mongo"])
def place(request: pytest.FixtureRequest, home: Path, run: Any) -> Iterator[Any]:
    """A town on one engine."""
    with contextlib.ExitStack() as outer:
        url = "" if request.param == "sqlite" else outer.enter_context(studio_database())
        opened = town(home, url)
        yield run(opened.__aenter__())
        run(opened.__aexit__(None, None, None))


@pytest.fixture
def sqlite_place(home: Path, run: Any) -> Iterator[Any]:
    """A town on SQLite alone, for what has nothing to do with the engine."""
    opened = town(home)
    yield run(opened.__aenter__())
    run(opened.__aexit__(None, None, None))
