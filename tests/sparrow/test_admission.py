"""Room for jobs, and who waits for which report."""

import contextlib
import random
import time

import pytest

from src.sparrow.admission import Admission
from src.sparrow.jobspec import MAX_TASKS, JobSpec
from src.sparrow.settings import SchedulerSettings
from tests.support.schedulernode import Call

SETTINGS = SchedulerSettings()


def spec(id, tasks=1, wait=True):
    return JobSpec(id, (0.1,) * tasks, None, wait)


def report(tasks=1):
    return {"tasks": [{"worker": None, "wait_s": 0.0, "service_s": 0.0, "attempts": 1}] * tasks}


def test_a_job_is_new_once_and_its_id_is_its_own():
    admission = Admission(SETTINGS)
    assert admission.admit(spec("a"))
    assert not admission.admit(spec("a"))
    with pytest.raises(ValueError, match="another job"):
        admission.admit(spec("a", tasks=2))
    admission.ended("a", report())
    assert not admission.admit(spec("a"))


def test_other_durations_of_the_same_hash_are_another_job():
    """Python's hash of a number is the number modulo 2**61 - 1, so that these two lists of durations have the same."""
    one, other = (0.5, 1.0), (0.5, 2.0**-61)
    assert hash(one) == hash(other)
    for durations in ((0.1,), (0.2, 0.1)), ((0.1, 0.2), (0.2, 0.1)), (one, other):
        admission = Admission(SETTINGS)
        assert admission.admit(JobSpec("a", durations[0], None, True))
        with pytest.raises(ValueError, match="another job"):
            admission.admit(JobSpec("a", durations[1], None, True))
        with pytest.raises(ValueError, match="another job"):
            admission.admit(JobSpec("a", durations[0], "BATCH", True))
        assert not admission.admit(JobSpec("a", durations[0], None, False)), "whether the client waits is not what the job is"


def test_no_two_ways_of_writing_a_job_make_two_jobs_of_it():
    admission = Admission(SETTINGS)
    admission.admit(JobSpec.decode({"id": "a", "durations_s": [0, 1, 0.0]}))
    assert not admission.admit(JobSpec.decode('{"id": "a", "durations_s": [0.0, 1.0, -0.0]}'))


def test_the_largest_job_a_thousand_times_is_refused_in_time_and_leaves_room_for_others():
    admission = Admission(SETTINGS)
    admitted = 0
    with contextlib.suppress(BlockingIOError):
        for n in range(1000):
            admitted += admission.admit(spec(f"large{n}", MAX_TASKS))
    assert 0 < admitted <= SETTINGS.max_open_tasks // MAX_TASKS
    with pytest.raises(BlockingIOError, match="try later"):
        admission.admit(spec("one more", MAX_TASKS))
    for n in range(100):
        assert admission.admit(spec(f"small{n}", 100))


def test_room_comes_back_with_every_report():
    admission, rng = Admission(SETTINGS), random.Random(1)
    open_jobs = []
    for n in range(800):
        tasks = rng.choice((1, 100, 30_000))
        try:
            admission.admit(spec(f"job{n}", tasks))
            open_jobs.append((f"job{n}", tasks))
        except BlockingIOError:
            id, tasks = open_jobs.pop(rng.randrange(len(open_jobs)))
            admission.ended(id, report(tasks))
        assert sum(tasks + SETTINGS.job_tasks for _, tasks in open_jobs) == admission._open_tasks <= SETTINGS.max_open_tasks
    for id, tasks in open_jobs:
        admission.ended(id, report(tasks))
    assert admission._open_tasks == 0
    assert admission._kept_tasks <= SETTINGS.kept_report_tasks
    assert set(admission._contents) == set(admission.reports)


def test_a_report_answers_all_who_wait_and_nobody_who_has_gone():
    admission = Admission(SETTINGS)
    admission.admit(spec("a"))
    admission.admit(spec("b"))
    stays, goes = Call("one"), Call("two")
    for job in ("a", "b"):
        admission.wait(job, stays)
        admission.wait(job, goes)
        admission.wait(job, goes)
    admission.caller_gone("two")
    admission.caller_gone("never seen")
    admission.ended("a", report())
    admission.work()
    assert stays.answers == [report()]
    assert not goes.answers
    admission.caller_gone("one")
    admission.ended("b", report())
    assert len(stays.answers) == 1
    assert (admission._calls, admission._waiting, admission._waited_for) == (0, {}, {})


