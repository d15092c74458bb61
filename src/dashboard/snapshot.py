"""From what schedulers and workers answered to what the dashboard shows: plain dictionaries, ready for JSON.

Pure: nothing here knows a clock, a socket or a thread. Times called ``now``, ``submitted``, ``last_seen`` and ``gone_since`` are
seconds since 1970; whatever ends in ``_s`` is a duration.
"""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from src.sparrow import messages as m
from src.sparrow.metrics import PERCENTS, Histogram, percentile
from src.sparrow.placement import METHODS
from src.sparrow.tally import TIMES

HISTORY_S = 600.0  # that the server remembers
HISTORY_STEP_S = 2.0  # between two points of it, at least
RATE_S = 5.0  # over which tasks a second are averaged
TAIL_S = 30.0  # over which the p95 of the history is taken
FRESH_S = 1.5  # a worker's own answer counts for so long; then the sum of what schedulers gave it
KEPT_ENDED = 5_000  # ended jobs remembered for the percentiles
MAX_JOBS = 100  # in the list
BINS_PER_DECADE = 20  # of the distribution of response over ideal: each bin is 12 % wide


class WorkerView(NamedTuple):
    """A worker as the sampler sees it. ``last_seen`` None: it never answered; ``reason``: why it counts as gone."""

    load: int
    slots: int
    up: bool
    last_seen: float | None
    gone_since: float | None
    reason: str


def parsed_load(answer: object) -> int:
    """A worker's answer, checked."""
    return m.number(answer, "load")


def parsed_stats(answer: object) -> dict[str, Any]:
    """A scheduler's answer, checked as far as the dashboard needs it. TypeError or ValueError for anything else."""
    if not isinstance(answer, str):
        raise TypeError(f"stats must be JSON text, not {answer!r:.60}")
    stats = json.loads(answer)
    try:
        numbers = [stats["uptime_s"], stats["open_jobs"], stats["open_tasks"]["running"], stats["open_tasks"]["waiting"]]
        numbers += [entry[key] for entry in stats["workers"].values() for key in ("runs", "reservations")]
        numbers += [job[key] for job in stats["jobs"] for key in ("submitted", "response_s", "tasks")]
        numbers += [count for method in stats["methods"].values() for count in method["counts"].values()]
        merged_methods({"": stats})
        texts = [stats["incarnation"], stats["method"], *(job[key] for job in stats["jobs"] for key in ("id", "state", "method"))]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"stats lack {error}") from None
    if not all(isinstance(number, (int, float)) for number in numbers) or not all(isinstance(text, str) for text in texts):
        raise TypeError("stats have a field of the wrong type")
    return stats


