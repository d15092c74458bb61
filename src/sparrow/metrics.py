"""Percentiles: ``percentile`` is exact and takes a list, ``Histogram`` is approximate and takes any number of values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from src.sparrow.reports import Spread


def percentile(values: Sequence[float], percent: float) -> float:
    """Returns the value below which ``percent`` (0 to 100) of ``values`` lie; 0.0 if there are none.

    Between two neighbouring values the result is interpolated linearly.
    """
    if not values:
        return 0.0
    ordered = sorted(values)
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


class Histogram:
    """Counts values in buckets, each 2 % wider than the one below, so any percentile is within 1 % of the exact one.

    Memory is bounded: values are held between ``SMALLEST`` and ``LARGEST`` (1 µs to 12 days if they are seconds), which is
    at most 1,400 buckets. A histogram is not thread-safe.
    """

    SMALLEST = 1e-6
    LARGEST = 1e6
    _GROWTH = math.log(1.02)
    _FARTHEST = math.ceil(math.log(LARGEST) / _GROWTH)  # the largest number of a bucket; the smallest is its negative

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._buckets: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Counts one value. Raises ValueError if it is negative or not a number."""
        if not value >= 0:
            raise ValueError(f"a histogram holds values from 0 up, not {value!r}")
        self.count += 1
        self.total += value
        held = min(max(value, self.SMALLEST), self.LARGEST)
        bucket = math.floor(math.log(held) / self._GROWTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    @property
    def mean(self) -> float:
        """The exact mean of all values; 0.0 if nothing was counted."""
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> list[tuple[float, int]]:
        """Returns (upper edge, count) of each bucket that holds anything, in ascending order."""
        return [(math.exp((bucket + 1) * self._GROWTH), self._buckets[bucket]) for bucket in sorted(self._buckets)]

    def to_dict(self) -> Spread:
        """Returns the percentiles, the mean and the count, and the buckets for ``merge``."""
        counted = self.count > 0
        return {
            "p50": self.percentile(50) if counted else None,
            "p95": self.percentile(95) if counted else None,
            "p99": self.percentile(99) if counted else None,
            "mean": self.mean if counted else None,
            "count": self.count,
            "histogram": [[bucket, self._buckets[bucket]] for bucket in sorted(self._buckets)],
        }

    def merge(self, spread: Mapping[str, Any]) -> None:
        """Adds the values of another histogram, given as its ``to_dict``, which may come from another process.

        Raises TypeError, ValueError or LookupError, and adds nothing, if ``spread`` is not the ``to_dict`` of a histogram.
        """
        rows = [(int(bucket), int(count)) for bucket, count in spread["histogram"]]
        total = float(spread["mean"]) * sum(count for _, count in rows) if rows else 0.0
        if not math.isfinite(total) or any(abs(bucket) > self._FARTHEST or count < 0 for bucket, count in rows):
            raise ValueError(f"not the buckets of a histogram: {spread!r:.100}")
        self.total += total
        for bucket, count in rows:
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
            self.count += count

    def percentile(self, percent: float) -> float:
        """Returns the middle of the bucket in which that percentile (0 to 100) lies; 0.0 if nothing was counted."""
        wanted = percent / 100 * self.count
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return math.exp((bucket + 0.5) * self._GROWTH)
        return 0.0
