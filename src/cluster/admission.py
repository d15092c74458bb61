"""What clients have handed over to a scheduler: whose id is whose, who waits for which report, whether there is room for more."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

from src.rmi.connection import Connection, Later
from src.sparrow.messages import JobSpec

JOB_TASKS = 5  # a job, or a report, takes as much memory as so many tasks, beside its own
MAX_OPEN_TASKS = 500_000  # in open jobs: about 350 MB
MAX_CALLS = 200_000  # that wait for a report
KEPT_TASKS = 200_000  # in reports that are kept for clients that ask again


class Reception:
    """For one event loop only. A job is open from ``admit`` to ``ended``; its report is kept for a while after that."""

    def __init__(self) -> None:
        self.reports: OrderedDict[str, dict] = OrderedDict()
        self._contents: dict[str, int] = {}  # jobs that are open or have a report -> what tells them from others of the same id
        self._open_tasks = 0  # with JOB_TASKS for each job
        self._kept_tasks = 0  # likewise
        self._waiting: dict[str, list[tuple[Later, bool]]] = {}  # job -> the calls that its report answers, and whether as text
        self._waited_for: dict[Connection, set[str]] = {}  # connection -> the jobs that its calls wait for
        self._calls = 0  # that wait

    def admit(self, spec: JobSpec) -> bool:
        """Whether this job is new, and open from now on. ValueError if its id is another job's, BlockingIOError without room.

        No job gets more than half of the room that is left, so that the next finds some too, and large ones wait first.
        """
        contents = hash((spec.durations_s, spec.method))
        if spec.id in self._contents:
            if self._contents[spec.id] != contents:
                raise ValueError(f"the id {spec.id!r} belongs to another job: give each job an id of its own")
            return False
        tasks = len(spec.durations_s) + JOB_TASKS
        if tasks > (MAX_OPEN_TASKS - self._open_tasks) // 2:
            raise BlockingIOError(
                f"try later: {self._open_tasks:,} of {MAX_OPEN_TASKS:,} tasks are open, and a job gets half of the rest at most"
            )
        self._contents[spec.id] = contents
        self._open_tasks += tasks
        return True

    def wait(self, job: str, later: Later, as_text: bool) -> None:
        """Answer this call when that open job has ended. BlockingIOError if too many wait."""
        if self._calls >= MAX_CALLS:
            raise BlockingIOError(f"try later: {self._calls:,} calls wait for reports already")
        self._calls += 1
        self._waiting.setdefault(job, []).append((later, as_text))
        self._waited_for.setdefault(later.connection, set()).add(job)

    def ended(self, job: str, report: dict[str, Any]) -> None:
        """Answer the calls that wait for this report, and keep it."""
        tasks = len(report["tasks"]) + JOB_TASKS
        self._open_tasks -= tasks
        self._kept_tasks += tasks
        self.reports[job] = report
        while self._kept_tasks > KEPT_TASKS and len(self.reports) > 1:
            oldest, dropped = self.reports.popitem(last=False)
            self._kept_tasks -= len(dropped["tasks"]) + JOB_TASKS
            del self._contents[oldest]
        calls = self._waiting.pop(job, [])
        self._calls -= len(calls)
        text = reply(True, report) if any(as_text for _, as_text in calls) else ""  # once, however many wait
        for later, as_text in calls:
            self._waited_for[later.connection].discard(job)
            later.answer(text if as_text else report)

    def gone(self, connection: Connection) -> None:
        """Nobody waits at the other end of this connection any more."""
        for job in self._waited_for.pop(connection, ()):
            calls = self._waiting.pop(job)
            kept = [call for call in calls if call[0].connection is not connection]
            self._calls -= len(calls) - len(kept)
            if kept:
                self._waiting[job] = kept


def reply(as_text: bool, value: dict) -> Any:
    """As who called wants it: JSON text, or the dict."""
    return json.dumps(value, separators=(",", ":")) if as_text else value
