"""The decider of a cook: its whole table, then random commands against what must always hold."""

import sys
import time
from collections import Counter
from dataclasses import replace

import orjson
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cauldron.domain import codec
from cauldron.domain import cook as cooks
from cauldron.domain.commands import PauseCook, ResumeCook, ReviewPieces, StopCook
from cauldron.domain.cook_state import (
    ENDED,
    FAILED,
    GENERATED,
    PIECE_STATES,
    QUEUED,
    REJECTED,
    Cook,
    State,
    evolve,
    fold_commits,
)
from cauldron.domain.errors import CauldronError, Invalid, NotFound, Refused, StaleVersion
from tests.domain.cook_samples import (
    BREAK,
    EXPORT,
    PAUSE,
    RESUME,
    START,
    STARTED,
    STOP,
    after,
    apply,
    failed,
    made,
    refill,
    review,
    review_all,
    snapshot,
    start,
)

COOKING = [START]
PAUSED = [START, PAUSE]
STOPPED = [START, STOP]
BROKEN = [START, BREAK]
DONE = [START, made(1), made(2), made(3)]
EXPORTED = [*DONE, review("approve", 1), EXPORT]
ONE_LEFT = [START, made(1), made(2)]
WITH_FAILURE = [START, failed(1), made(2), made(3)]

