"""Percentiles: exact over a list, and over any number of values in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

PERCENTS = (50, 95, 99)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` (0 to 100) of ``values`` lie, between neighbours by straight line; 0.0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


class Histogram:
    """Counts in buckets that grow by 2 % each, so any percentile is within 1 % of the exact one, whatever the values.

    Memory is bounded: values are held between ``SMALLEST`` and ``LARGEST`` (1 µs to 12 days when they are seconds), which is
    at most 1,400 buckets. Not thread-safe.
    """

    SMALLEST = 1e-6
    LARGEST = 1e6
    _GROWTH = math.log(1.02)
    _FARTHEST = math.ceil(math.log(LARGEST) / _GROWTH)  # number of a bucket, either way

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._buckets: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Count one value; ValueError for a negative one or one that is not a number."""
        if not value >= 0:
            raise ValueError(f"a histogram holds values from 0 up, not {value!r}")
        self.count += 1
        self.total += value
        held = min(max(value, self.SMALLEST), self.LARGEST)
        bucket = math.floor(math.log(held) / self._GROWTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> list[list[float]]:
        """[upper edge, count] of each bucket that holds anything, ascending."""
        return [[math.exp((bucket + 1) * self._GROWTH), self._buckets[bucket]] for bucket in sorted(self._buckets)]

    def told(self) -> dict[str, Any]:
        """All of it in plain types, for people and for ``merge``: count, mean, p50, p95 and p99 (null if nothing was counted), and
        the histogram as [n, count]: so many values from 1.02**n to 1.02**(n+1)."""
        figures = {f"p{percent}": self.percentile(percent) for percent in PERCENTS} | {"mean": self.mean}
        known = figures if self.count else dict.fromkeys(figures)
        return {**known, "count": self.count, "histogram": [[bucket, self._buckets[bucket]] for bucket in sorted(self._buckets)]}

    def merge(self, told: Mapping[str, Any]) -> None:
        """Count all that another histogram has counted and ``told``. TypeError, ValueError or LookupError if it cannot be that."""
        rows = [(int(bucket), int(count)) for bucket, count in told["histogram"]]
        total = float(told["mean"]) * sum(count for _, count in rows) if rows else 0.0
        if not math.isfinite(total) or any(abs(bucket) > self._FARTHEST or count < 0 for bucket, count in rows):
            raise ValueError("not what a histogram tells")
        self.total += total
        for bucket, count in rows:
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
            self.count += count

    def percentile(self, percent: float) -> float:
        """The middle of the bucket in which that percentile lies; 0.0 when nothing was counted."""
        wanted = percent / 100 * self.count
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return math.exp((bucket + 0.5) * self._GROWTH)
        return 0.0
