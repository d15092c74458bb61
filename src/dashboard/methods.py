"""The descriptions and statistics of placement methods, merged over all schedulers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from src.dashboard.views import BinnedDistribution, Distribution, MethodRow
from src.sparrow.metrics import Histogram
from src.sparrow.placement import METHODS
from src.sparrow.reports import MethodInfo, MethodStats, SchedulerStats, Spread

BINS_PER_DECADE = 20  # in the distribution of response over ideal: each bin is 12 % wide


def merged_registry(schedulers: Mapping[str, SchedulerStats]) -> list[MethodInfo]:
    """Returns every method that a scheduler knows: first those that this program knows, in its order, then the others.

    If no scheduler has sent its registry, the result has the methods that this program knows.
    """
    known: dict[str, MethodInfo] = {}
    for stats in schedulers.values():
        for method in stats.get("registry", ()):
            known.setdefault(method["name"], method)
    if not known:
        return METHODS.to_dicts()
    return [known[name] for name in _in_order(known, METHODS.names())]


def merged_methods(schedulers: Mapping[str, SchedulerStats], registry: Sequence[MethodInfo]) -> dict[str, MethodRow]:
    """Returns the counts of each method that has been used, and the distributions of its times, over all schedulers.

    The methods have the order of the registry; methods that are not in it come last.
    """
    seen = sorted({name for stats in schedulers.values() for name in stats["methods"]})
    order = _in_order(seen, [method["name"] for method in registry])
    return {name: _merged([stats["methods"][name] for stats in schedulers.values() if name in stats["methods"]]) for name in order}


def binned(histogram: Iterable[tuple[float, int]]) -> list[list[float]]:
    """Returns rows [upper edge, count] of bins that are equally wide on a logarithmic scale, from rows of narrower bins.

    Empty bins are left out. The first bin begins at 1 and also counts smaller values: a response is below the ideal only by
    rounding.
    """
    bins: dict[int, float] = {}
    for edge, count in histogram:
        index = max(1, math.floor(math.log10(max(edge / 1.01, 1.0)) * BINS_PER_DECADE) + 1)
        bins[index] = bins.get(index, 0) + count
    return [[round(10 ** (index / BINS_PER_DECADE), 4), bins[index]] for index in sorted(bins)]


def _in_order(names: Iterable[str], first: Sequence[str]) -> list[str]:
    """Returns the names: first those that are in ``first``, in its order, then the others in their order."""
    there = dict.fromkeys(names)
    return [*(name for name in first if name in there), *(name for name in there if name not in first)]


def _merged(parts: Sequence[MethodStats]) -> MethodRow:
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part["counts"])
    slowdown = _histogram(part["slowdown"] for part in parts)
    binned_slowdown: BinnedDistribution = {**_distribution(slowdown), "histogram": binned(slowdown.buckets())}
    return {
        "counts": dict(counts),
        "response_s": _distribution(_histogram(part["response_s"] for part in parts)),
        "slowdown": binned_slowdown,
        "wait_s": _distribution(_histogram(part["wait_s"] for part in parts)),
        "service_s": _distribution(_histogram(part["service_s"] for part in parts)),
    }


def _histogram(spreads: Iterable[Spread]) -> Histogram:
    merged = Histogram()
    for spread in spreads:
        merged.merge(spread)
    return merged


def _distribution(histogram: Histogram) -> Distribution:
    spread = histogram.to_dict()
    return {"p50": spread["p50"], "p95": spread["p95"], "p99": spread["p99"], "mean": spread["mean"], "count": spread["count"]}
