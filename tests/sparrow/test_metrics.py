import json
import math
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow.metrics import Histogram, estimate, percentile

values = st.floats(1e-5, 1e5)
percents = st.floats(0, 100)


def test_percentiles_of_nothing_and_of_one():
    assert percentile([], 50) == 0.0
    assert percentile([7.0], 0) == percentile([7.0], 50) == percentile([7.0], 100) == 7.0


def test_percentile_lies_on_the_line_between_neighbours():
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([1.0, 2.0], 50) == 1.5
    assert percentile(range(101), 95) == 95.0
    assert percentile([0.0, 10.0], 99) == pytest.approx(9.9)


@given(st.lists(values, min_size=1), percents, percents)
def test_percentile_stays_in_range_and_never_falls(some, first, second):
    low, high = sorted((first, second))
    below, above = percentile(some, low), percentile(some, high)
    slack = 1e-9 * max(some)
    assert min(some) - slack <= below <= above + slack <= max(some) + 2 * slack


def test_an_empty_histogram():
    assert (Histogram().count, Histogram().mean, Histogram().percentile(50)) == (0, 0.0, 0.0)


@given(st.lists(values, min_size=1))
def test_a_histogram_counts_and_means_exactly(some):
    histogram = Histogram()
    for value in some:
        histogram.add(value)
    assert histogram.count == len(some)
    assert histogram.mean == pytest.approx(sum(some) / len(some))


@given(st.lists(values, min_size=1), percents)
def test_a_histogram_is_within_one_percent_of_the_exact_value(some, percent):
    histogram = Histogram()
    for value in some:
        histogram.add(value)
    exact = sorted(some)[max(0, math.ceil(percent / 100 * len(some)) - 1)]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.0101)


@given(st.lists(values), st.lists(values))
def test_merged_histograms_are_as_if_one_had_counted_it_all(some, others):
    both, one, merged = Histogram(), Histogram(), Histogram()
    for value in [*some, *others]:
        both.add(value)
    for value in some:
        one.add(value)
    for value in others:
        merged.add(value)
    merged.merge(json.loads(json.dumps(one.to_dict())))
    expected = both.to_dict()
    assert merged.to_dict() == {**expected, "mean": pytest.approx(expected["mean"]) if expected["count"] else None}


@pytest.mark.parametrize(
    "spread",
    [
        {"histogram": [[0, -1]], "mean": 1.0},
        {"histogram": [[10**9, 1]], "mean": 1.0},
        {"histogram": [[0, 1]], "mean": math.nan},
        {"histogram": [[0, 1]], "mean": math.inf},
        {"histogram": [[0, 1]], "mean": None},
        {"histogram": [[0]], "mean": 1.0},
        {"histogram": 7, "mean": 1.0},
        {},
    ],
)
def test_what_no_histogram_returns_is_refused_and_changes_nothing(spread):
    histogram = Histogram()
    with pytest.raises((TypeError, ValueError, LookupError)):
        histogram.merge(spread)
    assert histogram.to_dict() == Histogram().to_dict()


@pytest.mark.parametrize("value", [-1, -1e-9, math.nan, -math.inf])
def test_a_histogram_refuses_what_is_not_a_time_and_is_unchanged(value):
    histogram = Histogram()
    with pytest.raises(ValueError, match="from 0 up"):
        histogram.add(value)
    assert histogram.count == 0


def test_a_histogram_is_bounded_whatever_it_holds():
    histogram = Histogram()
    value = 1e-12
    while value < 1e12:
        histogram.add(value)
        value *= 1.001
    histogram.add(0.0)
    histogram.add(math.inf)
    assert len(histogram._buckets) <= 1_400
    assert histogram.percentile(0) == pytest.approx(histogram.SMALLEST, rel=0.02)
    assert histogram.percentile(100) == pytest.approx(histogram.LARGEST, rel=0.02)


def estimated(groups, percent):
    found: Any = estimate(groups, percent)
    return found


def bucketed(values):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram.raw()


def test_an_estimate_is_the_percentile_and_its_interval_holds_the_true_one_as_often_as_it_says():
    rng = random.Random(3)
    held = 0
    for _ in range(200):
        found = estimated([bucketed(rng.expovariate(1.0) for _ in range(200))], 50)
        assert None not in found
        assert found.low <= found.value <= found.high
        held += found.low * 0.99 <= math.log(2) <= found.high * 1.01
    assert 184 <= held <= 200


def test_jobs_that_are_alike_because_they_came_together_make_the_interval_wider():
    """Else a difference between two methods that is the luck of a few bursts would look like more than chance."""
    rng = random.Random(5)
    held = 0
    for _ in range(100):
        moods = [rng.lognormvariate(0, 0.6) for _ in range(20)]
        groups = [bucketed(mood * rng.lognormvariate(0, 0.3) for _ in range(30)) for mood in moods]
        found = estimated(groups, 50)
        together = estimated([sum((Counter(group) for group in groups), Counter())], 50)
        assert found.value == together.value
        assert None not in (*found, *together)
        assert found.high - found.low > 1.5 * (together.high - together.low)
        held += found.low * 0.99 <= 1.0 <= found.high * 1.01
    assert held >= 85


def test_few_values_have_no_interval_and_none_have_no_percentile():
    assert estimate([], 50) == estimate([{}], 95) == (None, None, None)
    few = estimate([bucketed([1.0, 2.0, 3.0])], 50)
    assert (few.low, few.high) == (None, None)
    assert few.value == pytest.approx(2.0, rel=0.02)
    tail = estimate([bucketed([1.0] * 40)], 95)
    assert tail.low is not None
    assert tail.high is None
