"""The ring of a topic: what it holds, what it has let go, and where readers stand in it."""

import asyncio

from cauldron.domain.envelopes import Place
from cauldron.services.feed_rings import MAX_ENTRIES, Cursor, Entry, Ring, Topic

NOTHING = Place(0, 0, 0)


def commit(seq: int, messages: int = 1, *, check: int = 7) -> list[Entry]:
    places = [Place(seq, part if part < messages else 0, check) for part in range(1, messages + 1)]
    return [Entry(place.text().encode(), "x", b"{}", place) for place in places]


def filled(commits: int, messages: int = 1, *, floor: Place = NOTHING) -> Ring:
    ring = Ring(floor)
    for seq in range(floor.seq + 1, floor.seq + commits + 1):
        ring.append(commit(seq, messages), Place(seq, 0, 7))
    return ring


def test_every_place_it_handed_out_is_found_until_it_is_let_go():
    ring = filled(10, 3)
    for n, entry in enumerate(ring.since(0, 0).entries, 1):
        assert ring.find(entry.place) == n
    assert ring.find(Place(0, 0, 0)) == 0


def test_what_was_let_go_is_not_found_and_the_floor_moves():
    floor = Place(5, 0, 7)
    ring = filled(3 * MAX_ENTRIES, floor=floor)
    assert ring.find(floor) is None
    assert ring.find(Place(6, 0, 7)) is None
    assert ring.find(ring.floor) == ring.base > 0
    assert len(ring.since(ring.base, 0).entries) <= 2 * MAX_ENTRIES


def test_a_place_of_another_history_is_not_found():
    ring = filled(4, 2)
    assert ring.find(Place(3, 1, 8)) is None
    assert ring.find(Place(3, 5, 7)) is None
    assert ring.find(Place(9, 0, 7)) is None


def test_the_newest_commit_stays_however_large_it_is():
    ring = filled(2)
    ring.append(commit(3, 5 * MAX_ENTRIES), Place(3, 0, 7))
    assert ring.find(Place(2, 0, 7)) == ring.base


def test_readers_at_one_point_share_what_is_new():
    ring = filled(3)
    assert ring.since(1, 0) is ring.since(1, 0)
    assert ring.since(3, 0) is None
    ring.aside("c", "generationProgress", b"{}")
    ring.aside("c", "generationProgress", b"{1}")
    assert [aside.json for aside in ring.since(3, 0).asides] == [b"{1}"]
    assert ring.since(3, ring.tick) is None


def test_a_reader_that_falls_out_of_the_ring_knows_it():
    async def story():
        topic = Topic("cook:c", filled(1), now=asyncio.get_running_loop().time)
        cursor = Cursor(topic, "1.7.1.0")
        cursor.settle(1)
        assert cursor.take() is None and not cursor.behind
        for seq in range(2, 4 * MAX_ENTRIES):
            topic.publish(commit(seq), Place(seq, 0, 7))
        assert cursor.take() is None and cursor.behind

    asyncio.run(story())
