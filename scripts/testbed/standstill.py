"""``StandstillWatch``, which notes whether the machine stood still while a time was measured, so that the time proves nothing."""

from __future__ import annotations

import threading
import time
from types import TracebackType

LOOK_S = 0.02  # between two looks at whether the machine goes on


class StandstillWatch:
    """A context manager: ``longest_s`` is for how long the machine has stood still within the block, at most.

    That is how late a thread was that does nothing but sleep.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> StandstillWatch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        looked_s = time.monotonic()
        while not self._stopped.wait(LOOK_S):
            before_s, looked_s = looked_s, time.monotonic()
            self.longest_s = max(self.longest_s, looked_s - before_s - LOOK_S)
