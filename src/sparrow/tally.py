"""The statistics of a scheduler: counts and percentiles for each method, the newest jobs, and the details of one job.

While jobs run, only counters change; everything that takes time is computed when a caller asks for it. Times are seconds of the
scheduler's clock. The types of the results are declared in ``reports``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from src.sparrow import explanations
from src.sparrow.jobs import DONE, Job
from src.sparrow.metrics import Histogram
from src.sparrow.reports import JobDetails, JobHead, JobLine, MethodStats, Report
from src.sparrow.settings import TallyLimits

TIMES = ("response_s", "slowdown", "last_wait_s", "wait_s", "service_s")
LEAST_IDEAL_S = 1e-6  # the ideal time of a job counts as at least this, so that the slowdown of a job of 0 s tasks is a number


class Ended(NamedTuple):
    """An ended job, when it ended, and its longest service time."""

    job: Job
    ended_s: float
    ideal_s: float


class Tally:
    """The statistics of one scheduler. It is not thread-safe."""

    def __init__(self, limits: TallyLimits = TallyLimits()) -> None:
        self.limits = limits
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)  # method -> jobs, tasks, probes, reservations, assigned, ...
        self._demanded_s: dict[str, float] = defaultdict(float)  # method -> durations of all tasks that were submitted
        self._times: dict[str, dict[str, Histogram]] = defaultdict(lambda: {name: Histogram() for name in TIMES})  # by method
        self._kept: dict[str, Ended] = {}  # by id, the oldest first
        self._kept_tasks = 0

    def count(self, method: str, what: str, by: int = 1) -> None:
        """Adds ``by`` to the counter ``what`` (see ``reports.MethodStats``) of a method."""
        self.counts[method][what] += by

    def submitted(self, job: Job, demanded_s: float) -> None:
        """Counts a job that has just been submitted, whose tasks take ``demanded_s`` seconds together."""
        method = job.method.name
        self.count(method, "jobs")
        self.count(method, "tasks", job.num_tasks)
        self._demanded_s[method] += demanded_s

    def ended(self, job: Job, report: Report, now: float) -> None:
        """Counts a job that has just ended, and keeps it so that its details can be shown.

        A job with a failed task ended without its work being done, so its response says nothing about the method.
        """
        limits, method = self.limits, job.method.name
        self.count(method, "done", job.num_tasks - job.failed)
        times = self._times[method]
        if job.failed:
            self.count(method, "failed_jobs")
        else:
            times["response_s"].add(report["response_s"])
            times["slowdown"].add(slowdown(report["response_s"], report["ideal_s"]))
            times["last_wait_s"].add(max(task.wait_s for task in job.tasks))
        for task in job.tasks[: limits.sampled_tasks]:
            if task.state == DONE:
                times["wait_s"].add(task.wait_s)
                times["service_s"].add(task.service_s)
        former = self._kept.pop(job.id, None)
        self._kept[job.id] = Ended(job, now, report["ideal_s"])
        self._kept_tasks += job.num_tasks - (former.job.num_tasks if former else 0)
        while len(self._kept) > 1 and (len(self._kept) > limits.kept_jobs or self._kept_tasks > limits.kept_tasks):
            oldest = self._kept.pop(next(iter(self._kept)))
            self._kept_tasks -= oldest.job.num_tasks

    def methods(self, open_jobs: Iterable[Job]) -> dict[str, MethodStats]:
        """Returns the counts of each method that has been used, and the distributions of its times."""
        counts = {method: Counter(counted) for method, counted in self.counts.items()}
        for job in open_jobs:  # tasks of open jobs are counted here, those of ended jobs were when the job ended
            counts[job.method.name]["done"] += job.num_tasks - job.open - job.failed
        return {method: self._method_stats(method, counted) for method, counted in counts.items()}

    def _method_stats(self, method: str, counts: Counter[str]) -> MethodStats:
        times = self._times[method]
        return {
            "counts": dict(counts),
            "demanded_s": self._demanded_s[method],
            "response_s": times["response_s"].to_dict(),
            "slowdown": times["slowdown"].to_dict(),
            "last_wait_s": times["last_wait_s"].to_dict(),
            "wait_s": times["wait_s"].to_dict(),
            "service_s": times["service_s"].to_dict(),
        }

    def newest(self, open_jobs: Iterable[Job], now: float, to_wall_s: float) -> list[JobLine]:
        """Returns a line for each of the newest jobs, the newest first.

        ``to_wall_s`` is the number of seconds to add to a time of the scheduler's clock to get seconds since 1970.
        """
        most = self.limits.listed_jobs
        jobs: list[tuple[Job, Ended | None]] = [(job, None) for job in list(open_jobs)[-most:]]
        jobs += [(ended.job, ended) for ended in map(self._kept.__getitem__, list(self._kept)[-most:])]
        jobs.sort(key=lambda entry: -entry[0].submitted_s)
        return [{**_head(job, ended, now, to_wall_s), "tasks": job.num_tasks} for job, ended in jobs[:most]]

    def details(
        self, job_id: str, open_job: Job | None, now: float, to_wall_s: float, first: int = 0, most: int | None = None
    ) -> JobDetails | None:
        """Returns the details of one job, cut to the limits; None if it is neither open nor kept.

        ``open_job`` is the job if it is open, else None; ``to_wall_s`` is as for ``newest``. The lists begin at position ``first``
        and cover at most ``most`` positions: a task or a reservation has one, a decision as many as it has tasks.
        """
        ended = None if open_job is not None else self._kept.get(job_id)
        job = open_job if ended is None else ended.job
        if job is None:
            return None
        limits = self.limits
        end = self.extent(job) if most is None else first + most
        return {
            **_head(job, ended, now, to_wall_s),
            "num_tasks": job.num_tasks,
            "tasks": [explanations.task_row(job, index) for index in range(first, min(end, limits.shown_tasks, len(job.tasks)))],
            "decisions": explanations.decisions(job, limits.shown_placements, first, end),
            "asked": job.asked[first : min(end, limits.shown_placements)],
            "pulled": job.pulled[first : min(end, limits.shown_placements)],
            "reservations": explanations.reservations(job, first, min(end, limits.shown_placements)),
        }

    def extent(self, job: Job | str) -> int:
        """Returns how many positions there are in the details of a job; 0 if it is an id that is not kept."""
        if isinstance(job, str):
            if job not in self._kept:
                return 0
            job = self._kept[job].job
        limits = self.limits
        explained = min(
            max(
                sum(len(decision["tasks"]) for decision in job.decisions),
                len(job.asked),
                len(job.pulled),
                sum(len(made.workers) for made in job.reservations),
            ),
            limits.shown_placements,
        )
        return max(min(job.num_tasks, limits.shown_tasks), explained)


def _head(job: Job, end: Ended | None, now: float, to_wall_s: float) -> JobHead:
    response_s = (now if end is None else end.ended_s) - job.submitted_s
    ideal_s = None if end is None else end.ideal_s
    return {
        "id": job.id,
        "method": job.method.name,
        "state": "running" if end is None else "failed" if job.failed else "done",
        "ended": job.num_tasks - job.open,
        "failed": job.failed,
        "retried": job.retried,
        "submitted": job.submitted_s + to_wall_s,
        "response_s": response_s,
        "ideal_s": ideal_s,
        "slowdown": None if ideal_s is None or job.failed else slowdown(response_s, ideal_s),
    }


def slowdown(response_s: float, ideal_s: float) -> float:
    """Returns the response over the ideal."""
    return response_s / max(ideal_s, LEAST_IDEAL_S)
