"""PULL among a hundred workers: how close it comes to omniscient, with how many messages, and who may fail meanwhile."""

import random
from collections import Counter

import pytest

from src.experiments.workload import Workload
from src.simulation.member import Member
from src.simulation.network import CRASH, LEAVE, PAUSE, SILENT_CRASH, Faults, Network
from src.simulation.omniscient import omniscient
from src.simulation.simulation import Simulation
from src.sparrow.jobspec import JobSpec
from src.sparrow.metrics import percentile
from src.sparrow.placement import METHODS

WORKERS, TASKS, TASK_S = 100, 10, 0.1


def arrivals(load, jobs, seed=1):
    return Workload(WORKERS, load, TASKS, TASK_S, constant=True).draw(random.Random(seed), jobs)


def count_calls(monkeypatch):
    """The calls that are made from now on: those that place tasks, and those that only compare what each side believes."""
    calls: Counter = Counter()
    call = Member.call

    def counted(member, link, batch):
        calls["comparing" if batch[0].kind == "Reconcile" else "placing"] += 1
        call(member, link, batch)

    monkeypatch.setattr(Member, "call", counted)
    return calls


def over_omniscient(monkeypatch, load, schedulers, jobs=1_000, method="PULL"):
    """(median response over the omniscient scheduler's, calls a task) on 100 workers of one slot, without the first tenth."""
    drawn = arrivals(load, jobs)
    sim = Simulation(WORKERS, 1, schedulers, schedulers, seed=1, network=Network(delay_s=0.0005))
    for number, (at_s, durations_s) in enumerate(drawn):
        sim.submit(3.0 + at_s, JobSpec(f"{number}", durations_s, method), number % schedulers)
    calls = count_calls(monkeypatch)
    responses = {int(report["id"]): report["response_s"] for report in sim.run()}
    first = jobs // 10
    ideal = omniscient(drawn, WORKERS)[first:]
    ratio = percentile([responses[number] for number in range(first, jobs)], 50) / percentile(ideal, 50)
    return ratio, calls["placing"] / (jobs * TASKS)


@pytest.mark.parametrize(("load", "ratio"), [(0.8, 1.03), (0.9, 1.06)])
def test_pull_is_close_to_omniscient(monkeypatch, load, ratio):
    found = over_omniscient(monkeypatch, load, 1)
    assert found[0] < ratio
    assert found[1] < 2.5


@pytest.mark.parametrize(("load", "ratio"), [(0.8, 1.10), (0.9, 1.20)])
def test_pull_is_close_to_omniscient_among_schedulers(monkeypatch, load, ratio):
    found = over_omniscient(monkeypatch, load, 4)
    assert found[0] < ratio
    assert found[1] < 7.0


def test_late_binding_is_not(monkeypatch):
    assert over_omniscient(monkeypatch, 0.8, 1, jobs=500, method="BATCH+LATE_BINDING")[0] > 1.3


@pytest.mark.parametrize("schedulers", [1, 2, 10])
def test_workers_and_schedulers_may_die_with_tokens_out(schedulers):
    for seed in range(4):
        sim = Simulation(
            workers=12,
            schedulers=schedulers,
            clients=2,
            seed=seed,
            network=Network(jitter_s=0.002, resets=0.01),
            faults=Faults(every_s=20.0, lasting_s=1.0, until_s=20.0, kinds=(CRASH, SILENT_CRASH, PAUSE, LEAVE)),
            audited=True,
        )
        drawn = Workload(12, 0.6, 5, 0.2).draw(random.Random(seed), 100)
        for number, (at_s, durations_s) in enumerate(drawn):
            method = "PULL" if seed % 2 else list(METHODS)[number % len(METHODS)]
            sim.submit(at_s, JobSpec(f"{number}", durations_s, method), number % 2)
        sim.run(until_s=2_000.0)
        assert sim.check() == []
