"""The types of the dictionaries that a scheduler sends to clients and to the dashboard: reports, details of jobs, and statistics.

The dictionaries are ready for JSON. Each type is declared here alone, with the range of each number and the size of each text and
list: the code that makes one, the schema that reads one (``schema``), the dashboard, the page and the tests use these declarations.
A field that ends in ``_s`` is a duration in seconds; ``now``, ``submitted`` and ``finished`` are seconds since 1970. A value that
is not known, or not known yet, is None (``null`` in JSON).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Optional, TypedDict

from src.sparrow.checks import identifier
from src.sparrow.jobspec import MAX_TASKS
from src.sparrow.schema import OneOf, Range, Size, Text
from src.sparrow.settings import TallyLimits, WorkerSettings

COLOURS = range(1, 9)  # slots in the page's list of colours
SHOWN_TASKS = TallyLimits().shown_tasks
SHOWN_PLACEMENTS = TallyLimits().shown_placements
PROBES = 100 * SHOWN_PLACEMENTS  # of these tasks: a method may sample more than the paper's two for each

Name = Annotated[str, identifier]
OptionalName = Optional[Name]
Word = Annotated[str, Text(32)]
Sentence = Annotated[str, Text(4_000)]
OptionalSentence = Optional[Sentence]
Count = Annotated[int, Range(0, 10**12)]  # so that sums of thousands stay below 2**53, which every JSON reader holds exactly
TaskNumber = Annotated[int, Range(0, MAX_TASKS)]  # or how many there are
OptionalTask = Optional[TaskNumber]
Slots = Annotated[int, Range(1, WorkerSettings().max_slots)]
Colour = Annotated[int, Range(COLOURS[0], COLOURS[-1])]
MOST_SECONDS = 1e10  # 300 years
Seconds = Annotated[float, Range(0, MOST_SECONDS)]
OptionalSeconds = Optional[Seconds]
Sum = Annotated[float, Range(0, 1e15)]
Moment = Annotated[float, Range(0, 1e11)]
Ratio = Annotated[float, Range(0, 1e16)]
OptionalRatio = Optional[Ratio]
TaskState = Annotated[str, OneOf(("unplaced", "placed", "running", "done", "failed"))]
JobState = Annotated[str, OneOf(("running", "done", "failed"))]
ReservationState = Annotated[str, OneOf(("queued", "assigned", "no-op", "cancelled", "lost"))]
Bucket = tuple[Annotated[int, Range(-1_000, 1_000)], Count]
Tasks = Annotated[list[TaskNumber], Size(MAX_TASKS)]
Packed = Annotated[str, Text(2**21)]  # numbers (``packing``), one for each task
Counted = Annotated[list[Annotated[list[Optional[Count]], Size(1_000)]], Size(SHOWN_PLACEMENTS)]
OptionalCounted = Optional[Counted]


class Greeting(TypedDict):
    """What a scheduler or a worker says of itself in the handshake."""

    name: Name
    incarnation: Name


class WorkerGreeting(Greeting):
    """What a worker says of itself in the handshake."""

    slots: Slots


class MethodInfo(TypedDict):
    """The description of a placement method: see ``sparrow.placement``."""

    name: Word
    summary: Annotated[str, Text(400)]  # one line: what it does with the tasks of a job
    section: Word  # of the paper; "" for none
    colour: Colour  # slot in the page's list of colours
    samples: Word  # what it asks workers for: "nothing", "per task", "per job", "reservations" or "idle workers"
    why: Sentence  # whole sentences: why a task was placed where it was


class ReportedTask(TypedDict):
    """One task of an ended job. ``worker`` is None if the task failed."""

    worker: OptionalName
    wait_s: Seconds  # from the job's submission to the start of the task
    service_s: Seconds  # the time in a slot
    attempts: Count


class Failure(TypedDict):
    """Tasks that failed for the same reason."""

    reason: Sentence
    tasks: Tasks


class ReportHead(TypedDict):
    """What the report of a job that has ended says of the job as a whole."""

    id: Name
    method: Word
    submitted: Moment
    finished: Moment
    response_s: Seconds  # from submission to the end of the last task
    ideal_s: Seconds  # the longest service time: the response if no task had to wait
    retried: Count  # tasks that were run again after the loss of a worker
    failed: Annotated[list[Failure], Size(MAX_TASKS)]


class Report(ReportHead):
    """The report of a job that has ended: the answer to ``schedule``."""

    tasks: Annotated[Sequence[ReportedTask], Size(MAX_TASKS)]


class PackedTasks(TypedDict):
    """The tasks of a report as they cross the wire (``taskcolumns``): of each column, packed numbers (``packing``)."""

    workers: Annotated[list[OptionalName], Size(MAX_TASKS)]
    worker: Packed  # counts in ``workers``
    wait_s: Packed
    service_s: Packed
    attempts: Packed


class PackedReport(ReportHead):
    """The same answer to a client that has packed its job."""

    tasks: PackedTasks


class Accepted(TypedDict):
    """The answer to ``schedule`` if the client does not wait for the report."""

    id: Name
    accepted: bool


class LostAttempt(TypedDict):
    """An attempt at a task that was lost with its worker. Times are from the job's submission."""

    attempt: Count
    worker: Name
    placed_s: Seconds
    started_s: OptionalSeconds  # None if it is not known to have started
    lost_s: Seconds


