"""What a scheduler can say of its work: counts and percentiles for each method, the newest jobs, one job in detail.

Written so that counting costs next to nothing while jobs run: what takes time is worked out when somebody asks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from src.sparrow.jobs import DONE, PLACED, Job
from src.sparrow.metrics import Histogram

LISTED_JOBS = 100  # named in ``newest``
KEPT_JOBS = 500  # ended jobs that can be told of in detail, unless they have more than
KEPT_TASKS = 200_000  # tasks in all
SAMPLED_OF_A_JOB = 50  # tasks at most, for how wait and service time spread
TIMES = ("response_s", "slowdown", "wait_s", "service_s")


class Tally:
    """Not thread-safe: its owner's event loop is the only one to touch it. Times are on the scheduler's clock, in seconds."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter] = defaultdict(
            Counter
        )  # method -> jobs, tasks, probes, reservations, assigned, no_ops, cancellations, ...
        self._times: dict[str, dict[str, Histogram]] = defaultdict(lambda: {name: Histogram() for name in TIMES})  # method -> ...
        self._kept: dict[str, tuple[Job, float]] = {}  # ended jobs, the oldest first, and when they ended
        self._kept_tasks = 0

    def count(self, method: str, what: str, by: int = 1) -> None:
        self.counts[method][what] += by

    def ended(self, job: Job, report: dict[str, Any], now: float) -> None:
        method = job.method.name
        self.count(method, "done", len(job.tasks) - job.failed)
        times = self._times[method]
        times["response_s"].add(report["response_s"])
        times["slowdown"].add(report["response_s"] / max(report["ideal_s"], 1e-6))
        for worker, wait_s, service_s, _ in report["tasks"][:SAMPLED_OF_A_JOB]:
            if worker is not None:
                times["wait_s"].add(wait_s)
                times["service_s"].add(service_s)
        former = self._kept.pop(job.id, None)
        self._kept[job.id] = (job, now)
        self._kept_tasks += len(job.tasks) - (len(former[0].tasks) if former else 0)
        while len(self._kept) > 1 and (len(self._kept) > KEPT_JOBS or self._kept_tasks > KEPT_TASKS):
            oldest, _ = self._kept.pop(next(iter(self._kept)))
            self._kept_tasks -= len(oldest.tasks)

    def methods(self, open_jobs: Iterable[Job]) -> dict[str, Any]:
        """For each method seen so far: counts, and how response, slowdown (response over ideal), wait and service spread."""
        counts = {method: Counter(counted) for method, counted in self.counts.items()}
        for job in open_jobs:  # tasks of jobs that go on are counted when their job has ended, or here
            counts[job.method.name]["done"] += len(job.tasks) - job.open - job.failed
        return {
            method: {"counts": dict(counted), **{name: times.told() for name, times in self._times[method].items()}}
            for method, counted in counts.items()
        }

    def newest(self, open_jobs: Iterable[Job], now: float, to_wall_s: float) -> list[dict[str, Any]]:
        """The newest jobs in a line each. ``to_wall_s`` turns the scheduler's clock into seconds since 1970."""
        jobs = [(job, None) for job in list(open_jobs)[-LISTED_JOBS:]]
        jobs += [self._kept[id] for id in list(self._kept)[-LISTED_JOBS:]]  # type: ignore[misc]
        jobs.sort(key=lambda entry: -entry[0].submitted_s)
        return [_line(job, ended_s, now, to_wall_s) for job, ended_s in jobs[:LISTED_JOBS]]

    def details(self, job_id: str, open_job: Job | None, now: float, to_wall_s: float) -> dict[str, Any] | None:
        """All that is known of one job; None if it is not known (any more).

        ``tasks`` has a row a task: [worker, wait_s, service_s, attempts, state, workers it was lost on, seconds from submission to
        start]; ``decisions`` what was sampled and chosen; ``asked`` the reservations as they reached the front: [reservation,
        worker, seconds from submission, task or None].
        """
        ended_s = None
        if open_job is not None:
            job = open_job
        elif job_id in self._kept:
            job, ended_s = self._kept[job_id]
        else:
            return None
        rows = []
        for task in job.tasks:
            started_s = None
            if task.state == DONE:
                started_s = task.wait_s
            elif task.state == PLACED:
                started_s = task.placed_s - job.submitted_s
            rows.append([task.worker, task.wait_s, task.service_s, task.attempt, task.state, list(task.lost_on), started_s])
        decisions = [
            {"tasks": tasks, "probed": probed, "loads": loads, "chosen": chosen} for tasks, probed, loads, chosen in job.decisions
        ]
        return {**_line(job, ended_s, now, to_wall_s), "tasks": rows, "decisions": decisions, "asked": job.asked}


def _line(job: Job, ended_s: float | None, now: float, to_wall_s: float) -> dict[str, Any]:
    response_s = (now if ended_s is None else ended_s) - job.submitted_s
    ideal_s = None if ended_s is None else job.ideal_s()
    state = "running" if ended_s is None else "failed" if job.failed else "done"
    return {
        "id": job.id,
        "method": job.method.name,
        "state": state,
        "tasks": len(job.tasks),
        "ended": len(job.tasks) - job.open,
        "failed": job.failed,
        "retried": job.retried,
        "submitted": job.submitted_s + to_wall_s,
        "response_s": response_s,
        "ideal_s": ideal_s,
        "slowdown": None if ideal_s is None else response_s / max(ideal_s, 1e-6),
    }
