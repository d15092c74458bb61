"""What a scheduler remembers of one job, and the report that is left of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from src.sparrow.messages import MAX_CONFIRMED, SETTLED_S, JobSpec
from src.sparrow.placement import method_named

UNPLACED = "unplaced"  # not given to any worker: being sampled for, or waiting for a reservation or a worker
PLACED = "placed"  # one worker has it, under the current attempt
DONE = "done"
FAILED = "failed"


class Task:
    """One task. It is in exactly one state; ``worker`` and ``attempt`` say under which run it counts."""

    __slots__ = ("duration_s", "state", "worker", "attempt", "placed_s", "wait_s", "service_s", "lost_on", "reason")

    def __init__(self, duration_s: float) -> None:
        self.duration_s = duration_s
        self.state = UNPLACED
        self.worker: str | None = None
        self.attempt = 0
        self.placed_s = 0.0
        self.wait_s = 0.0
        self.service_s = 0.0
        self.lost_on: tuple[str, ...] = ()  # the workers that were lost with it
        self.reason: str | None = None


class Round:
    """One round of probes for some tasks of a job."""

    __slots__ = ("number", "tasks", "probed", "waiting", "loads", "deadline_s")

    def __init__(self, number: int, tasks: list[int], probed: list[str], deadline_s: float) -> None:
        self.number = number
        self.tasks = tasks
        self.probed = probed
        self.waiting = set(probed)
        self.loads: dict[str, int] = {}
        self.deadline_s = deadline_s


class Job:
    """One open job: its tasks, and what is out on the workers on its behalf."""

    def __init__(self, spec: JobSpec, method_name: str, now: float) -> None:
        self.id = spec.id
        self.method = method_named(method_name)
        self.tasks = [Task(duration) for duration in spec.durations_s]
        self.open = len(self.tasks)  # tasks neither done nor failed
        self.submitted_s = now
        self.unplaced: deque[int] = deque()  # tasks that wait for a reservation (late binding) or for any worker to be there
        self.rounds: dict[int, Round] = {}
        self.rounds_begun = 0
        self.reserved: dict[int, str] = {}  # reservations out: number -> worker
        self.assigned: dict[int, int] = {}  # reservations that got a task: number -> task
        self.retried = 0
        self.failed = 0
        self.decisions: list[tuple] = []  # (tasks, workers probed, loads answered, workers chosen), for whoever asks why
        self.asked: list[tuple] = []  # (reservation, worker, seconds since submission, task or None), as they reached the front

    def ideal_s(self) -> float:
        """The longest service time: how long a job takes that waits for nothing."""
        return max(task.service_s if task.state == DONE else task.duration_s for task in self.tasks)

    def report(self, now: float) -> dict[str, Any]:
        """All there is to say of the ended job, in plain types; times in seconds on the scheduler's clock.

        ``tasks`` has a row a task: [worker, wait_s, service_s, attempts]; ``failed`` a row a reason: [reason, tasks].
        """
        failed: dict[str | None, list[int]] = {}
        for index, task in enumerate(self.tasks):
            if task.state == FAILED:
                failed.setdefault(task.reason, []).append(index)
        return {
            "id": self.id,
            "method": self.method.name,
            "submitted_s": self.submitted_s,
            "finished_s": now,
            "response_s": now - self.submitted_s,
            "ideal_s": self.ideal_s(),
            "retried": self.retried,
            "tasks": [[task.worker, task.wait_s, task.service_s, task.attempt] for task in self.tasks],
            "failed": [[reason, tasks] for reason, tasks in failed.items()],
        }


class WorkerEntry:
    """What a scheduler believes that a worker holds, each with the time when it was given or last confirmed, oldest first."""

    __slots__ = ("incarnation", "slots", "runs", "reservations", "leaving", "heartbeat_s", "done")

    def __init__(self, incarnation: str, slots: int) -> None:
        self.incarnation = incarnation
        self.slots = slots
        self.runs: dict[tuple[str, int], float] = {}  # (job, task)
        self.reservations: dict[tuple[str, int], float] = {}  # (job, reservation)
        self.leaving = False
        self.heartbeat_s = 0.0  # when it was last sent one
        self.done = 0  # tasks that ended there

    def holds_anything(self) -> bool:
        return bool(self.runs or self.reservations)


class Sampler:
    """The workers to draw from: joined and left at any time, indexed for a draw at a cost that does not depend on how many."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._position: dict[str, int] = {}

    def add(self, name: str) -> None:
        if name not in self._position:
            self._position[name] = len(self.names)
            self.names.append(name)

    def remove(self, name: str) -> None:
        position = self._position.pop(name, None)
        if position is not None:
            last = self.names.pop()
            if last != name:
                self.names[position] = last
                self._position[last] = position


def by_job(keys: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """(job, number) pairs as job -> its numbers."""
    grouped: dict[str, list[int]] = {}
    for job, number in keys:
        grouped.setdefault(job, []).append(number)
    return grouped


def due(held: dict[tuple[str, int], float], now: float) -> list[tuple[str, int]]:
    """What is to be confirmed next, and counts as confirmed now: the oldest, and no more than a heartbeat should carry."""
    found: list[tuple[str, int]] = []
    for key, since in held.items():
        if now - since < SETTLED_S or len(found) == MAX_CONFIRMED:
            break
        found.append(key)
    for key in found:
        del held[key]
        held[key] = now
    return found
