"""One schema for all that members say: what is declared is read, and nothing else enters."""

import copy
import json
import math
import random
import time
import typing
from typing import Annotated, Any, Optional, TypedDict

import pytest

from src.sparrow import reports
from src.sparrow.checks import identifier, shown
from src.sparrow.reports import JobDetails, Report, SchedulerStats, WorkerGreeting
from src.sparrow.schema import OneOf, Range, Size, Text, UnreadableError, parse_json, reader

Small = Annotated[int, Range(0, 9)]
Share = Annotated[float, Range(0, 1)]
Word = Annotated[str, Text(5)]


class Inner(TypedDict):
    small: Small


class Outer(TypedDict, total=False):
    inner: Inner
    listed: Annotated[list[Inner], Size(2)]
    named: Annotated[dict[Annotated[str, identifier], Small], Size(2)]


@pytest.mark.parametrize(
    ("declared", "value", "read"),
    [
        (Small, 9, 9),
        (Share, 1, 1.0),
        (Share, 0.5, 0.5),
        (Word, "a b", "a b"),
        (Annotated[str, OneOf(("a", "b"))], "b", "b"),
        (Annotated[str, identifier], "host1", "host1"),
        (Optional[Small], None, None),
        (Optional[Small], 3, 3),
        (tuple[Small, Small], [1, 2], (1, 2)),
        (Annotated[list[Small], Size(2)], [1, 2], [1, 2]),
        (bool, True, True),
        (Inner, {"small": 1, "more": [[[]]]}, {"small": 1}),
        (Outer, {}, {}),
        (Outer, {"inner": {"small": 2}, "named": {"x": 1}}, {"inner": {"small": 2}, "named": {"x": 1}}),
    ],
)
def test_what_is_declared_is_read_and_nothing_else_enters(declared, value, read):
    assert reader(declared)(value) == read


@pytest.mark.parametrize(
    ("declared", "value", "words"),
    [
        (Small, 10, "must be a whole number from 0 to 9, not 10"),
        (Small, True, "must be a whole number"),
        (Small, 1.0, "must be a whole number"),
        (Small, 10**7000, "must be a whole number from 0 to 9, not one of 23,254 bits"),
        (Share, math.nan, "must be a number from 0 to 1, not nan"),
        (Share, math.inf, "must be a number"),
        (Share, -0.1, "must be a number"),
        (Share, 10**400, "must be a number"),
        (Share, "1", "must be a number"),
        (Share, None, "must be a number"),
        (Word, "123456", "at most 5 printable characters"),
        (Word, "a\n", "printable"),
        (Word, "\ud800", "printable"),
        (Word, 3, "printable"),
        (Annotated[str, OneOf(("a", "b"))], "c", "must be one of a, b, not 'c'"),
        (Annotated[str, identifier], "a b", "must be 1 to 128 printable ASCII characters without spaces"),
        (tuple[Small, Small], [1], "must be a list of 2 entries, not a list of 1"),
        (Annotated[list[Small], Size(2)], [1, 2, 3], "must be a list of at most 2 entries, not a list of 3"),
        (Annotated[list[Small], Size(2)], {}, "must be a list"),
        (bool, 1, "must be true or false"),
        (Inner, {}, "small is missing"),
        (Inner, [], "must be an object, not a list of 0"),
        (Outer, {"inner": {"small": "x"}}, "inner.small must be a whole number"),
        (Outer, {"listed": [{"small": 1}, {"small": 77}]}, r"listed\[1\].small must be a whole number from 0 to 9, not 77"),
        (Outer, {"named": {"a": 1, "b": 10}}, "named.b must be a whole number"),
        (Outer, {"named": {"a b": 1}}, "named has a key that must be 1 to 128"),
        (Outer, {"named": dict.fromkeys("abc", 1)}, "named must be an object of at most 2 entries, not a dict of 3"),
    ],
    ids=shown,
)
def test_anything_else_is_refused_and_the_text_says_where_and_what(declared, value, words):
    with pytest.raises(UnreadableError, match=words):
        reader(declared)(value)


@pytest.mark.parametrize(
    "declared", [int, float, str, list[Small], dict[str, Small], Annotated[int, Size(3)], Annotated[list[int], Size(3)]]
)
def test_a_declaration_that_bounds_nothing_is_no_declaration(declared):
    with pytest.raises(TypeError, match="a declaration"):
        reader(declared)


def test_every_type_of_reports_can_be_read_so_each_number_text_and_list_in_it_is_bounded():
    for declared in vars(reports).values():
        if typing.is_typeddict(declared) if hasattr(typing, "is_typeddict") else hasattr(declared, "__required_keys__"):
            reader(declared)


def test_fields_may_be_demanded_or_left_out():
    brief = reader(Outer, required=("inner",), without=("named",))
    assert brief({"inner": {"small": 1}, "named": 7}) == {"inner": {"small": 1}}
    with pytest.raises(UnreadableError, match="inner is missing"):
        brief({})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "must be JSON text, not None"),
        ("", "is not JSON"),
        ("nan", "is not JSON"),
        ("[NaN]", "has NaN, which is no number"),
        ("[-Infinity]", "has -Infinity, which is no number"),
        ("[" + "9" * 8_000 + "]", "is not JSON: a number of 8,000 characters"),
        ("[" * 400 + "]" * 400, "at most 300 values"),
        (" " * 9_000 + "1", "at most 9,000 characters"),
        ("[" + "1," * 300 + "1]", "at most 300 values"),
    ],
)
def test_json_is_bounded_before_it_is_parsed(text, words):
    with pytest.raises(UnreadableError, match=words):
        parse_json(text, 9_000, 300)


