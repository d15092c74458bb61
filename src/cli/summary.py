"""How the jobs of one command went: the object that ``--json`` prints, and the same as a table."""

from __future__ import annotations

from collections import Counter
from typing import Any

from src.cli import terminal
from src.Job import JobReport
from src.sparrow.metrics import percentile


def summary(method: str, num_jobs: int, num_tasks: int, reports: list[JobReport], makespan_s: float) -> dict[str, Any]:
    """Returns the object that ``--json`` prints. Its figures are of the jobs with a report; without any, percentiles are None.

    A job with a failed task ended early, without its work being done: it counts for no response and no slowdown.
    """
    responses = [report.response_s for report in reports if not report.failed]
    slowdowns = [report.slowdown for report in reports if not report.failed]
    failed = sum(len(report.failed) for report in reports)
    per_worker = Counter(task.worker for report in reports for task in report.tasks if task.worker is not None)
    return {
        "method": method,
        "jobs": num_jobs,
        "tasks": num_jobs * num_tasks,
        "completed": sum(len(report.tasks) for report in reports) - failed,
        "failed": failed,
        "retried": sum(report.retried for report in reports),
        "makespan_s": makespan_s,
        "response_s": {
            **{f"p{p}": percentile(responses, p) if responses else None for p in (50, 95, 99)},
            "mean": sum(responses) / len(responses) if responses else None,
        },
        "slowdown": {f"p{p}": percentile(slowdowns, p) if slowdowns else None for p in (50, 95)},
        "tasks_per_worker": {worker: per_worker[worker] for worker in sorted(per_worker)},
    }


def summary_table(result: dict[str, Any]) -> str:
    """Returns the result of ``summary`` as a table for people."""
    workers = len(result["tasks_per_worker"])
    rows = [
        ("jobs", f"{result['jobs']:,}"),
        ("tasks done", f"{result['completed']:,} of {result['tasks']:,}, on {workers} worker{'s' * (workers != 1)}"),
        ("makespan", terminal.seconds_text(result["makespan_s"])),
    ]
    if result["response_s"]["mean"] is not None:
        response = {name: terminal.seconds_text(value) for name, value in result["response_s"].items()}
        rows.append(("job response", f"p50 {response['p50']}   p95 {response['p95']}   p99 {response['p99']}"))
        rows.append(("response / ideal", f"p50 {result['slowdown']['p50']:.2f}   p95 {result['slowdown']['p95']:.2f}"))
    rows.append(("lost and run again", f"{result['retried']:,} tasks"))
    rows.append(("failed", f"{result['failed']:,} tasks" + (": their jobs are not in the response" if result["failed"] else "")))
    width = max(len(name) for name, _ in rows)
    return "\n".join([result["method"], *(f"  {name:<{width}}   {value}" for name, value in rows)])
