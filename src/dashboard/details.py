"""The details of one job or one worker, which are read from the schedulers when a viewer asks for them, at a limited rate.

Whoever reads the page may ask for anything at any rate. So one question is under way for each job or worker, however many ask; few
wait, and the others are told to ask again; jobs that are in the list wait in a lane of their own, so that made-up ids do not delay
them; that a job is unknown is remembered for a moment; and nobody waits beyond a deadline.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager

from src.dashboard.answers import parsed_details
from src.dashboard.documents import Document
from src.dashboard.settings import DetailSettings
from src.dashboard.target import UP, Target
from src.dashboard.views import JobRow, OwnedJobDetails, WorkerTask
from src.sparrow.schema import UnreadableError

Key = tuple[str, str]  # "job" and its id, or "worker" and its name


class UnknownError(LookupError):
    """Raised if nobody knows the job or the worker. The text says so to a viewer."""


class TryLaterError(LookupError):
    """Raised if it cannot be found out at present. The text says why to a viewer."""


class Lane:
    """Lets one question in at a time, and few wait. A pause follows that grows with the time that the question took."""

    def __init__(self, settings: DetailSettings) -> None:
        self._settings = settings
        self._lock: asyncio.Lock | None = None  # made when the loop runs: Python 3.9 binds it to the one that there is
        self._inside = 0
        self._free_at = 0.0  # monotonic

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Waits for its turn. Raises TryLaterError at once if too many wait."""
        if self._inside > self._settings.max_waiting:
            raise TryLaterError("too many questions for details are under way: ask again in a moment")
        self._inside += 1
        self._lock = self._lock or asyncio.Lock()
        try:
            async with self._lock:
                await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
                began = time.monotonic()
                try:
                    yield
                finally:
                    took_s = time.monotonic() - began
                    self._free_at = began + took_s + max(self._settings.pause_s, self._settings.pause_share * took_s)
        finally:
            self._inside -= 1


class DetailReader:
    """Reads the details of jobs from schedulers. It is not thread-safe."""

    def __init__(self, schedulers: Mapping[str, Target], settings: DetailSettings) -> None:
        self._schedulers = schedulers
        self._settings = settings
        self._listed, self._unlisted, self._of_workers = Lane(settings), Lane(settings), Lane(settings)

    async def job(self, id: str, owner: str | None) -> OwnedJobDetails:
        """Returns the details of a job. ``owner`` is its scheduler if it is in the list of jobs, else None: then all are asked.

        Raises UnknownError or TryLaterError, with the reason, if there are none.
        """
        async with (self._unlisted if owner is None else self._listed).enter():
            asked = [target for name, target in self._schedulers.items() if owner in (None, name)]
            up = [target for target in asked if target.state == UP]
            answers = await asyncio.gather(*(self._read(target, [id]) for target in up))
        for answer in answers:
            if answer:
                return answer[id]
        mute = [target.name for target, answer in zip(up, answers) if answer is None]
        if mute:
            raise TryLaterError(f"{', '.join(mute[:5])} has not answered: ask again in a moment")
        gone = [target.name for target in asked if target.state != UP]
        if not up and owner is None:
            raise TryLaterError("no scheduler answers: ask again when one is back")
        if gone:
            raise UnknownError(f"the details of this job are not to be had: {', '.join(gone[:5])} does not answer any more")
        raise UnknownError("no scheduler knows a job of that id, or not any more: each remembers some hundred ended jobs in detail")

    async def jobs(self, ids: Mapping[str, list[str]]) -> dict[str, OwnedJobDetails]:
        """Returns id -> details of jobs, given as scheduler -> ids, as far as the schedulers answer. Raises TryLaterError."""
        async with self._of_workers.enter():
            targets = [target for name in ids if (target := self._schedulers.get(name)) is not None and target.state == UP]
            answers = await asyncio.gather(*(self._read(target, ids[target.name]) for target in targets))
        return {id: job for answer in answers for id, job in (answer or {}).items()}

    async def _read(self, scheduler: Target, ids: list[str]) -> dict[str, OwnedJobDetails] | None:
        """Returns id -> details of the jobs that one scheduler knows; None if it does not answer, or nothing that can be read."""
        try:
            return await self._read_parts(scheduler, ids)
        except (LookupError, UnreadableError, asyncio.TimeoutError):
            return None

    async def _read_parts(self, scheduler: Target, ids: list[str]) -> dict[str, OwnedJobDetails]:
        """Asks until there is no rest: a scheduler answers in parts, so that no question keeps it from its work for long."""
        found: dict[str, OwnedJobDetails] = {}
        first = 0
        until = time.monotonic() + self._settings.all_answers_s
        while time.monotonic() < until:
            fetching = scheduler.fetch("stats", json.dumps(ids), True, True, first)
            answer = await asyncio.wait_for(fetching, self._settings.answer_s)
            parsing = asyncio.get_running_loop().run_in_executor(None, parsed_details, answer, ids)
            jobs, following = await parsing  # in a thread: it may take long
            for id, job in jobs.items():
                if id in found:
                    found[id]["tasks"] += job["tasks"]
                    found[id]["decisions"] += job["decisions"]
                    found[id]["asked"] += job["asked"]
                    found[id]["pulled"] += job["pulled"]
                    found[id]["reservations"] += job["reservations"]
                else:
                    found[id] = {**job, "scheduler": scheduler.name}
            if following is None:
                return found
            ids, first = ids[ids.index(following["job"]) :], following["first"]
        raise asyncio.TimeoutError


