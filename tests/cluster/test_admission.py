"""Room for jobs and for tasks, as programs hear of it."""

import json

import pytest

from src.Job import Job
from src.Scheduler import Scheduler
from src.sparrow.jobspec import MAX_TASKS
from src.sparrow.settings import ClientSettings, LinkSettings, SchedulerSettings, WorkerSettings
from src.SparrowClient import SparrowClient
from src.Worker import Worker
from tests.support.live import eventually


def test_who_is_told_to_try_later_tries_later(clusters):
    """A scheduler with little room: a stock proxy hears it, our client waits or goes to the next."""
    cluster = clusters(2)
    notices: list[str] = []
    with Scheduler("RANDOM", cluster.nameserver, 77, settings=SchedulerSettings(max_open_tasks=40)):
        with (
            cluster.proxy("sparrow.scheduler.77") as proxy,
            pytest.raises(BlockingIOError, match="try later: 0 of 40 tasks are open"),
        ):
            proxy.schedule({"id": "too-large-for-half-of-it", "durations_s": [0.0] * 30})
        with SparrowClient(cluster.nameserver, notice=notices.append, settings=ClientSettings(ask_s=0.2)) as client:
            client.run("RANDOM", 1, 1, 0.0)
            eventually(lambda: "sparrow.scheduler.77" in client._node.schedulers)
            reports = [client.submit(Job(None, 30, 0.0)) for _ in range(4)] + [client.submit(Job(None, 3, 0.05)) for _ in range(8)]
            assert [len(report.result(20).tasks) for report in reports] == [30] * 4 + [3] * 8
    assert any("try later" in line for line in notices)


def test_a_worker_that_holds_too_much_is_told_the_rest_later(clusters):
    cluster = clusters(2)
    of_worker, of_scheduler = WorkerSettings(max_held=25), SchedulerSettings(link=LinkSettings(no_room_retry_s=0.2))
    with (
        Worker("crammed", cluster.nameserver, slots=4, settings=of_worker),
        Scheduler("RANDOM", cluster.nameserver, 78, settings=of_scheduler),
    ):
        with cluster.proxy("sparrow.worker.crammed") as proxy:
            proxy._pyroHandshake = {"name": "sparrow.scheduler.5", "incarnation": "i1"}
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
