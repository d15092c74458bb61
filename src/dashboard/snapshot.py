"""``build``, which makes the document at /sparrow/stats from the latest answers of schedulers and workers, without any I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from src.dashboard.condition import Condition
from src.dashboard.history import History, HistoryPoint
from src.dashboard.ledger import Account, Ledger
from src.dashboard.methods import merged_registry, method_rows
from src.dashboard.recent import Recent
from src.dashboard.views import JobRow, NameServerView, Quantiles, SchedulerRow, State, StatsView, Totals, WorkerRow
from src.sparrow.metrics import percentile
from src.sparrow.reports import SchedulerStats

TAIL_S = 30.0  # a point of the history has the p95 of the jobs that ended in this time
FRESH_S = 1.5  # a worker's own answer counts for this time; after that, the sum of the schedulers' figures counts
MAX_JOBS = 100  # jobs in the list


@dataclass(frozen=True)
class Member:
    """A worker or a scheduler as the monitor knows it. Times are seconds since 1970."""

    state: State
    since: float  # when ``state`` took its present value
    last_seen: float | None  # None if it has never answered
    reason: str  # why it is not up
    registered: bool  # whether its name is in the name server

    @property
    def gone_since(self) -> float | None:
        """When it became gone; None if it is not."""
        return self.since if self.state == "gone" else None


@dataclass(frozen=True)
class SampledWorker(Member):
    """A worker, with its last answer."""

    load: int
    slots: int


@dataclass(frozen=True)
class SampledScheduler(Member):
    """A scheduler, with its last answer; None if it has never given one."""

    stats: SchedulerStats | None


class Memory:
    """What is remembered from one snapshot to the next."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.ledger = Ledger(history.settings.rate_s)
        self.recent = Recent()
        self.condition = Condition()


def build(
    now: float,
    nameserver: NameServerView,
    workers: Mapping[str, SampledWorker],
    schedulers: Mapping[str, SampledScheduler],
    memory: Memory,
    awaited: Collection[str] = (),
    left_out: Mapping[str, int] | None = None,
) -> StatsView:
    """Returns the document, and adds a point to the history. ``now`` is in seconds since 1970.

    ``awaited`` are the names of members that have neither answered nor failed to. ``left_out`` says how many names, of schedulers
    and of workers, are not sampled, because there are too many.
    """
    history, ledger = memory.history, memory.ledger
    up = {name: member.stats for name, member in schedulers.items() if member.state == "up" and member.stats is not None}
    said = [member.stats for member in schedulers.values() if member.stats is not None]
    rows = {name: _worker_row(name, workers[name], up, said, now) for name in sorted(workers, key=natural)}
    scheduler_rows = {name: _scheduler_row(schedulers[name]) for name in sorted(schedulers, key=natural)}
    jobs = newest(schedulers)
    history.add_ended_jobs(now, jobs)
    registry = merged_registry(up)
    grown = [growth for name, stats in up.items() for growth in ledger.told(name, stats)]
    ledger.forget(schedulers)
    accounts = ledger.totals()
    totals = _totals(now, rows, up, accounts, history)
    memory.recent.add(now, totals["slots"], grown)
    left = [name for name, member in (*workers.items(), *schedulers.items()) if member.gone_since and not member.registered]
    tail = history.responses(now, TAIL_S)
    p95_s = round(percentile(tail, 95), 4) if tail else None
    point = HistoryPoint(totals["running"], totals["queued"], totals["tasks_per_s"], p95_s, totals["workers"])
    history.add(now, point, {name: row["load"] if row["state"] == "up" else None for name, row in rows.items()})
    return {
        "now": round(now, 3),
        "nameserver": nameserver,
        "cluster": memory.condition.view(now, nameserver, rows, scheduler_rows, left, awaited, left_out or {}),
        "totals": totals,
        "workers": rows,
        "schedulers": scheduler_rows,
        "registry": registry,
        "methods": method_rows(accounts, memory.recent, registry),
        "history": history.columns(now),
        "jobs": jobs,
    }


def natural(name: str) -> list[Any]:
    """Returns a sort key that puts host2 before host10: a list of texts and numbers in turn."""
    parts: list[Any] = []
    for char in name:
        if char.isdecimal() and char.isascii():
            if parts and isinstance(parts[-1], int):
                parts[-1] = parts[-1] * 10 + int(char)
            else:
                parts += [""] * (len(parts) % 2 == 0) + [int(char)]
        elif parts and isinstance(parts[-1], str):
            parts[-1] += char
        else:
            parts.append(char)
    return parts


