"""Random histories of the books on both engines, against a plain model: L1 to L22 at every step.

A machine that seldom gets anywhere proves nothing: it starts funded, most of its draws
are valid, and the least number of times that each thing must have happened is asserted.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from cauldron.domain.errors import CauldronError, NotFound, Refused
from cauldron.domain.ledger import InsufficientPoints, LedgerConflict
from cauldron.domain.ledger_account import OfferExpired
from cauldron.domain.ledger_pricing import Terms
from cauldron.services.ledger_books import LedgerSweeper
from tests.contracts.conftest import STORES
from tests.ledger_world import ALL_TABLES, LedgerWorld

USERS = ("ann", "bob", "cyd")
CREATORS = ("cora", "carl", "")
REACHED: Counter[str] = Counter()
LEAST = {  # per 1,000 steps: a third or less of what is usual
    "hold": 30, "capture": 60, "double": 10, "over": 3, "late": 3, "release": 20, "refund": 6,
    "refund twice": 2, "withdraw": 3, "short": 4, "expire": 1, "conflict": 5, "replay": 30,
}  # fmt: skip


class Model:
    """What the books should come to, in the plainest way there is."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.grants: dict[str, list[dict[str, Any]]] = {user: [] for user in USERS}
        self.holds: dict[str, dict[str, Any]] = {}
        self.captures: dict[str, dict[str, Any]] = {}  # group -> line key -> parts

    def move(self, *legs: tuple[str, int]) -> None:
        assert sum(milli for _, milli in legs) == 0
        for account, milli in legs:
            self.sums[account] += milli

    def spendable(self, user: str, now: int) -> int:
        return sum(g["left"] for g in self.grants[user] if g["ends"] is None or now < g["ends"])

    def draw(self, user: str, wanted: int, now: int) -> list[tuple[dict[str, Any], int]]:
        lasting = [g for g in self.grants[user] if g["ends"] is None or now < g["ends"]]
        lasting.sort(key=lambda g: (g["priority"], g["ends"] or 1e18, g["kind"] != "promo", g["place"]))
        parts = []
        for grant in lasting:
            taken = min(grant["left"], wanted)
            if taken:
                grant["left"] -= taken
                wanted -= taken
                parts.append((grant, taken))
        assert wanted == 0
        return parts

    def add(
        self, user: str, milli: int, *, kind: str = "paid", ends: int | None = None, priority: int = 50
    ) -> None:
        place = len(self.grants[user])
        self.grants[user].append(
            {"left": milli, "kind": kind, "ends": ends, "priority": priority, "place": place}
        )


