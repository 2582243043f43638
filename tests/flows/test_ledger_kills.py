"""Who posts captures is killed at every write: none is missing or doubled, and all postings sum to 0."""

import asyncio
import signal
from collections import Counter

import pytest

from cauldron.domain import codec
from cauldron.domain.commands import RecordPiece, ResumeCook
from cauldron.domain.cook_state import State
from cauldron.domain.ledger_pricing import Charge, Terms
from cauldron.services.ledger import Ledger
from cauldron.services.projecting import stream_of
from tests.flows.killable import FORKS, Fate
from tests.flows.killable_ledger import POINTS, post
from tests.kitchen import Kitchen, kitchen, new_id, step, wall_ms
from tests.ledger_world import LedgerWorld

TERMS = Terms(
    rate_id="default",
    micro_usd_per_point=1,
    markup_bps=3_000,
    creator="cora",
    creator_bps=5_001,
    flat_milli=7,
)
PIECES = 40
FORKS.set_forkserver_preload(["tests.flows.killable_ledger"])


class Till:
    """Cooks that are charged, and the processes that post what they were charged."""

    def __init__(self, k: Kitchen) -> None:
        self.k = k
        self.world = LedgerWorld(k.store)
        self.ledger = Ledger(k.store, clock=wall_ms, new_id=new_id)
        self.charges: dict[str, Charge] = {}
        self.died: Counter[str] = Counter()

    async def begin(self, cook_id: str, *, cap_milli: int) -> None:
        opened = await self.ledger.open(
            f"cook:{cook_id}", account="ann", cap_milli=cap_milli, terms=TERMS, actor="ann", run_id=cook_id
        )
        self.charges[cook_id] = opened.charge
        await self.k.start(PIECES, cook_id=cook_id, charge=opened.charge.document())

    async def make(self, cook_id: str, first: int, last: int) -> None:
        """A commit of pieces; every seventh fails."""
        commands = [self.record(cook_id, piece) for piece in range(first, last + 1)]
        await self.k.cooks.handle_many(stream_of(cook_id), commands, actor="system")

    def record(self, cook_id: str, piece: int) -> RecordPiece:
        job = {"attempt": 1}
        fails = piece % 7 == 0
        steps = [step(job, step="draw"), step(job, step="paint", status="failed" if fails else "success")]
        error = {"code": "tool_error", "message": "it broke"} if fails else None
        return RecordPiece(
            key=f"gen:{cook_id}.{piece}", piece=piece, attempt=1, steps=steps, output={}, error=error,
            cost_micro_usd=6,
        )  # fmt: skip

    async def suffer(self, folder: str, fate: Fate, doing) -> None:
        """Somebody posts, and dies of this fate while ``doing`` goes on."""
        poster = FORKS.Process(target=post, args=(folder, fate), daemon=True)
        poster.start()
        await doing
        for _ in range(150):
            if poster.exitcode is not None:
                break
            await asyncio.sleep(0.01)
        died = poster.exitcode
        poster.kill()
        poster.join()
        assert died in (None, -signal.SIGKILL), (self.k.blobs.parent / "log").read_text()[-3000:]
        self.died[fate.point] += died is not None
        assert sum((await self.world.sums()).values()) == 0

    async def until_settled(self, folder: str) -> None:
        poster = FORKS.Process(target=post, args=(folder, Fate()), daemon=True)
        poster.start()
        try:
            await self.k.until(self.is_settled, within_s=60)
        finally:
            poster.kill()
            poster.join()

    async def is_settled(self) -> bool:
        state = (await self.ledger.accounts.load("account:ann")).state
        earned = [await self.ledger.streams.find_command(f"earn:{c.hold_id}") for c in self.charges.values()]
        return not state.holds and all(earned)


async def check(till: Till) -> None:
    """Every piece that was made is paid for once, as its cook says; the books balance."""
    for cook_id, charge in till.charges.items():
        cook = (await till.k.load(cook_id)).state
        hold = (await till.ledger.holds.load(f"hold:{charge.hold_id}")).state
        assert hold.captured_milli == cook.points_milli <= charge.cap_milli
        paid: Counter[str] = Counter()
        async for page in till.ledger.streams.read(f"hold:{charge.hold_id}"):
            for commit in page:
                for event in codec.events_of(commit):
                    if event.type == "PointsCaptured":
                        paid.update(f"{line[1]}/{line[0]}" for line in event.data["lines"])
        made = [piece for piece in range(1, PIECES + 1) if piece % 7]
        assert paid == Counter(f"{piece}/{name}" for piece in made for name in ("draw", "paint"))
    found = await till.world.check.verify()
    assert found.problems == []


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(12, marks=pytest.mark.slow)], ids=["every write", "every write, often"]
)
def test_a_poster_killed_at_every_write_neither_misses_nor_doubles_a_capture(run, tmp_path, rounds):
    async def story():
        async with kitchen(tmp_path) as k:
            till = Till(k)
            await till.ledger.grant("ann", 10**9, actor="op", grant_id="g")
            for turn in range(rounds * len(POINTS)):
                cook_id = f"c{turn}"
                enough = 10**6 if turn % 3 else 20_000  # of which not all pieces can be paid
                await till.begin(cook_id, cap_milli=enough)
                fate = Fate(POINTS[turn % len(POINTS)], 1 + turn // len(POINTS) % 5)
                await till.suffer(str(tmp_path), fate, halves(till, cook_id))
            await till.until_settled(str(tmp_path))
            await check(till)
            print(f"{sum(till.died.values())} kills: {dict(till.died)}")
            assert sum(till.died.values()) >= rounds * len(POINTS) * 2 // 3

    run(story(), timeout_s=120 * rounds)


async def halves(till: Till, cook_id: str) -> None:
    """The cook goes on in several commits; where the cap is used up it has to be resumed."""
    for first in range(1, PIECES + 1, 8):
        await till.make(cook_id, first, first + 7)
    if (await till.k.load(cook_id)).state.state is State.PAUSED:
        await till.k.cooks.handle(stream_of(cook_id), ResumeCook(key=f"go:{cook_id}"), actor="ann")
