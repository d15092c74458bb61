"""The worker's book, event by event."""

import copy

import pytest

from src.simulation import audit
from src.sparrow import messages as m
from src.sparrow.commands import Send, Start, Stop
from src.sparrow.settings import WorkerSettings
from src.sparrow.workqueue import WorkQueue
from tests.support.books import RECONCILE, S1, S2, hears


def test_a_task_starts_when_a_slot_is_free():
    queue = WorkQueue(2)
    launches = [m.Launch("job", i, 1, 0.5) for i in range(3)]
    assert hears(queue, *launches) == [Start(S1, ("job", 0, 1), 0.5), Start(S1, ("job", 1, 1), 0.5)]
    assert queue.load == 3
    assert queue.ended(S1, ("job", 0, 1), 0.6) == [
        Send(S1, m.Done("job", 0, 1, 0.0, 0.6)),
        Start(S1, ("job", 2, 1), 0.5),
    ]
    assert queue.ended(S1, ("job", 2, 1), 1.2) == [Send(S1, m.Done("job", 2, 1, pytest.approx(0.6), pytest.approx(0.6)))]
    assert (queue.load, queue.completed) == (1, 2)


def test_load_counts_queued_running_and_asking():
    queue = WorkQueue(2)
    hears(queue, m.Launch("job", 0, 1, 0.5), m.Reserve("late", 0), m.Reserve("late", 1))
    assert queue.load == 3


# Late binding


def test_a_reservation_asks_only_at_the_front_and_holds_the_slot_meanwhile():
    queue = WorkQueue(1)
    assert hears(queue, m.Launch("job", 0, 1, 0.5), m.Reserve("late", 3)) == [Start(S1, ("job", 0, 1), 0.5)]
    done, ask = queue.ended(S1, ("job", 0, 1), 0.5)
    assert (done.message, ask) == (m.Done("job", 0, 1, 0.0, 0.5), Send(S1, m.Ask("late", 3)))
    assert hears(queue, m.Launch("job", 1, 1, 0.5)) == [], "the slot is taken by the question"
    assert hears(queue, m.Assign("late", 3, 0, 1, 0.2)) == [Start(S1, ("late", 0, 1), 0.2)]
    assert len(queue.queue) == 1


def test_a_no_op_frees_the_slot():
    queue = WorkQueue(1)
    hears(queue, m.Reserve("late", 0), m.Launch("job", 0, 1, 0.5))
    assert hears(queue, m.NoTask("late", 0)) == [Start(S1, ("job", 0, 1), 0.5)]


def test_a_cancelled_reservation_never_asks():
    queue = WorkQueue(1)
    hears(queue, m.Launch("job", 0, 1, 0.5), m.Reserve("late", 0), m.Reserve("late", 1))
    assert hears(queue, m.Cancel("".join(["la", "te"]), 0)) == []
    assert queue.load == 2
    _, ask = queue.ended(S1, ("job", 0, 1), 0.5)
    assert ask == Send(S1, m.Ask("late", 1))


def test_a_cancellation_is_for_the_reservation_of_that_scheduler():
    queue = WorkQueue(1)
    hears(queue, m.Launch("job", 0, 1, 0.5), m.Reserve("late", 0))
    hears(queue, m.Reserve("late", 0), owner=S2)
    hears(queue, m.Cancel("late", 0), owner=S2)
    assert [entry.owner for entry in queue.queue] == [S1]


def test_a_reservation_that_comes_after_its_cancellation_stays_out():
    queue = WorkQueue(1)
    hears(queue, m.Cancel("late", 0))
    assert hears(queue, m.Reserve("late", 0)) == []
    assert queue.load == 0


def test_a_cancellation_does_not_take_the_slot_from_a_question():
    queue = WorkQueue(1)
    hears(queue, m.Reserve("late", 0))
    hears(queue, m.Cancel("late", 0))
    assert len(queue.asking) == 1
    hears(queue, m.NoTask("late", 0))
    assert queue.load == 0


