"""The loops of a process: whatever one of them does, stopping ends them all."""

import asyncio
from typing import Any

from cauldron.engine import Engine


class Endless:
    """A loop that swallows so many cancellations, as a driver may that has just been answered."""

    def __init__(self, swallows: int = 0) -> None:
        self.swallows = swallows

    async def run(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.swallows -= 1
                if self.swallows < 0:
                    raise


def test_a_loop_that_swallows_its_cancellation_is_ended_nevertheless(run):
    async def story() -> None:
        loops: Any = {name: Endless() for name in ("owner", "casting", "sweeper")}
        engine = Engine(worker=None, beside=[("deaf", Endless(2))], patience_s=0.02, **loops)
        engine.start()
        await asyncio.sleep(0)
        assert all(engine.loops.values())
        assert await engine.stop()
        assert not any(engine.loops.values())

    run(story())
