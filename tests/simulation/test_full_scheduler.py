"""A client has far more jobs than its scheduler has room for, and the way to the scheduler is narrow."""

import pytest

from src.simulation.network import Network
from src.simulation.simulation import Simulation
from src.sparrow.jobspec import JobSpec
from src.sparrow.settings import SchedulerSettings

JOBS, TASKS = 1500, 100


@pytest.fixture(scope="module")
def flooded():
    simulation = Simulation(
        workers=10,
        slots=8,
        network=Network(bytes_per_s=1e5),
        scheduler_settings=SchedulerSettings(max_open_tasks=20_000),
    )
    for i in range(JOBS):
        simulation.submit(0.0, JobSpec(f"job{i}", (0.02,) * TASKS, "BATCH"))
    simulation.run()
    return simulation


def test_a_full_scheduler_is_not_given_up(flooded):
    assert len(flooded.reports) == JOBS
    assert flooded.counts["connection broken"] == flooded.counts["job: handed over again"] == 0


def test_refused_jobs_wait_at_the_client(flooded):
    """The workers need 37.5 s. Each pause is ended by a few jobs, of which some are refused."""
    assert 0 < flooded.counts["job: no room"] < JOBS / 2


def test_waiting_jobs_do_not_leave_workers_idle(flooded):
    assert flooded.now < 1.1 * JOBS * TASKS * 0.02 / 80


def test_jobs_go_in_the_order_of_their_submission(flooded):
    """A job that was refused has its turn before those that were submitted long after it."""
    ended = [int(report["id"][3:]) for report in flooded.reports]
    assert max(abs(place - job) for place, job in enumerate(ended)) < 300
