"""Estimates: no interval without a past, intervals that hold as often as they say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.estimate import (
    LEAST_PAST,
    Run,
    by_ratios,
    exactly,
    foretell,
    replays,
    run_of,
    t90,
    two_variances,
)
from tests.domain.estimate_histories import HISTORIES, NEXT, coverage

amounts = st.floats(0, 1e6, allow_nan=False)
runs = st.builds(
    Run,
    pieces=st.integers(1, 10_000),
    mean=amounts,
    within=st.floats(0, 1e6),
    drift=st.floats(-1e6, 1e6),
    foretold=st.none(),
)


def shifted(count: int, *, mean: float = 10.0, **more: float) -> list[Run]:
    return [Run(pieces=100, mean=mean + i % 3, within=1.0, **more) for i in range(count)]


@pytest.mark.parametrize("count", range(LEAST_PAST))
def test_fewer_than_five_runs_make_no_interval(count):
    found = foretell(100, past=shifted(count))
    assert (found.middle, found.low, found.high, found.basis) == (None, None, None, "none")
    assert found.past_runs == count


def test_the_runs_own_pieces_make_a_middle_but_no_interval():
    found = foretell(10, own=[2.0, 4.0], past=shifted(2))
    assert (found.middle, found.low, found.high, found.basis) == (30.0, None, None, "pieces")


def test_five_runs_make_an_interval():
    found = foretell(100, past=shifted(5))
    assert found.basis == "history"
    assert found.low < found.middle < found.high


def test_a_tariff_leaves_nothing_open():
    found = exactly(12.5)
    assert (found.low, found.middle, found.high, found.basis) == (12.5, 12.5, 12.5, "tariff")


def test_nothing_left_costs_nothing():
    found = foretell(0, own=[5.0], past=shifted(9))
    assert (found.low, found.middle, found.high) == (0.0, 0.0, 0.0)


@given(past=st.lists(runs, max_size=25), own=st.lists(amounts, max_size=30), rest=st.integers(0, 100_000))
def test_an_interval_is_ordered_finite_and_never_below_zero(past, own, rest):
    found = foretell(rest, own=own, past=past)
    if found.low is None:
        assert found.high is None
        return
    assert 0 <= found.low <= found.high
    assert math.isfinite(found.high)
    assert found.low <= found.middle * (1 + 1e-9) + 1e-9
    assert found.middle <= found.high * (1 + 1e-9) + 1e-9


@given(past=st.lists(runs, min_size=5, max_size=25), factor=st.floats(0.01, 100))
def test_other_units_give_the_same_interval(past, factor):
    other = [
        Run(pieces=r.pieces, mean=r.mean * factor, within=r.within * factor**2, drift=r.drift * factor**2)
        for r in past
    ]
    here, there = foretell(50, past=past), foretell(50, past=other)
    assert there.middle == pytest.approx(here.middle * factor, rel=1e-6, abs=1e-6)
    if here.basis == there.basis == "history":
        assert there.high == pytest.approx(here.high * factor, rel=1e-5, abs=1e-5)


@given(past=st.lists(runs, min_size=20, max_size=20), older=st.lists(runs, max_size=5))
def test_runs_beyond_the_last_twenty_do_not_count(past, older):
    assert foretell(10, past=[*past, *older]) == foretell(10, past=past)


def test_what_was_shown_at_the_time_is_what_is_checked():
    past = [Run(pieces=10, mean=1.0, foretold=(0.5, 1.0, 1.5))] * 7
    past += [Run(pieces=10, mean=9.0, foretold=(0.5, 1.0, 1.5))] * 3
    found = foretell(10, past=past)
    assert (found.hit_rate, found.checked) == (0.7, 10)


def test_intervals_that_held_too_seldom_give_way_to_ratios():
    sides = [2.0, 0.5, 1.0, 2.0, 0.5, 1.0, 2.0, 0.5]
    past = [Run(pieces=10, mean=mean, foretold=(0.9, 1.0, 1.1)) for mean in sides]
    found = foretell(10, past=past)
    assert found.basis == "calibrated"
    assert found.low == pytest.approx(0.5 * found.middle)
    assert found.high == pytest.approx(2.0 * found.middle)


def test_after_a_step_only_the_runs_since_then_count():
    past = [Run(pieces=100, mean=1.5, within=0.01)] * 3 + [Run(pieces=100, mean=1.0, within=0.01)] * 12
    found = foretell(100, past=past)
    assert found.basis == "recent"
    assert found.middle == pytest.approx(150.0)
    assert found.low > 140


def test_a_step_changes_the_level_and_not_how_much_runs_differ():
    """Three runs alone say little of their spread; those before say it, at their own level."""
    rng = np.random.default_rng(5)
    older = [Run(pieces=100, mean=m, within=0.01) for m in rng.normal(1.0, 0.05, 17).tolist()]
    after = [Run(pieces=100, mean=m, within=0.01) for m in (2.0, 2.001, 2.002)]
    found = foretell(100, past=[*after, *older])
    assert found.basis == "recent"
    assert found.middle == pytest.approx(200.1)
    alone = two_variances(100, (), after)
    assert found.high - found.middle > 5 * 100 * (alone.high - alone.middle)  # alike by chance
    assert found.high - found.middle == pytest.approx(2 * 100 * 0.05 * 1.33, rel=0.5)


def test_own_pieces_count_for_little_where_runs_change_on_their_way():
    past = shifted(10)
    steady = foretell(100, own=[20.0] * 50, past=past).middle
    drifting = foretell(100, own=[20.0] * 50, past=shifted(10, drift=50.0)).middle
    assert steady > 1.5 * drifting


def test_the_halves_of_a_run_show_its_drift():
    rng = np.random.default_rng(1)
    steady = np.mean([run_of(rng.normal(5, 1, 100).tolist()).drift for _ in range(400)])
    rising = np.mean(
        [run_of((rng.normal(5, 1, 100) + np.linspace(0, 4, 100)).tolist()).drift for _ in range(50)]
    )
    assert abs(steady) < 0.02  # its mean is 0, its standard error 0.003
    assert rising > 3


def test_quantiles_of_student_are_close_enough():
    """Against published tables."""
    for degrees, exact in {
        1: 3.0777,
        2: 1.8856,
        3: 1.6377,
        4: 1.5332,
        9: 1.3830,
        19: 1.3277,
        60: 1.2958,
    }.items():
        assert t90(degrees) == pytest.approx(exact, rel=0.005)


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("done", [0.0, 0.1, 0.5])
def test_eighty_percent_intervals_hold_about_as_often(name, done):
    """60 cooks: the standard error of a share of 0.85 is 0.046; the bounds are two of them wider."""
    held, _ = coverage(name, times=60, done=done)
    assert 0.66 <= held <= 1.0
    if name != "loaded" or done:
        assert held < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("done", [0.0, 0.1, 0.5])
def test_eighty_percent_intervals_hold_between_75_and_95_percent(name, done):
    """2,000 cooks: standard error 0.009."""
    held, _ = coverage(name, times=2000, seed=2, done=done)
    assert 0.75 <= held <= 0.95


def test_formulas_without_a_variance_between_runs_would_fail_here():
    """The negative control: pieces alone foretell a cook that differs from the last ones in 5 % of cases."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(100):
        *past, following = HISTORIES["cook to cook"](rng)
        pieces = np.concatenate(past)
        reach = 1.2816 * pieces.std() * math.sqrt(1 / NEXT + 1 / len(pieces))
        held += abs(following.mean() - pieces.mean()) <= reach
    assert held < 30


@pytest.mark.parametrize("name", HISTORIES)
def test_ratios_alone_hold_at_least_as_often_as_they_say(name):
    rng, held, times = np.random.default_rng([4, len(name)]), 0, 100
    for _ in range(times):
        *past, following = HISTORIES[name](rng)
        known = [run_of(each.tolist()) for each in reversed(past)]
        band = by_ratios(two_variances(NEXT, (), known).middle, [ratio for ratio, _ in replays(known)])
        held += band.low <= following.mean() <= band.high
    assert held >= 80 - 2 * 4  # of nominal 80; standard error 4
