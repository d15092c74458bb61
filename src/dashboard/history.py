"""``History``: the last ten minutes of the cluster, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from src.dashboard.views import HistoryColumns, JobRow, WorkerHistory
from src.sparrow.reports import SchedulerStats


@dataclass(frozen=True)
class HistorySettings:
    """How much is remembered, and at which resolution."""

    kept_s: float = 600.0  # points and responses are kept for this time
    step_s: float = 2.0  # the shortest time between two points
    jitter_s: float = 0.3  # a point may come this much too early
    rate_s: float = 5.0  # the time over which tasks per second are averaged
    max_ended_jobs: int = 5_000  # ended jobs whose responses are remembered for the percentiles


class HistoryPoint(NamedTuple):
    """The cluster at one time."""

    running: int  # tasks
    queued: int  # tasks
    tasks_per_s: float
    response_p95_s: float | None
    workers: int  # workers that are up


class History:
    """The points of the charts, the responses of ended jobs, and the loads of each worker. Times are seconds since 1970."""

    def __init__(self, settings: HistorySettings = HistorySettings()) -> None:  # noqa: B008 (it is frozen)
        self.settings = settings
        length = int(settings.kept_s / settings.step_s)
        self._times: deque[float] = deque(maxlen=length)
        self._points: deque[HistoryPoint] = deque(maxlen=length)
        self._loads: dict[str, deque[int | None]] = {}  # worker -> its loads up to the newest point
        self._ended: deque[tuple[float, float]] = deque(maxlen=settings.max_ended_jobs)  # (when a job ended, its response)
        self._known: dict[str, None] = {}  # the ids of jobs whose end is counted, the oldest first
        self._done: dict[str, tuple[str, int]] = {}  # scheduler -> its incarnation, and how many tasks had ended there
        self._total = 0  # tasks that have ended since the dashboard started
        self._totals: deque[tuple[float, int]] = deque()  # (time, total)

    def count_tasks(self, now: float, schedulers: Mapping[str, SchedulerStats]) -> float:
        """Counts the tasks that have ended since the last call, and returns the tasks per second over the last ``rate_s`` seconds.

        A scheduler that was restarted counts from 0 again.
        """
        rate_s = self.settings.rate_s
        for name, stats in schedulers.items():
            done = sum(method["counts"].get("done", 0) for method in stats["methods"].values())
            first = 0 if stats["uptime_s"] < rate_s else done  # tasks that ended before the scheduler was found do not count
            incarnation, before = self._done.get(name, (stats["incarnation"], first))
            self._total += max(0, done - (before if incarnation == stats["incarnation"] else 0))
            self._done[name] = stats["incarnation"], done
        self._totals.append((now, self._total))
        while len(self._totals) > 2 and now - self._totals[1][0] >= rate_s:
            self._totals.popleft()
        since, before = self._totals[0]
        return (self._total - before) / (now - since) if now > since else 0.0

    def add_ended_jobs(self, now: float, jobs: Iterable[JobRow]) -> None:
        """Remembers the responses of those of the jobs that have ended, each job once. Those with a failed task do not count.

        A job ended at ``now`` at the latest: the clock of its scheduler may be wrong.
        """
        for job in jobs:
            if job["state"] == "done" and job["id"] not in self._known:
                self._known[job["id"]] = None
                self._ended.append((min(now, job["submitted"] + job["response_s"]), job["response_s"]))
        while len(self._known) > self.settings.max_ended_jobs:
            del self._known[next(iter(self._known))]

    def responses(self, now: float, within_s: float) -> list[float]:
        """Returns the responses, in seconds, of the jobs that ended in the last ``within_s`` seconds."""
        return [response_s for when, response_s in self._ended if now - when <= within_s]

    def add(self, now: float, point: HistoryPoint, loads: Mapping[str, int | None]) -> None:
        """Adds a point and the load of each worker (None if it is gone), unless the last point is too recent."""
        if self._times and now - self._times[-1] < self.settings.step_s - self.settings.jitter_s:
            return
        for worker in [worker for worker in self._loads if worker not in loads]:
            del self._loads[worker]
        for worker, load in loads.items():
            self._loads.setdefault(worker, deque([None] * len(self._times), maxlen=self._times.maxlen)).append(load)
        self._times.append(now)
        self._points.append(point)

    def columns(self, now: float) -> HistoryColumns:
        """Returns the points of the last ``kept_s`` seconds."""
        first = self._first(now)
        points = list(self._points)[first:]
        return {
            "t": self._offsets(now, first),
            "running": [point.running for point in points],
            "queued": [point.queued for point in points],
            "tasks_per_s": [point.tasks_per_s for point in points],
            "response_p95_s": [point.response_p95_s for point in points],
            "workers": [point.workers for point in points],
        }

    def worker(self, name: str, now: float) -> WorkerHistory:
        """Returns the loads of one worker in the last ``kept_s`` seconds; None for each time at which it was gone or unknown."""
        first = self._first(now)
        loads = list(self._loads.get(name, ()))
        return {"t": self._offsets(now, first), "load": ([None] * (len(self._times) - len(loads)) + loads)[first:]}

    def _first(self, now: float) -> int:
        """Returns the index of the first point of the last ``kept_s`` seconds."""
        return next((i for i, when in enumerate(self._times) if now - when <= self.settings.kept_s), len(self._times))

    def _offsets(self, now: float, first: int) -> list[float]:
        return [round(when - now, 1) for when in list(self._times)[first:]]
