"""A worker without its I/O, event by event: what it takes from which scheduler, what it runs, and how it leaves."""

import pytest

from src.sparrow import messages as m
from src.sparrow.link import LOST
from src.sparrow.messages import Address
from src.sparrow.settings import WorkerSettings
from tests.support.books import S1, S2, says_of_itself
from tests.support.workernode import SETTINGS, URI, Worker, launch

# Tasks


def test_a_task_is_run_in_a_slot_and_its_end_is_told():
    worker = Worker()
    assert worker.hears(launch(0, 0.25)) == []
    assert worker.host.runs == [(S1, ("job", 0, 1), 0.25)]
    worker.host.advance(0.25)
    worker.end(("job", 0, 1))
    assert worker.told() == [m.Done("job", 0, 1, 0.0, 0.25)]


def test_the_end_of_a_task_and_the_question_for_the_next_go_in_one_call():
    worker = Worker()
    worker.hears(launch(0), m.Reserve("late", 0))
    worker.host.advance(0.5)
    worker.end(("job", 0, 1))
    assert [called.batch for called in worker.host.calls] == [[m.Done("job", 0, 1, 0.0, 0.5), m.Ask("late", 0)]]
    worker.host.answer(worker.node.links[S1], m.Assign("late", 0, 3, 1, 0.2))
    assert worker.host.runs == [(S1, ("late", 3, 1), 0.2)]


def test_a_run_that_is_dropped_is_stopped():
    worker = Worker()
    worker.hears(launch(0), launch(1))
    worker.hears(m.Drop("job", 0, 1))
    assert worker.in_slots() == [("job", 1, 1)]
    worker.node.run_ended(S1, ("job", 0, 1))
    assert worker.told() == [], "it does not count, should it end all the same"


def test_empty_tasks_are_over_at_once_but_not_so_many_that_others_wait():
    worker = Worker(settings=WorkerSettings(max_at_once=10))
    worker.hears(*[launch(task, 0.0) for task in range(25)])
    assert worker.node.queue.completed == 10
    assert worker.in_slots() == [("job", 10, 1)], "the next one takes its turn"
    worker.end(("job", 10, 1))
    assert worker.node.queue.completed == 21
    worker.end(("job", 21, 1))
    assert sorted(done.task for done in worker.told()) == list(range(25))


def test_answers_go_into_the_call_and_all_else_by_the_link():
    worker = Worker()
    worker.hears(launch(0))
    worker.host.advance(2.0)
    worker.end(("job", 0, 1))
    worker.told()
    calls = len(worker.host.calls)
    holdings = worker.hears(m.Reconcile([("job", 0, 1), ("job", 1, 1)], []))
    assert holdings == [m.Holdings([("job", 1, 1)], [], [], [], [])]
    assert [called.batch for called in worker.host.calls[calls:]] == [[m.Done("job", 0, 1, 0.0, 2.0)]]
    assert worker.node.queue.load == 0


# Schedulers


def test_a_scheduler_is_connected_where_it_says_that_it_is():
    worker = Worker()
    worker.node.received(S1, says_of_itself(*S1, URI), [])
    worker.node.received(S2, says_of_itself(*S2), [])
    assert [(link.name, link.incarnation, link.uri) for link in worker.node.links.values()] == [(*S1, URI), (*S2, None)]
    worker.node.received(S1, says_of_itself(*S1, URI), [])
    assert len(worker.host.connects) == 2


@pytest.mark.parametrize("name", ["somebody", "sparrow.worker.w2", "sparrow.schedulers", ""])
def test_whoever_is_no_scheduler_is_refused(name):
    worker = Worker()
    with pytest.raises(ValueError, match="not the name of a scheduler"):
        worker.hears(launch(0), scheduler=Address(name, "1"))
    assert (worker.node.links, worker.node.queue.load) == ({}, 0)


