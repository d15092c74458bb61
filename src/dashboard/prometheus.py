"""The snapshot as text for Prometheus, with names by its conventions: base units, and ``_total`` for counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

from src.dashboard.views import State, StatsView
from src.sparrow.reports import MethodStats, SchedulerStats, Spread

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATES: tuple[State, ...] = ("up", "silent", "gone", "unreadable")
_COUNTERS = (
    ("jobs", "jobs_total", "Jobs submitted."),
    ("failed_jobs", "jobs_failed_total", "Jobs that ended with a failed task."),
    ("tasks", "tasks_total", "Tasks submitted."),
    ("done", "tasks_completed_total", "Tasks that ended well."),
    ("failed", "tasks_failed_total", "Tasks given up after too many lost workers."),
    ("retried", "task_retries_total", "Tasks run again after a lost worker."),
    ("probes", "probes_total", "Workers asked for their load."),
    ("reservations", "reservations_total", "Reservations made on workers."),
    ("reservations_lost", "reservations_lost_total", "Reservations lost with their worker."),
    ("assigned", "reservations_assigned_total", "Reservations that got a task."),
    ("no_ops", "no_ops_total", "Reservations that reached the front when no task was left."),
    ("pulled", "tasks_pulled_total", "Tasks given to workers that had said that they were idle."),
    ("bounced", "tasks_bounced_total", "Tasks that such a worker sent back: it was busy by then."),
    ("cancellations", "cancellations_total", "Reservations taken back."),
)
_TIMES = (
    ("response_s", "job_response_seconds", "Time from a job's submission to its report, of jobs without a failed task."),
    ("slowdown", "job_slowdown_ratio", "A job's response over its longest task, of jobs without a failed task."),
    ("last_wait_s", "job_last_wait_seconds", "Wait of the task of a job that started last, of jobs without a failed task."),
    ("wait_s", "task_wait_seconds", "Time from a job's submission to the start of a task, of a sample of each job's tasks."),
    ("service_s", "task_service_seconds", "Time of a task in its slot, of a sample of each job's tasks."),
)


Labels = dict[str, str]
Sample = tuple[Labels, Optional[float]]  # a value of None is not known, and there is no line for it


def text(data: StatsView, schedulers: Mapping[str, SchedulerStats]) -> str:
    """Returns a snapshot as metrics. ``schedulers`` has the answer of each scheduler that the snapshot was made from."""
    totals, workers = data["totals"], data["workers"].items()
    states = [row["state"] for row in data["schedulers"].values()]
    lines: list[str] = []

    def family(name: str, kind: str, help: str, samples: Iterable[Sample]) -> None:
        lines.append(f"# HELP sparrow_{name} {help}")
        lines.append(f"# TYPE sparrow_{name} {kind}")
        lines.extend(_line(name, labels, value) for labels, value in samples if value is not None)

    family("nameserver_up", "gauge", "Whether the name server answers.", [({}, int(data["nameserver"]["up"]))])
    worker_states = [row["state"] for row in data["workers"].values()]
    family("workers", "gauge", "Workers.", [({"state": state}, worker_states.count(state)) for state in STATES])
    family("slots", "gauge", "Slots of the workers that are up.", [({}, totals["slots"])])
    family("schedulers", "gauge", "Schedulers.", [({"state": state}, states.count(state)) for state in STATES])
    family("tasks_running", "gauge", "Tasks in slots.", [({}, totals["running"])])
    family("tasks_queued", "gauge", "Tasks that wait for a slot.", [({}, totals["queued"])])
    family("worker_up", "gauge", "Whether the worker answers.", [({"worker": n}, int(w["state"] == "up")) for n, w in workers])
    loads: list[Sample] = [({"worker": n}, w["load"]) for n, w in workers if w["state"] == "up"]
    family("worker_load", "gauge", "Tasks and reservations on the worker.", loads)
    family("worker_slots", "gauge", "Slots of the worker.", [({"worker": n}, w["slots"]) for n, w in workers])
    family("open_jobs", "gauge", "Jobs that have not ended.", [({"scheduler": n}, s["open_jobs"]) for n, s in schedulers.items()])
    uptimes: list[Sample] = [({"scheduler": n}, s["uptime_s"]) for n, s in schedulers.items()]
    family("scheduler_uptime_seconds", "gauge", "Age of the scheduler.", uptimes)
    used: list[tuple[Labels, MethodStats]] = [
        ({"scheduler": name, "method": method}, stats["methods"][method])
        for name, stats in schedulers.items()
        for method in data["methods"]
        if method in stats["methods"]
    ]
    for key, name, help in _COUNTERS:
        family(name, "counter", help, [(labels, method["counts"].get(key, 0)) for labels, method in used])
    for key, name, help in _TIMES:
        lines.append(f"# HELP sparrow_{name} {help}")
        lines.append(f"# TYPE sparrow_{name} summary")
        for labels, method in used:
            lines.extend(_summary(name, labels, method[key]))  # type: ignore[literal-required]
    return "\n".join(lines) + "\n"


def _summary(name: str, labels: Labels, spread: Spread) -> Iterable[str]:
    """Yields the lines of one summary: the quantiles that are known, the sum and the count."""
    for quantile, value in (("0.5", spread["p50"]), ("0.95", spread["p95"]), ("0.99", spread["p99"])):
        if value is not None:
            yield _line(name, {**labels, "quantile": quantile}, value)
    yield _line(f"{name}_sum", labels, (spread["mean"] or 0.0) * spread["count"])
    yield _line(f"{name}_count", labels, spread["count"])


def _line(name: str, labels: Labels, value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"sparrow_{name}{{{inside}}} {value!r}" if inside else f"sparrow_{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
