"""What schedulers say to people and to programs for people: the report of a job, its details, and the state of a scheduler.

These are plain dictionaries, ready for JSON, and each is declared once here: who makes one, who samples it, the page and the tests
read the same names. Whatever ends in ``_s`` is a duration in seconds; ``now``, ``submitted`` and ``finished`` are seconds since 1970;
what is not known (yet) is None, ``null`` in JSON.
"""

from __future__ import annotations

from typing import TypedDict


class MethodInfo(TypedDict):
    """A method as it says of itself: see ``sparrow.placement``."""

    name: str
    summary: str  # one line: what it does with the tasks of a job
    section: str  # of the paper; "" for none
    colour: int  # slot in the page's list of colours, from 1
    samples: str  # what it asks workers for: "nothing", "per task", "per job" or "reservations"
    why: str  # whole sentences: why a task went where it went


class ReportedTask(TypedDict):
    """One task of an ended job. ``worker`` is None if the task failed."""

    worker: str | None
    wait_s: float  # from the job's submission to the start of the task
    service_s: float  # in a slot
    attempts: int


class Failure(TypedDict):
    """Tasks that failed for the same reason."""

    reason: str
    tasks: list[int]


class Report(TypedDict):
    """How a job went: the answer to ``schedule``."""

    id: str
    method: str
    submitted: float
    finished: float
    response_s: float  # from submission to the end of the last task
    ideal_s: float  # the longest service time: what the job takes when it waits for nothing
    retried: int  # tasks that were run again after the loss of a worker
    tasks: list[ReportedTask]
    failed: list[Failure]


class TaskRow(TypedDict):
    """One task of a job that may still be open, as far as its scheduler knows.

    ``state`` is "unplaced", "placed" (a worker has it), "running" (a worker has said so), "done" or "failed".
    """

    worker: str | None
    state: str
    attempts: int
    wait_s: float | None  # None until it has started
    started_s: float | None  # from the job's submission; None until it has started
    service_s: float | None  # None until it has ended
    lost_on: list[str]  # workers that were lost with an attempt
    reason: str | None  # why it failed


class Decision(TypedDict):
    """One round of placing tasks by what workers answered."""

    tasks: list[int]
    probed: list[str]
    loads: dict[str, int]
    chosen: list[str]


class AskedReservation(TypedDict):
    """A reservation that reached the front of its worker's queue."""

    reservation: int
    worker: str
    after_s: float  # from the job's submission
    task: int | None  # that it got; None for a no-op


class JobHead(TypedDict):
    """What the line of a job and its details have in common. ``state`` is "running", "done" or "failed"."""

    id: str
    method: str
    state: str
    ended: int  # tasks
    failed: int  # tasks
    retried: int  # tasks
    submitted: float
    response_s: float  # up to now while it runs
    ideal_s: float | None
    slowdown: float | None  # response over ideal


class JobLine(JobHead):
    """A job in a list."""

    tasks: int


class JobDetails(JobHead):
    """Everything that is known of one job; long lists are cut (``sparrow.settings.SchedulerLimits``)."""

    num_tasks: int
    tasks: list[TaskRow]
    decisions: list[Decision]
    asked: list[AskedReservation]


class Spread(TypedDict):
    """How a quantity is distributed; the figures are None when nothing was counted.

    ``histogram`` has pairs [n, count]: so many values from 1.02**n to 1.02**(n+1).
    """

    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None
    count: int
    histogram: list[list[int]]


class MethodStats(TypedDict):
    """What was done with one method. ``counts`` has jobs, tasks, done, failed, retried, probes, reservations, assigned, no_ops,
    cancellations and reservations_lost, as far as they are not 0; wait and service are of some tasks of each job."""

    counts: dict[str, int]
    response_s: Spread
    slowdown: Spread
    wait_s: Spread
    service_s: Spread


class WorkerStats(TypedDict):
    """What one scheduler knows of a worker."""

    slots: int
    runs: int  # tasks that it has from this scheduler
    reservations: int
    done: int  # tasks that ended there


class OpenTasks(TypedDict):
    """Tasks of open jobs: with a worker, and not yet."""

    running: int
    waiting: int


class Progress(TypedDict):
    """How far an open job is, in tasks."""

    ended: int
    tasks: int


class SchedulerStats(TypedDict, total=False):
    """The answer to ``stats``. A brief one has no ``methods``, ``jobs`` and ``registry``; only one that was asked for has ``details``."""

    name: str
    incarnation: str
    method: str  # for jobs that name none
    uptime_s: float
    now: float
    workers: dict[str, WorkerStats]
    open_jobs: int
    open_tasks: OpenTasks
    progress: dict[str, Progress]
    registry: list[MethodInfo]
    methods: dict[str, MethodStats]
    jobs: list[JobLine]
    details: dict[str, JobDetails]
