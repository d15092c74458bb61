"""Percentiles: ``percentile`` is exact and takes a list, ``Histogram`` is approximate and takes any number of values.

``estimate`` says how much of a percentile may be chance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from src.sparrow.checks import shown
from src.sparrow.reports import Spread

Buckets = Mapping[int, int]  # number of a histogram's bucket -> how many values lie in it
_NORMAL_95 = 1.96  # 95 % of a normal distribution lie within so many standard deviations


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
    GROWTH = math.log(1.02)
    _FARTHEST = math.ceil(math.log(LARGEST) / GROWTH)  # the largest number of a bucket; the smallest is its negative

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
        bucket = math.floor(math.log(held) / self.GROWTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    @property
    def mean(self) -> float:
        """The exact mean of all values; 0.0 if nothing was counted."""
        return self.total / self.count if self.count else 0.0

    def buckets(self) -> list[tuple[float, int]]:
        """Returns (upper edge, count) of each bucket that holds anything, in ascending order."""
        return [(math.exp((bucket + 1) * self.GROWTH), self._buckets[bucket]) for bucket in sorted(self._buckets)]

    def to_dict(self) -> Spread:
        """Returns the percentiles, the mean and the count, and the buckets for ``merge``."""
        counted = self.count > 0
        return {
            "p50": self.percentile(50) if counted else None,
            "p95": self.percentile(95) if counted else None,
            "p99": self.percentile(99) if counted else None,
            "mean": self.mean if counted else None,
            "count": self.count,
            "histogram": [(bucket, self._buckets[bucket]) for bucket in sorted(self._buckets)],
        }

    @classmethod
    def of(cls, spread: Mapping[str, Any]) -> Histogram:
        """Returns the histogram that has this ``to_dict``. Raises what ``merge`` raises if there is none."""
        histogram = cls()
        histogram.merge(spread)
        return histogram

    def add_all(self, other: Histogram) -> None:
        """Adds the values of another histogram."""
        self.count += other.count
        self.total += other.total
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def merge(self, spread: Mapping[str, Any]) -> None:
        """Adds the values of another histogram, given as its ``to_dict``, which may come from another process.

        Raises TypeError, ValueError or LookupError, and adds nothing, if ``spread`` is not the ``to_dict`` of a histogram.
        """
        rows = [(int(bucket), int(count)) for bucket, count in spread["histogram"]]
        total = float(spread["mean"]) * sum(count for _, count in rows) if rows else 0.0
        if not math.isfinite(total) or any(abs(bucket) > self._FARTHEST or count < 0 for bucket, count in rows):
            raise ValueError(f"not the buckets of a histogram: {shown(spread)}")
        self.total += total
        for bucket, count in rows:
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
            self.count += count

    def percentile(self, percent: float) -> float:
        """Returns the middle of the bucket in which that percentile (0 to 100) lies; 0.0 if nothing was counted."""
        return _value_at(self._buckets, percent / 100 * self.count) if self.count else 0.0

    def raw(self) -> dict[int, int]:
        """Returns the buckets that hold anything: number -> count."""
        return dict(self._buckets)


class Estimate(NamedTuple):
    """A percentile and the ends of its 95 % interval; None where there are too few values."""

    value: float | None
    low: float | None
    high: float | None


def estimate(groups: Iterable[Buckets], percent: float) -> Estimate:
    """Returns a percentile of all values of the groups, with its 95 % interval.

    The values of a group came at about the same time, and may be alike for that reason: jobs that wait in the same queue do. The
    interval is that of Woodruff (1952): between the percentiles that lie as far above and below as the share of values below the
    percentile may be wrong. How wrong that share may be is what it differs by between the groups (the variance of a ratio over
    clusters), and at least what it would be if all values were independent.
    """
    parts = [group for group in groups if group]
    merged: Counter[int] = Counter()
    for part in parts:
        merged.update(part)
    count = sum(merged.values())
    if not count:
        return Estimate(None, None, None)
    share = percent / 100
    middle = _bucket_at(merged, share * count)
    variance = share * (1 - share) / count
    if len(parts) > 1:
        below = _below(merged, middle) / count
        spread = sum((_below(part, middle) - below * sum(part.values())) ** 2 for part in parts)
        variance = max(variance, spread / count**2 * len(parts) / (len(parts) - 1))
    reach = _NORMAL_95 * math.sqrt(variance) * count
    low, high = math.floor(share * count - reach), math.ceil(share * count + reach) + 1
    return Estimate(
        _value_at(merged, share * count),
        _value_at(merged, low) if low >= 1 else None,
        _value_at(merged, high) if high <= count else None,
    )


def _below(buckets: Buckets, most: int) -> int:
    """Returns how many values lie in that bucket or below."""
    return sum(number for bucket, number in buckets.items() if bucket <= most)


def _bucket_at(buckets: Buckets, rank: float) -> int:
    """Returns the bucket in which the value of that rank lies; the smallest value has rank 1."""
    seen = 0
    ordered = sorted(buckets)
    for bucket in ordered:
        seen += buckets[bucket]
        if seen >= rank:
            return bucket
    return ordered[-1]


def _value_at(buckets: Buckets, rank: float) -> float:
    """Returns the middle of the bucket in which the value of that rank lies."""
    return math.exp((_bucket_at(buckets, rank) + 0.5) * Histogram.GROWTH)
