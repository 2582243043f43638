"""Commit documents: packed and whole are the same, old versions read as new ones, rows are flat."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain import codec
from cauldron.domain import cook as cooks
from cauldron.domain.events import Event
from tests.domain.cook_samples import START, STARTED, after, failed, made, review

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["piece", "steps", "output", "outputs", "reason"])
events = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.builds(Event, st.sampled_from(["A", "B"]), st.dictionaries(names, json_values, max_size=4)),
    ),
    max_size=5,
)


def commit(pairs, *, seq: int = 1):
    return codec.commit_document(
        "cook:c1", seq, keys=["a", "b", "c", "d"], events=pairs, actor="ann", ts=STARTED
    )


@given(events)
def test_a_packed_commit_unpacks_to_itself(pairs):
    document = commit(pairs)
    stored = orjson.loads(orjson.dumps(codec.pack(document)))
    assert codec.unpack(stored) == document
    assert not any(key in event["data"] for event in stored["events"] for key in codec.DETAIL)
    assert codec.unpack_in_place(stored) == document


@given(events)
def test_packing_leaves_the_commit_alone(pairs):
    document = commit(pairs)
    before = orjson.dumps(document)
    codec.pack(document)
    assert orjson.dumps(document) == before


def test_what_is_whole_is_handed_on():
    document = commit([])
    assert codec.unpack(document) is document


def test_ids_of_a_stream_sort_by_seq():
    ids = [codec.commit_id("cook:c", n) for n in (1, 9, 10, 99, 1_000_000)]
    assert ids == sorted(ids)


def test_each_command_finds_its_own_events():
    document = commit([(0, Event("A", {"n": 1})), (2, Event("B", {"n": 2})), (2, Event("A", {"n": 3}))])
    assert codec.events_of(document, key="c") == [Event("B", {"n": 2}), Event("A", {"n": 3})]
    assert codec.events_of(document, key="b") == []
    assert len(codec.events_of(document)) == 3


def test_old_events_are_raised_step_by_step_and_stored_ones_left_alone():
    upcasters = {
        ("A", 1): lambda data: data | {"colour": data["color"]},
        ("A", 2): lambda data: {k: v for k, v in data.items() if k != "color"},
    }
    old = commit([(0, Event("A", {"color": "red"})), (0, Event("B", {"n": 1}))])
    before = orjson.dumps(old)
    new = codec.upcast(old, upcasters)
    assert [(e["v"], e["data"]) for e in new["events"]] == [(3, {"colour": "red"}), (1, {"n": 1})]
    assert orjson.dumps(old) == before


def test_without_upcasters_nothing_is_copied():
    document = commit([(0, Event("A", {}))])
    assert codec.upcast(document, {}) is document


def test_rows_show_one_event_per_piece():
    history = [START, made(1), failed(2), made(3)]
    cook = after(history)
    seen = cooks.decide(after([]), START) + cooks.decide(cook, review("approve", 1, 3))
    rows = list(codec.rows_of(commit([(0, event) for event in seen])))
    assert [(r["type"], r["payload"].get("piece")) for r in rows] == [
        ("CookStarted", None),
        ("PieceQueued", 1),
        ("PieceQueued", 2),
        ("PieceQueued", 3),
        ("PieceReviewed", 1),
        ("PieceApproved", 1),
        ("PieceReviewed", 3),
        ("PieceApproved", 3),
    ]
    assert {(r["stream"], r["seq"], r["actor"], r["ts"]) for r in rows} == {("cook:c1", 1, "ann", STARTED)}
    assert [r["payload"]["slot"] for r in rows if r["type"] == "PieceQueued"] == [0, 1, 2]


@given(st.integers(0, 40))
def test_rows_that_are_passed_over_are_those_at_the_start(skip):
    queued = {"from": 3, "to": 12, "plan": "p", "planHash": "h", "slotFrom": 2}
    reviewed = {"decision": "approved", "pieces": [[1, 4], [9, 9]]}
    seen = [
        Event("PiecesQueued", queued),
        Event("PiecesReviewed", reviewed),
        Event("CookPaused", {"reason": "asked"}),
    ]
    document = commit([(0, event) for event in seen])
    assert list(codec.rows_of(document, skip=skip)) == list(codec.rows_of(document))[skip:]