def test_the_calls_of_a_caller_that_has_gone_are_forgotten_in_steps_and_none_of_them_is_answered_meanwhile():
    admission = Admission(SchedulerSettings(max_at_once=10))
    goes, stays = Call("one"), Call("two")
    for n in range(25):
        admission.admit(spec(f"job{n}"))
        admission.wait(f"job{n}", goes)
        admission.wait(f"job{n}", stays)
    admission.caller_gone("one")
    assert (admission.has_work, admission._calls) == (True, 25 + 15)
    for n in range(25):
        admission.ended(f"job{n}", report())
    for _ in range(100):
        admission.work()
    assert (len(stays.answers), goes.answers, admission._calls) == (25, [], 0)
    admission.caller_gone("two")
    while admission.has_work:
        admission.work()
    assert (admission._waiting, admission._waited_for) == ({}, {})
    admission.work()  # as the node does if the table has work


def test_the_calls_that_wait_for_one_report_are_answered_in_steps():
    admission = Admission(SchedulerSettings(max_at_once=10))
    admission.admit(spec("a"))
    callers = [Call(n) for n in range(3)]
    for call in callers * 15:
        admission.wait("a", call)
    admission.ended("a", report())
    answered = [sum(len(call.answers) for call in callers)]
    while admission.has_work:
        admission.caller_gone(callers[2].caller)
        admission.work()
        answered.append(sum(len(call.answers) for call in callers))
    assert answered[0] == 1
    assert 0 <= max(after - before for before, after in zip(answered, answered[1:])) <= 10
    assert [len(call.answers) for call in callers] == [15, 15, 0], "who goes meanwhile needs no answer"
    assert (admission._calls, admission._waiting, callers[2].caller in admission._waited_for) == (0, {}, False)


def test_who_waits_for_another_job_under_the_id_of_one_that_has_ended_gets_the_report_of_that():
    admission = Admission(SchedulerSettings(kept_report_tasks=10))
    admission.admit(spec("a"))
    former, latter = Call("one"), Call("one")
    for call in (former, former, former):
        admission.wait("a", call)
    admission.ended("a", report())
    admission.admit(spec("b", 100))
    admission.ended("b", report(100))
    assert admission.admit(spec("a", 3)), "the first report is forgotten"
    admission.wait("a", latter)
    while admission.has_work:
        admission.work()
    admission.ended("a", report(3))
    assert (former.answers, latter.answers) == ([report()] * 3, [report(3)])


def test_not_more_wait_than_there_is_memory_for():
    admission = Admission(SchedulerSettings(max_calls=3))
    admission.admit(spec("a"))
    for _ in range(3):
        admission.wait("a", Call("one"))
    with pytest.raises(BlockingIOError, match="try later"):
        admission.wait("a", Call("one"))
    admission.ended("a", report())
    admission.admit(spec("b"))
    admission.wait("b", Call("one"))


def test_the_newest_report_is_kept_however_large_it_is():
    admission = Admission(SchedulerSettings(kept_report_tasks=10))
    for id in "ab":
        admission.admit(spec(id, 100))
        admission.ended(id, report(100))
    assert list(admission.reports) == ["b"]
    assert admission.admit(spec("a", 3)), "an id is free again when its report is forgotten"


def test_no_step_of_forgetting_takes_longer_because_many_were_forgotten_before():
    admission, caller = Admission(SchedulerSettings()), object()
    for number in range(20_000):
        admission.admit(spec(str(number)))
        admission.wait(str(number), Call(caller))
    began_s = time.process_time()
    admission.caller_gone(caller)
    while admission.has_work:
        admission.work()
    assert time.process_time() - began_s < 0.5  # it is 0.02; when each looked past those that were forgotten before, 1.5
