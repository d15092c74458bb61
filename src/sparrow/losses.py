"""The loss of workers: which of a lost worker's runs count as lost, and how long their tasks wait before they are placed again.

A task fails once it was lost too often (``SchedulerSettings.max_retries``), because it may be what ends its workers. So a loss
counts only if the worker may have begun the task, and the losses of a task lie apart. Many workers may be lost at once, with a rack
or a switch: a task that is placed on one after the other within milliseconds has not shown anything.

- A task that is lost for the first time is placed again at once, and then after pauses that double. Workers whose connection has
  ended get nothing new before they are connected again, even if they are not lost yet.
- A run that was never sent, or was not acknowledged by a worker that fell silent, cannot have been begun as far as anybody knows.
  If the connection ended while the run was on its way, it may have been.
- Of the runs that a worker has taken, those may have been begun that it has said to run, those that it asked for (late binding:
  the slot was free), and as many others, the oldest first, as it has slots left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush, nsmallest
from itertools import count

from src.sparrow import messages as m
from src.sparrow.jobs import FAILED, Job, WorkerEntry
from src.sparrow.messages import Address
from src.sparrow.settings import SchedulerSettings

RunKey = tuple[str, int]  # job, task

SORTED = 1_000  # the oldest runs of a worker are found among about so many more than its slots at a time


class Loss:
    """The loss of one worker: its name, the runs that it had taken, and those of them that it may have begun."""

    def __init__(self, worker: WorkerEntry) -> None:
        self.worker = worker.address.name
        self.had: set[RunKey] = set()
        self.begun: set[RunKey] = set()

    def examine(self, worker: WorkerEntry, jobs: Mapping[str, Job], untaken: Iterable[m.Message]) -> Iterator[None]:
        """Finds out what the worker had and may have begun; it has not taken the messages ``untaken``. Yields after each step."""
        unsent, queued = set[m.Run](), list[tuple[float, int, RunKey]]()
        for message in untaken:
            if isinstance(message, (m.Launch, m.Offer)):
                unsent.add((message.job, message.task, message.attempt))
            yield
        for key in list(worker.runs):
            job, index = jobs[key[0]], key[1]
            task = job.tasks[index]
            if (job.id, index, task.attempt) not in unsent:
                self.had.add(key)
                if task.started_s is not None or job.method.late_binding:
                    self.begun.add(key)
                else:
                    queued.append((task.placed_s, index, key))
                    if len(queued) > 2 * worker.slots + SORTED:
                        queued = nsmallest(worker.slots, queued)  # at the end there may be more than the last step can sort
            yield
        self.begun.update(key for _, _, key in nsmallest(max(0, worker.slots - len(self.begun)), queued))

    def count_task(self, job: Job, index: int, settings: SchedulerSettings, now: float) -> float | None:
        """Counts the loss of one task, once. Returns the pause before it is placed again, in seconds; None if it has failed."""
        task, key = job.tasks[index], (job.id, index)
        had, begun = key in self.had, key in self.begun
        self.had.discard(key)  # to forget all of them in the last step would take long
        self.begun.discard(key)
        task.lose(self.worker, begun, now)
        if len(task.lost_on) <= settings.max_retries:
            job.retried += had
            return _pause_s(task.losses, settings)
        task.state = FAILED
        task.reason = f"lost with its worker {len(task.lost_on)} times, on {', '.join(task.lost_on)}: not tried again"
        job.failed += 1
        return None


def _pause_s(losses: int, settings: SchedulerSettings) -> float:
    if losses < 2:
        return 0.0
    return min(settings.retry_pause_s * 2.0 ** min(losses - 2, 60), settings.retry_pause_most_s)


class Postponed:
    """Tasks that are to be placed again after a pause."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, list[int]]] = []  # when, a serial number, the job, its tasks
        self._serial = count()

    def add(self, at_s: float, job: str, tasks: list[int]) -> None:
        """Has these tasks of a job placed at ``at_s``, or a little later."""
        heappush(self._heap, (at_s, next(self._serial), job, tasks))

    def is_due(self, now: float) -> bool:
        """Returns whether tasks are to be placed by now."""
        return bool(self._heap) and self._heap[0][0] <= now

    def next(self, now: float) -> tuple[str, list[int]] | None:
        """Removes the tasks that are due for longest. Returns their job and them; None if none are due."""
        if not self.is_due(now):
            return None
        _, _, job, tasks = heappop(self._heap)
        return job, tasks

    def of(self, job: str) -> list[int]:
        """Returns the tasks of this job that are postponed."""
        return [task for _, _, postponed, tasks in self._heap if postponed == job for task in tasks]


class LostWorkers:
    """The workers that were lost, and those of them that are doubted: they are back in the same incarnation.

    A doubted worker may still have runs that were placed elsewhere meanwhile, so it is asked what it holds for some time.
    """

    def __init__(self, settings: SchedulerSettings) -> None:
        self._settings = settings
        self._incarnations: dict[str, str] = {}  # lost workers -> incarnation, the oldest loss first
        self.doubted: dict[str, float] = {}  # workers that are back -> until when they are doubted

    def lost(self, worker: Address) -> None:
        """This worker is lost."""
        self._incarnations.pop(worker.name, None)
        self._incarnations[worker.name] = worker.incarnation
        if len(self._incarnations) > self._settings.remembered_workers:
            del self._incarnations[next(iter(self._incarnations))]
        self.doubted.pop(worker.name, None)

    def joined(self, worker: Address, now: float) -> None:
        """This worker has joined, maybe again."""
        if self._incarnations.pop(worker.name, None) == worker.incarnation:
            self.doubted[worker.name] = now + self._settings.doubted_s

    def tick(self, now: float) -> None:
        """Ends the doubts that have lasted long enough."""
        for worker in [worker for worker, until_s in self.doubted.items() if now >= until_s]:
            del self.doubted[worker]
