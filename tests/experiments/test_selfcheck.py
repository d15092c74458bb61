"""The short simulated run with faults, for some seeds; and that it finds a defect."""

import functools

import pytest

from src.experiments import selfcheck
from src.simulation.simulation import Simulation
from src.sparrow.jobtable import JobTable
from src.sparrow.placement import METHODS
from src.sparrow.scheduler_node import SchedulerNode

SEEDS = 20
JOBS = 30


class ForgetsTheLost(JobTable):
    """The tasks of a lost worker are not placed again."""

    def _lose(self, *args):
        super()._lose(*args)


class ForgetfulScheduler(SchedulerNode):
    table_class = ForgetsTheLost


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_lost_or_counted_twice(method):
    wrong = {seed: found for seed in range(SEEDS) if (found := selfcheck.wrong_in(method, JOBS, seed, faulty=True))}
    assert not wrong


@pytest.mark.parametrize(("scheduler_class", "status"), [(SchedulerNode, 0), (ForgetfulScheduler, 1)])
def test_a_defect_ends_it_with_status_1(monkeypatch, capsys, scheduler_class, status):
    monkeypatch.setattr(selfcheck, "Simulation", functools.partial(Simulation, scheduler_class=scheduler_class))
    assert selfcheck.main(["--jobs", "40", "--seed", "2"]) == status
    said = capsys.readouterr()
    assert said.out.count("with faults") == len(METHODS)
    assert ("violations" in said.out) == bool(status)