class History:
    """The last ten minutes, in bounded memory: points for the charts, ended jobs for the percentiles, a load a worker."""

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=int(HISTORY_S / HISTORY_STEP_S))
        self.points: deque[tuple] = deque(maxlen=self.times.maxlen)
        self.loads: dict[str, deque[int | None]] = {}
        self._ended: deque[tuple[float, float]] = deque(maxlen=KEPT_ENDED)  # (when, response)
        self._known: dict[str, None] = {}  # ids of jobs whose end is counted, oldest first
        self._done: dict[str, tuple[str, int]] = {}  # scheduler -> its incarnation and how many tasks had ended there
        self._total = 0
        self._totals: deque[tuple[float, int]] = deque()

    def count_tasks(self, now: float, schedulers: Mapping[str, dict]) -> float:
        """Tasks ended a second, over the last few seconds. A scheduler that was restarted counts from 0 again."""
        for name, stats in schedulers.items():
            done = sum(method["counts"].get("done", 0) for method in stats["methods"].values())
            new = stats["incarnation"], 0 if stats["uptime_s"] < RATE_S else done  # what an old one did before we came is no rate
            incarnation, before = self._done.get(name, new)
            self._total += max(0, done - (before if incarnation == stats["incarnation"] else 0))
            self._done[name] = stats["incarnation"], done
        self._totals.append((now, self._total))
        while len(self._totals) > 2 and now - self._totals[1][0] >= RATE_S:
            self._totals.popleft()
        since, before = self._totals[0]
        return (self._total - before) / (now - since) if now > since else 0.0

    def ended_jobs(self, jobs: Iterable[dict]) -> None:
        for job in jobs:
            if job["state"] != "running" and job["id"] not in self._known:
                self._known[job["id"]] = None
                self._ended.append((job["submitted"] + job["response_s"], job["response_s"]))
        while len(self._known) > KEPT_ENDED:
            del self._known[next(iter(self._known))]

    def responses(self, now: float, within_s: float) -> list[float]:
        """Response times of the jobs that ended so recently."""
        return [response for when, response in self._ended if now - when <= within_s]

    def add(self, now: float, point: tuple, loads: Mapping[str, int | None]) -> None:
        """Remember a point (running, queued, tasks a second, p95, workers), unless the last one is too recent."""
        if self.times and now - self.times[-1] < HISTORY_STEP_S - 0.3:
            return
        for worker in [worker for worker in self.loads if worker not in loads]:
            del self.loads[worker]
        for worker, load in loads.items():
            self.loads.setdefault(worker, deque([None] * len(self.times), maxlen=self.times.maxlen)).append(load)
        self.times.append(now)
        self.points.append(point)

    def as_json(self, now: float) -> dict[str, Any]:
        first = self._first(now)
        columns = list(zip(*list(self.points)[first:])) or [()] * 5
        names = ("running", "queued", "tasks_per_s", "response_p95_s", "workers")
        return {"t": self._offsets(now, first), **{name: list(column) for name, column in zip(names, columns)}}

    def worker(self, name: str, now: float) -> dict[str, Any]:
        first = self._first(now)
        loads = list(self.loads.get(name, ()))
        return {"t": self._offsets(now, first), "load": ([None] * (len(self.times) - len(loads)) + loads)[first:]}

    def _first(self, now: float) -> int:
        return next((i for i, when in enumerate(self.times) if now - when <= HISTORY_S), len(self.times))

    def _offsets(self, now: float, first: int) -> list[float]:
        return [round(when - now, 1) for when in list(self.times)[first:]]


def build(
    now: float,
    nameserver: dict[str, Any],
    workers: Mapping[str, WorkerView],
    schedulers: Mapping[str, dict],
    gone_schedulers: Mapping[str, float | None],
    history: History,
) -> dict[str, Any]:
    """Everything that the page shows, but for details. ``schedulers``: the last answer of each that is there."""
    rows = {name: _worker(name, view, schedulers, now) for name, view in sorted(workers.items(), key=lambda item: natural(item[0]))}
    up = [row for row in rows.values() if row["state"] == "up"]
    jobs = newest(schedulers)
    history.ended_jobs(jobs)
    methods = merged_methods(schedulers)
    counts: Counter = Counter()
    for method in methods.values():
        counts.update(method["counts"])
    responses = history.responses(now, HISTORY_S)
    running = sum(row["running"] for row in up)
    placed = sum(stats["open_tasks"]["running"] for stats in schedulers.values())
    waiting = sum(stats["open_tasks"]["waiting"] for stats in schedulers.values())
    totals = {
        "workers": len(up),
        "workers_gone": len(rows) - len(up),
        "slots": sum(row["slots"] for row in up),
        "running": running,
        "queued": max(0, placed + waiting - running) if schedulers else sum(row["queued"] for row in up),
        "reservations": sum(row["reservations"] for row in up),
        "tasks_per_s": round(history.count_tasks(now, schedulers), 2),
        "response_s": {f"p{p}": percentile(responses, p) if responses else None for p in PERCENTS},
        "response_jobs": len(responses),
        "jobs": counts["jobs"],
        "open_jobs": sum(stats["open_jobs"] for stats in schedulers.values()),
        "tasks_done": counts["done"],
        "retried": counts["retried"],
        "failed": counts["failed"],
    }
    tail = history.responses(now, TAIL_S)
    point = (running, totals["queued"], totals["tasks_per_s"], round(percentile(tail, 95), 4) if tail else None, len(up))
    history.add(now, point, {name: row["load"] if row["state"] == "up" else None for name, row in rows.items()})
    return {
        "now": round(now, 3),
        "nameserver": nameserver,
        "totals": totals,
        "workers": rows,
        "schedulers": {
            **{name: _scheduler(stats) for name, stats in sorted(schedulers.items(), key=lambda item: natural(item[0]))},
            **{name: {"state": "gone", "last_seen": seen} for name, seen in gone_schedulers.items()},
        },
        "methods": methods,
        "history": history.as_json(now),
        "jobs": jobs,
    }


