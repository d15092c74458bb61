"""Messages for tests: of each kind anything that it may hold, and what it may not hold."""

import math
from typing import Any

import pytest
from hypothesis import strategies as st

from src.sparrow import messages as m
from src.sparrow.checks import MAX_DURATION_S, MAX_ELAPSED_S, MAX_NAME, MAX_NUMBER, elapsed, identifier, number, seconds

KINDS = tuple(m.KINDS.values())
ALL = frozenset(m.KINDS)
BY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)

names = st.text("abcXYZ019.-_:+", min_size=1, max_size=MAX_NAME)
numbers = st.integers(0, MAX_NUMBER)
durations = st.floats(0, MAX_DURATION_S)
times = st.floats(0, MAX_ELAPSED_S)
runs = st.tuples(names, numbers, numbers)
RIGHT = {  # what may be in a field, by its check
    identifier: names,
    number: numbers,
    seconds: durations,
    elapsed: times,
    m.runs: st.lists(runs, max_size=4),
    m.reservations: st.lists(st.tuples(names, numbers), max_size=4),
    m.ages: st.lists(st.tuples(runs, times), max_size=4),
}
WRONG: dict[Any, list[Any]] = {  # what may not
    identifier: ["", "a b", 3, None],
    number: [-1, 1.5, True, "1", MAX_NUMBER + 1],
    seconds: [-0.1, math.nan, "1", MAX_DURATION_S * 1.01],
    elapsed: [-0.1, math.nan, "1", MAX_ELAPSED_S * 1.01],
    m.runs: [None, 3, "ab", {}, [3], [["job", 1]], [["job", 1, -1]], [["job", True, 1]]],
    m.reservations: [None, 3, "ab", {}, [3], [["job", 1, 1]], [["job", -1]], [["job", None]]],
    m.ages: [None, 3, [3], [[["job", 0, 1]]], [[["job", 0, 1], -0.1]], [[["job", 0], 0.5]], [[["job", 0, 1], 0.5, 1]]],
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
BOMB = "[" * 200_000  # what no parser should follow


def of_kind(kind):
    """Messages of that kind with anything that their fields may be."""
    return st.tuples(*[RIGHT[check] for _, check in kind.checks]).map(lambda values: kind(*values))


messages = st.sampled_from(KINDS).flatmap(of_kind)