class LedgerMachine(RuleBasedStateMachine):
    """Commands on the books of one engine."""

    engine_name = "sqlite"

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="cauldron-ledger-"))
        self.engine = STORES[self.engine_name](self.folder)
        self.world = LedgerWorld(self.run(self.engine.open(*ALL_TABLES)))
        self.ledger = self.world.ledger
        self.model = Model()
        self.step = 0
        for n, user in enumerate(USERS):
            self.give(user, 20_000 + n, "paid", None, 50)
        for n, creator in enumerate(CREATORS):
            self.hold(user=USERS[n], cap=3_000, creator=creator, bps=3_333, dear=False)
        for place, hold in enumerate(list(self.model.holds)):  # nothing is refunded or earned out of nothing
            for _ in range(2):
                self.captured(hold, str(self.next()), [("a", 5 + self.step, 900, 100), ("b", 0, 10, 10)])
            if not place:
                self.release(number=self.first_open(), times=1)
                self.refund(number=1, whole=False)

    def run(self, coroutine: Any) -> Any:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.finish()
            self.run(self.engine.close())
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self) -> None:
        """The log folded anew says the same, and so do the stored balances (L1–L11, L21)."""
        found = self.run(self.world.check.verify())
        assert found.problems == []
        assert {a: m for a, m in found.sums.items() if m} == {a: m for a, m in self.model.sums.items() if m}

    def next(self) -> int:
        self.step += 1
        REACHED["steps"] += 1
        return self.step

    def give(self, user: str, milli: int, kind: str, lasts_ms: int | None, priority: int) -> None:
        ends = None if lasts_ms is None else self.world.clock() + lasts_ms
        grant = f"g{self.next()}"
        for _ in range(2):
            self.run(
                self.ledger.grant(
                    user, milli, actor="op", kind=kind, grant_id=grant, expires_at=ends, priority=priority
                )
            )
        self.model.add(user, milli, kind=kind, ends=ends, priority=priority)
        self.model.move((f"mint:{kind}", -milli), (f"user:{user}:available", milli))

    users = st.sampled_from(USERS)

    @rule(
        user=users,
        milli=st.integers(1, 5_000),
        kind=st.sampled_from(["paid", "promo", "adjust"]),
        lasts_ms=st.none() | st.integers(1, 30),
        priority=st.sampled_from([10, 50, 90]),
    )
    def grant(self, user: str, milli: int, kind: str, lasts_ms: int | None, priority: int) -> None:
        self.give(user, milli, kind, lasts_ms, priority)

    @rule(user=users, milli=st.integers(1, 5_000), times=st.integers(1, 3))
    def deposit(self, user: str, milli: int, times: int) -> None:
        charge = f"ch{self.next()}"
        for _ in range(times):
            self.run(
                self.ledger.deposit(user, milli, provider="pay", charge_id=charge, money_micro_usd=milli)
            )
        self.model.add(user, milli)
        self.model.move(("mint:paid", -milli), (f"user:{user}:available", milli))
        with pytest.raises(LedgerConflict):
            self.run(
                self.ledger.deposit(user, milli + 1, provider="pay", charge_id=charge, money_micro_usd=milli)
            )
        REACHED["conflict"] += 1

    @rule(
        user=users,
        cap=st.integers(0, 4_000),
        dear=st.sampled_from([True, False, False, False]),
        creator=st.sampled_from(CREATORS),
        bps=st.sampled_from([0, 1, 3_333, 10_000]),
    )
    def hold(self, user: str, cap: int, dear: bool, creator: str, bps: int) -> None:
        cap += 10**9 if dear else 0
        natural, now = f"run:{self.next()}", self.world.clock()
        terms = Terms(rate_id="default", micro_usd_per_point=1_000, creator=creator, creator_bps=bps)
        if cap > self.model.spendable(user, now):
            self.refused(InsufficientPoints, self.world.open(natural, account=user, cap=cap, terms=terms))
            self.refused(NotFound, self.world.capture(natural, "1", ("a", 1, 1, 1)))
            REACHED["short"] += 1
            return
        self.refused(
            OfferExpired, self.world.open(natural, account=user, cap=cap, terms=terms, offer_ends_at=now)
        )
        hold = self.run(self.world.open(natural, account=user, cap=cap, terms=terms))
        assert self.run(self.world.open(natural, account=user, cap=cap, terms=terms)) == hold
        REACHED["replay"] += 1
        parts = self.model.draw(user, cap, now)
        self.model.move((f"user:{user}:available", -cap), (f"user:{user}:held", cap))
        self.model.holds[hold] = {
            "user": user, "cap": cap, "left": cap, "parts": parts, "open": True, "creator": creator,
            "bps": bps, "paid": set(), "share": 0,
        }  # fmt: skip
        REACHED["hold"] += 1

    def first_open(self) -> int:
        """A number that :meth:`pick` and :meth:`release` take for the first open hold."""
        count = sum(model["open"] for model in self.model.holds.values())
        return next(n for n in range(0, 6 * count + 1, max(count, 1)) if n % 6) if count else 1

    def pick(self, number: int, *, open_: bool) -> str | None:
        """A hold that is open, or one that is closed."""
        found = [hold for hold, model in self.model.holds.items() if model["open"] is open_]
        return found[number % len(found)] if found else None

    @rule(
        number=st.integers(0, 10**6),
        open_=st.sampled_from([True, True, True, False]),
        lines=st.lists(
            st.tuples(
                st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 1_500), st.integers(0, 1_500)
            ),
            min_size=1,
            max_size=3,
            unique_by=lambda line: line[:2],
        ),
    )
    def capture(self, number: int, open_: bool, lines: list[tuple[str, int, int, int]]) -> None:
        hold = self.pick(number, open_=open_)
        if hold is not None:
            self.captured(hold, str(self.next()), lines)

    @rule(
        number=st.integers(0, 10**6),
        lines=st.lists(
            st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.integers(0, 500), st.integers(0, 300)),
            min_size=1,
            max_size=2,
            unique_by=lambda line: line[:2],
        ),
    )
    def capture_little(self, number: int, lines: list[tuple[str, int, int, int]]) -> None:
        self.capture(number, True, lines)

    def captured(self, hold: str, number: str, lines: list[tuple[str, int, int, int]]) -> None:
        model = self.model.holds[hold]
        paid_pieces = {piece for piece, _ in model["paid"] if piece}
        fresh = [ln for ln in lines if (ln[1], ln[0]) not in model["paid"] and ln[1] not in paid_pieces]
        doubles = len(fresh) < len(lines)
        event = self.run(self.world.capture(hold, number, *lines))
        REACHED["double"] += doubles
        if not fresh:
            assert event is None
            return
        again = self.run(self.world.capture(hold, number, *lines))
        assert again == event
        model["paid"] |= {(piece, step) for step, piece, _, _ in fresh}
        if not model["open"]:
            cost = sum(line[3] for line in fresh)
            assert event.type == "CaptureWasted"
            self.model.move(("platform:net", -cost), ("provider:cost", cost))
            REACHED["late"] += 1
            return
        group = self.taken(model, fresh)
        self.model.captures[f"cap:{hold}:{number}"] = {"hold": hold, "lines": group}
        assert event.data["takenMilli"] == sum(parts[0] for parts in group.values())
        REACHED["capture"] += 1

    def taken(self, model: dict[str, Any], lines: list[tuple[str, int, int, int]]) -> dict[str, Any]:
        """L5, L18: no more than the cap; provider first, then the creator's floor, then the platform."""
        group = {}
        for step, piece, price, cost in lines:
            take = min(price, model["left"])
            REACHED["over"] += take < price
            provider = min(cost, take)
            creator = (take - provider) * model["bps"] // 10_000 if model["creator"] else 0
            model["left"] -= take
            model["share"] += creator
            group[f"{piece}/{step}"] = (take, provider, creator)
            self.model.move(
                (f"user:{model['user']}:held", -take),
                ("provider:cost", provider),
                (f"creator:{model['creator']}:accrued", creator),
                ("platform:net", take - provider - creator),
            )
        return group

    @rule(number=st.integers(0, 10**6), times=st.integers(1, 2))
    def release(self, number: int, times: int) -> None:
        hold = self.pick(number, open_=bool(number % 6)) or self.pick(number, open_=False)
        if hold is None:
            return
        self.next()
        model, now = self.model.holds[hold], self.world.clock()
        for _ in range(times):
            self.run(self.ledger.release(hold))
        if not model["open"]:
            return
        model["open"] = False
        spent = model["cap"] - model["left"]
        expired = 0
        for grant, milli in model["parts"]:
            used = min(spent, milli)
            spent -= used
            if grant["ends"] is None or now < grant["ends"]:
                grant["left"] += milli - used
            else:
                expired += milli - used
        user = model["user"]
        self.model.move(
            (f"user:{user}:held", -model["left"]),
            (f"user:{user}:available", model["left"] - expired),
            ("expired", expired),
        )
        self.model.move(
            (f"creator:{model['creator']}:accrued", -model["share"]),
            (f"creator:{model['creator']}", model["share"]),
        )
        REACHED["release"] += 1

    @rule(number=st.integers(0, 10**6), whole=st.booleans())
    def refund(self, number: int, whole: bool) -> None:
        over = [g for g, c in self.model.captures.items() if not self.model.holds[c["hold"]]["open"]]
        groups = over if over and number % 5 else list(self.model.captures)
        if not groups:
            return
        self.next()
        group = groups[number % len(groups)]
        capture = self.model.captures[group]
        model, lines = self.model.holds[capture["hold"]], capture["lines"]
        line = "" if whole or not lines else sorted(lines)[0]
        if model["open"]:
            self.refused(Refused, self.ledger.refund(group, actor="op", line=line))
            return
        wanted = dict(lines) if not line else {line: lines[line]}
        said = capture.setdefault("said", set())
        if line in said:
            self.run(self.ledger.refund(group, actor="op", line=line))  # a replay: nothing happens
            REACHED["refund twice"] += 1
            return
        if not wanted:
            self.refused(Refused, self.ledger.refund(group, actor="op", line=line))
            REACHED["refund twice"] += 1
            return
        self.run(self.ledger.refund(group, actor="op", line=line))
        said.add(line)
        for key in wanted:
            del lines[key]
        self.given_back(model, list(wanted.values()))

    def given_back(self, model: dict[str, Any], wanted: list[tuple[int, int, int]]) -> None:
        take, creator = sum(parts[0] for parts in wanted), sum(parts[2] for parts in wanted)
        there = min(creator, self.model.sums[f"creator:{model['creator']}"])
        self.model.move((f"creator:{model['creator']}", -there), ("platform:net", there))
        self.model.move(("platform:net", -take), (f"user:{model['user']}:available", take))
        if take:
            self.model.add(model["user"], take)
        REACHED["refund"] += 1

    @rule(creator=st.sampled_from(CREATORS[:2]), part=st.integers(1, 4))
    def withdraw(self, creator: str, part: int) -> None:
        key = f"w{self.next()}"
        there = self.model.sums[f"creator:{creator}"]
        self.refused(InsufficientPoints, self.ledger.withdraw(creator, there + 1, actor="x", withdrawal=key))
        milli = there // part
        if milli:
            for _ in range(2):
                self.run(self.ledger.withdraw(creator, milli, actor="x", withdrawal=key))
            self.model.move((f"creator:{creator}", -milli), ("payout", milli))
            REACHED["withdraw"] += 1

    @rule(ms=st.integers(1, 10))
    def time_passes(self, ms: int) -> None:
        self.next()
        self.world.clock.pass_ms(ms)
        self.run(self.world.books.catch_up(self.run(self.world.streams())))
        self.run(LedgerSweeper(self.world.books).sweep())
        now = self.world.clock()
        for user in USERS:
            for grant in self.model.grants[user]:
                if grant["ends"] is not None and grant["ends"] <= now and grant["left"]:
                    self.model.move((f"user:{user}:available", -grant["left"]), ("expired", grant["left"]))
                    grant["left"] = 0
                    REACHED["expire"] += 1

    def refused(self, kind: type[CauldronError], doing: Any) -> None:
        """L20: what fails changes nothing."""
        before = self.run(self.world.sums())
        with pytest.raises(kind):
            self.run(doing)
        assert self.run(self.world.sums()) == before

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        """L1, L4, L6 and L17–L19 hold for the model; the folds say the same."""
        if not hasattr(self, "model"):
            return
        assert sum(self.model.sums.values()) == 0
        for user in USERS:
            state = self.run(self.ledger.accounts.load(f"account:{user}", fresh=False)).state
            assert state.available_milli == self.model.sums[f"user:{user}:available"] >= 0
            open_left = sum(h["left"] for h in self.model.holds.values() if h["open"] and h["user"] == user)
            assert self.model.sums[f"user:{user}:held"] == open_left


def histories(engine: str, *, examples: int, steps: int, same: bool = False) -> None:
    """Run so many histories and see to it that they got somewhere."""
    REACHED.clear()
    machine = type(f"Ledger{engine}", (LedgerMachine,), {"engine_name": engine})
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=quiet,
        derandomize=same,
    )
    run_state_machine_as_test(machine, settings=wanted)
    print(f"{engine}: {dict(REACHED)}")
    missed = {
        what: REACHED[what]
        for what, least in LEAST.items()
        if REACHED[what] < least * REACHED["steps"] // 1_500
    }
    assert not missed, f"seldom or never reached in {REACHED['steps']} steps: {missed}"


@pytest.mark.parametrize("engine", STORES)
def test_the_books_are_those_of_the_model(engine):
    histories(engine, examples={"sqlite": 20, "mongo": 6}[engine], steps=40, same=True)


@pytest.mark.slow
@pytest.mark.parametrize("engine", STORES)
def test_the_books_are_those_of_the_model_in_many_histories(engine):
    histories(engine, examples={"sqlite": 300, "mongo": 60}[engine], steps=50)