def natural(name: str) -> list:
    """A key that sorts host2 before host10."""
    parts: list = []
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


def _worker(name: str, view: WorkerView, schedulers: Mapping[str, dict], now: float) -> dict[str, Any]:
    """A worker's row. It says how much it has in all, unless that is long ago; the schedulers say how much of that are tasks."""
    held = [stats["workers"][name] for stats in schedulers.values() if name in stats["workers"]]
    load = view.load
    if held and (view.last_seen is None or now - view.last_seen > FRESH_S):
        load = sum(entry["runs"] + entry["reservations"] for entry in held)
    load = load if view.up else 0
    running = min(load, view.slots)
    runs = sum(entry["runs"] for entry in held)
    queued = min(load - running, max(0, runs - running)) if held else load - running
    return {
        "state": "up" if view.up else "gone",
        "load": load,
        "running": running,
        "queued": queued,
        "reservations": load - running - queued,
        "slots": view.slots,
        "done": sum(entry.get("done", 0) for entry in held),
        "last_seen": _rounded(view.last_seen),
        "gone_since": _rounded(view.gone_since),
        "reason": view.reason,
    }


def _scheduler(stats: dict) -> dict[str, Any]:
    kept = {key: stats[key] for key in ("method", "open_jobs", "open_tasks")}
    return {"state": "up", **kept, "uptime_s": round(stats["uptime_s"], 1), "workers": len(stats["workers"])}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def newest(schedulers: Mapping[str, dict]) -> list[dict]:
    """The newest jobs of all schedulers, newest first."""
    jobs = [{**_short(job), "scheduler": name} for name, stats in schedulers.items() for job in stats["jobs"]]
    jobs.sort(key=lambda job: (-job["submitted"], job["id"]))
    return jobs[:MAX_JOBS]


def _short(job: dict) -> dict:
    """Without digits that nobody measured."""
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in job.items()}


def merged_methods(schedulers: Mapping[str, dict]) -> dict[str, dict]:
    """method -> counts and how response, slowdown, wait and service spread over all schedulers, in the order of the paper."""
    seen = {name for stats in schedulers.values() for name in stats["methods"]}
    order = [*[name for name in METHODS if name in seen], *sorted(seen - set(METHODS))]
    return {name: _merged([stats["methods"][name] for stats in schedulers.values() if name in stats["methods"]]) for name in order}


def _merged(parts: Sequence[dict]) -> dict[str, Any]:
    counts: Counter = Counter()
    merged: dict[str, Any] = {"counts": counts}
    for part in parts:
        counts.update(part["counts"])
    for name in TIMES:
        times = Histogram()
        for part in parts:
            times.merge(part[name])
        merged[name] = times.told()
        del merged[name]["histogram"]
        if name == "slowdown":
            merged[name]["histogram"] = binned(times.buckets())
    return merged


def binned(histogram: Iterable[Sequence[float]]) -> list[list[float]]:
    """[upper edge, count] in bins of one width on a logarithmic scale, from such rows of narrower ones; empty bins are left out.

    The first bin ends at 1: nothing is faster than ideal but by the width of a narrow bin.
    """
    bins: dict[int, float] = {}
    for edge, count in histogram:
        index = max(1, math.floor(math.log10(max(edge / 1.01, 1.0)) * BINS_PER_DECADE) + 1)
        bins[index] = bins.get(index, 0) + count
    return [[round(10 ** (index / BINS_PER_DECADE), 4), bins[index]] for index in sorted(bins)]
