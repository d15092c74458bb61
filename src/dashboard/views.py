"""The types of the JSON documents that the dashboard's web server sends to the page and to other programs.

Names and units are those of ``sparrow.reports``: a field that ends in ``_s`` is a duration in seconds; ``now``, ``since``,
``submitted``, ``last_seen`` and ``gone_since`` are seconds since 1970; a value that is not known is None (``null``).
"""

from __future__ import annotations

from typing import Literal, TypedDict

from src.sparrow.reports import JobDetails, JobLine, MethodInfo, OpenTasks, WorkerStats

State = Literal["up", "silent", "gone", "unreadable"]  # of a worker or a scheduler: see ``target.Target``


class NameServerView(TypedDict):
    """The name server as the dashboard sees it."""

    address: str
    up: bool
    since: float | None  # when ``up`` took its present value
    error: str  # why it cannot be used; "" if it is up


class Quantiles(TypedDict):
    """Percentiles in seconds."""

    p50: float | None
    p95: float | None
    p99: float | None


class ClusterView(TypedDict):
    """Whether the cluster works: see ``condition``."""

    state: Literal["ok", "degraded", "down"]
    since: float  # when ``state`` took its present value
    reasons: list[str]  # whole sentences, the gravest first; empty if it is ok


class Totals(TypedDict):
    """The figures of the whole cluster. Responses are those of the jobs that ended in the last ten minutes, without a failed task.

    ``jobs``, ``jobs_ended``, ``jobs_failed``, ``tasks_done``, ``retried`` and ``failed`` never fall.
    """

    workers: int  # workers that are up
    workers_silent: int
    workers_gone: int
    workers_unreadable: int
    slots: int  # slots of the workers that are up
    running: int  # tasks
    queued: int  # tasks
    reservations: int
    tasks_per_s: float
    response_s: Quantiles
    response_jobs: int  # the number of jobs that the percentiles are computed from
    jobs: int  # submitted; one that was handed over to another scheduler was submitted twice
    jobs_ended: int
    jobs_failed: int  # of these, with a failed task
    open_jobs: int
    tasks_done: int
    retried: int  # tasks that were run again after the loss of a worker
    failed: int  # tasks


class WorkerRow(TypedDict):
    """A worker. ``load`` is ``running`` plus ``queued`` plus ``reservations``, and 0 if the worker is not up."""

    state: State
    since: float  # when ``state`` took its present value
    load: int
    running: int  # tasks
    queued: int  # tasks
    reservations: int
    slots: int
    done: int  # tasks that have ended there
    last_seen: float | None  # None if it has never answered
    gone_since: float | None
    reason: str  # why it is not up


class SchedulerRow(TypedDict):
    """A scheduler. The last five fields are what it has said last; None if it never has."""

    state: State
    since: float  # when ``state`` took its present value
    last_seen: float | None
    gone_since: float | None
    reason: str  # why it is not up
    method: str | None  # for jobs that name none
    open_jobs: int | None
    open_tasks: OpenTasks | None
    uptime_s: float | None
    workers: int | None


class HistoryColumns(TypedDict):
    """The last ten minutes, one list for each quantity; entries of the same index belong to the same time."""

    t: list[float]  # seconds from now, so negative
    running: list[int]
    queued: list[int]
    tasks_per_s: list[float]
    response_p95_s: list[float | None]  # of the jobs that ended in the 30 s before
    workers: list[int]  # workers that are up


class WorkerHistory(TypedDict):
    """The last ten minutes of one worker, as in ``HistoryColumns``."""

    t: list[float]
    load: list[int | None]  # None while it was gone


class Distribution(TypedDict):
    """The distribution of a quantity over all schedulers; percentiles and mean are None if nothing was counted."""

    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None
    count: int


class BinnedDistribution(Distribution):
    """A distribution with a histogram: pairs [upper edge, count], ascending, on a logarithmic scale."""

    histogram: list[list[float]]


class QuantileView(TypedDict):
    """A percentile and the ends of its 95 % interval; None where there are too few jobs."""

    value: float | None
    low: float | None
    high: float | None


class RecentView(TypedDict):
    """How the jobs of a method went that ended in the last ``window_s`` seconds: see ``recent``."""

    window_s: float
    jobs: int  # without a failed task
    failed_jobs: int
    offered_load: float | None  # None if it is not known
    slowdown: dict[str, QuantileView]  # p50 and p95
    last_wait_s: dict[str, QuantileView]


class MethodRow(TypedDict):
    """The statistics of one method over all schedulers; see ``sparrow.reports.MethodStats``. No count ever falls."""

    counts: dict[str, int]
    response_s: Distribution
    slowdown: BinnedDistribution
    last_wait_s: Distribution
    wait_s: Distribution
    service_s: Distribution
    recent: RecentView


class JobRow(JobLine):
    """A job in the list of the newest jobs."""

    scheduler: str


class StatsView(TypedDict):
    """The document at /sparrow/stats: everything that the page shows, except for the details of one job or worker."""

    now: float
    nameserver: NameServerView
    cluster: ClusterView
    totals: Totals
    workers: dict[str, WorkerRow]
    schedulers: dict[str, SchedulerRow]
    registry: list[MethodInfo]  # every method that a scheduler knows, in the order of the page
    methods: dict[str, MethodRow]  # the methods that have been used, in the same order
    history: HistoryColumns
    jobs: list[JobRow]  # the newest jobs, the newest first


class OwnedJobDetails(JobDetails):
    """The details of a job, with the name of the scheduler that has it."""

    scheduler: str


class JobView(OwnedJobDetails):
    """The document at /sparrow/jobs/<id>."""

    now: float


class WorkerTask(TypedDict):
    """A task that a worker has, has had, or had when it was lost."""

    job: str
    method: str
    task: int
    state: str  # as in ``sparrow.reports.TaskRow``
    lost_here: bool
    submitted: float
    started_s: float | None  # from the job's submission
    wait_s: float | None
    service_s: float | None


class WorkerView(WorkerRow):
    """The document at /sparrow/workers/<name>."""

    now: float
    name: str
    address: str
    by_scheduler: dict[str, WorkerStats]
    tasks: list[WorkerTask]
    history: WorkerHistory
