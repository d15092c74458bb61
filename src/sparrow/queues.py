"""The queue disciplines of a worker: the order in which queued tasks and reservations reach the front.

A discipline is a class with the methods of ``Fifo``. Entries are found by key, so that a cancelled one is removed at once.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from src.sparrow.messages import Address, Reservation, Run


class QueuedTask(NamedTuple):
    """A task that waits for a slot."""

    key: tuple[Address, Run]  # the scheduler that has launched it, and the run: this identifies the entry in the queue
    duration_s: float
    since_s: float  # when it arrived at this worker

    @property
    def owner(self) -> Address:
        """The scheduler that has launched the task."""
        return self.key[0]

    @property
    def run(self) -> Run:
        """The run that is to start."""
        return self.key[1]


class QueuedReservation(NamedTuple):
    """A reservation that waits for a slot, to ask for a task then."""

    key: tuple[Address, Reservation]  # the scheduler that has made it, and the reservation: this identifies the entry
    since_s: float  # when it arrived at this worker

    @property
    def owner(self) -> Address:
        """The scheduler that has made the reservation."""
        return self.key[0]

    @property
    def reservation(self) -> Reservation:
        """The reservation that is to ask for a task."""
        return self.key[1]


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

    def entries(self) -> deque[QueuedTask | QueuedReservation]:
        """Returns all entries, the front first. An iteration over an ``OrderedDict`` takes ten times as long as this."""
        return deque(dict.values(self._entries))

    def push(self, entry: QueuedTask | QueuedReservation) -> None:
        """Adds an entry at the end."""
        self._entries[entry.key] = entry

    def pop(self) -> QueuedTask | QueuedReservation | None:
        """Removes the entry at the front and returns it; None if there is none."""
        return self._entries.popitem(last=False)[1] if self._entries else None

    def clear(self) -> None:
        """Removes all entries."""
        self._entries.clear()

    def remove(self, key: Hashable) -> bool:
        """Removes the entry of that key. Returns False if there is none."""
        return self._entries.pop(key, None) is not None
