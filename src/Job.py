"""``Job``, which a client submits, and ``JobReport``, which it gets back."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

if not __package__:
    import _root  # noqa: F401

from src.sparrow.checks import identifier, number, seconds
from src.sparrow.jobspec import MAX_TASKS, JobSpec
from src.sparrow.reports import Report


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
        rng = rng or random.Random()
        self.id = new_id() if id is None else identifier(str(id), "id of a job")
        self.wire_id = self.id if id is None else identifier(f"{id}-{new_id()}", "id of a job")
        self.durations_s = tuple(length + rng.uniform(-spread, spread) if spread else length for _ in range(num_tasks))

    @classmethod
    def from_durations(cls, durations: Sequence[float], id: str | int | None = None) -> Job:
        """Returns a job with a task for each duration, in seconds. Raises TypeError or ValueError if one is out of range."""
        job = cls(id)
        job.durations_s = JobSpec.decode({"id": job.id, "durations_s": list(durations)}).durations_s
        return job

    def __repr__(self) -> str:
        return f"<Job {self.id}: {len(self.durations_s)} tasks, {sum(self.durations_s):g} s of work>"


def new_id() -> str:
    """Returns an id of 64 random bits, which no other job has."""
    return f"{random.SystemRandom().getrandbits(64):016x}"


class TaskReport(NamedTuple):
    """The report of one task: its worker, wait time and service time in seconds, and attempts. ``worker`` is None if it failed."""

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

    @property
    def slowdown(self) -> float:
        """The response over the ideal: 1.0 is the best value. It is nan if a task has failed, since the work was not done then."""
        return math.nan if self.failed else self.response_s / max(self.ideal_s, 1e-6)

    @classmethod
    def from_wire(cls, id: str, report: Report, response_s: float) -> JobReport:
        """Returns a scheduler's report, with the id that the job has at this client and the response that the client measured."""
        return cls(
            id,
            report["method"],
            report["finished"] - response_s,
            report["finished"],
            response_s,
            report["ideal_s"],
            report["retried"],
            tuple(TaskReport(task["worker"], task["wait_s"], task["service_s"], task["attempts"]) for task in report["tasks"]),
            {task: failure["reason"] for failure in report["failed"] for task in failure["tasks"]},
        )
