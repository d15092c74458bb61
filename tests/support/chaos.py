"""A small cluster, its jobs and all its faults, drawn from one seed: what thousands of simulated runs are made of."""

import random
import traceback

from src.simulation.network import RACK_CRASH, RACK_CUT, Faults, Network
from src.simulation.simulation import Simulation
from src.sparrow.jobspec import JobSpec
from src.sparrow.placement import METHODS
from src.sparrow.scheduler_node import SchedulerNode
from src.sparrow.settings import SchedulerSettings, WorkerSettings

REPLAY = "SPARROW_SEED={} .venv/bin/python -m pytest tests/simulation/test_chaos.py -k test_replay"

STEP_S = 0.03  # how long a step of a slow scheduler takes


class SlowSteps(SchedulerNode):
    """A scheduler whose steps take time, so that anything may happen between two of them."""

    def _work(self):
        self._host.later(STEP_S, super()._work)


def in_slow_steps(scheduler_class=SchedulerNode, **classes):
    """These classes of nodes, with schedulers whose steps take time."""
    return {"scheduler_class": type(scheduler_class.__name__, (SlowSteps, scheduler_class), {}), **classes}


def chaos(seed, **classes):
    """A simulation that has run until all jobs were reported. ``classes``: other nodes than the real ones."""
    rng = random.Random(seed)
    max_at_once = rng.choice((1, 3, 1_000))  # few: what is left waits for its turn, and meanwhile the workers may go
    if max_at_once < 1_000:
        classes = in_slow_steps(**classes)
    network = Network(
        delay_s=0.0005,
        jitter_s=rng.choice((0.0005, 0.02, 0.1)),
        loss=rng.choice((0.0, 0.01, 0.1)),
        straggling=rng.choice((0.0, 0.01, 0.05)),
        resets=rng.choice((0.0, 0.01, 0.05)),
    )
    sim = Simulation(
        workers=rng.randint(1, 6),
        slots=rng.randint(1, 3),
        schedulers=rng.randint(1, 3),
        clients=rng.randint(1, 3),
        seed=seed,
        network=network,
        faults=Faults(
            every_s=rng.choice((4.0, 8.0, 30.0)),
            lasting_s=rng.choice((1.0, 4.0)),
            until_s=15.0,
        ),
        audited=True,
        workers_per_host=rng.choice((1, 2, 4)),
        atomic_names=rng.random() < 0.5,
        scheduler_settings=SchedulerSettings(
            max_at_once=max_at_once,
            max_made_at_once=4 * max_at_once,
            max_open_tasks=rng.choice((40, 500_000)),  # a job has 15 at most, as it is counted, and gets half of what is left
            remembered_jobs=rng.choice((1, 10_000)),
        ),
        worker_settings=WorkerSettings(max_held=rng.choice((4, 1_000_000))),
        **classes,
    )
    for number in range(rng.randint(2, 6)):
        longest = rng.choice((0.01, 0.2, 2.0, 20.0))
        durations = tuple(rng.uniform(0, longest) for _ in range(rng.randint(1, 10)))
        spec = JobSpec(f"job-{number}", durations, rng.choice(METHODS.names()))
        sim.submit(rng.uniform(0, 5), spec, number % len(sim.clients))
    sim.run(until_s=2_000.0)
    return sim


def racks(seed, **classes):
    """The same with one rack of many workers, which dies again and again, one worker after the other, or is cut off."""
    rng = random.Random(seed)
    workers = rng.randint(8, 16)
    sim = Simulation(
        workers=workers,
        slots=rng.randint(1, 2),
        seed=seed,
        network=Network(jitter_s=rng.choice((0.0005, 0.01))),
        faults=Faults(every_s=3.0 * (workers + 1), lasting_s=1.0, until_s=20.0, kinds=(RACK_CRASH, RACK_CRASH, RACK_CUT)),
        audited=True,
        **classes,
    )
    for number in range(4):
        durations = tuple(rng.uniform(0.5, 4) for _ in range(rng.randint(5, 20)))
        sim.submit(rng.uniform(0, 5), JobSpec(f"job-{number}", durations, rng.choice(METHODS.names())))
    sim.run(until_s=2_000.0)
    return sim


def crammed(seed, **classes):
    """A few workers that have next to no room, of two schedulers, without any other fault."""
    rng = random.Random(seed)
    sim = Simulation(
        workers=rng.randint(2, 4),
        schedulers=2,
        clients=2,
        seed=seed,
        network=Network(jitter_s=0.0005),
        audited=True,
        worker_settings=WorkerSettings(max_held=3),
        **classes,
    )
    for number in range(8):
        durations = tuple(rng.choice((0.1, 10.0)) for _ in range(rng.randint(1, 6)))
        sim.submit(rng.uniform(0, 5), JobSpec(f"job-{number}", durations, "BATCH+LATE_BINDING"), number % 2)
    sim.run(until_s=2_000.0)
    return sim


def wrong_in(seed, world=chaos, **classes):
    """What was wrong in that run; a run that raises is wrong as well."""
    try:
        return world(seed, **classes).check()
    except Exception:
        return traceback.format_exc().splitlines()[-4:]


def wrong_in_any(seeds, world=chaos):
    """seed -> what was wrong, of those seeds in whose runs anything was."""
    return {seed: wrong for seed in seeds if (wrong := wrong_in(seed, world))}


def readable(found):
    """For a failing assertion: what was wrong in which seed, and how to see it again."""
    return "\n".join(f"\nseed {seed}, replay: {REPLAY.format(seed)}\n  " + "\n  ".join(wrong[:8]) for seed, wrong in found.items())