class TaskRow(TypedDict):
    """One task of a job that may still be open, as far as its scheduler knows.

    ``state`` is "unplaced", "placed" (a worker has it), "running" (a worker has said so, or had a free slot for it), "done" or
    "failed".
    """

    worker: OptionalName
    state: TaskState
    attempts: Count
    placed_s: OptionalSeconds  # of the present attempt, from the job's submission; None if no worker has it
    wait_s: OptionalSeconds  # None until it has started
    started_s: OptionalSeconds  # from the job's submission; None until it has started
    service_s: OptionalSeconds  # None until it has ended
    lost_on: Annotated[list[Name], Size(1_000)]  # workers that were lost with an attempt
    lost: Annotated[list[LostAttempt], Size(1_000)]  # these attempts
    reason: OptionalSentence  # why it failed


class Decision(TypedDict):
    """One round of placing tasks: the probed workers, the loads that they answered, and the worker chosen for each task.

    ``counted`` is for methods that probe for each task by itself, else None: the loads that were compared for each task, in the
    order of its part of ``probed``. They count the job's own tasks that the round had placed there before. None stands for a worker
    that has not answered.
    """

    tasks: Annotated[list[TaskNumber], Size(SHOWN_PLACEMENTS)]
    probed: Annotated[list[Name], Size(PROBES)]
    loads: Annotated[dict[Name, Count], Size(PROBES)]
    chosen: Annotated[list[Name], Size(SHOWN_PLACEMENTS)]
    counted: OptionalCounted


class Pulled(TypedDict):
    """A task that was given to a worker which had said that it was idle."""

    task: TaskNumber
    worker: Name
    after_s: Seconds  # from the job's submission
    idle_s: Seconds  # since the worker had said so
    told: Count  # other schedulers that it had told before
    bounced: bool  # whether it sent the task back, because its slots were taken meanwhile


class AskedReservation(TypedDict):
    """A reservation that reached the front of its worker's queue."""

    reservation: Count
    worker: Name
    after_s: Seconds  # from the job's submission
    task: OptionalTask  # the task that it got; None for a no-op


class ReservationRow(TypedDict):
    """A reservation and what became of it. ``task`` is the task that it got. Times are from the job's submission.

    ``state`` is "queued", "assigned" (it got a task), "no-op" (it reached the front when no task was left), "cancelled" or "lost".
    """

    reservation: Count
    worker: Name
    made_s: Seconds
    state: ReservationState
    ended_s: OptionalSeconds  # when it reached the front, was cancelled or was lost; None while it is queued
    task: OptionalTask


