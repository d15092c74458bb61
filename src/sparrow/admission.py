"""The admission of jobs to a scheduler: which ids are in use, whether there is room for a job, and which calls wait for reports."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Protocol

from src.sparrow.jobspec import JobSpec
from src.sparrow.reports import Report
from src.sparrow.settings import SchedulerSettings


class PendingReport(Protocol):
    """A call of ``schedule`` that is answered when its job has ended."""

    @property
    def caller(self) -> Hashable:
        """The connection that the call came by."""

    def answer(self, report: Report) -> None:
        """Answers the call. If the connection has ended, the answer is dropped."""


class Admission:
    """The admitted jobs and the kept reports of a scheduler. A job is open from ``admit`` to ``ended``. It is not thread-safe."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self._settings = settings
        self.reports: OrderedDict[str, Report] = OrderedDict()
        self._contents: dict[str, bytes] = {}  # jobs that are open or have a report -> the digest of what they run
        self._open_tasks = 0  # tasks of open jobs, plus ``job_tasks`` for each job
        self._kept_tasks = 0  # the same for the jobs whose reports are kept
        self._waiting: dict[str, dict[Hashable, list[PendingReport]]] = {}  # job -> caller -> the calls that its report answers
        self._waited_for: dict[Hashable, set[str]] = {}  # caller -> the jobs that its calls wait for
        self._gone: dict[Hashable, None] = {}  # callers that have gone, and calls of whom are still to be forgotten
        self._calls = 0  # calls that wait

    def admit(self, spec: JobSpec) -> bool:
        """Admits a job. Returns True if it is new, and False if it is open already or its report is kept.

        Raises ValueError if its id belongs to a job with other durations or another method, and BlockingIOError ("try later") if
        there is no room. A job gets at most half of the room that is left, so that large jobs have to wait before small ones do.
        """
        contents = spec.digest()
        if spec.id in self._contents:
            if self._contents[spec.id] != contents:
                raise ValueError(f"the id {spec.id!r} belongs to another job: give each job an id of its own")
            return False
        most = self._settings.max_open_tasks
        tasks = len(spec.durations_s) + self._settings.job_tasks
        if tasks > (most - self._open_tasks) // 2:
            raise BlockingIOError(
                f"try later: {self._open_tasks:,} of {most:,} tasks are open, and a job gets half of the rest at most"
            )
        self._contents[spec.id] = contents
        self._open_tasks += tasks
        return True

    def wait(self, job: str, call: PendingReport) -> None:
        """Has this call answered when that open job has ended. Raises BlockingIOError ("try later") if too many calls wait."""
        if self._calls >= self._settings.max_calls:
            raise BlockingIOError(f"try later: {self._calls:,} calls wait for reports already")
        self._calls += 1
        self._waiting.setdefault(job, {}).setdefault(call.caller, []).append(call)
        self._waited_for.setdefault(call.caller, set()).add(job)

    def ended(self, job: str, report: Report) -> None:
        """Ends an open job: keeps its report, and answers the calls that wait for it. The oldest reports are dropped if need be."""
        tasks = len(report["tasks"]) + self._settings.job_tasks
        self._open_tasks -= tasks
        self._kept_tasks += tasks
        self.reports[job] = report
        while self._kept_tasks > self._settings.kept_report_tasks and len(self.reports) > 1:
            oldest, dropped = self.reports.popitem(last=False)
            self._kept_tasks -= len(dropped["tasks"]) + self._settings.job_tasks
            del self._contents[oldest]
        for caller, calls in self._waiting.pop(job, {}).items():
            self._calls -= len(calls)
            self._waited_for[caller].discard(job)
            for call in calls if caller not in self._gone else ():
                call.answer(report)

    def caller_gone(self, caller: Hashable) -> None:
        """A connection has ended: its calls wait for reports no more.

        They are forgotten in steps, since there may be very many: the node calls ``work`` while ``has_work``.
        """
        if caller in self._waited_for:
            self._gone[caller] = None
            self.work()

    @property
    def has_work(self) -> bool:
        """Whether ``work`` has something to do."""
        return bool(self._gone)

    def work(self) -> None:
        """Goes on with forgetting the calls of callers that have gone, as far as one step may take."""
        caller = next(iter(self._gone), None)
        if caller is not None:
            jobs = self._waited_for[caller]
            for _ in range(min(len(jobs), self._settings.max_at_once)):
                job = jobs.pop()
                callers = self._waiting[job]
                self._calls -= len(callers.pop(caller))
                if not callers:
                    del self._waiting[job]
            if not jobs:
                del self._waited_for[caller], self._gone[caller]
