"""How SIGINT and SIGTERM stop a program that serves (``StopSignals``), and one that waits (``interrupt_once``)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

SAME_S = 0.5  # signals that come within this time after the first count as the same: ``timeout`` and shells send one twice
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """A context manager, for the main thread. In it the first SIGINT or SIGTERM stops the program; a later one ends it at once.

    The event loop that is to be stopped may start and end within the block, so that no signal finds the program without a handler.
    """

    def __init__(self) -> None:
        self._former: dict[int, Any] = {}
        self._first: tuple[int, float] | None = None  # the signal that came first, and when
        self._tell: Callable[[int], None] | None = None

    def __enter__(self) -> StopSignals:
        for number in _NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as SIGINT is in a background job of a shell
                self._former[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._tell = None
        for number, former in self._former.items():
            signal.signal(number, former)

    def call(self, stop: Callable[[int], None]) -> None:
        """Has ``stop(number)`` called once in the running event loop, when the first signal comes or has come already."""
        loop = asyncio.get_running_loop()

        def tell(number: int) -> None:
            loop.call_soon_threadsafe(stop, number)  # this also wakes the event loop

        self._tell = tell
        if self._first is not None:
            tell(self._first[0])

    def _came(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._first is None:
            self._first = number, now_s
            if self._tell is not None:
                self._tell(number)
        elif now_s - self._first[1] > SAME_S:
            os._exit(128 + number)


class TerminatedError(KeyboardInterrupt):
    """Raised in the main thread by SIGTERM, in programs that do not handle it in another way."""


def interrupt_once() -> None:
    """Has the first signal raise an error, so that none disturbs what follows: SIGINT KeyboardInterrupt, SIGTERM TerminatedError.

    A later one ends the process. A signal that is ignored, as SIGINT is in a background job of a shell, stays ignored.
    """
    first_s: list[float] = []

    def came(number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if not first_s:
            first_s.append(now_s)
            raise TerminatedError if number == signal.SIGTERM else KeyboardInterrupt
        if now_s - first_s[0] > SAME_S:
            os._exit(128 + number)

    for number in _NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, came)


def ignore_signals() -> None:
    """Ignores SIGINT and SIGTERM from now on: the program has stopped, and is about to end with its exit status."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