# Once is enough


def test_every_message_may_come_twice():
    script = [
        m.Launch("job", 0, 1, 0.5),
        m.Reserve("late", 0),
        m.Reserve("late", 1),
        m.Reserve("late", 2),
        m.Assign("late", 0, 0, 1, 0.2),
        m.NoTask("late", 1),
        m.Cancel("late", 2),
        m.Drop("job", 0, 1),
    ]
    for upto in range(1, len(script) + 1):
        queue = WorkQueue(1)
        hears(queue, *script[: upto - 1])
        hears(queue, script[upto - 1])
        once = copy.deepcopy((list(queue.queue), queue.running, queue.asking))
        if not isinstance(script[upto - 1], m.Drop):
            assert not [command for command in hears(queue, script[upto - 1]) if not isinstance(command, Send)]
            assert (list(queue.queue), queue.running, queue.asking) == once, script[upto - 1]


def test_a_task_that_has_ended_is_not_run_again_but_its_end_is_told_again():
    queue = WorkQueue(1)
    hears(queue, m.Launch("job", 0, 1, 0.5))
    (done,) = queue.ended(S1, ("job", 0, 1), 0.5)
    assert hears(queue, m.Launch("job", 0, 1, 0.5), now=3.0) == [done]
    assert hears(queue, m.Assign("job", 0, 0, 1, 0.5), now=3.0) == [done]
    assert queue.ended(S1, ("job", 0, 1), 4.0) == []
    assert queue.completed == 1


def test_an_answer_that_comes_after_its_question_was_given_up_is_run_all_the_same():
    queue = WorkQueue(1)
    hears(queue, m.Launch("job", 0, 1, 0.5))
    hears(queue, m.Assign("late", 0, 0, 1, 0.2))
    assert queue.load == 2
    queue.ended(S1, ("job", 0, 1), 0.5)
    assert list(queue.running) == [(S1, ("late", 0, 1))]


def test_the_same_run_of_two_schedulers_is_two_runs():
    queue = WorkQueue(2)
    assert hears(queue, m.Launch("job", 0, 1, 0.5)) == [Start(S1, ("job", 0, 1), 0.5)]
    assert hears(queue, m.Launch("job", 0, 1, 0.5), owner=S2) == [Start(S2, ("job", 0, 1), 0.5)]


# Giving up


def test_nothing_of_a_lost_scheduler_keeps_a_slot():
    queue = WorkQueue(2)
    hears(queue, m.Launch("job", 0, 1, 9.0), m.Reserve("late", 0), m.Reserve("late", 1), m.Launch("job", 1, 1, 9.0))
    hears(queue, m.Launch("other", 0, 1, 0.5), owner=S2)
    assert queue.lost(S1, 1.0) == [Stop(S1, ("job", 0, 1)), Start(S2, ("other", 0, 1), 0.5)]
    assert queue.load == 1
    assert audit.of_queue(queue) == []
    assert queue.lost(S1, 1.0) == []


def test_what_a_lost_scheduler_has_queued_is_dropped_in_steps_and_nothing_of_it_starts_meanwhile():
    queue = WorkQueue(1, WorkerSettings(max_dropped=10))
    hears(queue, *(m.Launch("job", i, 1, 0.5) for i in range(26)))
    hears(queue, m.Launch("other", 0, 1, 0.5), owner=S2)
    assert queue.lost(S1, 1.0) == [Stop(S1, ("job", 0, 1))]
    assert (queue.has_work, queue.load) == (True, 16)
    assert hears(queue, m.Launch("other", 1, 1, 0.5), owner=S2) == []
    assert queue.work(1.0) == []
    assert queue.work(1.0) == [Start(S2, ("other", 0, 1), 0.5)]
    assert (queue.has_work, queue.load) == (False, 2)


