"""The queue disciplines of a worker: the order in which queued tasks and reservations reach the front.

A discipline is a class with the methods of ``Fifo``. Entries are found by key, so that a cancelled one is removed at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from src.sparrow.messages import Address, Reservation, Run


class QueuedTask(NamedTuple):
    """A task that waits for a slot."""

    owner: Address  # the scheduler that has launched it
    run: Run
    duration_s: float
    since_s: float  # when it arrived at this worker

    @property
    def key(self) -> tuple[Address, Run]:
        """What identifies the entry in the queue."""
        return self.owner, self.run


class QueuedReservation(NamedTuple):
    """A reservation that waits for a slot, to ask for a task then."""

    owner: Address  # the scheduler that has made it
    reservation: Reservation
    since_s: float  # when it arrived at this worker

    @property
    def key(self) -> tuple[Address, Reservation]:
        """What identifies the entry in the queue."""
        return self.owner, self.reservation


class Fifo:
    """First in, first out: tasks and reservations alike, of all schedulers and jobs."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, QueuedTask | QueuedReservation] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[QueuedTask | QueuedReservation]:
        return iter(self._entries.values())

    def push(self, entry: QueuedTask | QueuedReservation) -> None:
        """Adds an entry at the end."""
        self._entries[entry.key] = entry

    def pop(self) -> QueuedTask | QueuedReservation:
        """Removes the entry at the front and returns it. Raises KeyError if there is none."""
        return self._entries.popitem(last=False)[1]

    def remove(self, key: Hashable) -> bool:
        """Removes the entry of that key. Returns False if there is none."""
        return self._entries.pop(key, None) is not None
