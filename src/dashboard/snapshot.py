"""``build``, which makes the document at /sparrow/stats from the latest answers of schedulers and workers, without any I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from src.dashboard.history import History, HistoryPoint
from src.dashboard.methods import merged_methods, merged_registry
from src.dashboard.views import (
    AnySchedulerRow,
    JobRow,
    MethodRow,
    NameServerView,
    Quantiles,
    StatsView,
    Totals,
    WorkerRow,
)
from src.sparrow.metrics import percentile
from src.sparrow.reports import SchedulerStats

TAIL_S = 30.0  # a point of the history has the p95 of the jobs that ended in this time
FRESH_S = 1.5  # a worker's own answer counts for this time; after that, the sum of the schedulers' figures counts
MAX_JOBS = 100  # jobs in the list


@dataclass(frozen=True)
class SampledWorker:
    """A worker as the monitor knows it. Times are seconds since 1970."""

    load: int
    slots: int
    up: bool
    last_seen: float | None  # None if it has never answered
    gone_since: float | None
    reason: str  # why it is gone


def build(
    now: float,
    nameserver: NameServerView,
    workers: Mapping[str, SampledWorker],
    schedulers: Mapping[str, SchedulerStats],
    gone_schedulers: Mapping[str, float | None],
    history: History,
) -> StatsView:
    """Returns the document, and adds a point to the history. ``now`` is in seconds since 1970.

    ``schedulers`` has the last answer of each scheduler that is up; ``gone_schedulers`` has the time of the last answer of each of
    the others, in seconds since 1970.
    """
    rows = {name: _worker_row(name, workers[name], schedulers, now) for name in sorted(workers, key=natural)}
    jobs = newest(schedulers)
    history.add_ended_jobs(jobs)
    registry = merged_registry(schedulers)
    methods = merged_methods(schedulers, registry)
    totals = _totals(now, rows, schedulers, methods, history)
    tail = history.responses(now, TAIL_S)
    p95_s = round(percentile(tail, 95), 4) if tail else None
    point = HistoryPoint(totals["running"], totals["queued"], totals["tasks_per_s"], p95_s, totals["workers"])
    history.add(now, point, {name: row["load"] if row["state"] == "up" else None for name, row in rows.items()})
    return {
        "now": round(now, 3),
        "nameserver": nameserver,
        "totals": totals,
        "workers": rows,
        "schedulers": _scheduler_rows(schedulers, gone_schedulers),
        "registry": registry,
        "methods": methods,
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


def newest(schedulers: Mapping[str, SchedulerStats]) -> list[JobRow]:
    """Returns the newest jobs of all schedulers, the newest first, with times rounded to microseconds."""
    jobs: list[JobRow] = []
    for name, stats in schedulers.items():
        for job in stats["jobs"]:
            rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in job.items()}
            jobs.append(cast(JobRow, {**rounded, "scheduler": name}))
    jobs.sort(key=lambda row: (-row["submitted"], row["id"]))
    return jobs[:MAX_JOBS]


def _totals(
    now: float,
    rows: Mapping[str, WorkerRow],
    schedulers: Mapping[str, SchedulerStats],
    methods: Mapping[str, MethodRow],
    history: History,
) -> Totals:
    up = [row for row in rows.values() if row["state"] == "up"]
    counts: Counter[str] = Counter()
    for method in methods.values():
        counts.update(method["counts"])
    running = sum(row["running"] for row in up)
    open_tasks = sum(stats["open_tasks"]["running"] + stats["open_tasks"]["waiting"] for stats in schedulers.values())
    responses = history.responses(now, history.settings.kept_s)
    return {
        "workers": len(up),
        "workers_gone": len(rows) - len(up),
        "slots": sum(row["slots"] for row in up),
        "running": running,
        "queued": max(0, open_tasks - running) if schedulers else sum(row["queued"] for row in up),
        "reservations": sum(row["reservations"] for row in up),
        "tasks_per_s": round(history.count_tasks(now, schedulers), 2),
        "response_s": _quantiles(responses),
        "response_jobs": len(responses),
        "jobs": counts["jobs"],
        "open_jobs": sum(stats["open_jobs"] for stats in schedulers.values()),
        "tasks_done": counts["done"],
        "retried": counts["retried"],
        "failed": counts["failed"],
    }


def _quantiles(times_s: list[float]) -> Quantiles:
    if not times_s:
        return {"p50": None, "p95": None, "p99": None}
    return {"p50": percentile(times_s, 50), "p95": percentile(times_s, 95), "p99": percentile(times_s, 99)}


def _worker_row(name: str, worker: SampledWorker, schedulers: Mapping[str, SchedulerStats], now: float) -> WorkerRow:
    """Returns a worker's row.

    The load is the worker's own answer if that is fresh, else the sum of the schedulers' figures. The schedulers' figures say how
    much of it are tasks.
    """
    held = [stats["workers"][name] for stats in schedulers.values() if name in stats["workers"]]
    load = worker.load
    if held and (worker.last_seen is None or now - worker.last_seen > FRESH_S):
        load = sum(entry["runs"] + entry["reservations"] for entry in held)
    load = load if worker.up else 0
    running = min(load, worker.slots)
    runs = sum(entry["runs"] for entry in held)
    queued = min(load - running, max(0, runs - running)) if held else load - running
    return {
        "state": "up" if worker.up else "gone",
        "load": load,
        "running": running,
        "queued": queued,
        "reservations": load - running - queued,
        "slots": worker.slots,
        "done": sum(entry.get("done", 0) for entry in held),
        "last_seen": _rounded(worker.last_seen),
        "gone_since": _rounded(worker.gone_since),
        "reason": worker.reason,
    }


def _scheduler_rows(schedulers: Mapping[str, SchedulerStats], gone: Mapping[str, float | None]) -> dict[str, AnySchedulerRow]:
    rows: dict[str, AnySchedulerRow] = {}
    for name in sorted(schedulers, key=natural):
        stats = schedulers[name]
        rows[name] = {
            "state": "up",
            "method": stats["method"],
            "open_jobs": stats["open_jobs"],
            "open_tasks": stats["open_tasks"],
            "uptime_s": round(stats["uptime_s"], 1),
            "workers": len(stats["workers"]),
        }
    for name, last_seen in gone.items():
        rows[name] = {"state": "gone", "last_seen": last_seen}
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