TABLE = [
    ("a start begins and queues", [], START, ["CookStarted", "PiecesQueued"], "Cooking"),
    ("a second start is refused", COOKING, START, Refused, "Cooking"),
    ("a start after the end is refused", DONE, START, Refused, "Completed"),
    ("no pieces are no cook", [], start(0), Invalid, "Idle"),
    ("too many pieces", [], start(1_000_001), Invalid, "Idle"),
    ("pause what never started", [], PAUSE, NotFound, "Idle"),
    ("pause", COOKING, PAUSE, ["CookPaused"], "Paused"),
    ("pausing twice is harmless", PAUSED, PAUSE, [], "Paused"),
    ("pause what is stopped", STOPPED, PAUSE, Refused, "Stopped"),
    ("pause what is complete", DONE, PAUSE, Refused, "Completed"),
    ("pause what is exported", EXPORTED, PAUSE, Refused, "Exported"),
    ("pause what has failed", BROKEN, PAUSE, Refused, "Failed"),
    ("resume what never started", [], RESUME, NotFound, "Idle"),
    ("resuming what cooks is harmless", COOKING, RESUME, [], "Cooking"),
    ("resume", PAUSED, RESUME, ["CookResumed"], "Cooking"),
    ("resume after a stop", STOPPED, RESUME, ["CookResumed"], "Cooking"),
    ("resume after a failure", BROKEN, RESUME, ["CookResumed"], "Cooking"),
    ("nothing is left to resume", DONE, RESUME, Refused, "Completed"),
    ("nothing is left to resume after an export", EXPORTED, RESUME, Refused, "Exported"),
    (
        "the last piece was made during the pause: resuming completes",
        [*ONE_LEFT, PAUSE, made(3)],
        RESUME,
        ["CookResumed", "CookCompleted"],
        "Completed",
    ),
    ("a stopped cook whose last piece came late", [*ONE_LEFT, STOP, made(3)], RESUME, Refused, "Stopped"),
    ("stop what never started", [], STOP, NotFound, "Idle"),
    ("stop", COOKING, STOP, ["CookStopped"], "Stopped"),
    ("stop from a pause", PAUSED, STOP, ["CookStopped"], "Stopped"),
    ("stopping twice is harmless", STOPPED, STOP, [], "Stopped"),
    ("stop what is complete", DONE, STOP, Refused, "Completed"),
    ("stop what has failed", BROKEN, STOP, Refused, "Failed"),
    ("fail", COOKING, BREAK, ["CookFailed"], "Failed"),
    ("fail from a pause", PAUSED, BREAK, ["CookFailed"], "Failed"),
    ("failing twice is harmless", BROKEN, BREAK, [], "Failed"),
    ("fail what is complete", DONE, BREAK, Refused, "Completed"),
    ("fail what is stopped", STOPPED, BREAK, Refused, "Stopped"),
    ("a piece is made", COOKING, made(1), ["PieceGenerated"], "Cooking"),
    ("a piece fails", COOKING, failed(1), ["GenerationFailed"], "Cooking"),
    ("the last piece completes", ONE_LEFT, made(3), ["PieceGenerated", "CookCompleted"], "Completed"),
    ("so does the last failure", ONE_LEFT, failed(3), ["GenerationFailed", "CookCompleted"], "Completed"),
    ("a piece made twice counts once", [START, made(1)], made(1), [], "Cooking"),
    ("a late failure does not undo a piece", [START, made(1)], failed(1), [], "Cooking"),
    ("a late success does not undo a failure", [START, failed(1)], made(1), [], "Cooking"),
    ("a piece in flight during a pause is recorded", PAUSED, made(1), ["PieceGenerated"], "Paused"),
    ("a piece in flight at a stop is recorded", STOPPED, made(1), ["PieceGenerated"], "Stopped"),
    ("a piece in flight at a failure is recorded", BROKEN, made(1), ["PieceGenerated"], "Failed"),
    ("the last piece does not end a pause", [*ONE_LEFT, PAUSE], made(3), ["PieceGenerated"], "Paused"),
    ("a piece nobody queued", COOKING, made(4), NotFound, "Cooking"),
    ("piece numbers count from 1", COOKING, made(0), NotFound, "Cooking"),
    ("a piece of no cook", [], made(1), NotFound, "Idle"),
    (
        "one failure over the budget pauses",
        [start(4), failed(1)],
        failed(2),
        ["GenerationFailed", "CookPaused"],
        "Paused",
    ),
    (
        "the budget counts from the last resume",
        [start(6), failed(1), failed(2), RESUME],
        failed(3),
        ["GenerationFailed"],
        "Cooking",
    ),
    (
        "over the budget with nothing left completes",
        [start(2), failed(1)],
        failed(2),
        ["GenerationFailed", "CookCompleted"],
        "Completed",
    ),
    ("approve", DONE, review("approve", 1, 2), ["PiecesReviewed"], "Completed"),
    (
        "review does not wait for the end",
        [START, made(1)],
        review("approve", 1),
        ["PiecesReviewed"],
        "Cooking",
    ),
    ("approving twice is harmless", [*DONE, review("approve", 1)], review("approve", 1), [], "Completed"),
    ("all is what waits", [START, made(2)], review_all("approve"), ["PiecesReviewed"], "Cooking"),
    ("nothing waits", COOKING, review_all("approve"), [], "Cooking"),
    ("approve what is not there yet", COOKING, review("approve", 1), Refused, "Cooking"),
    ("approve what does not exist", DONE, review("approve", 9), NotFound, "Completed"),
    ("a decision nobody knows", DONE, review("burn", 1), Invalid, "Completed"),
    ("cull before approval", DONE, review("cull", 1), Refused, "Completed"),
    ("revive what was never culled", DONE, review("revive", 1), Refused, "Completed"),
    ("a rejection reopens an export", EXPORTED, review("reject", 1), ["PiecesReviewed"], "Completed"),
    ("so does a cull", EXPORTED, review("cull", 1), ["PiecesReviewed"], "Completed"),
    (
        "so does a revival",
        [*DONE, review("approve", 1), review("cull", 1), EXPORT],
        review("revive", 1),
        ["PiecesReviewed"],
        "Completed",
    ),
    ("so does a reset", EXPORTED, review("reset", 1), ["PiecesReviewed"], "Completed"),
    ("keeping what is approved does not", EXPORTED, review("keep", 1), ["PiecesReviewed"], "Exported"),
    (
        "keep what is culled",
        [*DONE, review("approve", 1), review("cull", 1)],
        review("keep", 1),
        ["PiecesReviewed"],
        "Completed",
    ),
    (
        "keep twice is harmless",
        [*DONE, review("approve", 1), review("keep", 1)],
        review("keep", 1),
        [],
        "Completed",
    ),
    ("keep before approval", DONE, review("keep", 1), Refused, "Completed"),
    ("an approval does not reopen it", EXPORTED, review("approve", 2), ["PiecesReviewed"], "Exported"),
    ("refill what failed", WITH_FAILURE, refill(1), ["CookResumed", "PiecesQueued"], "Cooking"),
    ("refill while it cooks", [START, failed(1)], refill(1), ["PiecesQueued"], "Cooking"),
    ("refill during a pause stays paused", [START, failed(1), PAUSE], refill(1), ["PiecesQueued"], "Paused"),
    (
        "refill what was rejected after an export",
        [*EXPORTED, review("reject", 1)],
        refill(1),
        ["CookResumed", "PiecesQueued"],
        "Cooking",
    ),
    ("refilling twice is harmless", [*WITH_FAILURE, refill(1)], refill(1), [], "Cooking"),
    ("refill what is fine", DONE, refill(1), Refused, "Completed"),
    ("refill what does not exist", DONE, refill(9), NotFound, "Completed"),
    (
        "refill from a plan that has been revised",
        WITH_FAILURE,
        refill(1, base="old"),
        StaleVersion,
        "Completed",
    ),
    (
        "refill from the newest plan",
        WITH_FAILURE,
        refill(1, base="h0"),
        ["CookResumed", "PiecesQueued"],
        "Cooking",
    ),
    ("export", DONE, EXPORT, ["CookExported"], "Exported"),
    ("a partial export leaves the cook cooking", COOKING, EXPORT, ["CookExported"], "Cooking"),
    ("a partial export of what is stopped", STOPPED, EXPORT, ["CookExported"], "Stopped"),
]


