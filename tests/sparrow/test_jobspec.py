"""A job as a client hands it over: it comes out as it went in, and what is wrong with any other is named."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow.checks import MAX_DURATION_S
from src.sparrow.jobspec import MAX_TASKS, JobSpec
from tests.support.batches import BOMB, anything, durations, names


@given(names, st.lists(durations, min_size=1, max_size=50), st.none() | st.text(max_size=20), st.booleans())
def test_a_job_comes_out_as_it_went_in(id, durations_s, method, wait):
    spec = JobSpec(id, tuple(durations_s), method, wait)
    assert JobSpec.decode(spec.encode()) == spec._replace(packed=True)
    assert JobSpec.decode(json.loads(spec.encode())) == spec._replace(packed=True)


def test_a_job_needs_no_more_than_an_id_and_durations():
    assert JobSpec.decode({"id": "a", "durations_s": [1]}) == JobSpec("a", (1.0,), None, True)


@given(anything)
def test_any_other_job_is_refused_and_nothing_else_is_raised(thing):
    for job in (thing, json.dumps(thing), {"id": thing, "durations_s": [1.0]}, {"id": "a", "durations_s": thing}):
        try:
            spec = JobSpec.decode(job)
        except (TypeError, ValueError):
            continue
        assert spec.durations_s
        assert all(type(duration) is float for duration in spec.durations_s)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": None}, "id of a job"),
        ({"id": 3}, "id of a job"),
        ({"id": ""}, "id of a job"),
        ({"id": "x" * 129}, "id of a job"),
        ({"durations_s": []}, "1 to 100000 tasks"),
        ({"durations_s": [0.1] * (MAX_TASKS + 1)}, "1 to 100000 tasks"),
        ({"durations_s": None}, "durations_s"),
        ({"durations_s": "123"}, "durations_s"),
        ({"durations_s": {"0": 1}}, "durations_s"),
        ({"durations_s": [0.1, -0.1]}, "durations_s"),
        ({"durations_s": [math.nan]}, "durations_s"),
        ({"durations_s": [math.inf]}, "durations_s"),
        ({"durations_s": [True]}, "durations_s"),
        ({"durations_s": ["1"]}, "durations_s"),
        ({"durations_s": [MAX_DURATION_S * 1.01]}, "durations_s"),
        ({"method": 3}, "method"),
        ({"method": ["BATCH"]}, "method"),
        ({"wait": 1}, "wait"),
        ({"wait": None}, "wait"),
        ({"__class__": "Job"}, "__class__"),
        ({"methd": "BATCH"}, "methd"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_with_a_job_is_named(change, named):
    with pytest.raises((TypeError, ValueError), match=named) as refusal:
        JobSpec.decode({"id": "a", "durations_s": [1.0], **change})
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("job", [None, 3, [], "", "null", "[]", "{", BOMB, '{"id":' * 99_999, b"{}"], ids=lambda job: str(job)[:10])
def test_what_is_not_a_job_is_refused(job):
    with pytest.raises((TypeError, ValueError)):
        JobSpec.decode(job)