def newest(schedulers: Mapping[str, SampledScheduler]) -> list[JobRow]:
    """Returns the newest jobs of all schedulers, the newest first, with times rounded to microseconds.

    Of a scheduler that is not up only ended jobs are listed: its clients hand the others over, under the same ids.
    """
    jobs: dict[str, JobRow] = {}
    for name, member in sorted(schedulers.items(), key=lambda item: item[1].state != "up"):
        for job in member.stats["jobs"] if member.stats is not None else ():
            if job["id"] not in jobs and (member.state == "up" or job["state"] != "running"):
                rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in job.items()}
                jobs[job["id"]] = cast(JobRow, {**rounded, "scheduler": name})
    return sorted(jobs.values(), key=lambda row: (-row["submitted"], row["id"]))[:MAX_JOBS]


def _totals(
    now: float,
    rows: Mapping[str, WorkerRow],
    schedulers: Mapping[str, SchedulerStats],
    accounts: Mapping[str, Account],
    history: History,
) -> Totals:
    up = [row for row in rows.values() if row["state"] == "up"]
    states = Counter(row["state"] for row in rows.values())
    counts: Counter[str] = Counter()
    for account in accounts.values():
        counts.update(account.counts)
    running = sum(row["running"] for row in up)
    open_tasks = sum(stats["open_tasks"]["running"] + stats["open_tasks"]["waiting"] for stats in schedulers.values())
    responses = history.responses(now, history.settings.kept_s)
    return {
        "workers": len(up),
        "workers_silent": states["silent"],
        "workers_gone": states["gone"],
        "workers_unreadable": states["unreadable"],
        "slots": sum(row["slots"] for row in up),
        "running": running,
        "queued": max(0, open_tasks - running) if schedulers else sum(row["queued"] for row in up),
        "reservations": sum(row["reservations"] for row in up),
        "tasks_per_s": round(history.count_tasks(now, schedulers), 2),
        "response_s": _quantiles(responses),
        "response_jobs": len(responses),
        "jobs": counts["jobs"],
        "jobs_ended": sum(account.ended_jobs for account in accounts.values()),
        "jobs_failed": counts["failed_jobs"],
        "open_jobs": sum(stats["open_jobs"] for stats in schedulers.values()),
        "tasks_done": counts["done"],
        "retried": counts["retried"],
        "failed": counts["failed"],
    }


def _quantiles(times_s: list[float]) -> Quantiles:
    if not times_s:
        return {"p50": None, "p95": None, "p99": None}
    return {"p50": percentile(times_s, 50), "p95": percentile(times_s, 95), "p99": percentile(times_s, 99)}


def _worker_row(
    name: str, worker: SampledWorker, schedulers: Mapping[str, SchedulerStats], said: Iterable[SchedulerStats], now: float
) -> WorkerRow:
    """Returns a worker's row. ``said`` has the last answers of all schedulers, also of those that are not up.

    The load is the worker's own answer if that is fresh, else the sum of the schedulers' figures. The schedulers' figures say how
    much of it are tasks.
    """
    held = [stats["workers"][name] for stats in schedulers.values() if name in stats["workers"]]
    load = worker.load
    if held and (worker.last_seen is None or now - worker.last_seen > FRESH_S):
        load = sum(entry["runs"] + entry["reservations"] for entry in held)
    load = load if worker.state == "up" else 0
    running = min(load, worker.slots)
    runs = sum(entry["runs"] for entry in held)
    queued = min(load - running, max(0, runs - running)) if held else load - running
    return {
        "state": worker.state,
        "since": round(worker.since, 1),
        "load": load,
        "running": running,
        "queued": queued,
        "reservations": load - running - queued,
        "slots": worker.slots,
        "done": sum(stats["workers"][name]["done"] for stats in said if name in stats["workers"]),
        "last_seen": _rounded(worker.last_seen),
        "gone_since": _rounded(worker.gone_since),
        "reason": worker.reason,
    }


def _scheduler_row(scheduler: SampledScheduler) -> SchedulerRow:
    stats = scheduler.stats
    return {
        "state": scheduler.state,
        "since": round(scheduler.since, 1),
        "last_seen": _rounded(scheduler.last_seen),
        "gone_since": _rounded(scheduler.gone_since),
        "reason": scheduler.reason,
        "method": None if stats is None else stats["method"],
        "open_jobs": None if stats is None else stats["open_jobs"],
        "open_tasks": None if stats is None else stats["open_tasks"],
        "uptime_s": None if stats is None else round(stats["uptime_s"], 1),
        "workers": None if stats is None else len(stats["workers"]),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
