"""Queue disciplines of a worker: in which order what waits there reaches the front.

A discipline is a class with the methods of ``Fifo``. Entries are found by key, so that what was cancelled leaves at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from src.sparrow.messages import Reservation, Run


class Owner(NamedTuple):
    """The scheduler that an entry came from. One that was restarted is another owner, which knows nothing of it."""

    scheduler: str
    incarnation: str


class QueuedTask(NamedTuple):
    owner: Owner
    run: Run
    duration_s: float
    since_s: float  # when it came here

    @property
    def key(self) -> Hashable:
        return self.owner, self.run


class QueuedReservation(NamedTuple):
    owner: Owner
    reservation: Reservation
    since_s: float

    @property
    def key(self) -> Hashable:
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
        self._entries[entry.key] = entry

    def pop(self) -> QueuedTask | QueuedReservation:
        """The entry at the front; KeyError when there is none."""
        return self._entries.popitem(last=False)[1]

    def remove(self, key: Hashable) -> bool:
        """Take out the entry of that key; False if there is none."""
        return self._entries.pop(key, None) is not None
