import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow import messages as m

ALL = tuple({*m.TO_WORKER, *m.TO_SCHEDULER, *m.ANSWERS, m.Probe})

names = st.text("abcXYZ019.-_:+", min_size=1, max_size=m.MAX_NAME)
numbers = st.integers(0, m.MAX_NUMBER)
durations = st.floats(0, m.MAX_DURATION_S)
elapsed = st.floats(0, m.MAX_ELAPSED_S)
FIELDS = {
    "job": names,
    "duration_s": durations,
    "queued_s": elapsed,
    "service_s": elapsed,
    **{name: st.lists(st.tuples(names, numbers, numbers), max_size=4) for name in ("runs", "missing_runs", "extra_runs")},
    **{
        name: st.lists(st.tuples(names, numbers), max_size=4)
        for name in ("reservations", "missing_reservations", "extra_reservations")
    },
}
messages = st.sampled_from(ALL).flatmap(lambda kind: st.builds(kind, *[FIELDS.get(field, numbers) for field in kind._fields]))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
LAUNCH = ["Launch", "job", 0, 1, 0.5]
BOMB = "[" * 200_000


def changed(row, position, value):
    return [*row[:position], value, *row[position + 1 :]]


# Round trips


@given(st.lists(messages, max_size=20))
def test_a_batch_comes_out_as_it_went_in(batch):
    text = m.encode(batch)
    assert isinstance(text, str)
    assert m.decode(text, ALL) == batch
    assert [type(message) for message in m.decode(text, ALL)] == [type(message) for message in batch]


@given(st.lists(messages, max_size=5))
def test_a_batch_may_come_as_rows_that_were_parsed_already(batch):
    assert m.decode(json.loads(m.encode(batch)), ALL) == batch


@given(messages)
def test_the_keys_of_a_decoded_message_can_be_compared_and_hashed(message):
    (again,) = m.decode(m.encode([message]), ALL)
    for field in again:
        if isinstance(field, list):
            assert all(type(key) is tuple for key in field)
            hash(tuple(field))


@given(names, st.lists(durations, min_size=1, max_size=50), st.none() | st.text(max_size=20), st.booleans())
def test_a_job_comes_out_as_it_went_in(id, durations_s, method, wait):
    spec = m.JobSpec(id, tuple(durations_s), method, wait)
    assert m.JobSpec.decode(spec.encode()) == spec
    assert m.JobSpec.decode(json.loads(spec.encode())) == spec


def test_a_job_needs_no_more_than_an_id_and_durations():
    assert m.JobSpec.decode({"id": "a", "durations_s": [1]}) == m.JobSpec("a", (1.0,), None, True)


# Refusals: a batch


@given(anything)
def test_anything_else_is_refused_and_nothing_else_is_raised(thing):
    for given_thing in (thing, json.dumps(thing), [thing], [[thing]], [["Launch", thing, thing, thing, thing]]):
        try:
            batch = m.decode(given_thing, ALL)
        except (TypeError, ValueError):
            continue
        assert all(type(message) in ALL for message in batch)


@given(st.text())
def test_any_text_is_refused_or_understood(text):
    try:
        m.decode(text, ALL)
    except (TypeError, ValueError):
        return
    assert json.loads(text) == []


@pytest.mark.parametrize(
    "batch", [None, 3, True, 1.5, b"[]", {}, {"__class__": "Launch"}, set(), "", "{}", "null", "[", BOMB, '{"a":' * 99_999]
)
def test_what_is_not_a_batch_is_refused(batch):
    with pytest.raises((TypeError, ValueError)) as refusal:
        m.decode(batch, ALL)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    "row",
    [
        [],
        "Launch",
        3,
        None,
        {"__class__": "Launch"},
        [3],
        [None],
        [["Launch"]],
        [{"__class__": "Launch"}],
        ["launch", "job", 0, 1, 0.5],
        ["x" * 10_000],
        ["Launch"],
        LAUNCH[:-1],
        [*LAUNCH, 1],
    ],
    ids=lambda row: str(row)[:30],
)
def test_what_is_not_a_message_is_refused(row):
    with pytest.raises((TypeError, ValueError)) as refusal:
        m.decode([row], ALL)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("kind", ALL)
