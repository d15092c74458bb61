"""A scheduler without its I/O, event by event: who may hand over jobs, what is answered, and the end."""

import pytest

from src.sparrow import messages as m
from src.sparrow.errors import UnknownIdError
from src.sparrow.jobspec import JobSpec
from src.sparrow.link import LOST
from src.sparrow.settings import SchedulerSettings
from tests.support.books import LATE
from tests.support.schedulernode import SETTINGS, Call, Scheduler

# Jobs


def test_a_call_is_answered_when_its_job_has_ended():
    scheduler = Scheduler("w1")
    returned, call = scheduler.schedule()
    assert (returned, call.answers) == (None, [])
    assert scheduler.told("w1") == [m.Launch("job", 0, 1, 0.5)]
    scheduler.host.advance(0.5)
    assert scheduler.says("w1", m.Done("job", 0, 1, 0.0, 0.5)) == []
    (report,) = call.answers
    assert (report["id"], report["tasks"][0]["worker"]) == ("job", "w1")
    assert scheduler.host.ended_jobs == ["job"]


def test_a_job_that_is_handed_over_twice_runs_once_and_answers_both():
    scheduler = Scheduler("w1")
    _, first = scheduler.schedule(caller="one")
    _, second = scheduler.schedule(caller="two")
    assert scheduler.told("w1") == [m.Launch("job", 0, 1, 0.5)]
    scheduler.says("w1", m.Done("job", 0, 1, 0.0, 0.5))
    scheduler.host.advance()
    assert first.answers == second.answers != []
    again, third = scheduler.schedule()
    assert (again, third) == (first.answers[0], None), "its report is repeated"
    with pytest.raises(ValueError, match="another job"):
        scheduler.schedule(durations_s=(0.5, 0.5))
    assert scheduler.schedule(wait=False) == (None, None)
    assert scheduler.node.table.jobs == {}, "it is not run again"


def test_a_job_that_nobody_waits_for_runs_all_the_same_and_its_report_is_kept():
    scheduler = Scheduler("w1")
    assert scheduler.schedule(wait=False) == (None, None)
    scheduler.says("w1", m.Done("job", 0, 1, 0.0, 0.5))
    report, call = scheduler.schedule()
    assert (report["id"], call) == ("job", None)


def test_whoever_has_gone_is_not_answered():
    scheduler = Scheduler("w1")
    _, goes = scheduler.schedule(caller="goes")
    _, stays = scheduler.schedule(caller="stays")
    scheduler.node.caller_gone("goes")
    scheduler.says("w1", m.Done("job", 0, 1, 0.0, 0.5))
    assert (goes.answers, len(stays.answers)) == ([], 1)


def test_the_calls_of_whoever_has_gone_are_forgotten_in_steps_between_other_events():
    scheduler = Scheduler("w1", settings=SchedulerSettings(max_at_once=10))
    for n in range(25):
        scheduler.schedule(id=f"job{n}", caller="goes")
    scheduler.host.advance()
    scheduler.node.caller_gone("goes")
    left = [scheduler.node.admission._calls]
    while scheduler.node._working:
        timer = min(scheduler.host.timers, key=lambda timer: timer.due)
        assert timer.action == scheduler.node._work
        timer.cancel()
        timer.action()
        left.append(scheduler.node.admission._calls)
    assert left == [15, 5, 0]


def test_an_unknown_method_is_refused_before_anything_is_done():
    scheduler = Scheduler("w1")
    with pytest.raises(ValueError, match="unknown method 'BEST'"):
        scheduler.schedule(method="BEST")
    assert scheduler.schedule() == (None, scheduler.node.admission._waiting["job"].callers["a client"][0]), "the id is still free"


def test_a_job_for_which_there_is_no_room_is_refused_and_not_placed():
    scheduler = Scheduler("w1", settings=SchedulerSettings(max_open_tasks=20))
    with pytest.raises(BlockingIOError, match="try later"):
        scheduler.schedule(durations_s=[0.5] * 10)
    assert (scheduler.told("w1"), scheduler.node.table.jobs) == ([], {})
    scheduler.schedule(durations_s=[0.5] * 5)
    assert len(scheduler.told("w1")) == 5


def test_jobs_are_placed_in_the_order_in_which_they_came():
    scheduler = Scheduler("w1")
    for number in range(3):
        scheduler.node.schedule(JobSpec(f"job{number}", (0.5,), "RANDOM", False), Call)
    scheduler.host.advance()
    assert [launch.job for launch in scheduler.launches("w1")] == ["job0", "job1", "job2"]


