"""``concurrent.futures.ProcessPoolExecutor``, what one machine can do without a scheduler."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from scripts.testbed.peers.peer import Done, Peer, after, use_all_slots

START_S = 60.0


class ProcessPool(Peer):
    """A pool with a process for each slot. The client has the queue."""

    note = "one process for each slot; the client places the tasks, through pipes"

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def start(self, workers: int, slots: int) -> None:
        """Start the pool."""
        self._pool = ProcessPoolExecutor(workers * slots)
        use_all_slots(self, workers * slots, START_S, lambda: len(self._workers()))

    def submit(self, durations_s: Sequence[float], variant: str, done: Done) -> None:
        """Submit each task; see ``Peer``."""
        assert self._pool is not None
        ended = after(len(durations_s), done)
        for duration_s in durations_s:
            self._pool.submit(time.sleep, duration_s).add_done_callback(ended)

    def _workers(self) -> list[int]:
        return list(self._pool._processes) if self._pool is not None else []

    def roles(self) -> dict[str, list[int]]:
        """Returns the processes of the pool, and this one."""
        return {"workers": self._workers(), "client": [os.getpid()]}

    def stop(self) -> None:
        """End the pool."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
