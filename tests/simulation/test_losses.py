"""All workers at once: they die and come back, or are silent for a while and still run what they had."""

import pytest

from src.simulation.audit import failed_tasks
from src.simulation.network import Faults
from src.simulation.simulation import Simulation
from src.sparrow.jobspec import JobSpec
from src.sparrow.placement import METHODS

NONE_BY_ITSELF = Faults(every_s=1e9)
JOBS = 5


def rack(seed, method, duration_s):
    """Eight workers of two slots, with work for 20 s."""
    sim = Simulation(workers=8, slots=2, seed=seed, audited=True, faults=NONE_BY_ITSELF)
    for number in range(JOBS):
        sim.submit(1.0, JobSpec(f"job-{number}", (duration_s,) * int(64 / duration_s), method))
    sim.run(3.0)
    return sim


def none_failed(sim):
    assert [failed for report in sim.run() if (failed := failed_tasks(report))] == []
    assert len(sim.reports) == JOBS
    assert sim.check() == []


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("silent", [False, True], ids=["processes", "machines"])
def test_no_task_fails_when_all_workers_die_at_once_and_come_back(method, silent):
    for seed in range(5):
        sim = rack(seed, method, 1.0)
        for worker in sim.workers:
            sim.crash(worker, sim.now + 2.0, silent)
        none_failed(sim)


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("for_s", [5.0, 60.0])
def test_no_task_fails_when_all_workers_are_silent_for_a_while_and_go_on_running(method, for_s):
    for seed in range(5):
        sim = rack(seed, method, 4.0)
        for worker in sim.workers:
            worker.hinder(deaf_until_s=sim.now + for_s, mute_until_s=sim.now + for_s)
        none_failed(sim)


@pytest.mark.parametrize("restarts", [False, True], ids=["connection", "process"])
def test_a_job_is_handed_over_when_its_scheduler_dies_but_not_when_only_the_connection_is_cut(restarts):
    sim = rack(1, "BATCH", 1.0)
    (scheduler,), (client,) = sim.schedulers, sim.clients
    if restarts:
        sim.crash(scheduler, sim.now + 1.0, False)
    else:
        connection = client._connected[scheduler.full_name]
        for end in (client, scheduler):
            connection._broken(end)
        assert client._connected == {}
    none_failed(sim)
    assert list(client.handed_over.values()) == [int(restarts)] * JOBS
    attempts = {task["attempts"] for report in client.reports for task in report["tasks"]}
    assert attempts == {1}, "the scheduler that reports the jobs has run each task once"
