"""The queue disciplines of a worker: the order in which queued tasks and reservations reach the front.

A discipline is a class with the public methods of ``Fifo``. Entries are found by key: a cancelled one counts no more at once.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator, Mapping
from itertools import chain, islice
from typing import NamedTuple, Union

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


Entry = Union[QueuedTask, QueuedReservation]

SHORT = 4_096  # entries that a queue has in one dict
PIECE = 512  # entries in a piece of a longer one
DICTS = 64  # dicts for the keys of a longer one
MOST_REMOVED = 50_000  # removed entries from which on pieces are tidied, however long the queue is
TIDY_EVERY = 32  # removed entries for each piece that is tidied


class Fifo:
    """First in, first out: tasks and reservations alike, of all schedulers and jobs.

    A short queue is one dict, which is fastest. A worker may have a million entries, and then nothing may take a time in proportion
    to the length: neither finding a place in the middle nor one more entry, for which a dict grows. They are in a ``_LongFifo``.
    """

    def __init__(self) -> None:
        self._short: OrderedDict[Hashable, Entry] = OrderedDict()
        self._long: _LongFifo | None = None  # if it is there, it has all entries

    def __len__(self) -> int:
        return len(self._short if self._long is None else self._long)

    def __contains__(self, key: Hashable) -> bool:
        return key in (self._short if self._long is None else self._long)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._short.values() if self._long is None else self._long)

    def entries(self) -> deque[Entry]:
        """Returns all entries, the front first, and among them some that have been removed, which ``discard`` passes over.

        An iteration over an ``OrderedDict`` takes ten times as long as this.
        """
        return deque(dict.values(self._short)) if self._long is None else self._long.entries()

    def part(self, place: int, most: int) -> tuple[list[Entry], int]:
        """Looks at the entries from this place on, at most so many. Returns them, and the place where the next part begins.

        The place 0 is the front, and follows the end. If entries leave the queue meanwhile, some may be passed over this time.
        """
        if self._long is not None:
            return self._long.part(place, most)
        first = place if place < len(self._short) else 0
        after = first + most
        return list(islice(self._short.values(), first, after)), after if after < len(self._short) else 0

    def push(self, entry: Entry) -> None:
        """Adds an entry at the end. Its key must not be queued."""
        if self._long is None:
            self._short[entry.key] = entry
            if len(self._short) > SHORT:
                self._long = _LongFifo(self._short)
                self._short = OrderedDict()
        else:
            self._long.push(entry)

    def pop(self) -> Entry | None:
        """Removes the entry at the front and returns it; None if there is none."""
        if self._long is None:
            return self._short.popitem(last=False)[1] if self._short else None
        entry = self._long.pop()
        if not self._long:
            self._long = None
        return entry

    def remove(self, key: Hashable) -> bool:
        """Removes the entry of that key. Returns False if there is none."""
        if self._long is None:
            return self._short.pop(key, None) is not None
        removed = self._long.remove(key)
        if not self._long:
            self._long = None
        return removed

    def discard(self, entry: Entry) -> None:
        """Removes this entry if it is queued."""
        known = self._short.get(entry.key) if self._long is None else self._long.get(entry.key)
        if known is entry:
            self.remove(entry.key)


class _LongFifo:
    """A queue in pieces. An entry that is removed stays in its piece until it is at the front or the piece is tidied.

    What is queued is told from that by the keys. These are in many dicts, each of which grows by itself: the hash says in which.
    """

    def __init__(self, entries: Mapping[Hashable, Entry]) -> None:
        self._pieces: deque[deque[Entry]] = deque([deque()])
        self._gone = 0  # pieces that were at the front and are empty: so many and its position make the number of a piece
        self._tidied = 0  # the position of the piece that was tidied last
        self._removed = 0  # entries that are in pieces and no longer queued
        self._queued = 0
        self._dicts: list[dict[Hashable, Entry]] = [{} for _ in range(DICTS)]
        for entry in entries.values():
            self.push(entry)

    def __len__(self) -> int:
        return self._queued

    def __contains__(self, key: Hashable) -> bool:
        return key in self._dicts[hash(key) % DICTS]

    def get(self, key: Hashable) -> Entry | None:
        """Returns the entry of that key, if there is one."""
        return self._dicts[hash(key) % DICTS].get(key)

    def _is_queued(self, entry: Entry) -> bool:
        key = entry.key
        return self._dicts[hash(key) % DICTS].get(key) is entry

    def __iter__(self) -> Iterator[Entry]:
        return filter(self._is_queued, self.entries())

    def entries(self) -> deque[Entry]:
        return deque(chain.from_iterable(self._pieces))

    def part(self, place: int, most: int) -> tuple[list[Entry], int]:
        number, offset = divmod(place, PIECE)
        position = number - self._gone
        if not 0 <= position < len(self._pieces):
            position = offset = 0
        found: list[Entry] = []
        while most > 0 and position < len(self._pieces):
            piece = self._pieces[position]
            looked = list(islice(piece, offset, offset + most))
            found += filter(self._is_queued, looked)
            most -= len(looked)
            offset += len(looked)
            if offset >= len(piece):
                position, offset = position + 1, 0
        return found, (self._gone + position) * PIECE + offset if position < len(self._pieces) else 0

    def push(self, entry: Entry) -> None:
        last = self._pieces[-1]
        if len(last) >= PIECE:
            last = deque()
            self._pieces.append(last)
        last.append(entry)
        key = entry.key
        self._dicts[hash(key) % DICTS][key] = entry
        self._queued += 1

    def pop(self) -> Entry | None:
        while self._queued:
            first = self._pieces[0]
            if not first:
                self._pieces.popleft()
                self._gone += 1
                continue
            entry = first.popleft()
            key = entry.key
            keys = self._dicts[hash(key) % DICTS]
            if keys.get(key) is entry:
                del keys[key]
                self._queued -= 1
                return entry
            self._removed -= 1
        return None

    def remove(self, key: Hashable) -> bool:
        if self._dicts[hash(key) % DICTS].pop(key, None) is None:
            return False
        self._queued -= 1
        self._removed += 1
        if self._removed % TIDY_EVERY == 0 and self._removed > min(self._queued // 2, MOST_REMOVED):
            self._tidy()
        return True

    def _tidy(self) -> None:
        """Frees the removed entries of the next piece. What is left of it joins the piece before it if that has room."""
        pieces = self._pieces
        self._tidied = (self._tidied + 1) % len(pieces)
        piece = pieces[self._tidied]
        kept = deque(filter(self._is_queued, piece))
        self._removed -= len(piece) - len(kept)
        if self._tidied and len(pieces[self._tidied - 1]) + len(kept) <= PIECE:
            pieces[self._tidied - 1].extend(kept)
            del pieces[self._tidied]
            self._tidied -= 1
        else:
            pieces[self._tidied] = kept
