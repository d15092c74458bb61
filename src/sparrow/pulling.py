"""What a scheduler needs for PULL: the workers that have said that they are idle, and the jobs whose tasks wait for one.

This is join-idle-queue (Lu et al. 2011) combined with late binding. What a scheduler knows of idle workers may be out of date,
since other schedulers are told too; a task that comes too late is sent back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

from src.sparrow.jobs import Idle, Job


class IdleWorkers:
    """The free slots that workers have told of."""

    def __init__(self) -> None:
        self._idle: dict[str, Idle] = {}  # worker -> its free slots; who has said so last is the last one
        self.schedulers = 1  # how many schedulers want to be told, as the workers say

    def __len__(self) -> int:
        """Returns how many workers have free slots."""
        return len(self._idle)

    def tell(self, worker: str, slots: int, told: int, schedulers: int, now: float) -> None:
        """A worker has so many free slots."""
        self.schedulers = schedulers
        self.forget(worker)
        self._idle[worker] = Idle(slots, now, told)

    def forget(self, worker: str) -> None:
        """A worker has no free slot any more, or is gone."""
        self._idle.pop(worker, None)

    def take(self) -> tuple[str, Idle]:
        """Takes a free slot. Returns the worker and what it has said. There must be one.

        If others may have taken it too, it is the one that was told last, since it is the most likely to be free still. Else it is
        the one that is idle for longest, so that all workers have the same share.
        """
        worker = next(reversed(self._idle)) if self.schedulers > 1 else next(iter(self._idle))
        idle = self._idle[worker]
        if idle.slots > 1:
            self._idle[worker] = idle._replace(slots=idle.slots - 1)
        else:
            del self._idle[worker]
        return worker, idle


class Backlog:
    """The jobs with tasks that wait for an idle worker, the oldest first."""

    def __init__(self) -> None:
        self._jobs: list[tuple[float, str, Job]] = []  # a heap
        self._known: set[str] = set()

    def __len__(self) -> int:
        """Returns how many jobs there may be. Some of them may have no tasks that wait any more."""
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Tasks of this job wait."""
        if job.unplaced and job.id not in self._known:
            self._known.add(job.id)
            heappush(self._jobs, (job.submitted_s, job.id, job))

    def oldest(self) -> Job | None:
        """Returns the oldest job with tasks that wait; None if no task waits."""
        while self._jobs:
            job = self._jobs[0][2]
            if job.unplaced:
                return job
            heappop(self._jobs)
            self._known.remove(job.id)
        return None


class Subscriptions:
    """When workers are to be asked to tell of their free slots: as long as there are jobs that need it, and a while after that."""

    def __init__(self, lease_s: float) -> None:
        self.lease_s = lease_s
        self._due: deque[str] = deque()  # workers that are to be asked next
        self._needed_s = self._renewed_s = self.heard_s = float("-inf")

    def need(self, workers: Iterable[str], now: float) -> None:
        """Jobs need it at this time."""
        self._needed_s = now
        if now - self._renewed_s > self.lease_s / 2:
            self._renewed_s = now
            self._due = deque(workers)

    def joined(self, worker: str, now: float) -> None:
        """This worker may have jobs from now on."""
        if now - self._needed_s <= self.lease_s:
            self._due.append(worker)

    def __len__(self) -> int:
        """Returns how many workers are to be asked."""
        return len(self._due)

    def next(self) -> str:
        """Returns the worker that is to be asked next. There must be one."""
        return self._due.popleft()