def test_a_message_of_the_wrong_direction_is_refused(kind):
    others = tuple(other for other in ALL if other is not kind)
    with pytest.raises(ValueError, match="unexpected message"):
        m.decode([[kind.__name__, *[None] * len(kind._fields)]], others)


@pytest.mark.parametrize(
    "job",
    [None, 3, True, b"job", "", " ", "a b", "a\n", "\x00", "é", "\U0001f600", "x" * (m.MAX_NAME + 1), ["a"], {"__class__": "x"}],
)
def test_what_is_not_a_name_is_refused(job):
    with pytest.raises((TypeError, ValueError), match="job"):
        m.decode([changed(LAUNCH, 1, job)], ALL)


@pytest.mark.parametrize("number", [True, False, 0.0, 1.5, "1", None, -1, m.MAX_NUMBER + 1, 10**40, math.nan, math.inf, [1], {}])
def test_what_is_not_a_whole_number_is_refused(number):
    for position, name in (2, "task"), (3, "attempt"):
        with pytest.raises((TypeError, ValueError), match=name) as refusal:
            m.decode([changed(LAUNCH, position, number)], ALL)
        assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    "duration", [True, "1", None, -0.1, -1, math.nan, math.inf, -math.inf, m.MAX_DURATION_S + 1, 10**400, [], {}]
)
def test_what_is_not_a_number_of_seconds_is_refused(duration):
    with pytest.raises((TypeError, ValueError), match="duration_s"):
        m.decode([changed(LAUNCH, 4, duration)], ALL)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e-3", '"1"', "true", "null", "9" * 400, "9" * 5_000])
def test_a_number_of_seconds_that_json_can_say_and_we_cannot_take_is_refused(text):
    with pytest.raises((TypeError, ValueError)):
        m.decode(f'[["Launch","job",0,1,{text}]]', ALL)


@pytest.mark.parametrize(
    "keys",
    [
        None,
        3,
        "ab",
        {},
        {"a": 1},
        [3],
        ["abc"],
        [[]],
        [["job"]],
        [["job", 1]],
        [["job", 1, 2, 3]],
        [["job", True, 1]],
        [["job", 1, -1]],
        [[3, 1, 1]],
    ],
    ids=str,
)
def test_what_is_not_a_list_of_runs_is_refused(keys):
    with pytest.raises((TypeError, ValueError)):
        m.decode([["Heartbeat", keys, []]], ALL)


def test_one_bad_message_spoils_its_batch():
    with pytest.raises(ValueError, match="task must be"):
        m.decode([LAUNCH, LAUNCH, changed(LAUNCH, 2, -1)], ALL)


def test_a_batch_is_bounded():
    with pytest.raises(ValueError, match="at most"):
        m.decode([None] * (m.MAX_ROWS + 1), ALL)


# Refusals: a job


@given(anything)
def test_any_other_job_is_refused_and_nothing_else_is_raised(thing):
    for job in (thing, json.dumps(thing), {"id": thing, "durations_s": [1.0]}, {"id": "a", "durations_s": thing}):
        try:
            spec = m.JobSpec.decode(job)
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
        ({"durations_s": [0.1] * (m.MAX_TASKS + 1)}, "1 to 100000 tasks"),
        ({"durations_s": None}, "durations_s"),
        ({"durations_s": "123"}, "durations_s"),
        ({"durations_s": {"0": 1}}, "durations_s"),
        ({"durations_s": [0.1, -0.1]}, "durations_s"),
        ({"durations_s": [math.nan]}, "durations_s"),
        ({"durations_s": [math.inf]}, "durations_s"),
        ({"durations_s": [True]}, "durations_s"),
        ({"durations_s": ["1"]}, "durations_s"),
        ({"durations_s": [m.MAX_DURATION_S * 1.01]}, "durations_s"),
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
        m.JobSpec.decode({"id": "a", "durations_s": [1.0], **change})
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("job", [None, 3, [], "", "null", "[]", "{", BOMB, '{"id":' * 99_999, b"{}"], ids=lambda job: str(job)[:10])
def test_what_is_not_a_job_is_refused(job):
    with pytest.raises((TypeError, ValueError)):
        m.JobSpec.decode(job)
