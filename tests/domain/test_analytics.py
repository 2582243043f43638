"""Quantiles from bounded memory, and counts of reasons."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.analytics import ACCURACY, MOST_REASONS, OTHER, Sketch, Tally


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.sampled_from([0.1, 0.5, 0.9, 0.99]))
def test_a_quantile_is_right_to_one_percent(numbers: list[int], share: float):
    sketch = Sketch()
    for number in numbers:
        sketch.add(number)
    exact = sorted(numbers)[math.floor(share * (len(numbers) - 1))]
    found = sketch.quantile(share)
    assert found is not None
    assert abs(found - exact) <= ACCURACY * exact + 1e-9


def test_memory_does_not_grow_with_what_is_counted():
    sketch, rng = Sketch(), random.Random(1)
    for _ in range(50_000):
        sketch.add(int(rng.lognormvariate(8, 2)))
    assert len(sketch.buckets) < 1_200
    assert sketch.document()["count"] == 50_000


def test_nothing_counted_has_no_quantiles():
    assert Sketch().document()["p50"] is None


def test_reasons_beyond_the_most_are_counted_together():
    tally = Tally()
    for n in range(MOST_REASONS + 30):
        tally.failed(f"code{n}")
    assert len(tally.failures) == MOST_REASONS + 1
    assert tally.failures[OTHER] == 30
