"""What every contestant is asked to do, and the figures that follow from what it answers.

A stage is one cluster of a given shape and the steps that are taken on it. All contestants get the same jobs at the same times.
"""

from __future__ import annotations

import random
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from scripts.testbed.peers.wire import Held, Idled, Jobs, Ran, Started, Used
from src.experiments.workload import Workload
from src.simulation.omniscient import omniscient
from src.sparrow.metrics import percentile

ROLES = ("scheduler", "workers", "client")
LOAD = 0.8  # share of the slots that the jobs keep busy
TASKS = 10  # of a job
TASK_LENGTHS_S = (1.0, 0.1, 0.05, 0.02, 0.01, 0.005)  # the longest first: who fails at one is spared the shorter ones
LEAST_JOBS = 20  # of a load, however long its tasks are
GIVE_UP = 30.0  # times the omniscient queue's median: above it shorter tasks are left out, as their queue would only grow
IDLE_EVERY_S = 0.2
FLOOD_JOBS, FLOOD_TASKS = 20, 500
GROWTH_JOBS, GROWTH_EVERY_S = 100, 0.05
HELD_JOBS, HELD_TASK_S = 500, 0.02

Figures = dict[str, float]  # "median ms" and so on -> value
T = TypeVar("T")

OVER_OMNISCIENT = "over omniscient"  # the figure that says how many times the omniscient queue's median a median is
NAMES = ("idle", "flood", "load", "wide", "growth", "footprint")


class Shape(NamedTuple):
    """A cluster."""

    workers: int
    slots: int = 1  # of each worker

    def __str__(self) -> str:
        """As in headings."""
        return f"{self.workers:,} workers" + (f" of {self.slots} slots" if self.slots > 1 else "")


class Ask(Protocol):
    """Sends a request of ``wire.py`` to a contestant."""

    def __call__(self, what: str, **details: object) -> Any:
        """Returns the answer. Raises ContestantError."""


@dataclass(frozen=True)
class Step(ABC):
    """One measurement. Its label, such as ``80 % load, tasks of 10 ms``, is the heading of its table."""

    workload: str  # one of NAMES
    label: str
    of_variants = True  # whether each variant of a contestant is measured by itself

    @abstractmethod
    def measure(self, ask: Ask, variant: str, started: Started) -> Figures:
        """Returns the figures of a contestant that has been started. Raises ContestantError."""


@dataclass(frozen=True)
class Run(Step):
    """Jobs that are submitted when they are due. Costs are for each task."""

    jobs: Jobs
    ideal_s: Sequence[float] = ()  # the omniscient queue's response to each job, for a load

    def measure(self, ask: Ask, variant: str, started: Started) -> Figures:
        """Returns responses, or the rate, and costs."""
        ran: Ran = ask("run", variant=variant, jobs=self.jobs)
        tasks = sum(len(durations_s) for _, durations_s in self.jobs)
        median_s, p95_s = percentile(ran["responses_s"], 50), percentile(ran["responses_s"], 95)
        figures: Figures = {}
        if self.workload == "flood":
            figures["tasks/s"] = tasks / ran["took_s"]
        else:
            figures |= {"median ms": 1000 * median_s, "p95 ms": 1000 * p95_s}
        if self.ideal_s:
            figures[OVER_OMNISCIENT] = median_s / percentile(self.ideal_s, 50)
            figures["p95 over"] = p95_s / percentile(self.ideal_s, 95)
        return figures | costs(ran, tasks)


@dataclass(frozen=True)
class Growth(Step):
    """Jobs that leave the cluster idle most of the time. Costs are for each job, without what the idle cluster uses."""

    jobs: Jobs
    idle_s: float

    def measure(self, ask: Ask, variant: str, started: Started) -> Figures:
        """Returns responses, and costs."""
        idled: Idled = ask("idle", seconds=self.idle_s)
        ran: Ran = ask("run", variant=variant, jobs=self.jobs)
        median_s, p95_s = percentile(ran["responses_s"], 50), percentile(ran["responses_s"], 95)
        idle = costs(idled, idled["seconds"] / ran["took_s"] * len(self.jobs))
        net = {name: max(0.0, value - idle.get(name, 0.0)) for name, value in costs(ran, len(self.jobs)).items()}
        return {"median ms": 1000 * median_s, "p95 ms": 1000 * p95_s, **net}


@dataclass(frozen=True)
class Idle(Step):
    """Nothing: what idle processes use."""

    seconds: float
    of_variants = False

    def measure(self, ask: Ask, variant: str, started: Started) -> Figures:
        """Returns the seconds until it was ready, the share of a core, and the memory of a worker and of all else, by role."""
        idled: Idled = ask("idle", seconds=self.seconds)
        figures = {"ready s": started["ready_s"]}
        figures |= {f"{role} %": 100 * cpu_s / idled["seconds"] for role, cpu_s in in_order(idled["cpu_s"])}
        for role, memory_mb in in_order(idled["memory_mb"]):
            figures[f"{role} MB"] = statistics.median(memory_mb) if role == "workers" and memory_mb else sum(memory_mb)
        return figures