def test_json_that_is_nested_deeply_is_refused():
    with pytest.raises(UnreadableError, match="is not JSON"):
        parse_json("[" * 100_000, 10**6, 10**6)


def test_floats_that_are_too_large_become_infinite_and_no_range_has_that():
    assert parse_json("[1e999]", 99, 9) == [math.inf]


@pytest.mark.parametrize(
    "text",
    ["9" * 4_000_000, "[" + "9" * 4_000_000 + "]", "[" * 2_000_000, "[" + "[]," * 100_000 + "[]]", '{"a":' * 200_000],
    ids=["digits", "digits in a list", "deep", "wide", "deep objects"],
)
def test_no_text_takes_long(text):
    began = time.monotonic()
    with pytest.raises(UnreadableError):
        reader(SchedulerStats)(parse_json(text, 8 * 2**20, 500_000))
    assert time.monotonic() - began < 1.0


ABSURD: list[Any] = [
    None,
    True,
    -1,
    1.5,
    math.nan,
    math.inf,
    10**7000,
    "",
    "x" * 10_000,
    "\ud800",
    [],
    [[[[[]]]]],
    {},
    {"": {}},
    {"a b": 1},
]


def a_job(rng):
    spread: dict[str, Any] = {"p50": None, "p95": None, "p99": None, "mean": None, "count": 0, "histogram": []}
    method = {"counts": {"jobs": 1}, "demanded_s": 1.0} | dict.fromkeys(
        ("response_s", "slowdown", "last_wait_s", "wait_s", "service_s"), spread
    )
    line = {"id": "j", "method": "BATCH", "state": "done", "ended": 1, "failed": 0, "retried": 0, "submitted": 1.0}
    line |= {"response_s": 1.0, "ideal_s": 1.0, "slowdown": 1.0, "tasks": 1}
    info = {"name": "BATCH", "summary": "s", "section": "", "colour": 1, "samples": "per job", "why": "W."}
    return {
        "name": "sparrow.scheduler.1",
        "incarnation": "i",
        "method": "BATCH",
        "uptime_s": 1.0,
        "has_workers": True,
        "now": 1.0,
        "open_jobs": 1,
        "open_tasks": {"running": 1, "waiting": 0},
        "progress": {"j": {"ended": 1, "tasks": 2}},
        "workers": {"a": {"slots": 1, "runs": 0, "reservations": 0, "done": 0}},
        "registry": [info],
        "methods": {"BATCH": method},
        "jobs": [line],
    }


def places(value, path=()):
    """The path to each value in a value of JSON."""
    yield path
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(part, (*path, key))


def fault_of(read, value):
    """Why a value is refused, in few words; "" if it is read, and then it can be written again."""
    try:
        json.dumps(read(value), allow_nan=False).encode()
    except UnreadableError as error:
        return str(error)[:400]
    return ""


def test_whatever_stands_in_whatever_place_is_either_of_the_declared_form_or_refused():
    read = reader(SchedulerStats)
    good = a_job(random.Random(1))
    assert read(good) == good
    refused = 0
    for path in places(good):
        for absurd in ABSURD:
            told = copy.deepcopy(good)
            place: Any = told
            for key in path[:-1]:
                place = place[key]
            if path:
                place[path[-1]] = absurd
            else:
                told = absurd
            fault = fault_of(read, told)
            assert len(fault) < 400
            refused += fault != ""
    assert refused > 1_000


def test_a_worker_that_claims_too_many_slots_is_named_by_what_it_claims():
    with pytest.raises(UnreadableError, match="^slots must be a whole number from 1 to 1024, not one of 23,254 bits$"):
        reader(WorkerGreeting)({"name": "sparrow.worker.x", "incarnation": "i", "slots": 10**7000})


def test_the_details_of_the_largest_job_are_read_in_reasonable_time():
    row = {"worker": "host1", "state": "done", "attempts": 1, "placed_s": 0.0, "wait_s": 0.1, "started_s": 0.1, "service_s": 0.1}
    rows = [{**row, "lost_on": [], "lost": [], "reason": None}] * 50_000
    job = {
        **a_job(random.Random(1))["jobs"][0],
        "num_tasks": 100_000,
        "tasks": rows,
        "decisions": [],
        "asked": [],
        "pulled": [],
        "reservations": [],
    }
    read = reader(JobDetails)
    began_s = time.process_time()  # a busy machine may give the processor to others
    assert len(read(job)["tasks"]) == 50_000
    assert time.process_time() - began_s < 2.0


def test_reports_are_declared_as_they_are_made():
    tasks = [{"worker": None, "wait_s": 0.0, "service_s": 0.0, "attempts": 4}]
    report = {"id": "j", "method": "BATCH", "submitted": 1.0, "finished": 2.0, "response_s": 1.0, "ideal_s": 1.0, "retried": 3}
    report = {**report, "tasks": tasks, "failed": [{"reason": "lost", "tasks": [0]}]}
    assert reader(Report)(report) == report
