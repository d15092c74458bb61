"""The descriptions and statistics of placement methods, merged over all schedulers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from src.dashboard.ledger import Account
from src.dashboard.recent import Recent
from src.dashboard.views import BinnedDistribution, Distribution, MethodRow, RecentView
from src.sparrow.metrics import Histogram
from src.sparrow.placement import METHODS
from src.sparrow.reports import MethodInfo, SchedulerStats

BINS_PER_DECADE = 20  # in the distribution of response over ideal: each bin is 12 % wide


def merged_registry(schedulers: Mapping[str, SchedulerStats]) -> list[MethodInfo]:
    """Returns every method that a scheduler knows: first those that this program knows, in its order, then the others.

    If no scheduler has sent its registry, the result has the methods that this program knows.
    """
    known: dict[str, MethodInfo] = {}
    for stats in schedulers.values():
        for method in stats["registry"]:
            known.setdefault(method["name"], method)
    if not known:
        return METHODS.to_dicts()
    return [known[name] for name in _in_order(known, METHODS.names())]


def method_rows(accounts: Mapping[str, Account], recent: Recent, registry: Sequence[MethodInfo]) -> dict[str, MethodRow]:
    """Returns the row of each method that has been used, from its account.

    The methods have the order of the registry; methods that are not in it come last.
    """
    loads = recent.offered_loads()
    order = _in_order(sorted(accounts), [method["name"] for method in registry])
    return {name: _row(accounts[name], recent.view(name, loads)) for name in order}


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


def _row(account: Account, recent: RecentView) -> MethodRow:
    times = account.times
    binned_slowdown: BinnedDistribution = {
        **_distribution(times["slowdown"]),
        "histogram": binned(times["slowdown"].buckets()),
    }
    return {
        "counts": dict(account.counts),
        "response_s": _distribution(times["response_s"]),
        "slowdown": binned_slowdown,
        "last_wait_s": _distribution(times["last_wait_s"]),
        "wait_s": _distribution(times["wait_s"]),
        "service_s": _distribution(times["service_s"]),
        "recent": recent,
    }


def _distribution(histogram: Histogram) -> Distribution:
    spread = histogram.to_dict()
    return {"p50": spread["p50"], "p95": spread["p95"], "p99": spread["p99"], "mean": spread["mean"], "count": spread["count"]}
