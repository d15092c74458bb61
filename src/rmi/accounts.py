"""The account of what has begun to arrive: the bytes of messages that are not whole yet, on all connections of one kind together.

Each connection may send a message of megabytes, so what bounds one of them does not bound a thousand. If all together hold too
much, the one that holds most has to end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

from src.rmi.settings import ChannelSettings


class Holder(Protocol):
    """A connection. ``partial_bytes`` is what its account has of it, and is set by that alone."""

    partial_bytes: int

    def abort(self, reason: str) -> None:
        """End the connection at once."""


class PartialMessages:
    """One account. ``total_bytes`` is the sum over all holders."""

    def __init__(self) -> None:
        self.total_bytes = 0
        self._holders: set[Holder] = set()

    def count(self, holder: Holder, size: int, most_bytes: int) -> None:
        """Note that a holder has so many bytes now. If all have more than ``most_bytes`` together, the largest one ends."""
        self._set(holder, size)
        if self.total_bytes > most_bytes:
            largest = max(self._holders, key=lambda one: one.partial_bytes)
            self._set(largest, 0)
            largest.abort("the unfinished messages on all connections take too much memory together")

    def _set(self, holder: Holder, size: int) -> None:
        self.total_bytes += size - holder.partial_bytes
        holder.partial_bytes = size
        if size:
            self._holders.add(holder)
        else:
            self._holders.discard(holder)


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.channels = PartialMessages()


_per_thread = _PerThread()


class Unfinished:
    """The message of one channel that is not whole yet. Its account is that of all channels of this thread.

    ``end(reason)`` closes the channel: it is called when the rest of a message takes too long, or when all take too much memory.
    """

    def __init__(self, end: Callable[[str], None], settings: ChannelSettings) -> None:
        self.partial_bytes = 0
        self._end = end
        self._settings = settings
        self._account = _per_thread.channels
        self._timer: asyncio.TimerHandle | None = None

    def has(self, size: int) -> None:
        """Takes how many bytes of it have arrived; 0 if there is none."""
        if size and self._timer is None:
            timeout_s = self._settings.message_timeout_s
            self._timer = asyncio.get_running_loop().call_later(timeout_s, self.abort, f"no whole message in {timeout_s:g} s")
        elif not size and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._account.count(self, size, self._settings.max_total_partial_bytes)

    def abort(self, reason: str) -> None:
        """Close the channel."""
        self._end(reason)
