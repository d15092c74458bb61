"""How the jobs of one command went: the object that ``--json`` prints, and the same as a table."""

from __future__ import annotations

from collections import Counter
from typing import Any

from src.cli import terminal
from src.cli.logs import printable
from src.cli.terminal import counted
from src.cluster.submissions import Work
from src.Job import JobReport
from src.sparrow.metrics import percentile

SHOWN_FAILURES = 3  # failed jobs that the table names, with the reason of a task each


def summary(method: str, num_jobs: int, num_tasks: int, reports: list[JobReport], makespan_s: float) -> dict[str, Any]:
    """Returns the object that ``--json`` prints.

    ``reports`` has those of the jobs that have ended. The makespan is None unless all have; response and slowdown are those of the
    jobs of which no task has failed, for a job that failed may have taken no time at all, and None without any.
    """
    done = [report for report in reports if not report.failed]
    failed = sum(len(report.failed) for report in reports)
    per_worker = Counter(task.worker for report in reports for task in report.tasks if task.worker is not None)
    return {
        "method": method,
        "jobs": num_jobs,
        "tasks": num_jobs * num_tasks,
        "completed": sum(len(report.tasks) for report in reports) - failed,
        "failed": failed,
        "retried": sum(report.retried for report in reports),
        "handed_over": sum(report.handed_over for report in reports),
        "makespan_s": makespan_s if len(reports) == num_jobs else None,
        "response_s": _figures([report.response_s for report in done], 50, 95, 99, mean=True),
        "slowdown": _figures([report.slowdown for report in done], 50, 95),
        "tasks_per_worker": {worker: per_worker[worker] for worker in sorted(per_worker)},
    }


def _figures(values: list[float], *percents: int, mean: bool = False) -> dict[str, float | None]:
    figures = {f"p{percent}": percentile(values, percent) if values else None for percent in percents}
    return {**figures, "mean": sum(values) / len(values) if values else None} if mean else figures


def summary_table(result: dict[str, Any], reports: list[JobReport]) -> str:
    """Returns the result of ``summary``, and the reports that it was made of, as a table for people."""
    failed = [report for report in reports if report.failed]
    ended = f"{result['jobs']:,}"
    if len(reports) < result["jobs"]:
        ended = f"{len(reports):,} of {result['jobs']:,} have ended: what follows is of these"
    rows = [
        ("jobs", ended),
        ("tasks done", f"{result['completed']:,} of {result['tasks']:,}"),
    ]
    if result["completed"]:
        rows.append(("workers", f"{len(result['tasks_per_worker']):,}"))
    if result["makespan_s"] is not None:
        rows.append(("makespan", terminal.seconds_text(result["makespan_s"])))
    if result["response_s"]["mean"] is not None:
        response = {name: terminal.seconds_text(value) for name, value in result["response_s"].items()}
        without = f"   (without {counted(len(failed), 'failed job')})" if failed else ""
        rows.append(("job response", f"p50 {response['p50']}   p95 {response['p95']}   p99 {response['p99']}{without}"))
        rows.append(("response / ideal", f"p50 {result['slowdown']['p50']:.2f}   p95 {result['slowdown']['p95']:.2f}{without}"))
    rows.append(("lost and run again", counted(result["retried"], "task")))
    if result["handed_over"]:
        moved = counted(sum(report.handed_over > 0 for report in reports), "job")
        rows.append(("handed over", f"{moved}, {counted(result['handed_over'], 'time')}, after their scheduler was lost"))
    rows.append(("failed", counted(result["failed"], "task") + (f" of {counted(len(failed), 'job')}" if failed else "")))
    for report in failed[:SHOWN_FAILURES]:
        task, reason = min(report.failed.items())
        rows.append(("", f"job {report.id}, task {task}: {printable(reason)}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join([result["method"], *(f"  {name:<{width}}   {value}" for name, value in rows)])


def open_text(open_jobs: int, all_jobs: int) -> str:
    """Returns how many of all jobs are open, up to the verb: "1 of 3 jobs has"."""
    return f"{open_jobs:,} of {counted(all_jobs, 'job')} {'has' if open_jobs == 1 else 'have'}"


def left_behind_text(work: Work) -> str:
    """Returns what goes on at the schedulers without the client."""
    if not work.jobs:
        return "no scheduler has any of them, so nothing goes on"
    goes = "goes" if work.jobs == 1 else "go"
    about = terminal.seconds_text(work.work_s)
    return f"{counted(work.jobs, 'job')} {goes} on at the schedulers: {counted(work.tasks, 'task')}, about {about} of work"
