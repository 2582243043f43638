"""A warning that comes again and again is said once in a while, with how often it came."""

import pytest
import structlog

from cauldron.log import MOST_LINES, Repeats


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def said(repeats: Repeats, **event: object) -> dict[str, object] | None:
    """What is written of a line, or None."""
    try:
        return dict(repeats(None, "", {"event": "disk full", "level": "warning", **event}))
    except structlog.DropEvent:
        return None


def test_the_same_warning_is_said_once_and_counted(clock: Clock) -> None:
    repeats = Repeats(every_s=30, now=clock)
    assert said(repeats) == {"event": "disk full", "level": "warning"}
    for clock.now in range(1, 30):
        assert said(repeats) is None
    clock.now = 30
    assert said(repeats) == {"event": "disk full", "level": "warning", "repeated": 29}
    assert said(repeats) is None


def test_other_lines_are_all_said(clock: Clock) -> None:
    repeats = Repeats(every_s=30, now=clock)
    assert all(said(repeats, name=name) for name in ("casts", "books"))
    assert said(repeats, level="info")
    assert said(repeats, level="info")  # facts are not warnings


def test_what_is_remembered_is_bounded(clock: Clock) -> None:
    repeats = Repeats(every_s=30, now=clock)
    for number in range(3 * MOST_LINES):
        assert said(repeats, name=number)
    assert len(repeats._said) <= MOST_LINES