@dataclass(frozen=True)
class Hold(Step):
    """Jobs that are submitted at once: how memory grows while they are open."""

    jobs: Jobs

    def measure(self, ask: Ask, variant: str, started: Started) -> Figures:
        """Returns the memory of an open job, by role and in all."""
        held: Held = ask("hold", variant=variant, jobs=self.jobs)
        figures = {f"{role} kB": kb / max(1, held["open_jobs"]) for role, kb in in_order(held["grown_kb"])}
        return figures | {"all kB": sum(figures.values())}


@dataclass(frozen=True)
class Stage:
    """A cluster's shape, and what is done with it in this order."""

    shape: Shape
    steps: Sequence[Step]


def stages(names: Sequence[str], workers: int, seconds: float, idle_s: float, seed: int) -> list[Stage]:
    """Returns what these workloads consist of, with a cluster of each shape once.

    ``workers`` is for the workloads that do not name a shape, ``seconds`` the length of each load, ``idle_s`` of each idling.
    """
    found: dict[Shape, list[Step]] = {}

    def add(shape: Shape, *steps: Step) -> None:
        found.setdefault(shape, []).extend(steps)

    usual = Shape(workers)
    if "footprint" in names:
        add(usual, Idle("footprint", "footprint", idle_s))
    if "idle" in names:
        add(usual, _idle(seconds))
    if "growth" in names:
        for count in (10, 100, 1_000):
            add(Shape(count), _growth(idle_s))
        add(usual, _held())
    if "flood" in names:
        add(usual, _flood())
    if "load" in names:
        add(usual, *_loads("load", usual, seconds, seed))
    if "footprint" in names:
        add(Shape(100), Idle("footprint", "footprint", idle_s))
    if "wide" in names:
        for shape in (Shape(100), Shape(12, 8)):
            add(shape, *_loads("wide", shape, seconds, seed))
    return [Stage(shape, steps) for shape, steps in found.items()]


def _idle(seconds: float) -> Step:
    jobs: Jobs = [(IDLE_EVERY_S * number, [0.0] * TASKS) for number in range(max(1, round(seconds / IDLE_EVERY_S)))]
    return Run("idle", f"idle: {TASKS} empty tasks every {1000 * IDLE_EVERY_S:g} ms", jobs)


def _flood() -> Step:
    jobs: Jobs = [(0.0, [0.0] * FLOOD_TASKS)] * FLOOD_JOBS
    return Run("flood", f"flood: {FLOOD_JOBS} jobs of {FLOOD_TASKS} empty tasks at once", jobs)


def _loads(workload: str, shape: Shape, seconds: float, seed: int) -> list[Step]:
    steps: list[Step] = []
    slots = shape.workers * shape.slots
    for task_s in TASK_LENGTHS_S:
        drawn = Workload(slots, LOAD, TASKS, task_s, constant=True)
        arrivals = drawn.draw(random.Random(seed), max(LEAST_JOBS, round(seconds * drawn.jobs_per_s)))
        jobs: Jobs = [(arrival.at_s, list(arrival.durations_s)) for arrival in arrivals]
        label = f"{100 * LOAD:.0f} % load, tasks of {f'{task_s:g} s' if task_s >= 1 else f'{1000 * task_s:g} ms'}"
        steps.append(Run(workload, label, jobs, omniscient(jobs, shape.workers, shape.slots)))
    return steps


def _growth(idle_s: float) -> Step:
    jobs: Jobs = [(GROWTH_EVERY_S * number, [0.0] * TASKS) for number in range(GROWTH_JOBS)]
    return Growth("growth", f"growth: jobs of {TASKS} empty tasks, one every {1000 * GROWTH_EVERY_S:g} ms", jobs, idle_s)


def _held() -> Step:
    return Hold("growth", f"growth: memory of an open job of {TASKS} tasks", [(0.0, [HELD_TASK_S] * TASKS)] * HELD_JOBS)


def costs(used: Used, divisor: float) -> Figures:
    """Returns what was used, divided: processor time in microseconds by role and in all, messages and wake-ups."""
    figures = {f"{role} µs": 1e6 * cpu_s / divisor for role, cpu_s in in_order(used["cpu_s"])}
    figures["all µs"] = sum(figures.values())
    if used["messages"] is not None:
        figures["messages"] = sum(used["messages"].values()) / divisor
    figures["wake-ups"] = sum(used["wakeups"].values()) / divisor
    return figures


def in_order(by_role: Mapping[str, T]) -> list[tuple[str, T]]:
    """Returns the items in the order in which the roles are shown."""
    return [(role, by_role[role]) for role in ROLES if role in by_role]
