"""What is still to be told to one peer: at most one delivery under way, what comes up meanwhile gathers for the next.

Batches therefore form under load and cost nothing when idle, and no timer is needed. A delivery that failed goes out again, in
the same order and before anything newer, so a peer sees each message at least once until it is given up as lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

M = TypeVar("M")

LARGEST_BATCH = 10_000  # messages: more would keep the receiver's loop busy for too long at a time


class Outbox(Generic[M]):
    """The messages for one peer. Not thread-safe: its owner's event loop is the only one to touch it."""

    def __init__(self) -> None:
        self._waiting: list[M] = []
        self._under_way: list[M] = []

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def put(self, message: M) -> None:
        self._waiting.append(message)

    def take(self, limit: int = LARGEST_BATCH, door: Callable[[M], object] | None = None) -> list[M]:
        """What waits, now under way; empty while an earlier delivery is, or when nothing waits.

        At most ``limit`` messages, and with ``door`` only those that have the same door as the first.
        """
        if self._under_way or not self._waiting:
            return []
        together, others = self._waiting, []
        if door is not None:
            first = door(together[0])
            others = [message for message in together if door(message) != first]
            if others:
                together = [message for message in together if door(message) == first]
        self._under_way, self._waiting = together[:limit], together[limit:] + others
        return self._under_way

    def delivered(self) -> None:
        self._under_way = []

    def failed(self) -> None:
        """The delivery under way did not arrive, or nobody can tell: it is to be sent again."""
        self._waiting = self._under_way + self._waiting
        self._under_way = []

    def clear(self) -> None:
        self._waiting, self._under_way = [], []
