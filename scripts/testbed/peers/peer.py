"""``Peer``: what the benchmark needs of a system that runs tasks. One subclass for each, in ``on_*.py``."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

# Is called once, in any thread, when the client knows that all tasks of a job have ended: with "", or with why one has failed.
Done = Callable[[str], None]


class StartError(Exception):
    """Raised when a system cannot be started; the text says why."""


class Peer(ABC):
    """A cluster of one system on this machine. It is used by one thread."""

    variants: Sequence[str] = ("",)  # the ways in which it can be asked to place a job; "" if there is one
    note = ""  # what a reader of the figures must know of how it was measured

    @abstractmethod
    def start(self, workers: int, slots: int) -> None:
        """Start so many workers, each with so many slots, and return when all of them can run tasks."""

    @abstractmethod
    def submit(self, durations_s: Sequence[float], variant: str, done: Done) -> None:
        """Submit a job, one task for each duration, in seconds, that sleeps so long. It returns without waiting for the job."""

    @abstractmethod
    def roles(self) -> dict[str, list[int]]:
        """Returns the ids of the processes, by role: "scheduler", "workers", "client". Each process has one role."""

    @abstractmethod
    def stop(self) -> None:
        """End all processes. It may be called when ``start`` has failed, or has not been called."""

    def separate_cpu_s(self) -> dict[str, float]:
        """Returns processor time in seconds, by role, that ``roles`` does not show, or shows in another role."""
        return {}


def after(tasks: int, done: Done) -> Callable[[Future[Any]], None]:
    """Returns a callback for the futures of a job's tasks, for any thread: with the last of them it calls ``done``."""
    counter = itertools.count(1)
    failures: list[str] = []

    def ended(future: Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            failures.append(repr(error))
        if next(counter) == tasks:
            done(failures[0] if failures else "")

    return ended


def use_all_slots(peer: Peer, slots: int, within_s: float, workers_seen: Callable[[], int]) -> None:
    """Run tasks at the same time until ``workers_seen()`` is ``slots``: for systems that start a worker when there is work for it.

    Raises StartError if that is not so within ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    while workers_seen() < slots:
        if time.monotonic() > deadline:
            raise StartError(f"only {workers_seen()} of {slots} workers were there after {within_s:g} s")
        _run_together(peer, slots, max(0.0, deadline - time.monotonic()))


def _run_together(peer: Peer, tasks: int, within_s: float) -> None:
    ended = threading.Event()
    peer.submit([0.2] * tasks, "", lambda failure: ended.set())
    ended.wait(within_s)
