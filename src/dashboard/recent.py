"""``Recent``: how the jobs of each method went in the last ten minutes, and under which load. It is pure.

Two methods can be compared only if their jobs met about the same load. The load that a job meets is the work that is submitted
around it, by whatever method, over what the slots can do in that time. This depends on the clients alone, not on how well a method
does; the work of the job itself is left out, since it is there whatever the load is.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from src.dashboard.ledger import Growth
from src.dashboard.views import QuantileView, RecentView
from src.sparrow.metrics import Buckets, estimate

ENOUGH = 0.85  # of the time around a job must have been seen, for the load that it met to be known


@dataclass(frozen=True)
class RecentSettings:
    """Times in seconds."""

    window_s: float = 600.0  # jobs that ended in this time are compared
    group_s: float = 10.0  # jobs that ended within this time of each other may be alike by chance
    around_s: float = 5.0  # the work that is submitted this long before and after a job is the load that it meets


class Arrivals(NamedTuple):
    """What was submitted between two looks."""

    at: float
    for_s: float  # the time between the looks
    slots: int
    demanded_s: float  # work of all methods
    jobs: dict[str, tuple[int, float]]  # method -> its jobs, and their work in seconds


@dataclass
class Ended:
    """The jobs of one method that ended within one group of time."""

    failed_jobs: int = 0
    slowdown: Counter[int] = field(default_factory=Counter)
    last_wait_s: Counter[int] = field(default_factory=Counter)


class Recent:
    """The jobs of the last ``window_s`` seconds. Times are seconds since 1970."""

    def __init__(self, settings: RecentSettings = RecentSettings()) -> None:  # noqa: B008 (it is frozen)
        self.settings = settings
        self._arrivals: deque[Arrivals] = deque()
        self._groups: deque[tuple[float, dict[str, Ended]]] = deque()  # when it began -> method -> jobs
        self._looked_at: float | None = None

    def add(self, now: float, slots: int, grown: Iterable[Growth]) -> None:
        """Adds what schedulers have counted since the last call. ``slots`` are those of the workers that are up."""
        settings = self.settings
        if not self._groups or now - self._groups[-1][0] >= settings.group_s:
            self._groups.append((now, {}))
        ended = self._groups[-1][1]
        jobs: dict[str, tuple[int, float]] = {}
        for growth in grown:
            if growth.seen:
                number, work_s = jobs.get(growth.method, (0, 0.0))
                jobs[growth.method] = number + growth.jobs, work_s + growth.demanded_s
            if growth.seen or growth.uptime_s <= settings.window_s:
                part = ended.setdefault(growth.method, Ended())
                part.failed_jobs += growth.failed_jobs
                part.slowdown.update(growth.slowdown)
                part.last_wait_s.update(growth.last_wait_s)
        if self._looked_at is not None and now > self._looked_at:
            demanded_s = sum(work_s for _, work_s in jobs.values())
            self._arrivals.append(Arrivals(now, now - self._looked_at, slots, demanded_s, jobs))
        self._looked_at = max(now, self._looked_at or now)
        while self._arrivals and now - self._arrivals[0].at > settings.window_s:
            self._arrivals.popleft()
        while now - self._groups[0][0] > settings.window_s:
            self._groups.popleft()

    def view(self, method: str, loads: dict[str, float]) -> RecentView:
        """Returns the figures of one method. ``loads`` is the result of ``offered_loads``."""
        parts = [group[method] for _, group in self._groups if method in group]
        load = loads.get(method)
        return {
            "window_s": self.settings.window_s,
            "jobs": sum(sum(part.slowdown.values()) for part in parts),
            "failed_jobs": sum(part.failed_jobs for part in parts),
            "offered_load": None if load is None else round(load, 4),
            "slowdown": _quantiles([part.slowdown for part in parts]),
            "last_wait_s": _quantiles([part.last_wait_s for part in parts]),
        }

    def offered_loads(self) -> dict[str, float]:
        """Returns method -> the load that its jobs have met on average; a method is missing if that is not known."""
        around_s, arrivals = self.settings.around_s, list(self._arrivals)
        jobs: Counter[str] = Counter()
        sums: dict[str, float] = {}
        first = last = 0
        work_s = could_s = seen_s = 0.0  # of the looks from first to last
        for look in arrivals:
            while last < len(arrivals) and arrivals[last].at <= look.at + around_s:
                entering = arrivals[last]
                work_s, could_s, seen_s = _plus((work_s, could_s, seen_s), entering, 1)
                last += 1
            while arrivals[first].at <= look.at - around_s:
                work_s, could_s, seen_s = _plus((work_s, could_s, seen_s), arrivals[first], -1)
                first += 1
            if seen_s < ENOUGH * 2 * around_s or could_s <= 0:
                continue
            for method, (number, own_s) in look.jobs.items():
                if number > 0:
                    others_s = max(0.0, work_s - own_s / number)
                    jobs[method] += number
                    sums[method] = sums.get(method, 0.0) + number * others_s / could_s
        return {method: total / jobs[method] for method, total in sums.items()}


def _plus(sums: tuple[float, float, float], look: Arrivals, sign: int) -> tuple[float, float, float]:
    work_s, could_s, seen_s = sums
    return work_s + sign * look.demanded_s, could_s + sign * look.slots * look.for_s, seen_s + sign * look.for_s


def _quantiles(groups: list[Counter[int]]) -> dict[str, QuantileView]:
    buckets: list[Buckets] = list(groups)
    found = {}
    for percent in (50, 95):
        value, low, high = estimate(buckets, percent)
        found[f"p{percent}"] = QuantileView(value=_rounded(value), low=_rounded(low), high=_rounded(high))
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
