"""What is still to be told to one peer: at most one delivery under way, what comes up meanwhile gathers for the next.

Batches therefore form under load and cost nothing when idle, and no timer is needed. A delivery that failed goes out again, in
the same order and before anything newer, so a peer sees each message at least once until it is given up as lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

M = TypeVar("M")

LARGEST_BATCH = 10_000  # messages: more would keep the receiver's loop busy for too long at a time


class Outbox(Generic[M]):
    """The messages for one peer. ``door`` says of each by which way it goes: one delivery holds messages of the same door.

    Order is kept within a door; the doors have their turns. Not thread-safe: its owner's event loop is the only one to touch it.
    """

    def __init__(self, door: Callable[[M], Hashable] = lambda message: None) -> None:
        self._door = door
        self._waiting: dict[Hashable, deque[M]] = {}
        self._under_way: list[M] = []

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values())) + len(self._under_way)

    def put(self, message: M) -> None:
        door = self._door(message)
        if door not in self._waiting:
            self._waiting[door] = deque()
        self._waiting[door].append(message)

    def take(self, limit: int = LARGEST_BATCH) -> list[M]:
        """Messages that wait, now under way; empty while an earlier delivery is, or when nothing waits."""
        if self._under_way or not self._waiting:
            return []
        door = next(iter(self._waiting))
        queue = self._waiting.pop(door)
        self._under_way = [queue.popleft() for _ in range(min(limit, len(queue)))]
        if queue:
            self._waiting[door] = queue
        return self._under_way

    def delivered(self) -> None:
        self._under_way = []

    def failed(self) -> None:
        """The delivery under way did not arrive, or nobody can tell: it is to be sent again."""
        if self._under_way:
            door = self._door(self._under_way[0])
            queue = self._waiting.pop(door, deque())
            queue.extendleft(reversed(self._under_way))
            self._waiting = {door: queue, **self._waiting}
            self._under_way = []
