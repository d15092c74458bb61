"""``Ledger``: what schedulers have counted, kept when they go, so that no total falls. It is pure.

A scheduler counts from 0 when it starts, and what it has counted goes with it. The ledger keeps an account for each incarnation,
which can only grow, and adds the accounts up. What an account grows by is handed on as ``Growth``.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from src.sparrow.metrics import Histogram
from src.sparrow.reports import MethodStats, SchedulerStats
from src.sparrow.tally import TIMES

MOST_METHODS = 64  # whose figures are kept: a scheduler may invent names
MOST_INCARNATIONS = 64  # with an account of their own; those that were heard of longest ago become one


@dataclass
class Account:
    """The figures of one method."""

    counts: Counter[str] = field(default_factory=Counter)  # as in ``sparrow.reports.MethodStats``
    demanded_s: float = 0.0
    times: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram() for name in TIMES})

    @property
    def ended_jobs(self) -> int:
        """Jobs that have ended, with or without failed tasks."""
        return self.times["response_s"].count + self.counts["failed_jobs"]

    def add(self, other: Account) -> None:
        """Adds the figures of another account to this one."""
        self.counts.update(other.counts)
        self.demanded_s += other.demanded_s
        for name, histogram in other.times.items():
            self.times[name].add_all(histogram)

    def updated(self, stats: MethodStats) -> Account:
        """Returns the account after a newer answer of the same scheduler. No figure is below that of this account."""
        counts = self.counts | Counter(stats["counts"])  # of each the larger one
        newer = Account(counts, max(self.demanded_s, stats["demanded_s"]), dict(self.times))
        for name in TIMES:
            if stats[name]["count"] > self.times[name].count:  # type: ignore[literal-required]
                newer.times[name] = Histogram.of(stats[name])  # type: ignore[literal-required]
        return newer


@dataclass(frozen=True)
class Growth:
    """What a method's account has grown by between two answers of one scheduler.

    ``seen`` is False for what had been counted before the dashboard found the scheduler: it is not known when that was.
    """

    method: str
    seen: bool
    uptime_s: float  # of the scheduler
    jobs: int
    demanded_s: float
    failed_jobs: int
    slowdown: dict[int, int]  # buckets of a histogram
    last_wait_s: dict[int, int]


class Ledger:
    """The accounts of all schedulers that have ever answered. ``found_s``: a younger scheduler has been seen from its start."""

    def __init__(self, found_s: float) -> None:
        self._found_s = found_s
        self._accounts: OrderedDict[tuple[str, str], dict[str, Account]] = (
            OrderedDict()
        )  # scheduler, incarnation -> method -> account
        self._former: dict[str, Account] = {}
        self._last: dict[str, SchedulerStats] = {}
        self._methods: set[str] = set()
        self._totals: dict[str, Account] | None = None

    def told(self, scheduler: str, stats: SchedulerStats) -> list[Growth]:
        """A scheduler has answered. Returns what has grown."""
        if self._last.get(scheduler) is stats:
            return []
        self._last[scheduler] = stats
        self._totals = None
        key = scheduler, stats["incarnation"]
        seen = key in self._accounts or stats["uptime_s"] < self._found_s
        account = self._accounts.setdefault(key, {})
        self._accounts.move_to_end(key)
        grown = []
        for method, told in stats["methods"].items():
            if method in self._methods or len(self._methods) < MOST_METHODS:
                self._methods.add(method)
                before = account.get(method, Account())
                account[method] = before.updated(told)
                grown.append(_growth(method, before, account[method], seen, stats["uptime_s"]))
        while len(self._accounts) > MOST_INCARNATIONS:
            _add_to(self._former, self._accounts.popitem(last=False)[1])
        return grown

    def forget(self, schedulers: Iterable[str]) -> None:
        """Lets go of the last answers of all schedulers but these. Their accounts stay."""
        kept = set(schedulers)
        for gone in [name for name in self._last if name not in kept]:
            del self._last[gone]

    def totals(self) -> dict[str, Account]:
        """Returns method -> the sum of its accounts."""
        if self._totals is None:
            self._totals = {}
            for part in (self._former, *self._accounts.values()):
                _add_to(self._totals, part)
        return self._totals


def _add_to(sums: dict[str, Account], accounts: dict[str, Account]) -> None:
    for method, account in accounts.items():
        sums.setdefault(method, Account()).add(account)


def _growth(method: str, before: Account, after: Account, seen: bool, uptime_s: float) -> Growth:
    return Growth(
        method,
        seen,
        uptime_s,
        after.counts["jobs"] - before.counts["jobs"],
        after.demanded_s - before.demanded_s,
        after.counts["failed_jobs"] - before.counts["failed_jobs"],
        _difference(before.times["slowdown"], after.times["slowdown"]),
        _difference(before.times["last_wait_s"], after.times["last_wait_s"]),
    )


def _difference(before: Histogram, after: Histogram) -> dict[int, int]:
    if before is after:
        return {}
    known = before.raw()
    grown = {bucket: count - known.get(bucket, 0) for bucket, count in after.raw().items()}
    return {bucket: count for bucket, count in grown.items() if count > 0}