def test_a_worker_that_leaves_while_it_drops_takes_nothing_more():
    queue = WorkQueue(1, WorkerSettings(max_dropped=10))
    hears(queue, *(m.Launch("job", i, 1, 0.5) for i in range(30)))
    queue.lost(S1, 1.0)
    queue.leave([], 1.0, 0.5)
    assert (queue.has_work, queue.load) == (False, 0)


def test_a_dropped_run_is_stopped_or_leaves_the_queue():
    queue = WorkQueue(1)
    hears(queue, *[m.Launch("job", i, 1, 9.0) for i in range(3)])
    assert hears(queue, m.Drop("job", 1, 1)) == []
    assert hears(queue, m.Drop("job", 0, 1)) == [Stop(S1, ("job", 0, 1)), Start(S1, ("job", 2, 1), 9.0)]
    assert hears(queue, m.Drop("job", 7, 1)) == []
    assert queue.ended(S1, ("job", 0, 1), 9.0) == []


def test_leaving_hands_back_all_but_what_ends_soon():
    queue = WorkQueue(3)
    hears(queue, m.Launch("job", 0, 1, 1.0), m.Launch("job", 1, 1, 9.0), m.Reserve("late", 0), m.Launch("job", 2, 1, 0.1))
    hears(queue, m.Launch("other", 0, 1, 1.0), owner=S2)
    assert queue.leave([S1, S2], 0.5, within_s=1.0) == [
        Stop(S1, ("job", 1, 1)),
        Send(S1, m.Leave([("job", 0, 1)])),
        Send(S2, m.Leave([])),
    ]
    assert queue.load == 1
    late = (m.Launch("job", 3, 1, 0.1), m.Reserve("late", 5), m.Assign("late", 0, 1, 1, 0.1))
    assert hears(queue, *late, now=0.6) == [], "nothing is taken any more"
    assert [type(command.message) for command in queue.ended(S1, ("job", 0, 1), 1.0)] == [m.Done]


# Reconciling


def test_a_reconcile_finds_what_differs():
    queue = WorkQueue(1)
    hears(queue, m.Launch("job", 0, 1, 9.0), m.Reserve("late", 0), m.Launch("job", 1, 1, 9.0), m.Reserve("late", 1))
    hears(queue, m.Launch("job", 2, 1, 9.0), m.Reserve("late", 2), now=5.0)
    hears(queue, m.Launch("other", 0, 1, 9.0), owner=S2)
    reconcile = m.Reconcile([("job", 0, 1), ("gone", 0, 1)], [("late", 0), ("gone", 1)])
    assert hears(queue, reconcile, now=5.0 + RECONCILE.settled_s / 2) == [
        Send(S1, m.Holdings([("gone", 0, 1)], [("gone", 1)], [("job", 1, 1)], [("late", 1)], [(("job", 0, 1), 5.5)]))
    ]


def test_a_reconcile_that_names_an_ended_run_is_told_its_end():
    queue = WorkQueue(1)
    hears(queue, m.Launch("job", 0, 1, 0.5))
    (done,) = queue.ended(S1, ("job", 0, 1), 0.5)
    assert hears(queue, m.Reconcile([("job", 0, 1)], []), now=2.0) == [done, Send(S1, m.Holdings([], [], [], [], []))]


def test_a_reconcile_that_names_a_reservation_that_was_used_is_in_order():
    queue = WorkQueue(1)
    hears(queue, m.Reserve("late", 0))
    hears(queue, m.Assign("late", 0, 0, 1, 9.0))
    held = hears(queue, m.Reconcile([("late", 0, 1)], [("late", 0)]), now=2.0)
    assert held == [Send(S1, m.Holdings([], [], [], [], [(("late", 0, 1), 2.0)]))]


def test_what_is_remembered_is_bounded():
    queue = WorkQueue(1, WorkerSettings(remembered=10))
    for number in range(100):
        hears(queue, m.Launch("job", number, 1, 0.0))
        queue.ended(S1, ("job", number, 1), 0.0)
    assert len(queue._ended) == 10
