"""``Departure``: what is still to be taken from a worker that is lost or leaves, in steps.

A worker may have had a hundred thousand tasks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import Optional

from src.sparrow.jobs import Job, WorkerEntry
from src.sparrow.losses import Loss, RunKey
from src.sparrow.messages import Message, Reservation

Item = Optional[tuple[RunKey, bool]]  # a run or, if true, a reservation; None for a step of work that finds nothing


class Departure:
    """One worker that is lost or leaves. ``loss`` is None if it leaves, and so gives everything back."""

    def __init__(self, worker: WorkerEntry, loss: Loss | None, items: Iterator[Item]) -> None:
        self.worker, self.loss = worker, loss
        self._items = items
        self.is_over = False

    @classmethod
    def by_leave(cls, worker: WorkerEntry, kept: Container[RunKey]) -> Departure:
        """Returns the departure of a worker that keeps these runs until they end."""
        return cls(worker, None, _held(deque(run for run in worker.runs if run not in kept), deque(worker.reservations)))

    @classmethod
    def by_loss(cls, worker: WorkerEntry, jobs: Mapping[str, Job], untaken: Iterable[Message]) -> Departure:
        """Returns the departure of a worker that is lost and has not taken the messages ``untaken``."""
        loss = Loss(worker)

        def items() -> Iterator[Item]:
            yield from loss.examine(worker, jobs, untaken)
            yield from _held(deque(worker.runs), deque(worker.reservations))

        return cls(worker, loss, items())

    def step(self, most: int) -> tuple[list[RunKey], list[Reservation]]:
        """Does so much of the work. Returns runs and reservations that are no longer the worker's."""
        items = list(islice(self._items, most))
        self.is_over = len(items) < most
        found = [item for item in items if item is not None]
        runs = [key for key, reserved in found if not reserved and self.worker.runs.pop(key, None) is not None]
        return runs, [key for key, reserved in found if reserved and self.worker.reservations.pop(key, None) is not None]


def _held(runs: deque[RunKey], reservations: deque[Reservation]) -> Iterator[Item]:
    for keys, reserved in ((runs, False), (reservations, True)):
        while keys:
            yield keys.popleft(), reserved  # to forget all of them in the last step would take long
