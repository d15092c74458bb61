"""The records of a scheduler: ``Job``, ``Task``, ``Round`` and ``WorkerEntry``, and the ``Sampler`` that workers are drawn from."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from src.sparrow.errors import UnknownIdError
from src.sparrow.jobspec import JobSpec
from src.sparrow.messages import Address, Ask, Bounce, Done, Load, Message
from src.sparrow.placement import method_named
from src.sparrow.reports import AskedReservation, Decision, Failure, Pulled, Report, WorkerStats
from src.sparrow.settings import ReconcileSettings
from src.sparrow.taskcolumns import TaskColumns

UNPLACED = "unplaced"  # no worker has the task: its probes are out, or it waits for a reservation or a worker
PLACED = "placed"  # one worker has the task, under the current attempt
DONE = "done"
FAILED = "failed"

MAX_LOST = 20  # lost attempts that are remembered of one task


class LostAttempt(NamedTuple):
    """An attempt at a task that was lost with its worker. Times are those of the scheduler's clock."""

    attempt: int
    worker: str
    placed_s: float
    started_s: float | None  # None if it is not known to have started
    lost_s: float


class Task:
    """One task of a job and its state. ``worker`` and ``attempt`` identify the only run whose end counts."""

    __slots__ = (
        *("duration_s", "state", "worker", "attempt", "placed_s", "started_s", "wait_s", "service_s"),
        *("losses", "lost", "lost_on", "reason"),
    )

    def __init__(self, duration_s: float) -> None:
        self.duration_s = duration_s
        self.state = UNPLACED
        self.worker: str | None = None
        self.attempt = 0
        self.placed_s = 0.0
        self.started_s: float | None = None  # when it started, as its worker has said; None until then
        self.wait_s = 0.0
        self.service_s = 0.0
        self.losses = 0  # how often its worker was lost
        self.lost: tuple[LostAttempt, ...] = ()  # the attempts that were lost so, the last MAX_LOST of them
        self.lost_on: tuple[str, ...] = ()  # the workers that were lost and may have begun the task
        self.reason = ""  # why it failed

    def lose(self, worker: str, begun: bool, now: float) -> None:
        """Counts the loss of its worker, which may have begun it or not."""
        self.losses += 1
        self.lost = (*self.lost, LostAttempt(self.attempt, worker, self.placed_s, self.started_s, now))[-MAX_LOST:]
        if begun:
            self.lost_on += (worker,)


class Idle(NamedTuple):
    """What a worker has said: it has so many free slots that no task has been offered for since."""

    slots: int
    since_s: float  # when it has said so
    told: int  # how many other schedulers it had told before


class Round:
    """One round of placing tasks of a job: their probes, and then the workers chosen for them.

    The probes end when all workers have answered, or at the deadline. ``tasks`` are those that are still to be placed.
    """

    __slots__ = ("number", "tasks", "probed", "probed_tasks", "workers", "asked", "waiting", "loads", "deadline_s", "chosen")

    def __init__(self, number: int, tasks: Iterable[int]) -> None:
        self.number = number
        self.tasks = deque(tasks)
        self.probed: list[str] = []
        self.probed_tasks = 0  # the tasks whose workers are in ``probed``
        self.workers: list[str] | None = None  # those to sample from, if the probes are sampled in several steps
        self.asked: set[str] = set()
        self.waiting: set[str] = set()  # the workers that have not answered
        self.loads: dict[str, int] = {}
        self.deadline_s = 0.0
        self.chosen: Iterator[str] | None = None  # a worker for each of the tasks; None while that is not decided

    @property
    def is_placing(self) -> bool:
        """Whether the tasks can be placed."""
        return self.chosen is not None

    @property
    def is_probing(self) -> bool:
        """Whether workers are still to be probed."""
        return self.chosen is None and self.probed_tasks < len(self.tasks)

    def remove(self, tasks: int) -> None:
        """So many tasks, the first ones, are placed."""
        for _ in range(tasks):
            self.tasks.popleft()


class Reservations(NamedTuple):
    """Reservations that were made at the same time, with consecutive numbers."""

    first: int
    workers: list[str]
    made_s: float


class TakenBack(NamedTuple):
    """Reservations that were cancelled, or lost with their worker, at the same time."""

    lost: bool
    numbers: list[int]
    ended_s: float