def test_a_job_waits_for_a_worker_to_come():
    scheduler = Scheduler()
    scheduler.schedule(method="BATCH")
    scheduler.host.advance(60.0)
    scheduler.see("w1")
    scheduler.host.let_in(scheduler.link("w1"))
    scheduler.host.advance(SETTINGS.gather_s + SETTINGS.tick_s)
    assert scheduler.told("w1") == [m.Probe("job", 0)]
    scheduler.host.answer(scheduler.link("w1"), m.Load("job", 0, 3))
    assert scheduler.told("w1")[1:] == [m.Launch("job", 0, 1, 0.5)]


# What is answered


def test_an_ask_is_answered_in_its_own_call_and_the_others_are_told():
    scheduler = Scheduler("w1", "w2")
    scheduler.schedule(method=LATE)
    held = {worker: scheduler.told(worker)[0].reservation for worker in ("w1", "w2")}
    assert scheduler.says("w1", m.Ask("job", held["w1"])) == [m.Assign("job", held["w1"], 0, 1, 0.5)]
    assert scheduler.told("w1") == [m.Reserve("job", held["w1"])]
    scheduler.host.answer(scheduler.link("w2"))
    assert scheduler.told("w2")[1:] == [m.Cancel("job", held["w2"])]
    assert scheduler.says("w2", m.Ask("job", held["w2"])) == [m.NoTask("job", held["w2"])]


def test_what_is_no_answer_is_told_and_does_not_go_into_one():
    scheduler = Scheduler("w1")
    scheduler.schedule(method=LATE)
    first, second = [reserve.reservation for reserve in scheduler.told("w1")]
    scheduler.host.answer(scheduler.link("w1"))
    assert scheduler.says("w1", m.Ask("job", first)) == [m.Assign("job", first, 0, 1, 0.5)]
    assert scheduler.told("w1")[2:] == [m.Cancel("job", second)]


def test_what_is_about_nothing_known_is_refused_whole():
    scheduler = Scheduler("w1")
    scheduler.schedule()
    with pytest.raises(UnknownIdError, match="unknown job 'other'"):
        scheduler.says("w1", m.Done("job", 0, 1, 0.0, 0.5), m.Done("other", 0, 1, 0.0, 0.5))
    assert scheduler.host.ended_jobs == []


def test_the_load_of_a_job_that_is_unknown_meanwhile_does_not_matter():
    scheduler = Scheduler("w1")
    scheduler.schedule(method="BATCH")
    scheduler.host.answer(scheduler.link("w1"), m.Load("job", 0, 1), m.Load("forgotten", 0, 1))
    assert scheduler.told("w1")[1:] == [m.Launch("job", 0, 1, 0.5)]


def test_what_a_worker_holds_is_asked_for_and_repaired():
    scheduler = Scheduler("w1")
    scheduler.schedule(durations_s=(9.0,))
    while scheduler.told("w1")[-1] != m.Reconcile([("job", 0, 1)], []):
        scheduler.host.answer(scheduler.link("w1"))
        scheduler.host.advance(SETTINGS.reconcile.every_s)
    assert scheduler.host.now() <= 1000.0 + SETTINGS.reconcile.settled_s + SETTINGS.reconcile.every_s + SETTINGS.tick_s
    scheduler.host.answer(scheduler.link("w1"), m.Holdings([("job", 0, 1)], [], [("stale", 0, 1)], [], []))
    assert scheduler.told("w1")[-1] == m.Launch("job", 0, 1, 9.0)
    scheduler.host.answer(scheduler.link("w1"))
    assert scheduler.told("w1")[-1] == m.Drop("stale", 0, 1)


def test_a_scheduler_with_nothing_to_do_sets_no_timer_but_for_the_name_server():
    scheduler = Scheduler("w1")
    scheduler.schedule()
    scheduler.says("w1", m.Done("job", 0, 1, 0.0, 0.5))
    scheduler.host.answer(scheduler.link("w1"))
    scheduler.host.advance(SETTINGS.tick_s)
    assert len(scheduler.host.timers) == 1


# The end


def test_a_scheduler_that_stops_says_nothing_more_to_anybody():
    scheduler = Scheduler("w1", "w2")
    _, call = scheduler.schedule(method=LATE, durations_s=(9.0, 9.0))
    scheduler.node.close()
    assert {link.state for link in scheduler.node.links.values()} == {LOST}
    assert scheduler.host.connections == {}
    before = len(scheduler.host.calls), len(scheduler.host.listings)
    scheduler.host.advance(100.0)
    assert (len(scheduler.host.calls), len(scheduler.host.listings)) == before
    assert scheduler.host.timers == []
    assert call.answers == []
    assert scheduler.host.noted("warning") == ["stops with 1 jobs open; their clients hand them over elsewhere"]


def test_a_scheduler_may_stop_during_a_look_at_the_name_server():
    scheduler = Scheduler()
    scheduler.node.close()
    scheduler.node.names_unavailable()
    scheduler.host.advance(100.0)
    assert (len(scheduler.host.listings), scheduler.host.timers, scheduler.host.noted("warning")) == (1, [], [])
