"""The checks of answers from schedulers and workers: the rest of the dashboard only sees answers of the declared form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from src.dashboard.methods import merged_methods
from src.sparrow.checks import number
from src.sparrow.placement import COLOURS
from src.sparrow.reports import JobDetails, MethodInfo, SchedulerStats, TaskRow

_TASK_FIELDS = frozenset(TaskRow.__annotations__)


def parsed_load(answer: object) -> int:
    """Returns a worker's load from its answer to ``find_load``. Raises TypeError or ValueError if it cannot be a load."""
    return number(answer, "load")


def parsed_stats(answer: object) -> SchedulerStats:
    """Returns the value of a scheduler's answer to ``stats``, which is JSON text.

    Raises TypeError or ValueError if it is not JSON, or if a field that the dashboard needs is missing or has a wrong type.
    """
    stats = _parsed_object(answer)
    try:
        _require((int, float), _numbers(stats))
        _require((str,), _texts(stats))
        merged_methods({"": cast(SchedulerStats, stats)}, [])
        for method in stats.get("registry", ()):  # a scheduler of an older version has no registry
            _check_method(method)
    except (LookupError, AttributeError) as error:
        raise ValueError(f"stats lack {error}") from None
    return cast(SchedulerStats, stats)


def parsed_details(answer: object) -> dict[str, JobDetails]:
    """Returns id -> details of jobs from a scheduler's answer to ``stats``, which is JSON text.

    Raises TypeError or ValueError if it is not JSON, or if a field that the dashboard needs is missing or has a wrong type.
    """
    details = _parsed_object(answer).get("details")
    if not isinstance(details, dict):
        raise TypeError(f"details must be an object, not {details!r:.60}")
    for job in details.values():
        try:
            _require((str,), [job["id"], job["method"]])
            _require((int, float), [job["submitted"]])
            tasks = job["tasks"]
        except LookupError as error:
            raise ValueError(f"the details of a job lack {error}") from None
        if not isinstance(tasks, list) or not all(isinstance(task, dict) and task.keys() >= _TASK_FIELDS for task in tasks):
            raise TypeError("the details of a job must have a list of task rows")
        _require((list,), [task["lost_on"] for task in tasks])
    return details


def _parsed_object(answer: object) -> dict[str, Any]:
    if not isinstance(answer, str):
        raise TypeError(f"stats must be JSON text, not {answer!r:.60}")
    parsed = json.loads(answer)
    if not isinstance(parsed, dict):
        raise TypeError(f"stats must be an object, not {parsed!r:.60}")
    return parsed


def _numbers(stats: dict[str, Any]) -> Iterator[object]:
    yield from (stats["uptime_s"], stats["open_jobs"], stats["open_tasks"]["running"], stats["open_tasks"]["waiting"])
    for entry in stats["workers"].values():
        yield from (entry["runs"], entry["reservations"])
    for job in stats["jobs"]:
        yield from (job["submitted"], job["response_s"], job["tasks"])
    for method in stats["methods"].values():
        yield from method["counts"].values()


def _texts(stats: dict[str, Any]) -> Iterator[object]:
    yield from (stats["incarnation"], stats["method"])
    for job in stats["jobs"]:
        yield from (job["id"], job["state"], job["method"])


def _require(kinds: tuple[type, ...], values: Any) -> None:
    for value in values:
        if not isinstance(value, kinds):
            raise TypeError(f"expected {' or '.join(kind.__name__ for kind in kinds)}, not {value!r:.60}")


def _check_method(method: dict[str, Any]) -> None:
    """Raises LookupError, TypeError or ValueError if this is not a ``MethodInfo``. Unknown values of ``samples`` are allowed."""
    _require((str,), [method[field] for field in MethodInfo.__annotations__ if field != "colour"])
    if method["colour"] not in COLOURS:
        raise ValueError(f"the colour of a method is from {COLOURS[0]} to {COLOURS[-1]}, not {method['colour']!r:.60}")
