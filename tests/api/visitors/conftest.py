"""Markets on both engines, one for each module."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.visitors.market import running


@pytest.fixture(scope="module", params=["sqlite", "mongo"])
def opened_market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A market on one engine, and what runs coroutines in it. The studio keeps 10 % of a margin."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("CAULDRON_")]:
            patch.delenv(name)
        home = tmp_path_factory.mktemp("market")
        with running(request.param, home, platform_share_bps=1000) as made:
            yield made


@pytest.fixture
def market(opened_market: Any) -> Any:
    """The market."""
    return opened_market[0]


@pytest.fixture
def run(opened_market: Any) -> Any:
    """Run coroutines on the market's own loop."""
    return opened_market[1]
