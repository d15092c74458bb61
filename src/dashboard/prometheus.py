"""The snapshot in Prometheus' text format, named after its conventions: base units, _total for counters, one family at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from src.sparrow.metrics import PERCENTS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = (
    ("jobs", "jobs_total", "Jobs submitted."),
    ("tasks", "tasks_total", "Tasks submitted."),
    ("done", "tasks_completed_total", "Tasks that ended well."),
    ("failed", "tasks_failed_total", "Tasks given up after too many lost workers."),
    ("retried", "task_retries_total", "Tasks run again after a lost worker."),
    ("probes", "probes_total", "Workers asked for their load."),
    ("reservations", "reservations_total", "Reservations made on workers."),
    ("reservations_lost", "reservations_lost_total", "Reservations lost with their worker."),
    ("assigned", "reservations_assigned_total", "Reservations that got a task."),
    ("no_ops", "no_ops_total", "Reservations that reached the front when no task was left."),
    ("cancellations", "cancellations_total", "Reservations taken back."),
)
_TIMES = (
    ("response_s", "job_response_seconds", "Time from a job's submission to its report."),
    ("slowdown", "job_slowdown_ratio", "A job's response over its longest task."),
    ("wait_s", "task_wait_seconds", "Time from a job's submission to the start of a task, of up to 50 tasks a job."),
    ("service_s", "task_service_seconds", "Time of a task in its slot, of up to 50 tasks a job."),
)


def text(data: Mapping[str, Any], schedulers: Mapping[str, dict]) -> str:
    """``data`` is a snapshot, ``schedulers`` the answers of the schedulers it was made from."""
    totals = data["totals"]
    lines: list[str] = []

    def family(name: str, kind: str, help: str, samples: Iterable[tuple[dict[str, str], float | None]], suffix: str = "") -> None:
        lines.append(f"# HELP sparrow_{name} {help}")
        lines.append(f"# TYPE sparrow_{name} {kind}")
        lines.extend(_sample(name + suffix, labels, value) for labels, value in samples if value is not None)

    family("nameserver_up", "gauge", "Whether the name server answers.", [({}, int(data["nameserver"]["up"]))])
    family("workers", "gauge", "Workers.", [({"state": "up"}, totals["workers"]), ({"state": "gone"}, totals["workers_gone"])])
    family("slots", "gauge", "Slots of the workers that are up.", [({}, totals["slots"])])
    family("schedulers", "gauge", "Schedulers.", [({"state": s}, _count(data["schedulers"], s)) for s in ("up", "gone")])
    family("tasks_running", "gauge", "Tasks in slots.", [({}, totals["running"])])
    family("tasks_queued", "gauge", "Tasks that wait for a slot.", [({}, totals["queued"])])
    workers = data["workers"].items()
    family("worker_up", "gauge", "Whether the worker answers.", [({"worker": n}, int(w["state"] == "up")) for n, w in workers])
    family(
        "worker_load",
        "gauge",
        "Tasks and reservations on the worker.",
        [({"worker": n}, w["load"]) for n, w in workers if w["state"] == "up"],
    )
    family("worker_slots", "gauge", "Slots of the worker.", [({"worker": n}, w["slots"]) for n, w in workers])
    family("open_jobs", "gauge", "Jobs that have not ended.", [({"scheduler": n}, s["open_jobs"]) for n, s in schedulers.items()])
    family(
        "scheduler_uptime_seconds",
        "gauge",
        "Age of the scheduler.",
        [({"scheduler": n}, s["uptime_s"]) for n, s in schedulers.items()],
    )
    each = [
        ({"scheduler": name, "method": method}, told)
        for name, stats in schedulers.items()
        for method, told in stats["methods"].items()
    ]
    for key, name, help in _COUNTERS:
        family(name, "counter", help, [(labels, told["counts"].get(key, 0)) for labels, told in each])
    for key, name, help in _TIMES:
        lines.append(f"# HELP sparrow_{name} {help}")
        lines.append(f"# TYPE sparrow_{name} summary")
        for labels, told in each:
            times = told[key]
            for percent in PERCENTS:
                if times[f"p{percent}"] is not None:
                    lines.append(_sample(name, {**labels, "quantile": f"{percent / 100:g}"}, times[f"p{percent}"]))
            lines.append(_sample(f"{name}_sum", labels, (times["mean"] or 0.0) * times["count"]))
            lines.append(_sample(f"{name}_count", labels, times["count"]))
    return "\n".join(lines) + "\n"


def _count(things: Mapping[str, dict], state: str) -> int:
    return sum(thing["state"] == state for thing in things.values())


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"sparrow_{name}{{{inside}}} {value!r}" if inside else f"sparrow_{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
