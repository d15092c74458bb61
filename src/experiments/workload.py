"""``Workload``, which draws jobs that arrive at random at a given load, for the demo, the benchmark, the pictures and the tests.

    workload = Workload(slots=10, load=0.8, tasks=10, mean_s=0.1)
    jobs = workload.draw(random.Random(1), 70)

The same generator state gives the same jobs, so that methods and versions can be compared on equal work.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple


class Arrival(NamedTuple):
    """One job: when it is submitted and how long each of its tasks runs, in seconds."""

    at_s: float
    durations_s: tuple[float, ...]


@dataclass(frozen=True)
class Workload:
    """Jobs with Poisson arrivals, as in the paper's evaluation (section 4). Raises ValueError if a number is not above 0.

    All tasks of a job have the same duration. Across jobs that duration is exponentially distributed, or constant.
    """

    slots: int  # the slots of all workers together
    load: float = 0.8  # the share of the slots that the jobs keep busy on average
    tasks: int = 10  # the tasks in each job
    mean_s: float = 0.1  # the mean duration of a task, in seconds
    constant: bool = False  # whether every task takes ``mean_s``

    def __post_init__(self) -> None:
        """Checks the values: a number of 0 or less would give no arrivals, or all of them at once."""
        for name in ("slots", "load", "tasks", "mean_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name):g}")

    @property
    def jobs_per_s(self) -> float:
        """The mean rate of arrivals, in jobs a second."""
        return self.slots * self.load / (self.tasks * self.mean_s)

    def draw(self, rng: random.Random, jobs: int) -> list[Arrival]:
        """Returns ``jobs`` jobs in the order of their arrival, with arrival times in seconds above 0."""
        at_s = 0.0
        arrivals = []
        for _ in range(jobs):
            at_s += rng.expovariate(self.jobs_per_s)
            duration_s = self.mean_s if self.constant else rng.expovariate(1 / self.mean_s)
            arrivals.append(Arrival(at_s, (duration_s,) * self.tasks))
        return arrivals

    def draw_for(self, rng: random.Random, for_s: float) -> list[Arrival]:
        """Returns as many jobs as arrive in ``for_s`` seconds on average, at least one."""
        return self.draw(rng, max(1, round(for_s * self.jobs_per_s)))
