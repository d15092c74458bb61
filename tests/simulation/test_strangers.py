"""Strangers, who speak for others, and clocks that are set back: the work goes on."""

import pytest

from src.simulation.network import Faults
from src.simulation.simulation import Simulation
from src.simulation.world import EPOCH_S
from src.sparrow.jobspec import JobSpec
from src.sparrow.worker_node import WorkerNode
from tests.simulation.test_planted_bugs import BelievesWhatIsSaid

NONE_BY_ITSELF = Faults(every_s=1e9)


@pytest.mark.parametrize(("worker_class", "stopped"), [(WorkerNode, False), (BelievesWhatIsSaid, True)], ids=["real", "planted"])
def test_four_forged_messages_a_second_do_not_stop_the_work(worker_class, stopped):
    sim = Simulation(workers=4, seed=1, audited=True, faults=NONE_BY_ITSELF, worker_class=worker_class)
    for number, method in enumerate(("RANDOM", "BATCH", "BATCH+LATE_BINDING")):
        sim.submit(1.0, JobSpec(f"job-{number}", (2.0,) * 4, method))

    def forge():
        for worker in sim.workers:
            sim.forge(worker)
        sim.control.later(0.25, forge)

    sim.control.later(1.5, forge)
    reports = sim.run(30.0)
    assert (len(reports) < 3) == stopped
    assert any("heeds a stranger" in wrong for wrong in sim._seen) == stopped


@pytest.mark.parametrize("set_back_s", [5.0, 3600.0])
def test_a_scheduler_that_is_started_again_with_its_clock_set_back_has_its_workers_in_some_seconds(set_back_s):
    for silent in False, True:
        sim = Simulation(workers=4, seed=1, audited=True, faults=NONE_BY_ITSELF)
        (scheduler,) = sim.schedulers
        sim.submit(1.0, JobSpec("job", (2.0,) * 8, "BATCH"))
        sim.run(2.0)
        former = scheduler.incarnation
        scheduler._clock_ahead_s = EPOCH_S - set_back_s
        sim.crash(scheduler, 2.2, silent)
        sim.run(3.0)
        assert scheduler.incarnation < former
        (report,) = sim.run(40.0)
        assert report["finished"] < 20.0
        assert sim.check() == []