def test_what_a_restarted_scheduler_gave_before_is_dropped():
    worker = Worker(slots=2)
    worker.hears(launch(0), launch(1), launch(2))
    worker.hears(launch(0, job="other"), scheduler=S2)
    again = S1._replace(incarnation="later")
    worker.hears(launch(5), scheduler=again)
    assert list(worker.node.links) == [S2, again]
    assert [(owner, run) for owner, run, _ in worker.host.runs] == [(S2, ("other", 0, 1)), (again, ("job", 5, 1))]
    assert worker.host.noted("warning") == [f"{S1.name} is lost: it was restarted; what it gave is dropped"]


@pytest.mark.parametrize("closes", [False, True])
def test_what_a_lost_scheduler_queued_is_dropped_in_steps_and_a_closed_worker_begins_nothing(closes):
    worker = Worker(settings=WorkerSettings(max_dropped=10))
    worker.hears(*[launch(task) for task in range(25)])
    worker.hears(launch(0, job="other"), scheduler=S2)
    worker.node.links[S1].give_up("it has gone")
    assert (worker.node.queue.load, worker.in_slots()) == (15, [])
    if closes:
        worker.node.close()
    worker.host.advance()
    assert worker.in_slots() == ([] if closes else [("other", 0, 1)])


def test_what_a_lost_scheduler_gave_makes_room_for_others():
    worker = Worker()
    worker.hears(launch(0, 9.0), m.Reserve("late", 0))
    worker.hears(launch(0, job="other"), scheduler=S2)
    worker.host.break_off(worker.node.links[S1])
    worker.host.advance(SETTINGS.link.lost_after_s)
    assert list(worker.node.links) == [S2]
    assert worker.in_slots() == [("other", 0, 1)]
    assert worker.node.queue.load == 1


def test_a_question_that_is_refused_frees_its_slot():
    worker = Worker()
    worker.hears(m.Reserve("late", 0), launch(0))
    assert worker.in_slots() == []
    worker.host.end_call(worker.node.links[S1], "refused", "unknown job")
    assert worker.in_slots() == [("job", 0, 1)]
    assert worker.node.queue.load == 1


def test_the_end_of_a_run_that_is_refused_changes_nothing():
    worker = Worker()
    worker.hears(launch(0), launch(1))
    worker.end(("job", 0, 1))
    worker.host.end_call(worker.node.links[S1], "refused", "unknown job")
    assert worker.in_slots() == [("job", 1, 1)]


def test_schedulers_that_are_there_at_the_start_are_greeted():
    worker = Worker()
    worker.node.names_seen({S1.name: URI, S2.name: "PYRO:other@127.0.0.1:2"})
    assert worker.host.greetings == [(S1.name, URI), (S2.name, "PYRO:other@127.0.0.1:2")]
    assert worker.node.links == {}


# Room


def test_a_worker_takes_no_more_than_it_has_room_for():
    worker = Worker(settings=WorkerSettings(max_held=10))
    worker.hears(*[launch(task) for task in range(6)])
    for batch in ([launch(task, job="b") for task in range(5)], [m.Reserve("late", number) for number in range(5)]):
        with pytest.raises(BlockingIOError, match="try later: w1 holds 6 tasks of 1 schedulers"):
            worker.hears(*batch)
    assert worker.node.queue.load == 6
    assert worker.hears(*[launch(task, job="b") for task in range(4)]) == []
    assert worker.node.queue.load == 10


def test_a_worker_without_room_still_hears_what_makes_room():
    worker = Worker(settings=WorkerSettings(max_held=3))
    worker.hears(*[launch(task) for task in range(5)])
    assert worker.node.queue.load == 5
    assert len(worker.hears(m.Reconcile([], []))) == 1
    worker.hears(*[m.Drop("job", task, 1) for task in range(2, 5)], m.Cancel("job", 5))
    worker.hears(launch(7))
    assert worker.node.queue.load == 3