@pytest.mark.parametrize(
    ("given", "when", "then", "state"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE]
)
def test_decide(given, when, then, state):
    cook = after(given)
    if isinstance(then, list):
        events = cooks.decide(cook, when)
        assert [e.type for e in events] == then
        apply(cook, events, ts=STARTED)
    else:
        before = snapshot(after(given))
        with pytest.raises(then) as refusal:
            cooks.decide(cook, when)
        assert type(refusal.value) is then
        assert snapshot(cook) == before
    assert cook.state.value == state


def test_a_pause_keeps_its_reason_until_the_cook_goes_on():
    cook = after([START, PauseCook(key="p", reason="disk_full", detail="2 MB left")])
    assert (cook.pause_reason, cook.pause_detail) == ("disk_full", "2 MB left")
    apply(cook, cooks.decide(cook, RESUME), ts=STARTED)
    assert (cook.pause_reason, cook.pause_detail) == ("", "")


def test_a_failure_budget_pause_says_how_many_and_why():
    cook = after([start(4), failed(1), failed(2)])
    assert cook.pause_reason == "failure_budget"
    assert "2 pieces failed" in cook.pause_detail
    assert "it broke" in cook.pause_detail


def test_a_completion_counts_what_was_made_and_what_failed():
    cook = after([START, made(1), failed(2)])
    assert cooks.decide(cook, made(3))[-1].data == {"generated": 2, "failed": 1}


def test_a_refill_gives_new_numbers_to_the_same_slots():
    cook = after([start(3, slot_from=40), made(1), failed(2), made(3), review("reject", 3)])
    queued = cooks.decide(cook, refill(3, 2))[-1]
    assert queued.data["slots"] == [41, 42]
    assert (queued.data["from"], queued.data["to"]) == (4, 5)
    apply(cook, [queued], ts=STARTED)
    assert cook.plan_of(3) == ("blob0", "h0")
    assert cook.plan_of(4) == ("blob-h1", "h1")
    assert not cook.is_current(2)
    assert cook.is_current(4)


def test_a_replaced_piece_is_out_of_every_decision():
    cook = after([*DONE, review("reject", 1), refill(1), made(4)])
    with pytest.raises(Refused, match="replaced by a newer piece"):
        cooks.decide(cook, review("approve", 1))
    assert cooks.decide(cook, review("reject", 1)) == []
    [event] = cooks.decide(cook, review_all("approve"))
    assert event.data["pieces"] == [[2, 4]]


def test_a_refused_piece_among_many_changes_none():
    cook = after([START, made(1)])
    with pytest.raises(Refused, match="piece 2"):
        cooks.decide(cook, review("approve", 1, 2))
    assert cook.counts[GENERATED] == 1


def test_ranges_join_neighbours():
    assert cooks.ranges([1, 2, 3, 7, 9, 10]) == [[1, 3], [7, 7], [9, 10]]
    assert cooks.ranges([]) == []