class DetailCache:
    """The documents of details, also those being made, so that many viewers cost no more than one. It is not thread-safe."""

    def __init__(self, settings: DetailSettings) -> None:
        self._settings = settings
        self._making: dict[Key, asyncio.Task[Document]] = {}
        self._made: OrderedDict[Key, tuple[float, Document]] = OrderedDict()  # the oldest first, with the time when it was made
        self._unknown: OrderedDict[Key, tuple[float, str]] = OrderedDict()  # with the text of the error

    async def get(self, key: Key, make: Callable[[], Coroutine[None, None, Document]]) -> Document:
        """Returns the document of this key, and calls ``make`` if there is none of the last ``kept_s`` seconds.

        Raises TryLaterError after ``deadline_s`` seconds, and what ``make`` raises.
        """
        now = time.monotonic()
        self._forget(now)
        if key in self._made:
            return self._made[key][1]
        if key in self._unknown:
            raise UnknownError(self._unknown[key][1])
        if key not in self._making:
            task = self._making[key] = asyncio.get_running_loop().create_task(self._make(key, make))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # there may be nobody left who waits for it
        try:
            return await asyncio.wait_for(asyncio.shield(self._making[key]), self._settings.deadline_s)
        except asyncio.TimeoutError:
            raise TryLaterError("the schedulers have not answered in time: ask again in a moment") from None

    async def _make(self, key: Key, make: Callable[[], Coroutine[None, None, Document]]) -> Document:
        try:
            document = await make()
        except UnknownError as error:
            self._unknown[key] = time.monotonic(), str(error)
            if len(self._unknown) > self._settings.max_unknown:
                self._unknown.popitem(last=False)
            raise
        finally:
            del self._making[key]
        self._made[key] = time.monotonic(), document
        if len(self._made) > self._settings.max_kept:
            self._made.popitem(last=False)
        return document

    def _forget(self, now: float) -> None:
        for old, kept_s in ((self._made, self._settings.kept_s), (self._unknown, self._settings.unknown_s)):
            while old and now - next(iter(old.values()))[0] > kept_s:
                old.popitem(last=False)


def jobs_to_search(jobs: Iterable[JobRow], max_tasks: int) -> dict[str, list[str]]:
    """Returns the jobs to search for the tasks of a worker: scheduler -> ids.

    Open jobs come first, then the newest ones. Together the jobs have at most ``max_tasks`` tasks.
    """
    ids: dict[str, list[str]] = {}
    left = max_tasks
    for job in sorted(jobs, key=lambda row: row["state"] != "running"):
        left -= job["tasks"]
        if left >= 0:
            ids.setdefault(job["scheduler"], []).append(job["id"])
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