class Job:
    """One open job: its tasks, its rounds of probes and its reservations.

    ``max_explained`` is the number of tasks and reservations whose placement is remembered.
    """

    def __init__(self, spec: JobSpec, method_name: str, now: float, max_explained: int) -> None:
        self.id = spec.id
        self.method = method_named(method_name)
        self.num_tasks = len(spec.durations_s)
        self.tasks: list[Task] = []  # see ``make_tasks``
        self._durations_s = iter(spec.durations_s)
        self.open = self.num_tasks  # tasks neither done nor failed
        self.submitted_s = now
        self.unplaced: deque[int] = deque()  # tasks that wait for a reservation (late binding) or for the first worker
        self.rounds: dict[int, Round] = {}
        self.ready: dict[int, Round] = {}  # those of them that do not wait for answers, so that there is something to do
        self.rounds_begun = 0
        self.to_reserve: deque[str] = deque()  # workers that are to get a reservation
        self.reserved: dict[int, str] = {}  # reservations in the queues of workers: number -> worker
        self.assigned: dict[int, int] = {}  # reservations that got a task: number -> task
        self.retried = 0
        self.failed = 0
        self.decisions: list[Decision] = []  # why tasks were placed where they were, for the job's details
        self.asked: list[AskedReservation] = []  # reservations in the order in which they reached the front
        self.reservations: list[Reservations] = []  # the first ones that were made
        self.taken_back: list[TakenBack] = []  # of these
        self._rememberable = max_explained  # reservations that may still be remembered
        self._remembered: set[int] = set()  # numbers of reservations that are remembered, and not taken back
        self.bounces: dict[int, int] = {}  # tasks that workers have sent back -> how often
        self.pulled: list[Pulled] = []  # tasks that were given to idle workers
        self._explainable = max_explained  # tasks and reservations whose placement may still be remembered

    def begin_round(self, tasks: Iterable[int]) -> None:
        """Begins a round of placing these tasks."""
        self.rounds[self.rounds_begun] = self.ready[self.rounds_begun] = Round(self.rounds_begun, tasks)
        self.rounds_begun += 1

    def end_round(self, round_: Round) -> list[int]:
        """Ends a round. Returns the tasks of it that are not placed: it is for the caller to have them placed."""
        del self.rounds[round_.number], self.ready[round_.number]
        return list(round_.tasks)

    def make_tasks(self, most: int) -> bool:
        """Makes the next tasks, at most so many at a time. Returns whether all have been made, so that they can be placed."""
        self.tasks.extend(map(Task, islice(self._durations_s, most)))
        return len(self.tasks) == self.num_tasks

    def decided(self, tasks: list[int], probed: list[str], loads: dict[str, int], chosen: list[str]) -> None:
        """Remembers why these tasks were placed on the ``chosen`` workers: the probed workers, and their loads."""
        if self._explainable > 0:
            self._explainable -= len(tasks)
            self.decisions.append({"tasks": tasks, "probed": probed, "loads": loads, "chosen": chosen, "counted": None})

    def answered(self, reservation: int, worker: str, task: int | None, now: float) -> None:
        """Remembers the task that a reservation got when it reached the front of the queue; None for a no-op."""
        if self._explainable > 0:
            self._explainable -= 1
            self.asked.append({"reservation": reservation, "worker": worker, "after_s": now - self.submitted_s, "task": task})

    def pulled_by(self, task: int, worker: str, said: Idle, now: float) -> None:
        """Remembers that this task was given to a worker that has said that it is idle."""
        if self._explainable > 0:
            self._explainable -= 1
            after_s, idle_s = now - self.submitted_s, now - said.since_s
            self.pulled.append(
                {"task": task, "worker": worker, "after_s": after_s, "idle_s": idle_s, "told": said.told, "bounced": False}
            )

    def bounced(self, task: int) -> None:
        """A worker has sent this task back. It is the next one of this job to be placed."""
        self.tasks[task].state, self.tasks[task].worker = UNPLACED, None
        self.unplaced.appendleft(task)
        self.bounces[task] = self.bounces.get(task, 0) + 1
        for row in reversed(self.pulled):
            if row["task"] == task:
                row["bounced"] = True
                break

    def attempts(self, task: int) -> int:
        """Returns how often a task was given to a worker, and not sent back at once."""
        return self.tasks[task].attempt - self.bounces.get(task, 0)

    def reserve(self, first: int, workers: list[str], now: float) -> None:
        """Remembers that these workers got reservations, with consecutive numbers, if not too many others are remembered."""
        remembered = workers[: self._rememberable]
        if remembered:
            self._rememberable -= len(remembered)
            self._remembered.update(range(first, first + len(remembered)))
            self.reservations.append(Reservations(first, remembered, now))

    def take_back(self, numbers: list[int], lost: bool, now: float) -> None:
        """Remembers that these reservations are cancelled, or lost with their worker, as far as the reservations are remembered."""
        remembered = [number for number in numbers if number in self._remembered]
        if remembered:
            self._remembered.difference_update(remembered)
            self.taken_back.append(TakenBack(lost, remembered, now))

    def ideal_s(self) -> float:
        """Returns the longest service time of the tasks, in seconds: the response of the job if no task had to wait."""
        if self.failed or self.open:
            return max(task.service_s if task.state == DONE else task.duration_s for task in self.tasks)
        return max([task.service_s for task in self.tasks])

    def report(self, now: float) -> Report:
        """Returns the report of the job, which ended at ``now``; ``submitted`` and ``finished`` are on the scheduler's clock."""
        failed: dict[str, list[int]] = {}
        if self.failed:
            for index, task in enumerate(self.tasks):
                if task.state == FAILED:
                    failed.setdefault(task.reason, []).append(index)
        failures: list[Failure] = [{"reason": reason, "tasks": tasks} for reason, tasks in failed.items()]
        return {
            "id": self.id,
            "method": self.method.name,
            "submitted": self.submitted_s,
            "finished": now,
            "response_s": now - self.submitted_s,
            "ideal_s": self.ideal_s(),
            "retried": self.retried,
            "tasks": TaskColumns.of(
                [task.worker for task in self.tasks],
                [task.wait_s for task in self.tasks],
                [task.service_s for task in self.tasks],
                list(map(self.attempts, range(self.num_tasks))) if self.bounces else [task.attempt for task in self.tasks],
            ),
            "failed": failures,
        }


