"""The tasks of a report by columns, and packed numbers: what goes in comes out, and what is malformed is refused."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow.jobspec import JobSpec
from src.sparrow.packing import COUNTS, SECONDS, pack, unpack
from src.sparrow.schema import UnreadableError
from src.sparrow.taskcolumns import PACKED, TASKS_AT_ONCE, TaskColumns, decode, encode, plain, rows

TASKS: list[Any] = [
    {"worker": "a", "wait_s": 0.25, "service_s": 0.5, "attempts": 1},
    {"worker": None, "wait_s": 0.0, "service_s": 0.0, "attempts": 4},
    {"worker": "a", "wait_s": 1 / 3, "service_s": 2.0, "attempts": 2},
]
COLUMNS = TaskColumns.of(["a", None, "a"], [0.25, 0.0, 1 / 3], [0.5, 0.0, 2.0], [1, 4, 2])
HEAD: Any = {"id": "a", "method": "BATCH", "submitted": 1.0, "finished": 3.0, "response_s": 2.0, "ideal_s": 2.0, "retried": 1}
REPORT: Any = {**HEAD, "tasks": COLUMNS, "failed": [{"reason": "lost", "tasks": [1]}]}
SPEC = JobSpec("a", (0.5,) * 3)


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


def read(text, spec=SPEC):
    """-> (the report, how many steps it took)"""
    reading, steps = decode(text, spec), 1
    while True:
        try:
            next(reading)
        except StopIteration as end:
            return end.value, steps
        steps += 1


def test_a_report_crosses_the_wire():
    assert read(encode(REPORT)) == (REPORT, 1)
    assert isinstance(read(encode(REPORT))[0]["tasks"], TaskColumns)


@pytest.mark.parametrize("reasons", [0, 1, 3])
def test_a_large_report_is_read_in_steps(reasons):
    tasks = 10 * TASKS_AT_ONCE
    columns = TaskColumns.of([f"w{n % 7}" for n in range(tasks)], [0.5] * tasks, [float(n) for n in range(tasks)], [1] * tasks)
    failed = [{"reason": f"lost {n}", "tasks": list(range(n, tasks, reasons))} for n in range(reasons)]
    report: Any = {**REPORT, "tasks": columns, "failed": failed}
    again, steps = read(encode(report), JobSpec("a", (0.5,) * tasks))
    assert (again["tasks"].service_s, again["failed"]) == (columns.service_s, failed)
    assert steps == 6 + max(0, reasons - 1)


def test_an_answer_to_who_does_not_wait_says_that_the_job_is_accepted():
    spec = SPEC._replace(wait=False)
    assert read('{"id": "a", "accepted": true}', spec) == ({"id": "a", "accepted": True}, 1)
    for lie in ('{"id": "b", "accepted": true}', '{"id": "a", "accepted": false}', '{"id": "a"}', "[]", encode(REPORT)):
        with pytest.raises(UnreadableError):
            read(lie, spec)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *(
            (None, "must be JSON text"),
            (plain(REPORT), "must be JSON text"),
            ("[" * 100_000, "nested too deeply"),
            ("x", "is not JSON"),
        ),
        *(("[]", "must be an object"), ("{}", "id is missing"), (json.dumps(plain(REPORT)), "tasks must be an object")),
    ],
)
def test_what_is_no_report_is_refused(text, words):
    with pytest.raises(UnreadableError, match=words):
        read(text)


@pytest.mark.parametrize(
    "change",
    [
        *({"id": "b"}, {"id": 7}, {"method": "\x1b[31mBATCH"}, {"method": None}, {"finished": math.inf}, {"submitted": "now"}),
        *({"ideal_s": math.nan}, {"ideal_s": "x"}, {"ideal_s": -1.0}, {"retried": "x"}, {"retried": 0.5}, {"response_s": None}),
        *(
            {"failed": None},
            {"failed": [7]},
            {"failed": [{"reason": 3, "tasks": [1]}]},
            {"failed": [{"reason": "x", "tasks": [3]}]},
        ),
        *(
            {"failed": [{"reason": "x", "tasks": [-1]}]},
            {"failed": [{"reason": "x"}]},
            {"failed": [{"reason": "x", "tasks": []}] * 4},
        ),
    ],
    ids=str,
)
def test_a_report_with_a_field_that_cannot_be_is_refused_and_the_field_is_named(change):
    with pytest.raises(UnreadableError, match=f"{next(iter(change))}|has NaN|has Infinity"):
        read(json.dumps({**json.loads(encode(REPORT)), **change}))


@pytest.mark.parametrize(
    "change",
    [
        *({"workers": None}, {"workers": [7]}, {"workers": []}, {"workers": ["a b", None]}, {"worker": pack(COUNTS, [0, 1])}),
        *({"worker": pack(COUNTS, [0, 1, 2])}, {"wait_s": None}, {"wait_s": "x"}, {"attempts": [1, 2, 3]}),
        *({"service_s": pack(SECONDS, [0.0, 1.0, bad])} for bad in (-1.0, math.nan, math.inf, 1e300)),
        *({"wait_s": pack(SECONDS, [bad, 1.0, 1.0])} for bad in (-1.0, math.nan, math.inf, 1e300)),
        {name: pack(PACKED[name], [1.0] if PACKED[name] == SECONDS else [0]) for name in PACKED},  # one task of three
        dict.fromkeys(PACKED, ""),
    ],
    ids=str,
)
def test_columns_that_do_not_fit_together_are_refused(change):
    report = json.loads(encode(REPORT))
    report["tasks"].update(change)
    with pytest.raises(UnreadableError, match="^tasks."):
        read(json.dumps(report))


@pytest.mark.parametrize("duration_s", [-0.1, math.nan, math.inf, 1e9])
def test_packed_durations_are_checked_like_others(duration_s):
    job = {"id": "a", "durations_s": pack(SECONDS, [0.1, duration_s, 0.2])}
    with pytest.raises(ValueError, match="durations_s must be from 0"):
        JobSpec.decode(json.dumps(job))