class JobHead(TypedDict):
    """The fields that ``JobLine`` and ``JobDetails`` have in common. ``state`` is "running", "done" or "failed"."""

    id: Name
    method: Word
    state: JobState
    ended: Count  # tasks
    failed: Count  # tasks
    retried: Count  # tasks
    submitted: Moment
    response_s: Seconds  # while the job runs: from its submission until now
    ideal_s: OptionalSeconds
    slowdown: OptionalRatio  # response over ideal; None if a task has failed


class JobLine(JobHead):
    """A job in a list of jobs. ``tasks`` is their number."""

    tasks: TaskNumber


class JobDetails(JobHead):
    """The details of one job; long lists are cut (``sparrow.settings.TallyLimits``)."""

    num_tasks: TaskNumber
    tasks: Annotated[list[TaskRow], Size(SHOWN_TASKS)]
    decisions: Annotated[list[Decision], Size(SHOWN_PLACEMENTS)]
    asked: Annotated[list[AskedReservation], Size(SHOWN_PLACEMENTS)]
    pulled: Annotated[list[Pulled], Size(SHOWN_PLACEMENTS)]
    reservations: Annotated[list[ReservationRow], Size(SHOWN_PLACEMENTS)]


class Spread(TypedDict):
    """The distribution of a quantity. The percentiles and the mean are None if nothing was counted.

    ``histogram`` has pairs (n, count): ``count`` values lie between 1.02**n and 1.02**(n+1).
    """

    p50: OptionalRatio
    p95: OptionalRatio
    p99: OptionalRatio
    mean: OptionalRatio
    count: Count
    histogram: Annotated[list[Bucket], Size(2_000)]


class MethodStats(TypedDict):
    """The statistics of one method.

    ``counts`` has jobs, failed_jobs, tasks, done, failed, retried, probes, reservations, assigned, no_ops, cancellations,
    reservations_lost, pulled and bounced, if they are not 0. ``demanded_s`` is the sum of the durations of all tasks that were
    submitted. Jobs with a failed task are not in ``response_s``, ``slowdown`` and ``last_wait_s``, which has one wait of each job:
    that of its task that started last. ``wait_s`` and ``service_s`` count only the first tasks of each job
    (``sparrow.settings.TallyLimits``).
    """

    counts: Annotated[dict[Name, Count], Size(64)]
    demanded_s: Sum
    response_s: Spread
    slowdown: Spread
    last_wait_s: Spread
    wait_s: Spread
    service_s: Spread


class WorkerStats(TypedDict):
    """A worker as one scheduler knows it."""

    slots: Slots
    runs: Count  # tasks that it has from this scheduler
    reservations: Count
    done: Count  # tasks that have ended there


class OpenTasks(TypedDict):
    """The numbers of tasks of open jobs."""

    running: Count  # placed: a worker has them
    waiting: Count  # unplaced


class Progress(TypedDict):
    """The progress of an open job."""

    ended: Count  # tasks that are done or have failed
    tasks: Count  # all tasks


class NextDetails(TypedDict):
    """Where the details go on that did not fit into an answer: a job, and ``first`` of the next question."""

    job: Name
    first: TaskNumber


OptionalNext = Optional[NextDetails]


class SchedulerState(TypedDict):
    """What every answer to ``stats`` has."""

    name: Name
    incarnation: Name
    method: Word  # for jobs that name none
    uptime_s: Seconds
    now: Moment
    open_jobs: Count
    has_workers: bool  # whether any worker is connected
    progress: Annotated[dict[Name, Progress], Size(1_000)]


class SchedulerStats(SchedulerState, total=False):
    """The answer to ``stats``.

    A brief answer has no ``workers``, ``open_tasks``, ``methods``, ``jobs`` and ``registry``. There are ``details`` and ``next``
    only if the caller asks for them; ``next`` is None if all fitted into this answer.
    """

    workers: Annotated[dict[Name, WorkerStats], Size(50_000)]
    open_tasks: OpenTasks
    registry: Annotated[list[MethodInfo], Size(64)]
    methods: Annotated[dict[Name, MethodStats], Size(64)]
    jobs: Annotated[list[JobLine], Size(1_000)]
    details: Annotated[dict[Name, JobDetails], Size(1_000)]
    next: OptionalNext
