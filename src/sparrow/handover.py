"""How a client hands jobs over: the ``Backlog`` of jobs that no scheduler has, and the ``Pace`` at which one scheduler gets them.

A scheduler answers a job with its report, or at once with "no room". It takes what comes on one connection in order, so a job has
been taken if a question that was asked after it is answered and the job was not refused. Only a bounded number of bytes goes
without such an answer, so that what is urgent never waits long behind jobs. This window grows with each burst that is taken and is
halved by a refusal or a late answer (additive increase, multiplicative decrease, as in TCP). After a refusal jobs of that size or
more pause; the pause doubles while nothing is taken, and varies at random, so that many clients do not come back together.

A scheduler has less room for large jobs than for small ones, so jobs wait by size: a large one that is refused holds up no small
one.
"""

from __future__ import annotations

import heapq
import random
from itertools import count

from src.sparrow.jobspec import JobSpec
from src.sparrow.link import Timer
from src.sparrow.settings import ClientSettings


def size_class(spec: JobSpec) -> int:
    """Returns the class of a job: the number of binary digits of its number of tasks."""
    return len(spec.durations_s).bit_length()


class Backlog:
    """The jobs that no scheduler has. A job that comes back has its old place, so that jobs of a class keep their order."""

    def __init__(self) -> None:
        self._queues: dict[int, list[tuple[int, str]]] = {}  # class -> a heap of (place, job); some have been forgotten since
        self._waiting: dict[str, int] = {}  # the jobs that wait -> their places
        self._away: dict[str, int] = {}  # those that were taken and may come back
        self._places = count()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, spec: JobSpec) -> None:
        """Adds a job, behind all others of its class unless it was here before."""
        place = self._away.pop(spec.id, None)
        place = self._waiting[spec.id] = next(self._places) if place is None else place
        heapq.heappush(self._queues.setdefault(size_class(spec), []), (place, spec.id))

    def first(self, below: int) -> str | None:
        """Returns the job that was added first, of those in a class lower than ``below``; None if there is none."""
        heads = []
        for kind, queue in self._queues.items():
            if kind < below:
                while queue and self._waiting.get(queue[0][1]) != queue[0][0]:
                    heapq.heappop(queue)
                if queue:
                    heads.append(queue[0])
        return min(heads)[1] if heads else None

    def take(self, job: str) -> None:
        """Takes away a job, and keeps its place for it."""
        self._away[job] = self._waiting.pop(job)

    def forget(self, job: str) -> None:
        """Takes away a job for good, or one that was taken away before."""
        self._waiting.pop(job, None)
        self._away.pop(job, None)


class Pace:
    """The jobs that one scheduler has not answered yet, and when it gets the next ones."""

    ANY = 64  # above the class of every job

    def __init__(self, rng: random.Random, settings: ClientSettings) -> None:
        self._rng, self._settings = rng, settings
        self._fresh: dict[str, int] = {}  # jobs that were sent after the last question -> bytes
        self._asked: dict[str, int] = {}  # those that were sent before the question that is not answered yet
        self._asked_at_s = 0.0
        self._bytes = 0  # of both
        self._window = float(settings.first_window_bytes)
        self.held = 0  # jobs that the scheduler was sent, and that have neither a report nor a refusal
        self.resuming: Timer | None = None  # until the end of the pause
        self._refused = False  # whether a job of this burst, up to the next answer, was refused
        self._taken = False  # whether one of this burst was taken
        self._pause_s = settings.pause_s
        self._below = self.ANY  # jobs of this class or a higher one pause

    @property
    def below(self) -> int:
        """The class below which jobs may be sent."""
        return self._below

    def has_room(self, size_bytes: int) -> bool:
        """Whether a job of this size may be sent now. Any job may if nothing else is unanswered."""
        return not self._bytes or self._bytes + size_bytes <= self._window

    @property
    def wants_answer(self) -> bool:
        """Whether so much is unanswered that a question is to be asked, so that its answer makes room before there is none."""
        return 2 * self._bytes > self._window

    def sent(self, job: str, size_bytes: int) -> None:
        """A job was sent."""
        self._fresh[job] = size_bytes
        self._bytes += size_bytes
        self.held += 1

    def asked(self, now: float) -> None:
        """A question was asked: its answer will say that the scheduler has taken, or refused, all jobs that were sent so far."""
        self._asked.update(self._fresh)
        self._fresh.clear()
        self._asked_at_s = now

    def answered(self, now: float) -> None:
        """The question was answered."""
        settings, had = self._settings, bool(self._asked)
        for size_bytes in self._asked.values():
            self._bytes -= size_bytes
        self._taken |= had
        self._asked.clear()
        if now - self._asked_at_s > settings.slow_answer_s:
            self._shrink()
        elif had and not self._refused:
            self._window = min(self._window + settings.first_window_bytes, settings.most_window_bytes)
        if self._taken:
            self._pause_s = settings.pause_s
        self._refused = self._taken = False

    def reported(self, job: str) -> None:
        """A job has its report, or was rejected for good, so it was taken."""
        self._taken |= self._settle(job)
        self.held -= 1

    def refused(self, job: str, kind: int) -> float | None:
        """A job of this class was refused. Returns for how many seconds such jobs pause; None if they do already."""
        self._settle(job)
        self.held -= 1
        if not self._refused:
            self._refused = True
            self._shrink()
        if kind >= self._below:
            return None
        pausing, self._below = self._below < self.ANY, kind
        if pausing:
            return None
        pause_s = self._pause_s * self._rng.uniform(0.5, 1.5)
        self._pause_s = min(2 * self._pause_s, self._settings.most_pause_s)
        return pause_s

    def resume(self) -> None:
        """The pause is over."""
        self._below = self.ANY
        if self.resuming is not None:
            self.resuming.cancel()
        self.resuming = None

    def _shrink(self) -> None:
        self._window = max(self._window / 2, self._settings.least_window_bytes)

    def _settle(self, job: str) -> bool:
        """Counts a job as answered. Returns False if it was before."""
        size_bytes = self._fresh.pop(job, None) or self._asked.pop(job, None)
        self._bytes -= size_bytes or 0
        return size_bytes is not None
