"""The simulated cluster itself, and the contract of all methods on it."""

import random
import statistics

import pytest

from src.simulation.network import PAUSE, Faults
from src.simulation.omniscient import omniscient
from src.simulation.simulation import Simulation
from src.sparrow.errors import AccessDeniedError
from src.sparrow.jobspec import JobSpec
from src.sparrow.placement import METHODS as METHODS_THERE_ARE
from tests.support.choose_three import ChooseThree
from tests.support.contract import METHODS, Contract


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_said_twice_and_nothing_is_left_without_faults(method):
    sim = Simulation(workers=50, slots=2, schedulers=3, clients=3, seed=3, audited=True)
    for number in range(60):
        sim.submit(number * 0.02, JobSpec(f"job-{number}", (0.1,) * 12, method), number % 3)
    assert len(sim.run()) == 60
    assert sim.check() == []
    assert sum(report["retried"] for report in sim.reports) == 0
    assert all(not scheduler.node.table.busy for scheduler in sim.schedulers)


def test_jobs_wait_for_a_worker():
    sim = Simulation(workers=1, seed=1, audited=True, faults=Faults(every_s=1e9))
    sim.crash(sim.workers[0], over_s=5.0, silent=False)
    for method in METHODS:
        sim.submit(1.0, JobSpec(method, (0.1,) * 3, method))
    assert all(report["finished"] > 5.0 for report in sim.run(60.0))
    assert sim.check() == []


def test_a_worker_that_seemed_dead_is_found_again_and_what_it_held_is_taken_from_it():
    sim = Simulation(workers=2, seed=1, audited=True, faults=Faults(every_s=1e9))
    sim.submit(0.0, JobSpec("long", (20.0,) * 2, "BATCH"))
    sim.submit(0.5, JobSpec("late", (0.1,), "BATCH+LATE_BINDING"))
    sim.run(1.0)
    sim.workers[0].hinder(paused_until_s=6.0)
    sim.run()
    assert sim.check() == []
    long = next(report for report in sim.reports if report["id"] == "long")
    assert long["retried"] == 1
    assert sorted(task["attempts"] for task in long["tasks"]) == [1, 2]


def test_sampling_comes_close_to_omniscience_in_the_order_of_the_paper():
    """Section 3: each method is better than the one before it. Here 1,600 slots, 80 % busy."""
    rng, jobs, at_s = random.Random(1), [], 0.0
    for _ in range(120):
        at_s += rng.expovariate(0.8 * 1_600 / 0.1 / 100)
        jobs.append((at_s, tuple(rng.expovariate(10) for _ in range(100))))
    ideal = omniscient(jobs, workers=400, slots=4)
    ratios = []
    for method in METHODS:
        sim = Simulation(workers=400, slots=4, seed=1)
        for number, (arrival_s, durations_s) in enumerate(jobs):
            sim.submit(arrival_s, JobSpec(str(number), durations_s, method))
        ratios.append(sum(report["response_s"] for report in sim.run()) / sum(ideal))
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] < 1.05


def test_jobs_that_come_at_once_end_in_the_order_of_the_paper():
    """10 jobs of 10 tasks of 1 s on 10 workers; ``scripts/benchmark --makespan`` does the same with processes. 10 s is perfect."""
    makespans: dict[str, list[float]] = {}
    for method in METHODS:
        for seed in range(20):
            sim = Simulation(workers=10, seed=seed)
            for number in range(10):
                sim.submit(0.0, JobSpec(str(number), (1.0,) * 10, method))
            makespans.setdefault(method, []).append(max(report["finished"] for report in sim.run()))
    medians = {method: statistics.median(spans) for method, spans in makespans.items()}
    assert medians["RANDOM"] > medians["CHOOSE_TWO"] > 11.0
    assert 10.0 <= medians["BATCH"] < 10.1
    assert 10.0 <= medians["BATCH+LATE_BINDING"] < 10.1


def test_omniscient_queues_first_in_first_out():
    assert omniscient([], workers=1) == []
    assert omniscient([(0.0, [1.0, 2.0])], workers=2) == [2.0]
    assert omniscient([(5.0, [1.0]), (0.0, [2.0, 2.0, 2.0])], workers=1, slots=2) == [1.0, 4.0]
    assert omniscient([(0.0, [1.0] * 4), (0.5, [1.0])], workers=2) == [2.0, 2.5]


# The contract of the four methods


class SimulatedCluster:
    def __init__(self, workers):
        self.sim = Simulation(workers=workers, schedulers=2, clients=2, audited=True)
        self.workers = {name for worker in self.sim.workers for name in worker.names}

    def run(self, specs, client=0):
        for spec in specs:
            self.sim.submit(self.sim.now, spec, client)
        before = len(self.sim.reports)
        return self.sim.run()[before:]

    def run_together(self, first, second):
        for client, specs in enumerate((first, second)):
            for spec in specs:
                self.sim.submit(0.0, spec, client)
        self.sim.run()
        first_client, second_client = self.sim.clients
        return first_client.reports, second_client.reports


class Simulated(Contract):
    @pytest.fixture
    def cluster(self):
        clusters = []

        def build(workers):
            clusters.append(SimulatedCluster(workers))
            return clusters[-1]

        yield build
        assert [violation for cluster in clusters for violation in cluster.sim.check()] == []


class TestSimulated(Simulated):
    """The built-in methods."""


class TestRegistered(Simulated):
    """A method that is one class of a user's: nothing else knows of it."""

    methods = (ChooseThree.name,)

    @pytest.fixture(autouse=True)
    def registered(self):
        METHODS_THERE_ARE.register(ChooseThree)
        yield
        METHODS_THERE_ARE.unregister(ChooseThree.name)


@pytest.mark.parametrize("denied_by", ["name server", "schedulers"])
@pytest.mark.parametrize("faults", [None, Faults(kinds=[PAUSE])])
def test_a_client_with_another_key_is_told_so_at_once(denied_by, faults):
    sim = Simulation(workers=2, faults=faults)
    sim.clients[0].denied_by.add(denied_by)
    sim.submit(0.5, JobSpec("a", (0.1,), "BATCH"))
    assert sim.run(5.0) == []
    assert isinstance(sim.clients[0].failures["a"], AccessDeniedError)
    assert sim.clients[0].node.jobs == {}