class AnyHistory(RuleBasedStateMachine):
    """Random commands: what is refused changes nothing, what is accepted keeps every promise."""

    def __init__(self) -> None:
        super().__init__()
        self.cook, self.commits, self.ts = Cook(), [], STARTED
        self.stored: list[bytes] = []
        self.ended: set[int] = set()

    @initialize(amount=st.integers(1, 6), slot_from=st.integers(0, 3), budget=st.integers(0, 4))
    def begin(self, amount, slot_from, budget):
        self.amount = amount
        self.give(start(amount, slot_from=slot_from, failure_budget=budget))

    def give(self, command) -> None:
        before, numbers = snapshot(self.cook), self.cook.pieces
        before = orjson.dumps({k: list(v) if hasattr(v, "tolist") else str(v) for k, v in before.items()})
        state, turns = self.cook.state, self.cook.turns
        try:
            events = cooks.decide(self.cook, command)
        except CauldronError:
            events = []
        now = snapshot(self.cook)
        assert before == orjson.dumps(
            {k: list(v) if hasattr(v, "tolist") else str(v) for k, v in now.items()}
        ), "deciding must not change the state"
        if not events:
            return
        self.ts += 250
        apply(self.cook, events, ts=self.ts)
        assert cooks_again(self.cook, command) in ([], CauldronError), "the same command twice"
        if state in ENDED and self.cook.state not in (state, State.EXPORTED, State.COMPLETED):
            assert isinstance(command, (ResumeCook,)) or type(command).__name__ == "RefillSlots"
        assert (self.cook.turns != turns) == any(e.type in TURNING for e in events)
        assert self.cook.pieces >= numbers
        document = codec.commit_document(
            "cook:c1",
            len(self.stored) + 1,
            keys=[command.key],
            events=[(0, e) for e in events],
            actor="a",
            ts=self.ts,
        )
        self.stored.append(orjson.dumps(codec.pack(document)))

    @rule(piece=st.integers(0, 12), ok=st.booleans(), attempt=st.integers(1, 300))
    def record(self, piece, ok, attempt):
        code = self.cook.state_of(piece)
        command = made(piece, attempt=attempt) if ok else failed(piece, attempt=attempt)
        self.give(command)
        if code == QUEUED:
            assert self.cook.state_of(piece) == (GENERATED if ok else FAILED)

    @rule()
    def record_the_next(self):
        queued = self.cook.in_state(QUEUED)
        if queued:
            self.give(made(queued[0]))

    @rule(command=st.sampled_from([PAUSE, RESUME, STOP, BREAK, EXPORT, START]))
    def steer(self, command):
        self.give(command)

    @rule(
        decision=st.sampled_from(sorted(cooks.DECISIONS)),
        pieces=st.none() | st.lists(st.integers(1, 12), min_size=1, max_size=4),
    )
    def judge(self, decision, pieces):
        self.give(ReviewPieces(key="v", decision=decision, pieces=pieces))

    @rule(pieces=st.lists(st.integers(1, 12), min_size=1, max_size=4), plan=st.integers(1, 3))
    def renew(self, pieces, plan):
        self.give(refill(*pieces, plan_hash=f"h{plan}"))

    @precondition(lambda self: bool(self.cook.in_state(REJECTED, FAILED)))
    @rule()
    def renew_all(self):
        self.give(refill(*(n for n in self.cook.in_state(REJECTED, FAILED) if self.cook.is_current(n))))

    @invariant()
    def counts_are_a_recount(self):
        recount = Counter(self.cook.piece_state)
        assert self.cook.counts == [recount[code] for code in range(len(PIECE_STATES))]
        assert sum(self.cook.counts) == self.cook.pieces

    @invariant()
    def every_slot_has_one_current_piece(self):
        cook = self.cook
        current = [n for n in range(1, cook.pieces + 1) if cook.is_current(n)]
        assert sorted(cook.slot_of[n - 1] for n in current) == [
            cook.slot_from + i for i in range(cook.amount)
        ]

    @invariant()
    def what_a_refill_would_make_is_counted(self):
        cook = self.cook
        slow = sum(cook.piece_state[n - 1] in (REJECTED, FAILED) for n in cook.slot_current if n)
        assert cook.missing_slots() == slow

    @invariant()
    def nothing_is_outstanding_in_a_completed_cook(self):
        if self.cook.state in (State.COMPLETED, State.EXPORTED):
            assert self.cook.outstanding == 0

    @invariant()
    def only_a_paused_cook_keeps_a_pause_reason(self):
        if self.cook.state in (State.COOKING, State.IDLE):
            assert self.cook.pause_reason == ""

    def teardown(self) -> None:
        """Every prefix of what was stored folds to the state as it was then, page by page or one by one."""
        one_by_one, in_pages = Cook(), Cook()
        for raw in self.stored:
            packed = orjson.loads(raw)
            whole = codec.unpack(packed)
            for event in codec.events_of(whole):
                evolve(one_by_one, event, ts=whole["ts"])
            assert fold_commits(in_pages, [packed]) == whole["seq"]
            assert snapshot(one_by_one) == snapshot(in_pages)
        assert snapshot(one_by_one) == snapshot(self.cook)
        at_once = Cook()
        fold_commits(at_once, [orjson.loads(raw) for raw in self.stored])
        assert snapshot(at_once) == snapshot(self.cook)


