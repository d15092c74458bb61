"""The tasks of a report by columns, and packed numbers: what goes in comes out, and what is malformed is refused."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow.jobspec import JobSpec
from src.sparrow.packing import COUNTS, SECONDS, pack, unpack
from src.sparrow.taskcolumns import TaskColumns, decode, encode, plain, rows

TASKS: list[Any] = [
    {"worker": "a", "wait_s": 0.25, "service_s": 0.5, "attempts": 1},
    {"worker": None, "wait_s": 0.0, "service_s": 0.0, "attempts": 4},
    {"worker": "a", "wait_s": 1 / 3, "service_s": 2.0, "attempts": 2},
]
COLUMNS = TaskColumns.of(["a", None, "a"], [0.25, 0.0, 1 / 3], [0.5, 0.0, 2.0], [1, 4, 2])
REPORT: Any = {"id": "a", "method": "BATCH", "tasks": COLUMNS, "failed": [{"reason": "lost", "tasks": [1]}]}


@given(st.lists(st.floats(allow_nan=False)), st.lists(st.integers(0, 2**32 - 1)))
def test_numbers_are_packed_exactly(seconds, counts):
    assert list(unpack(SECONDS, pack(SECONDS, seconds), "n")) == seconds
    assert list(unpack(COUNTS, pack(COUNTS, counts), "n")) == counts


def test_the_form_of_packed_numbers_is_fixed():
    assert pack(SECONDS, [1.0]) == "AAAAAAAA8D8="
    assert pack(COUNTS, [1, 258]) == "AQAAAAIBAAA="


@pytest.mark.parametrize(("text", "error"), [(7, TypeError), ("?", ValueError), ("AAAA", ValueError), ("\u00e9", ValueError)])
def test_what_is_not_packed_is_refused(text, error):
    with pytest.raises(error, match="^durations"):
        unpack(SECONDS, text, "durations")


def test_tasks_are_a_list_of_dicts_to_whoever_looks():
    assert list(COLUMNS) == TASKS
    assert COLUMNS == TASKS
    assert COLUMNS[1:] == TASKS[1:]
    assert COLUMNS[-1] == TASKS[-1]
    assert len(COLUMNS) == 3
    assert repr(COLUMNS) == repr(TASKS)
    assert list(rows(COLUMNS)) == list(rows(TASKS)) == [tuple(task.values()) for task in TASKS]


def test_a_report_crosses_the_wire():
    assert decode(encode(REPORT)) == REPORT
    assert isinstance(decode(encode(REPORT))["tasks"], TaskColumns)
    assert decode(json.dumps(plain(REPORT)))["tasks"] == TASKS
    assert decode('{"id": "a", "accepted": true}') == {"id": "a", "accepted": True}


@pytest.mark.parametrize(
    "change",
    [
        *({"workers": None}, {"workers": [7]}, {"workers": []}, {"worker": pack(COUNTS, [0, 1])}),
        *({"worker": pack(COUNTS, [0, 1, 2])}, {"wait_s": None}, {"wait_s": "x"}, {"attempts": [1, 2, 3]}),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(change):
    report = json.loads(encode(REPORT))
    report["tasks"].update(change)
    with pytest.raises((TypeError, ValueError)):
        decode(json.dumps(report))


@pytest.mark.parametrize("duration_s", [-0.1, math.nan, math.inf, 1e9])
def test_packed_durations_are_checked_like_others(duration_s):
    job = {"id": "a", "durations_s": pack(SECONDS, [0.1, duration_s, 0.2])}
    with pytest.raises(ValueError, match="durations_s must be from 0"):
        JobSpec.decode(json.dumps(job))
