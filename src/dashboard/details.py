"""The details of one job or one worker, which are read from the schedulers when a viewer asks for them, at a limited rate."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from src.dashboard.answers import parsed_details
from src.dashboard.settings import MonitorSettings
from src.dashboard.target import Target
from src.dashboard.views import JobRow, OwnedJobDetails, WorkerTask


class DetailReader:
    """Reads the details of jobs from all schedulers, one question at a time. It is not thread-safe."""

    def __init__(self, schedulers: Mapping[str, Target], settings: MonitorSettings) -> None:
        self._schedulers = schedulers
        self._settings = settings
        self._one_question = asyncio.Lock()

    async def jobs(self, ids: list[str]) -> dict[str, OwnedJobDetails]:
        """Returns id -> details of those of the jobs that a scheduler knows."""
        if not ids:
            return {}
        async with self._one_question:
            answers = await asyncio.gather(*(_read(scheduler, json.dumps(ids)) for scheduler in self._schedulers.values()))
            await asyncio.sleep(self._settings.details_pause_s)
        return {id: job for answer in answers for id, job in answer.items()}


class DetailCache:
    """A cache of details, also of those that are being read, so that many viewers cost no more than one. It is not thread-safe."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._entries: OrderedDict[tuple[str, str], tuple[float, asyncio.Task[Any]]] = OrderedDict()

    async def get(self, key: tuple[str, str], read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Returns the result of ``read`` for this key, and calls ``read`` if there is none of the last ``details_s`` seconds."""
        now = time.monotonic()
        for old in [old for old, (at, task) in self._entries.items() if task.done() and now - at > self._settings.details_s]:
            del self._entries[old]
        if key not in self._entries:
            self._entries[key] = now, asyncio.get_running_loop().create_task(read())
            if len(self._entries) > self._settings.max_details:
                self._entries.popitem(last=False)
        return await asyncio.shield(self._entries[key][1])


def jobs_to_search(jobs: Iterable[JobRow], max_tasks: int) -> list[str]:
    """Returns the ids of the jobs to search for the tasks of a worker.

    Open jobs come first, then the newest ones. Together the jobs have at most ``max_tasks`` tasks.
    """
    ids = []
    left = max_tasks
    for job in sorted(jobs, key=lambda row: row["state"] != "running"):
        left -= job["tasks"]
        if left >= 0:
            ids.append(job["id"])
    return ids


def tasks_of_worker(name: str, jobs: Iterable[OwnedJobDetails]) -> list[WorkerTask]:
    """Returns the tasks of these jobs that a worker has, has had, or was lost with."""
    return [
        {
            "job": job["id"],
            "method": job["method"],
            "task": number,
            "state": task["state"],
            "lost_here": name in task["lost_on"],
            "submitted": job["submitted"],
            "started_s": task["started_s"],
            "wait_s": task["wait_s"],
            "service_s": task["service_s"],
        }
        for job in jobs
        for number, task in enumerate(job["tasks"])
        if task["worker"] == name or name in task["lost_on"]
    ]


async def _read(scheduler: Target, ids: str) -> dict[str, OwnedJobDetails]:
    """Returns id -> details of the jobs that one scheduler knows; empty if it does not answer or its answer is malformed."""
    try:
        jobs = parsed_details(await scheduler.fetch("stats", ids, True))
    except (LookupError, ValueError, TypeError):
        return {}
    return {id: {**job, "scheduler": scheduler.name} for id, job in jobs.items()}
