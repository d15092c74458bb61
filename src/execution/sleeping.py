"""``Sleeping``, the execution of tasks that sleep: each task is a timer of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any


class Sleeping:
    """Runs tasks that sleep, any number at a time. It is not thread-safe."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def start(self, key: Hashable, duration_s: float, ended: Callable[..., None], *args: Any) -> None:
        """Starts a task. ``ended(*args)`` is called after ``duration_s`` seconds, unless the task is stopped before."""
        self._timers[key] = self._loop.call_later(duration_s, self._awake, key, ended, args)

    def stop(self, key: Hashable) -> None:
        """Ends a task before its time. Raises KeyError if it is not running."""
        self._timers.pop(key).cancel()

    def _awake(self, key: Hashable, ended: Callable[..., None], args: tuple[Any, ...]) -> None:
        del self._timers[key]
        ended(*args)
