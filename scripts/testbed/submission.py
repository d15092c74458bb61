"""Submitting jobs at their times of arrival."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, Callable

from src.experiments.workload import Arrival
from src.Job import Job
from src.SparrowClient import SparrowClient

SHOW_S = 0.1  # between two calls of ``show``


def submit_when_due(
    client: SparrowClient, method: str, arrivals: Iterable[Arrival], show: Callable[[], object] = lambda: None
) -> list[Future[Any]]:
    """Submit each job when it is due, whether the earlier ones have ended or not. Returns the futures of their reports.

    ``show`` is called while this waits, for a line of progress.
    """
    began_s = time.monotonic()
    futures = []
    for at_s, durations_s in arrivals:
        while (left_s := began_s + at_s - time.monotonic()) > 0:
            show()
            time.sleep(min(left_s, SHOW_S))
        futures.append(client.submit(Job.from_durations(durations_s), method))
    return futures