class WorkerEntry:
    """A worker as a scheduler knows it: each run and reservation with the time when it was sent or last confirmed, oldest first."""

    __slots__ = ("address", "slots", "runs", "reservations", "leaving", "reconciled_s", "done", "epoch")

    def __init__(self, address: Address, slots: int) -> None:
        self.address = address
        self.slots = slots
        self.runs: dict[tuple[str, int], float] = {}  # (job, task)
        self.reservations: dict[tuple[str, int], float] = {}  # (job, reservation)
        self.leaving = False
        self.reconciled_s = 0.0  # when the last Reconcile was sent to it
        self.done = 0  # tasks that have ended there
        self.epoch = 0  # of what it has said last of its free slots

    def stats(self) -> WorkerStats:
        """Returns the figures of this worker for the answer to ``stats``."""
        return {"slots": self.slots, "runs": len(self.runs), "reservations": len(self.reservations), "done": self.done}

    @property
    def holds_anything(self) -> bool:
        """Whether the worker has a run or a reservation of this scheduler."""
        return bool(self.runs or self.reservations)


class Sampler:
    """The workers to draw from, as a list of names. Adding and removing one take the same time, however many there are."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.positions: dict[str, int] = {}  # of each worker in ``names``

    def add(self, name: str) -> None:
        """Adds a worker, unless it is there already."""
        if name not in self.positions:
            self.positions[name] = len(self.names)
            self.names.append(name)

    def remove(self, name: str) -> None:
        """Removes a worker if it is there. The last one of the list takes its position."""
        position = self.positions.pop(name, None)
        if position is not None:
            last = self.names.pop()
            if last != name:
                self.names[position] = last
                self.positions[last] = position


def check_known(message: Message, jobs: Mapping[str, Job], ended: Container[str], reservations_made: int) -> None:
    """Raises UnknownIdError if this message names a job, a task or a reservation that there is not and that has not ended."""
    kind = type(message)  # every message passes here, and isinstance() takes twice as long
    if kind is not Load and kind is not Done and kind is not Ask and kind is not Bounce:
        return
    named: Any = message
    job = jobs.get(named.job)
    if job is None:
        if named.job not in ended:
            raise UnknownIdError(f"unknown job {named.job!r}")
    elif kind in (Done, Bounce) and named.task >= len(job.tasks):
        raise UnknownIdError(f"unknown task {named.task} of job {named.job!r}: it has {len(job.tasks)}")
    elif kind is Ask and named.reservation >= reservations_made:
        raise UnknownIdError(f"unknown reservation {named.reservation} of job {named.job!r}")


def by_job(keys: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Returns pairs (job, number) grouped: job -> its numbers."""
    grouped: dict[str, list[int]] = {}
    for job, number in keys:
        grouped.setdefault(job, []).append(number)
    return grouped


def due(held: dict[tuple[str, int], float], now: float, settings: ReconcileSettings) -> list[tuple[str, int]]:
    """Returns the keys to be confirmed next, the oldest first, at most ``max_named``; they count as confirmed at ``now``."""
    found: list[tuple[str, int]] = []
    for key, since in held.items():
        if now - since < settings.settled_s or len(found) == settings.max_named:
            break
        found.append(key)
    for key in found:
        del held[key]
        held[key] = now
    return found
