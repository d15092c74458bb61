"""``Job``, which a client submits, and ``JobReport``, which it gets back."""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Iterable, Mapping, Set
from itertools import islice
from typing import NamedTuple

if not __package__:
    import _root  # noqa: F401

from src.sparrow.checks import MAX_NAME, identifier, number, seconds
from src.sparrow.jobspec import MAX_TASKS
from src.sparrow.reports import Report
from src.sparrow.settings import ClientSettings
from src.sparrow.taskcolumns import TASKS_AT_ONCE, rows


class Job:
    """A job: an id and the duration of each of its tasks, in seconds.

    The durations of ``Job(id, num_tasks, task_length, length_spread)`` are drawn uniformly from task_length ± length_spread, in
    seconds, with ``rng`` (by default a new ``random.Random``). If ``id`` is None, the job gets a unique one. Any other id is sent
    with an addition (``wire_id``) that makes it unique among all clients; the report has it without the addition. Raises TypeError
    or ValueError, naming the argument, if a count or a duration is out of range.
    """

    def __init__(
        self,
        id: str | int | None = None,
        num_tasks: int = 10,
        task_length: float = 0.1,
        length_spread: float = 0.0,
        *,
        rng: random.Random | None = None,
    ) -> None:
        number(num_tasks, "num_tasks", least=1, most=MAX_TASKS)
        length = seconds(task_length, "task_length")
        spread = seconds(length_spread, "length_spread")
        if spread > length:
            raise ValueError(
                f"length_spread must not be above task_length ({length:g}), not {spread:g}: no task sleeps less than 0 s"
            )
        if rng is not None and not isinstance(rng, random.Random):
            raise TypeError(f"rng must be a random.Random, not {rng!r:.60}")
        draw = (rng or random.Random()).uniform
        self.id, self.wire_id = _ids(id)
        self.durations_s = tuple(length + draw(-spread, spread) if spread else length for _ in range(num_tasks))

    @classmethod
    def from_durations(cls, durations: Iterable[float], id: str | int | None = None) -> Job:
        """Returns a job with a task for each duration, in seconds. Raises TypeError or ValueError if one is out of range."""
        if isinstance(durations, (str, bytes, Set, Mapping)) or not isinstance(durations, Iterable):
            raise TypeError(f"durations must be a list of seconds, such as [0.1, 0.2], not {durations!r:.60}")
        checked = tuple(seconds(duration, f"durations[{index}]") for index, duration in enumerate(islice(durations, MAX_TASKS + 1)))
        if not 1 <= len(checked) <= MAX_TASKS:
            raise ValueError(f"a job has 1 to {MAX_TASKS:,} tasks, and durations has {'more' if checked else 'none'}")
        job = cls(id)
        job.durations_s = checked
        return job

    def __repr__(self) -> str:
        tasks = len(self.durations_s)
        return f"<Job {self.id}: {tasks} task{'s' * (tasks != 1)}, {sum(self.durations_s):g} s of work>"


def _ids(given: str | int | None) -> tuple[str, str]:
    """Returns the id of a job for its user, and the one that crosses the wire."""
    unique = new_id()
    if given is None:
        return unique, unique
    if not isinstance(given, (str, int)) or isinstance(given, bool):
        raise TypeError(f"id of a job must be a string, a whole number or None, not {given!r:.60}")
    id = identifier(str(given), "id of a job", MAX_NAME - len(unique) - 1)
    return id, f"{id}-{unique}"


def new_id() -> str:
    """Returns an id of 64 random bits, which no other job has."""
    return f"{random.SystemRandom().getrandbits(64):016x}"


def seeded_jobs(num_jobs: int, num_tasks: int, length_s: float, spread_s: float, seed: int | None) -> list[Job]:
    """Returns jobs with new ids; their durations depend on ``seed`` alone. Raises ValueError if a value is out of range."""
    number(num_jobs, "num_jobs", least=1, most=ClientSettings.max_jobs)
    if seed is not None and not isinstance(seed, int):
        raise TypeError(f"seed must be a whole number or None, not {seed!r:.60}")
    rng = random.Random(seed)
    return [Job(None, num_tasks, length_s, spread_s, rng=rng) for _ in range(num_jobs)]


class TaskReport(NamedTuple):
    """The report of one task: its worker, wait time and service time in seconds, and attempts. ``worker`` is None if it failed.

    ``attempts`` counts the runs at the scheduler that reported the job, and one for each other one that was lost with the job: the
    task may have run there.
    """

    worker: str | None
    wait_s: float
    service_s: float
    attempts: int


class JobReport(NamedTuple):
    """The report of a job. ``submitted`` and ``finished`` are seconds since 1970; ``failed`` maps failed tasks to the reasons."""

    id: str
    method: str
    submitted: float
    finished: float
    response_s: float  # from ``submit`` to the arrival of the report at the client
    ideal_s: float  # the longest service time of the tasks: the response if no task had to wait
    retried: int  # tasks that were run again after the loss of a worker
    tasks: tuple[TaskReport, ...]
    failed: dict[int, str]
    handed_over: int = 0  # schedulers that were lost with the job, after which it began again at another one

    @property
    def slowdown(self) -> float:
        """The response over the ideal: 1.0 is the best value. It is nan if a task has failed, since the work was not done then."""
        return math.nan if self.failed else self.response_s / max(self.ideal_s, 1e-6)

    @classmethod
    def from_wire(cls, id: str, report: Report, response_s: float, handed_over: int = 0) -> Generator[None, None, JobReport]:
        """Makes a scheduler's report with what only the client knows: its id of the job, the response, the lost schedulers.

        That takes long for a large job, so it is done in steps: the generator yields between two of them, and returns the report.
        """
        tasks: list[TaskReport] = []
        unread = rows(report["tasks"])
        while len(tasks) < len(report["tasks"]):
            if tasks:
                yield
            tasks += [
                TaskReport(worker, wait_s, service_s, attempts + handed_over)
                for worker, wait_s, service_s, attempts in islice(unread, TASKS_AT_ONCE)
            ]
        return cls(
            id,
            report["method"],
            report["finished"] - response_s,
            report["finished"],
            response_s,
            report["ideal_s"],
            report["retried"],
            tuple(tasks),
            {task: failure["reason"] for failure in report["failed"] for task in failure["tasks"]},
            handed_over,
        )