def test_what_has_not_been_told_yet_takes_room_too():
    worker = Worker(settings=WorkerSettings(max_held=10))
    worker.hears(*[launch(task, 0.0) for task in range(8)])
    assert worker.node.queue.load == 0
    with pytest.raises(BlockingIOError):
        worker.hears(*[launch(task, job="b") for task in range(3)])
    worker.told()
    worker.hears(*[launch(task, job="b") for task in range(3)])


def test_a_worker_that_holds_nothing_takes_any_batch():
    worker = Worker(settings=WorkerSettings(max_held=3))
    worker.hears(*[launch(task) for task in range(5)])
    assert worker.node.queue.load == 5


def test_a_worker_knows_no_more_schedulers_than_it_has_room_for():
    worker = Worker(settings=WorkerSettings(max_schedulers=2))
    worker.hears()
    worker.hears(scheduler=S2)
    third = Address("sparrow.scheduler.3", "c")
    with pytest.raises(BlockingIOError, match="2 schedulers"):
        worker.hears(scheduler=third)
    assert list(worker.node.links) == [S1, S2]
    worker.hears(launch(0))
    worker.node.links[S2].give_up("it has gone")
    worker.hears(scheduler=third)


# Leaving


def test_a_worker_that_leaves_hands_back_all_but_what_ends_soon():
    worker = Worker(slots=2)
    worker.hears(launch(0, 9.0), launch(1, SETTINGS.finish_s), launch(2))
    worker.hears(launch(0, job="other"), scheduler=S2)
    worker.node.leave([])
    worker.host.settle()
    assert worker.in_slots() == [("job", 1, 1)]
    assert worker.told() == [m.Leave([("job", 1, 1)])]
    assert worker.told(S2) == [m.Leave([])]
    assert worker.host.noted("info") == ["hands back 1 running tasks, ends 1"]
    assert worker.host.goodbyes == 0
    worker.host.advance(SETTINGS.finish_s)
    worker.end(("job", 1, 1))
    assert worker.host.goodbyes == 0, "its end is not told yet"
    assert worker.told()[1:] == [m.Done("job", 1, 1, 0.0, SETTINGS.finish_s)]
    worker.host.advance(SETTINGS.leaving_look_s)
    assert worker.host.goodbyes == 1
    assert worker.host.timers == []


def test_schedulers_that_have_given_nothing_are_told_too():
    worker = Worker()
    worker.hears()
    worker.node.leave([(S1, URI), (S2, None)])
    assert list(worker.node.links) == [S1, S2]
    assert worker.host.goodbyes == 0
    worker.host.let_in(worker.node.links[S2], incarnation=S2.incarnation)
    assert worker.told(S1) == worker.told(S2) == [m.Leave([])]
    worker.host.advance(SETTINGS.leaving_look_s)
    assert worker.host.goodbyes == 1
    assert worker.host.timers == []


def test_a_worker_leaves_though_a_scheduler_does_not_answer():
    worker = Worker()
    worker.hears(launch(0, SETTINGS.finish_s / 2))
    worker.node.leave([(S2, None)])
    worker.host.advance(SETTINGS.finish_s + SETTINGS.goodbye_s - 0.01)
    assert worker.host.goodbyes == 0
    worker.host.advance(0.02)
    assert worker.host.goodbyes == 1
    assert sorted(worker.host.hung_up) == [S1.name, S2.name]


def test_nothing_is_taken_after_leaving():
    worker = Worker()
    worker.hears(m.Reserve("late", 0))
    worker.node.leave([])
    worker.hears(launch(0), m.Reserve("late", 1))
    worker.host.answer(worker.node.links[S1], m.Assign("late", 0, 0, 1, 0.5))
    assert worker.host.runs == []
    assert worker.node.queue.load == 0


def test_a_worker_that_is_closed_says_nothing_more():
    worker = Worker()
    worker.hears(launch(0))
    worker.node.close()
    assert {link.state for link in worker.node.links.values()} == {LOST}
    worker.end(("job", 0, 1))
    worker.host.advance(100.0)
    assert (worker.host.calls, worker.host.connections, worker.host.timers) == ([], {}, [])
