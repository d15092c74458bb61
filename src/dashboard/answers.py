"""What schedulers and workers answer, read by the schema of ``sparrow.reports``: the rest of the dashboard sees nothing else.

Each function raises ``UnreadableError``, whose text says what is wrong, if the answer is not of the declared form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from src.sparrow.reports import Count, Greeting, JobDetails, NextDetails, SchedulerStats, Spread, WorkerGreeting
from src.sparrow.schema import Read, UnreadableError, parse_json, reader


@dataclass(frozen=True)
class AnswerLimits:
    """How large an answer may be before it is parsed. A scheduler says about 70 characters, and 5 values, of each worker."""

    stats_characters: int = 8 * 2**20
    stats_values: int = 500_000
    details_characters: int = 16 * 2**20  # as much as one message may have
    details_values: int = 2_000_000


_LIMITS = AnswerLimits()
_SPREADS = ("response_s", "slowdown", "last_wait_s", "wait_s", "service_s")
_OTHERS = tuple(SchedulerStats.__required_keys__ | SchedulerStats.__optional_keys__ - {"details", "next"})

_read_load = reader(Count)
_read_stats = reader(
    SchedulerStats, required=("workers", "open_tasks", "registry", "methods", "jobs"), without=("details", "next", "progress")
)
_read_details = reader(SchedulerStats, required=("details",), without=_OTHERS)
scheduler_greeting: Read = reader(Greeting)
worker_greeting: Read = reader(WorkerGreeting)


def parsed_load(answer: object) -> int:
    """Returns a worker's load from its answer to ``find_load``."""
    try:
        return cast(int, _read_load(answer))
    except UnreadableError as error:
        raise error.inside(".load") from None


def parsed_stats(answer: object) -> SchedulerStats:
    """Returns what a scheduler has answered to ``stats``, which is JSON text, without details of jobs."""
    parsed = _parsed(answer, _LIMITS.stats_characters, _LIMITS.stats_values)
    stats = cast(SchedulerStats, _read_stats(parsed))
    for name, method in stats["methods"].items():
        for key in _SPREADS:
            _check_spread(method[key], f".methods.{name}.{key}")  # type: ignore[literal-required]
    return stats


def parsed_details(answer: object, asked: Sequence[str]) -> tuple[dict[str, JobDetails], NextDetails | None]:
    """Returns what a scheduler's answer to ``stats``, which is JSON text, has of the jobs ``asked``, and where the rest begins.

    The first is id -> details, the second None if there is no rest.
    """
    parsed = _read_details(_parsed(answer, _LIMITS.details_characters, _LIMITS.details_values))
    details, following = parsed["details"], parsed.get("next")
    if following is not None and following["job"] not in asked:
        raise UnreadableError("is none of the jobs that were asked for", ".next.job")
    return {id: details[id] for id in asked if id in details and details[id]["id"] == id}, following


def _parsed(answer: object, max_characters: int, max_values: int) -> object:
    try:
        return parse_json(answer, max_characters, max_values)
    except UnreadableError as error:
        raise error.inside(".the answer") from None


def _check_spread(spread: Spread, where: str) -> None:
    """Raises UnreadableError if the parts of a distribution contradict each other."""
    known = [spread[key] is not None for key in ("p50", "p95", "p99", "mean")]  # type: ignore[literal-required]
    if sum(count for _, count in spread["histogram"]) != spread["count"] or set(known) != {spread["count"] > 0}:
        raise UnreadableError("has a count that is not that of its histogram", where)
