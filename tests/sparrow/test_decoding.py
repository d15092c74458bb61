"""Whatever comes in and is no batch of messages is refused, by row and field, and nothing else comes of it."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow import messages as m
from src.sparrow.checks import MAX_DURATION_S, MAX_NAME, MAX_NUMBER
from tests.support.batches import ALL, BOMB, BY_KIND, KINDS, WRONG, anything

LAUNCH = ["Launch", "job", 0, 1, 0.5]


def changed(row, position, value):
    return [*row[:position], value, *row[position + 1 :]]


@given(anything)
def test_anything_else_is_refused_and_nothing_else_is_raised(thing):
    for given_thing in (thing, json.dumps(thing), [thing], [[thing]], [["Launch", thing, thing, thing, thing]]):
        try:
            batch = m.decode(given_thing, ALL)
        except (TypeError, ValueError):
            continue
        assert all(type(message) in KINDS for message in batch)


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


@BY_KIND
def test_a_message_that_is_not_expected_is_refused(kind):
    with pytest.raises(ValueError, match=f"unexpected message '{kind.kind}'"):
        m.decode([list(kind.example())], ALL - {kind.kind})


@BY_KIND
def test_a_message_with_a_field_too_few_or_too_many_is_refused(kind):
    row = list(kind.example())
    for wrong in (row[:-1], [*row, 1]):
        with pytest.raises(TypeError, match=f"{kind.kind} takes {len(kind.fields)} fields, not {len(wrong) - 1}"):
            m.decode([wrong], ALL)


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind in KINDS for field in kind.fields], ids=lambda value: getattr(value, "kind", value)
)
def test_what_is_wrong_with_a_field_is_refused_by_its_name(kind, field):
    row = list(kind.example())
    for wrong in WRONG[dict(kind.checks)[field]]:
        with pytest.raises((TypeError, ValueError), match=field) as refusal:
            m.decode([row, changed(row, 1 + kind.fields.index(field), wrong)], ALL)
        assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    "job",
    [None, 3, True, b"job", "", " ", "a b", "a\n", "\x00", "é", "\U0001f600", "x" * (MAX_NAME + 1), ["a"], {"__class__": "x"}],
)
def test_what_is_not_a_name_is_refused(job):
    with pytest.raises((TypeError, ValueError), match="job"):
        m.decode([changed(LAUNCH, 1, job)], ALL)


@pytest.mark.parametrize("number", [True, False, 0.0, 1.5, "1", None, -1, MAX_NUMBER + 1, 10**40, math.nan, math.inf, [1], {}])
def test_what_is_not_a_whole_number_is_refused(number):
    for position, name in (2, "task"), (3, "attempt"):
        with pytest.raises((TypeError, ValueError), match=name) as refusal:
            m.decode([changed(LAUNCH, position, number)], ALL)
        assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    "duration", [True, "1", None, -0.1, -1, math.nan, math.inf, -math.inf, MAX_DURATION_S + 1, 10**400, [], {}]
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
        m.decode([["Reconcile", keys, []]], ALL)


def test_one_bad_message_spoils_its_batch():
    with pytest.raises(ValueError, match="task must be"):
        m.decode([LAUNCH, LAUNCH, changed(LAUNCH, 2, -1)], ALL)


def test_a_batch_is_bounded():
    with pytest.raises(ValueError, match="at most"):
        m.decode([None] * (m.MAX_ROWS + 1), ALL)
