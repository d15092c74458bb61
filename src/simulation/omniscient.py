"""The omniscient scheduler, with which the paper compares sampling (section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapreplace


def omniscient(jobs: Sequence[tuple[float, Sequence[float]]], workers: int, slots: int = 1) -> list[float]:
    """Returns the response of each job, in seconds, if all tasks wait in one queue, first in, first out, for the next free slot.

    ``jobs`` has the arrival of each job and the durations of its tasks, in seconds.
    """
    free_s = [0.0] * (workers * slots)  # a heap with the time at which each slot becomes free
    responses = [0.0] * len(jobs)
    for index in sorted(range(len(jobs)), key=lambda index: jobs[index][0]):
        arrival_s, durations_s = jobs[index]
        for duration_s in durations_s:
            end_s = max(arrival_s, free_s[0]) + duration_s
            heapreplace(free_s, end_s)
            responses[index] = max(responses[index], end_s - arrival_s)
    return responses
