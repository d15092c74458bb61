"""The types of the dictionaries that a scheduler sends to clients and to the dashboard: reports, details of jobs, and statistics.

The dictionaries are ready for JSON. Each type is declared here alone: the code that makes one, the dashboard, the page and the
tests use the same names. A field that ends in ``_s`` is a duration in seconds; ``now``, ``submitted`` and ``finished`` are seconds
since 1970. A value that is not known, or not known yet, is None (``null`` in JSON).
"""

from __future__ import annotations

from typing import TypedDict


class MethodInfo(TypedDict):
    """The description of a placement method: see ``sparrow.placement``."""

    name: str
    summary: str  # one line: what it does with the tasks of a job
    section: str  # of the paper; "" for none
    colour: int  # slot in the page's list of colours, from 1
    samples: str  # what it asks workers for: "nothing", "per task", "per job" or "reservations"
    why: str  # whole sentences: why a task was placed where it was


class ReportedTask(TypedDict):
    """One task of an ended job. ``worker`` is None if the task failed."""

    worker: str | None
    wait_s: float  # from the job's submission to the start of the task
    service_s: float  # the time in a slot
    attempts: int


class Failure(TypedDict):
    """Tasks that failed for the same reason."""

    reason: str
    tasks: list[int]


class Report(TypedDict):
    """The report of a job that has ended: the answer to ``schedule``."""

    id: str
    method: str
    submitted: float
    finished: float
    response_s: float  # from submission to the end of the last task
    ideal_s: float  # the longest service time: the response if no task had to wait
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
    """One round of placing tasks: the probed workers, the loads that they answered, and the worker chosen for each task."""

    tasks: list[int]
    probed: list[str]
    loads: dict[str, int]
    chosen: list[str]


class AskedReservation(TypedDict):
    """A reservation that reached the front of its worker's queue."""

    reservation: int
    worker: str
    after_s: float  # from the job's submission
    task: int | None  # the task that it got; None for a no-op


class JobHead(TypedDict):
    """The fields that ``JobLine`` and ``JobDetails`` have in common. ``state`` is "running", "done" or "failed"."""

    id: str
    method: str
    state: str
    ended: int  # tasks
    failed: int  # tasks
    retried: int  # tasks
    submitted: float
    response_s: float  # while the job runs: from its submission until now
    ideal_s: float | None
    slowdown: float | None  # response over ideal


class JobLine(JobHead):
    """A job in a list of jobs. ``tasks`` is their number."""

    tasks: int


class JobDetails(JobHead):
    """The details of one job; long lists are cut (``sparrow.settings.TallyLimits``)."""

    num_tasks: int
    tasks: list[TaskRow]
    decisions: list[Decision]
    asked: list[AskedReservation]


class Spread(TypedDict):
    """The distribution of a quantity. The percentiles and the mean are None if nothing was counted.

    ``histogram`` has pairs [n, count]: ``count`` values lie between 1.02**n and 1.02**(n+1).
    """

    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None
    count: int
    histogram: list[list[int]]


class MethodStats(TypedDict):
    """The statistics of one method.

    ``counts`` has jobs, tasks, done, failed, retried, probes, reservations, assigned, no_ops, cancellations and reservations_lost,
    if they are not 0. ``wait_s`` and ``service_s`` count only the first tasks of each job (``sparrow.settings.TallyLimits``).
    """

    counts: dict[str, int]
    response_s: Spread
    slowdown: Spread
    wait_s: Spread
    service_s: Spread


class WorkerStats(TypedDict):
    """A worker as one scheduler knows it."""

    slots: int
    runs: int  # tasks that it has from this scheduler
    reservations: int
    done: int  # tasks that have ended there


class OpenTasks(TypedDict):
    """The numbers of tasks of open jobs."""

    running: int  # placed: a worker has them
    waiting: int  # unplaced


class Progress(TypedDict):
    """The progress of an open job."""

    ended: int  # tasks that are done or have failed
    tasks: int  # all tasks


class SchedulerStats(TypedDict, total=False):
    """The answer to ``stats``.

    A brief answer has no ``methods``, ``jobs`` and ``registry``. There are ``details`` only if the caller asks for them.
    """

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
