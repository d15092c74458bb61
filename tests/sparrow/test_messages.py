"""What crosses the wire: who says what to whom, and every message comes out as it went in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow import messages as m
from src.sparrow.checks import MAX_DURATION_S, MAX_ELAPSED_S
from src.sparrow.jobtable import JobTable
from src.sparrow.workqueue import WorkQueue
from tests.support.batches import ALL, BY_KIND, KINDS, messages

# Who says what to whom


def test_the_drawing_of_the_page_is_that_of_the_declarations():
    assert m.drawing() in m.__doc__
    assert all(message.kind in m.drawing() for message in KINDS)


@BY_KIND
def test_whoever_gets_a_message_knows_what_to_do_with_it(kind):
    book = {m.SCHEDULER: JobTable, m.WORKER: WorkQueue}[kind.to]
    assert kind is m.Probe or callable(getattr(book, kind.handler))  # find_load() takes nothing: see m.loads


@pytest.mark.parametrize(("book", "to"), [(JobTable, m.SCHEDULER), (WorkQueue, m.WORKER)])
def test_a_book_knows_no_message_that_it_never_gets(book, to):
    handlers = {kind.handler for kind in KINDS if kind.to == to and kind is not m.Probe}
    assert {name for name in vars(book) if name.startswith("_on_")} == handlers


def test_one_load_answers_all_probes_of_a_worker():
    assert m.loads([m.Probe("a", 1), m.Probe("b", 2)], 7) == [m.Load("a", 1, 7), m.Load("b", 2, 7)]


def test_answers_go_back_to_whoever_asked():
    answered = {kind: kind.answered_by for kind in KINDS if kind.answered_by}
    assert answered == {
        m.Probe: (m.Load,),
        m.Reconcile: (m.Holdings,),
        m.Ask: (m.Assign, m.NoTask, m.Offer),
        m.Idle: (m.Noted, m.Offer),
    }
    for kind, answers in answered.items():
        assert all(answer.is_answer and answer.to != kind.to for answer in answers)
    assert [kind for kind in KINDS if kind.is_answer] == [m.Load, m.Holdings, m.Assign, m.NoTask, m.Noted, m.Offer]
    assert [kind for kind in KINDS if bool(kind.method) is kind.is_answer] == [m.Offer]  # an answer, or a call of its own


def test_a_batch_allows_the_answers_to_what_is_in_it():
    assert m.answers_of([]) == frozenset()
    assert m.answers_of([m.Launch.example(), m.Done.example()]) == frozenset()
    assert m.answers_of([m.Launch.example(), m.Reconcile.example()]) == {"Holdings"}
    assert m.answers_of([m.Ask.example(), m.Done.example()]) == {"Assign", "NoTask", "Offer"}


TAKEN: dict[str, list[type[m.Message]]] = {
    "find_load": [m.Probe],
    "add_task": [m.Launch, m.Reconcile, m.Offer],
    "set_late_binding": [m.Reserve, m.Cancel, m.Subscribe, m.Drop],
    "request_task": [m.Ask, m.Idle, m.Bounce, m.Done, m.Leave],
    "task_completed": [m.Bounce, m.Done, m.Leave],
}


@pytest.mark.parametrize(("method", "kinds"), TAKEN.items(), ids=TAKEN)
def test_a_remote_method_takes_what_is_declared_for_it_and_what_rides_along(method, kinds):
    """At least: a message that is added later needs no line here."""
    assert m.taken_by(method) >= {kind.kind for kind in kinds}
    assert not m.taken_by(method) & {kind.kind for other, taken in TAKEN.items() for kind in taken if kind not in kinds}


def test_no_remote_method_takes_an_answer():
    assert m.taken_by("find_loads") == frozenset()
    assert {kind for method in TAKEN for kind in m.taken_by(method) if m.KINDS[kind].is_answer} == {"Offer"}
    assert all(kind.is_answer or any(kind.kind in m.taken_by(method) for method in TAKEN) for kind in KINDS)


LANES: dict[str, set[type[m.Message]]] = {
    "find_load": {m.Probe},
    "add_task": {m.Launch, m.Reconcile, m.Offer},
    "set_late_binding": {m.Reserve, m.Cancel, m.Subscribe, m.Drop},
    "request_task": {m.Ask, m.Idle, m.Bounce, m.Done, m.Leave},
}


def test_what_may_share_a_call_has_the_same_lane():
    lanes: dict[str, set[type[m.Message]]] = {}
    for kind in KINDS:
        if kind.method:
            lanes.setdefault(kind.lane, set()).add(kind)
    assert all(lanes[lane] >= kinds for lane, kinds in LANES.items())


ROUTES = [
    ([m.Probe, m.Probe], "find_load"),
    ([m.Launch], "add_task"),
    ([m.Launch, m.Reconcile], "add_task"),
    ([m.Cancel, m.Reserve, m.Drop], "set_late_binding"),
    ([m.Ask], "request_task"),
    ([m.Done, m.Ask], "request_task"),
    ([m.Ask, m.Done], "request_task"),
    ([m.Done], "task_completed"),
    ([m.Done, m.Leave], "task_completed"),
    ([m.Leave, m.Done, m.Ask], "request_task"),
]


@pytest.mark.parametrize(("kinds", "method"), ROUTES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_batch_goes_by_the_remote_method_that_takes_all_of_it(kinds, method):
    batch = [kind.example() for kind in kinds]
    assert m.method_of(batch) == method
    assert m.decode(m.encode(batch), m.taken_by(method)) == batch


@given(st.sampled_from(list(LANES.values())).flatmap(lambda kinds: st.lists(st.sampled_from(sorted(kinds, key=str)), min_size=1)))
def test_any_batch_of_one_lane_is_taken_whole(kinds):
    batch = [kind.example() for kind in kinds]
    assert m.decode(m.encode(batch), m.taken_by(m.method_of(batch))) == batch


# Round trips


@BY_KIND
def test_the_example_of_each_kind_comes_out_as_it_went_in(kind):
    message = kind.example()
    (again,) = m.decode(m.encode([message]), {kind.kind})
    assert type(again) is kind
    assert again == message
    assert json.loads(m.encode([message]))[0][0] == kind.kind


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
    for name in again.fields:
        field = getattr(again, name)
        if isinstance(field, list):
            assert all(type(key) is tuple for key in field)
            hash(tuple(field))


def test_a_worker_may_report_times_that_are_longer_than_a_task_may_take():
    done = m.Done("job", 0, 1, MAX_ELAPSED_S, MAX_ELAPSED_S)
    holdings = m.Holdings([], [], [], [], [(("job", 0, 1), MAX_ELAPSED_S)])
    assert MAX_ELAPSED_S > MAX_DURATION_S
    assert m.decode(m.encode([done, holdings]), ALL) == [done, holdings]
