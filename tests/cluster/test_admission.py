"""Room for jobs, and who waits for which report."""

import contextlib
import json
import random

import pytest

from src import Worker
from src.cluster import admission, handover, peer
from src.cluster.admission import JOB_TASKS, MAX_OPEN_TASKS, Reception
from src.Job import Job
from src.Scheduler import Scheduler
from src.sparrow.messages import MAX_TASKS, JobSpec
from src.SparrowClient import SparrowClient
from tests.support.live import eventually


def spec(id, tasks=1, wait=True):
    return JobSpec(id, (0.1,) * tasks, None, wait)


def report(tasks=1):
    return {"tasks": [[None, 0.0, 0.0, 1]] * tasks}


class Call:
    """A call that is to be answered later, as far as a reception needs it."""

    def __init__(self, connection):
        self.connection = connection
        self.answers = []

    def answer(self, value):
        self.answers.append(value)


def test_a_job_is_new_once_and_its_id_is_its_own():
    desk = Reception()
    assert desk.admit(spec("a"))
    assert not desk.admit(spec("a"))
    with pytest.raises(ValueError, match="another job"):
        desk.admit(spec("a", tasks=2))
    desk.ended("a", report())
    assert not desk.admit(spec("a"))


def test_the_largest_job_a_thousand_times_is_refused_in_time_and_leaves_room_for_others():
    desk = Reception()
    admitted = 0
    with contextlib.suppress(BlockingIOError):
        for n in range(1000):
            admitted += desk.admit(spec(f"large{n}", MAX_TASKS))
    assert 0 < admitted <= MAX_OPEN_TASKS // MAX_TASKS
    with pytest.raises(BlockingIOError, match="try later"):
        desk.admit(spec("one more", MAX_TASKS))
    for n in range(100):
        assert desk.admit(spec(f"small{n}", 100))


def test_room_comes_back_with_every_report():
    desk, rng = Reception(), random.Random(1)
    open_jobs = []
    for n in range(800):
        tasks = rng.choice((1, 100, 30_000))
        try:
            desk.admit(spec(f"job{n}", tasks))
            open_jobs.append((f"job{n}", tasks))
        except BlockingIOError:
            id, tasks = open_jobs.pop(rng.randrange(len(open_jobs)))
            desk.ended(id, report(tasks))
        assert sum(tasks + JOB_TASKS for _, tasks in open_jobs) == desk._open_tasks <= MAX_OPEN_TASKS
    for id, tasks in open_jobs:
        desk.ended(id, report(tasks))
    assert desk._open_tasks == 0
    assert desk._kept_tasks <= admission.KEPT_TASKS
    assert set(desk._contents) == set(desk.reports)


def test_a_report_answers_all_who_wait_and_nobody_who_has_gone():
    desk = Reception()
    desk.admit(spec("a"))
    desk.admit(spec("b"))
    stays, goes = Call("one"), Call("two")
    for job in ("a", "b"):
        desk.wait(job, stays, True)
        desk.wait(job, goes, False)
        desk.wait(job, goes, False)
    desk.gone("two")
    desk.gone("never seen")
    desk.ended("a", report())
    assert len(stays.answers) == 1
    assert isinstance(stays.answers[0], str)
    assert not goes.answers
    desk.gone("one")
    desk.ended("b", report())
    assert len(stays.answers) == 1
    assert (desk._calls, desk._waiting, desk._waited_for) == (0, {}, {})


def test_not_more_wait_than_there_is_memory_for(monkeypatch):
    monkeypatch.setattr(admission, "MAX_CALLS", 3)
    desk = Reception()
    desk.admit(spec("a"))
    for _ in range(3):
        desk.wait("a", Call("one"), True)
    with pytest.raises(BlockingIOError, match="try later"):
        desk.wait("a", Call("one"), True)


def test_who_is_told_to_try_later_tries_later(clusters, monkeypatch):
    """A scheduler with little room: a stock proxy hears it, our client waits or goes to the next."""
    monkeypatch.setattr(admission, "MAX_OPEN_TASKS", 40)
    monkeypatch.setattr(handover, "ASK_S", 0.2)
    cluster = clusters(2)
    notices = []
    with Scheduler("RANDOM", cluster.nameserver, 77):
        with (
            cluster.proxy("sparrow.scheduler.77") as proxy,
            pytest.raises(BlockingIOError, match="try later: 0 of 40 tasks are open"),
        ):
            proxy.schedule({"id": "too-large-for-half-of-it", "durations_s": [0.0] * 30})
        with SparrowClient(cluster.nameserver, notice=notices.append) as client:
            reports = [client.submit(Job(None, 30, 0.0)) for _ in range(4)] + [client.submit(Job(None, 3, 0.05)) for _ in range(8)]
            assert [len(report.result(20).tasks) for report in reports] == [30] * 4 + [3] * 8
    assert any("try later" in line for line in notices)


def test_a_worker_that_holds_too_much_is_told_the_rest_later(clusters, monkeypatch):
    monkeypatch.setattr(Worker, "MAX_HELD", 25)
    monkeypatch.setattr(peer, "LATER_S", 0.2)
    cluster = clusters(2)
    with Worker.Worker("crammed", cluster.nameserver, slots=4), Scheduler("RANDOM", cluster.nameserver, 78):
        with cluster.proxy("sparrow.worker.crammed") as proxy:
            rows = [["Launch", "a", task, 1, 0.2] for task in range(20)]
            proxy.add_task("sparrow.scheduler.5", "i1", rows)
            with pytest.raises(BlockingIOError, match="try later"):
                proxy.add_task("sparrow.scheduler.5", "i1", [["Launch", "b", task, 1, 0.5] for task in range(20)])
        with cluster.proxy("sparrow.scheduler.78") as proxy:
            eventually(lambda: "crammed" in proxy.stats()["workers"])
        with SparrowClient(cluster.nameserver) as client:
            for report in [client.submit(Job(None, 24, 0.05), "RANDOM") for _ in range(4)]:
                assert not report.result(30).failed


@pytest.mark.parametrize("cluster", [{"workers": 1}], indirect=True)
def test_the_largest_jobs_fill_a_scheduler_to_its_bound_and_others_still_get_in(cluster):
    def memory_mb():
        with open(f"/proc/{cluster.processes['scheduler1'].pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

    before_mb, accepted, refused = memory_mb(), 0, 0
    with cluster.proxy("sparrow.scheduler.1") as proxy:
        for n in range(5):
            job = {"id": f"large{n}", "durations_s": [0.0] * MAX_TASKS, "method": "RANDOM", "wait": False}
            try:
                accepted += proxy.schedule(json.dumps(job)) is not None
            except BlockingIOError:
                refused += 1
        assert accepted > 0
        assert refused > 0
        assert proxy.schedule({"id": "small", "durations_s": [0.0] * 10, "wait": False})["accepted"]
        assert memory_mb() < before_mb + 400