TURNING = {
    "CookStarted",
    "CookPaused",
    "CookResumed",
    "CookStopped",
    "CookCompleted",
    "CookFailed",
}


def cooks_again(cook, command):
    """What the same command says at once again: nothing, or that it cannot be done now."""
    try:
        events = cooks.decide(cook, command)
    except CauldronError:
        return CauldronError
    if type(command).__name__ == "RecordExport":
        return []  # a second export is another export; its key keeps it from being recorded twice
    return events


TestAnyHistory = AnyHistory.TestCase


@pytest.mark.parametrize("command", [PauseCook(key="1"), StopCook(key="2"), ResumeCook(key="3")])
def test_saying_it_twice_changes_nothing(command):
    cook = after([START, PAUSE] if isinstance(command, ResumeCook) else [START])
    apply(cook, cooks.decide(cook, command), ts=STARTED)
    assert cooks.decide(cook, command) == []


def test_an_event_of_a_later_version_is_passed_over():
    cook = after([START])
    before = snapshot(cook)
    assert fold_commits(cook, [commit_of([("CookBlessed", {"by": "ann"})], seq=2)]) == 2
    assert snapshot(cook) | {"last_ms": 0} == before | {"last_ms": 0}


def commit_of(events, *, seq):
    body = [{"type": t, "v": 1, "data": d, "c": 0} for t, d in events]
    return {"_id": f"cook:c1:{seq:010d}", "stream": "cook:c1", "seq": seq, "ts": STARTED, "events": body}


def big_history(pieces: int) -> list[dict]:
    """A cook of many pieces in commits of 500, one of a hundred failed, all approved."""
    cook, commits = Cook(), []
    first = cooks.decide(cook, start(pieces, failure_budget=pieces))
    commits.append(commit_of(first, seq=1))
    apply(cook, first, ts=STARTED)
    for low in range(1, pieces + 1, 500):
        events = []
        for n in range(low, min(low + 500, pieces + 1)):
            one = cooks.decide(cook, failed(n) if n % 100 == 0 else made(n))
            apply(cook, one, ts=STARTED + n)
            events += one
        commits.append(commit_of(events, seq=len(commits) + 1))
    commits.append(commit_of(cooks.decide(cook, review_all("approve")), seq=len(commits) + 1))
    return commits


def size_bytes(cook: Cook) -> int:
    """Memory of everything a state holds, small integers and texts included."""
    total = sys.getsizeof(cook)
    for name in Cook.__slots__:
        value = getattr(cook, name)
        total += sys.getsizeof(value)
        if isinstance(value, (list, tuple)):
            total += sum(sys.getsizeof(item) for item in value)
    return total


@pytest.mark.parametrize("pieces", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_pieces_are_folded_fast_into_little(pieces):
    """Needed: 300,000 events/s, 5 MB at 100,000 pieces. CPU time; half of the speed on a loaded machine."""
    commits = big_history(pieces)
    events = sum(len(c["events"]) for c in commits)
    best = min(fold_time(commits) for _ in range(5))
    assert events / best > 150_000
    cook = Cook()
    fold_commits(cook, commits)
    assert cook.counts[PIECE_STATES.index("approved")] == pieces * 99 // 100
    assert size_bytes(cook) < 50 * pieces


def fold_time(commits) -> float:
    cook, start_ns = Cook(), time.process_time_ns()
    fold_commits(cook, commits)
    return (time.process_time_ns() - start_ns) / 1e9


def test_single_rerolls_do_not_slow_the_lookup_of_plans():
    cook = after([start(2, failure_budget=10_000), failed(1), made(2)])
    newest = 1
    for turn in range(3_000):
        again = replace(refill(newest, plan_hash=f"h{turn}"), key=f"rf{turn}")
        apply(cook, cooks.decide(cook, again), ts=STARTED)
        newest = cook.pieces
        apply(cook, cooks.decide(cook, failed(newest)), ts=STARTED)
    start_ns = time.process_time_ns()
    assert [cook.plan_of(n)[1] for n in range(3, 3_003)] == [f"h{turn}" for turn in range(3_000)]
    assert (time.process_time_ns() - start_ns) / 1e9 < 0.5, "a search, not a walk"
