"""Jobs and the reports that come back of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

if not __package__:
    import _root  # noqa: F401

from src.sparrow import messages as m


class Job:
    """A job: an id and how long each of its tasks sleeps.

    The durations of ``Job(id, num_tasks, task_length, length_spread)`` are drawn uniformly from task_length ± length_spread, in
    seconds, by ``rng`` (a ``random.Random``; by default one of its own). ``id`` None makes one that nobody else has; any other
    gets an addition (``wire_id``) that makes it unique across all clients, and the report has it as it was given.
    ValueError or TypeError, naming what is wrong, for counts and durations that no task can have.
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
        m.number(num_tasks, "num_tasks", least=1, most=m.MAX_TASKS)
        length = m.seconds(task_length, "task_length")
        spread = m.seconds(length_spread, "length_spread")
        if spread > length:
            raise ValueError(
                f"length_spread must not be above task_length ({length:g}), not {spread:g}: no task sleeps less than 0 s"
            )
        rng = rng or random.Random()
        self.id = new_id() if id is None else m.identifier(str(id), "id of a job")
        self.wire_id = self.id if id is None else m.identifier(f"{id}-{new_id()}", "id of a job")
        self.durations_s = tuple(length + rng.uniform(-spread, spread) if spread else length for _ in range(num_tasks))

    @classmethod
    def from_durations(cls, durations: Sequence[float], id: str | int | None = None) -> Job:
        """A job with a task for each duration, in seconds."""
        job = cls(id)
        job.durations_s = m.JobSpec.decode({"id": job.id, "durations_s": list(durations)}).durations_s
        return job

    def __repr__(self) -> str:
        return f"<Job {self.id}: {len(self.durations_s)} tasks, {sum(self.durations_s):g} s of work>"


def new_id() -> str:
    """An id that no other job has, on any machine."""
    return f"{random.SystemRandom().getrandbits(64):016x}"


class TaskReport(NamedTuple):
    """One task: where it ran, how long it waited and ran (seconds), at which attempt. ``worker`` is None if it failed."""

    worker: str | None
    wait_s: float
    service_s: float
    attempts: int


class JobReport(NamedTuple):
    """How a job went. ``submitted`` and ``finished`` are seconds since 1970; ``failed`` maps tasks to the reasons."""

    id: str
    method: str
    submitted: float
    finished: float
    response_s: float  # submitted to the last task's end, as the client saw it
    ideal_s: float  # the longest service time of its tasks: what a job takes that waits for nothing
    retried: int  # tasks run again after their worker was lost
    tasks: tuple[TaskReport, ...]
    failed: dict[int, str]

    @property
    def slowdown(self) -> float:
        """Response over ideal: 1.0 is perfect."""
        return self.response_s / max(self.ideal_s, 1e-6)

    @classmethod
    def from_wire(cls, id: str, report: dict[str, Any], response_s: float) -> JobReport:
        """The report that a scheduler sends, under the id that the job has here and with the response that was measured here."""
        return cls(
            id,
            report["method"],
            report["finished"] - response_s,
            report["finished"],
            response_s,
            report["ideal_s"],
            report["retried"],
            tuple(TaskReport(*row) for row in report["tasks"]),
            {task: reason for reason, tasks in report["failed"] for task in tasks},
        )
