"""Why the tasks of a job went where they went: its decisions and reservations, as rows for its details.

While a job runs, only what cannot be worked out later is noted (``jobs.Job``); the rows are made when somebody asks for them. Times
of a row are seconds from the job's submission.
"""

from __future__ import annotations

from src.sparrow.jobs import DONE, PLACED, Job
from src.sparrow.placement import NOTHING, PER_TASK
from src.sparrow.reports import Decision, ReservationRow, TaskRow

RUNNING = "running"  # the state of a task that is known to have started
QUEUED, ASSIGNED, NO_OP, CANCELLED, LOST = "queued", "assigned", "no-op", "cancelled", "lost"  # states of a reservation


def task_row(job: Job, index: int) -> TaskRow:
    """Returns the row of a task of a job. A placed task has no start until it is known to have started: it may be queued there."""
    task, submitted_s = job.tasks[index], job.submitted_s
    done, placed = task.state == DONE, task.state in (PLACED, DONE)
    started_s = None
    if done:
        started_s = task.wait_s
    elif placed and task.started_s is not None:
        started_s = task.started_s - submitted_s
    return {
        "worker": task.worker,
        "state": RUNNING if started_s is not None and not done else task.state,
        "attempts": job.attempts(index),
        "placed_s": task.placed_s - submitted_s if placed else None,
        "wait_s": started_s,
        "started_s": started_s,
        "service_s": task.service_s if done else None,
        "lost_on": list(task.lost_on),
        "lost": [
            {
                "attempt": loss.attempt,
                "worker": loss.worker,
                "placed_s": loss.placed_s - submitted_s,
                "started_s": None if loss.started_s is None else loss.started_s - submitted_s,
                "lost_s": loss.lost_s - submitted_s,
            }
            for loss in task.lost
        ],
        "reason": task.reason or None,
    }


def decisions(job: Job, most: int, first: int, end: int) -> list[Decision]:
    """Returns the job's decisions about its first ``most`` placed tasks; the last decision may be cut.

    Of these, it returns those that begin at a position from ``first`` to before ``end``, if each takes as many as it has tasks.
    """
    shown: list[Decision] = []
    following = 0
    for decision in job.decisions:
        at, following = following, following + len(decision["tasks"])
        left = most - at
        if left <= 0 or at >= end:
            break
        if at < first:
            continue
        tasks, probed, chosen, loads = decision["tasks"], decision["probed"], decision["chosen"][:left], decision["loads"]
        each = len(probed) // len(tasks)
        if len(tasks) > left and job.method.samples in (NOTHING, PER_TASK):  # else all tasks share their probes
            probed = probed[: each * left]
        counted = _counted(probed, each, loads, chosen) if job.method.samples == PER_TASK else None
        shown.append({"tasks": tasks[:left], "probed": probed, "loads": loads, "chosen": chosen, "counted": counted})
    return shown


def _counted(probed: list[str], each: int, loads: dict[str, int], chosen: list[str]) -> list[list[int | None]]:
    """Returns, for each task, the loads that were compared for it: the tasks that were placed before it count as load."""
    load = dict(loads)
    rows: list[list[int | None]] = []
    for number, worker in enumerate(chosen):
        rows.append([load.get(name) for name in probed[number * each : (number + 1) * each]])
        load[worker] += 1
    return rows


def reservations(job: Job, first: int, end: int) -> list[ReservationRow]:
    """Returns the reservations of a job from position ``first`` to before ``end``, in the order in which they were made."""
    ended: dict[int, tuple[str, float, int | None]] = {}
    for asked in job.asked:
        ended[asked["reservation"]] = (NO_OP if asked["task"] is None else ASSIGNED, asked["after_s"], asked["task"])
    for taken in job.taken_back:
        ended.update(dict.fromkeys(taken.numbers, (LOST if taken.lost else CANCELLED, taken.ended_s - job.submitted_s, None)))
    rows: list[ReservationRow] = []
    wanted = max(0, end - first)
    at = 0  # the position of the first one that was made at that time
    for made in job.reservations:
        begin, at = max(0, first - at), at + len(made.workers)
        for number, worker in enumerate(made.workers[begin : begin + wanted - len(rows)], made.first + begin):
            state: str
            ended_s: float | None
            if number in job.reserved:
                state, ended_s, task = QUEUED, None, None
            elif number in ended:
                state, ended_s, task = ended[number]
            else:  # it reached the front after as many others as are remembered (``asked``)
                task = job.assigned.get(number)
                state, ended_s = NO_OP if task is None else ASSIGNED, None
            rows.append(
                {
                    "reservation": number,
                    "worker": worker,
                    "made_s": made.made_s - job.submitted_s,
                    "state": state,
                    "ended_s": ended_s,
                    "task": task,
                }
            )
    return rows
