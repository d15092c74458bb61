"""The statistics of a scheduler: counts and percentiles for each method, the newest jobs, and the details of one job.

While jobs run, only counters change; everything that takes time is computed when a caller asks for it. Times are seconds of the
scheduler's clock. The types of the results are declared in ``reports``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from src.sparrow import explanations
from src.sparrow.jobs import DONE, Job
from src.sparrow.metrics import Histogram
from src.sparrow.reports import JobDetails, JobHead, JobLine, MethodStats, Report
from src.sparrow.settings import TallyLimits

TIMES = ("response_s", "slowdown", "last_wait_s", "wait_s", "service_s")
LEAST_IDEAL_S = 1e-6  # the ideal time of a job counts as at least this, so that the slowdown of a job of 0 s tasks is a number


class Tally:
    """The statistics of one scheduler. It is not thread-safe."""

    def __init__(self, limits: TallyLimits = TallyLimits()) -> None:
        self.limits = limits
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)  # method -> jobs, tasks, probes, reservations, assigned, ...
        self._demanded_s: dict[str, float] = defaultdict(float)  # method -> durations of all tasks that were submitted
        self._times: dict[str, dict[str, Histogram]] = defaultdict(lambda: {name: Histogram() for name in TIMES})  # by method
        self._kept: dict[str, tuple[Job, float]] = {}  # id -> an ended job and when it ended; the oldest first
        self._kept_tasks = 0

    def count(self, method: str, what: str, by: int = 1) -> None:
        """Adds ``by`` to the counter ``what`` (see ``reports.MethodStats``) of a method."""
        self.counts[method][what] += by

    def submitted(self, job: Job) -> None:
        """Counts a job that has just been submitted."""
        method = job.method.name
        self.count(method, "jobs")
        self.count(method, "tasks", len(job.tasks))
        self._demanded_s[method] += sum(task.duration_s for task in job.tasks)

    def ended(self, job: Job, report: Report, now: float) -> None:
        """Counts a job that has just ended, and keeps it so that its details can be shown.

        A job with a failed task ended without its work being done, so its response says nothing about the method.
        """
        limits, method = self.limits, job.method.name
        self.count(method, "done", len(job.tasks) - job.failed)
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
        self._kept[job.id] = (job, now)
        self._kept_tasks += len(job.tasks) - (len(former[0].tasks) if former else 0)
        while len(self._kept) > 1 and (len(self._kept) > limits.kept_jobs or self._kept_tasks > limits.kept_tasks):
            oldest, _ = self._kept.pop(next(iter(self._kept)))
            self._kept_tasks -= len(oldest.tasks)

    def methods(self, open_jobs: Iterable[Job]) -> dict[str, MethodStats]:
        """Returns the counts of each method that has been used, and the distributions of its times."""
        counts = {method: Counter(counted) for method, counted in self.counts.items()}
        for job in open_jobs:  # tasks of open jobs are counted here, those of ended jobs were when the job ended
            counts[job.method.name]["done"] += len(job.tasks) - job.open - job.failed
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
        jobs: list[tuple[Job, float | None]] = [(job, None) for job in list(open_jobs)[-most:]]
        jobs += [self._kept[id] for id in list(self._kept)[-most:]]
        jobs.sort(key=lambda entry: -entry[0].submitted_s)
        return [{**_head(job, ended_s, now, to_wall_s), "tasks": len(job.tasks)} for job, ended_s in jobs[:most]]

    def details(self, job_id: str, open_job: Job | None, now: float, to_wall_s: float) -> JobDetails | None:
        """Returns the details of one job, cut to the limits; None if it is neither open nor kept.

        ``open_job`` is the job if it is open, else None; ``to_wall_s`` is as for ``newest``.
        """
        job: Job
        ended_s: float | None
        if open_job is not None:
            job, ended_s = open_job, None
        elif job_id in self._kept:
            job, ended_s = self._kept[job_id]
        else:
            return None
        return {
            **_head(job, ended_s, now, to_wall_s),
            "num_tasks": len(job.tasks),
            "tasks": [explanations.task_row(task, job.submitted_s) for task in job.tasks[: self.limits.shown_tasks]],
            "decisions": explanations.decisions(job, self.limits.shown_placements),
            "asked": job.asked[: self.limits.shown_placements],
            "reservations": explanations.reservations(job, self.limits.shown_placements),
        }


def _head(job: Job, ended_s: float | None, now: float, to_wall_s: float) -> JobHead:
    response_s = (now if ended_s is None else ended_s) - job.submitted_s
    ideal_s = None if ended_s is None else job.ideal_s()
    return {
        "id": job.id,
        "method": job.method.name,
        "state": "running" if ended_s is None else "failed" if job.failed else "done",
        "ended": len(job.tasks) - job.open,
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
