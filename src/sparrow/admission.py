"""The admission of jobs to a scheduler: which ids are in use, whether there is room for a job, and which calls wait for reports."""

from __future__ import annotations

from collections import OrderedDict, deque
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


class _Calls:
    """The calls that wait for one report."""

    __slots__ = ("job", "callers", "report")

    def __init__(self, job: str) -> None:
        self.job = job
        self.callers: dict[Hashable, list[PendingReport]] = {}
        self.report: Report | None = None  # once the job has ended


class Admission:
    """The admitted jobs and the kept reports of a scheduler. A job is open from ``admit`` to ``ended``. It is not thread-safe."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self._settings = settings
        self.reports: OrderedDict[str, Report] = OrderedDict()
        self._contents: dict[str, bytes] = {}  # jobs that are open or have a report -> the digest of what they run
        self._open_tasks = 0  # tasks of open jobs, plus ``job_tasks`` for each job
        self._kept_tasks = 0  # the same for the jobs whose reports are kept
        self._waiting: dict[str, _Calls] = {}  # open jobs -> the calls that the report answers
        self._due: deque[_Calls] = deque()  # of jobs that have ended: calls that are still to be answered
        self._waited_for: dict[Hashable, set[_Calls]] = {}  # caller -> where its calls wait
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
        calls = self._waiting.get(job)
        if calls is None:
            calls = self._waiting[job] = _Calls(job)
        calls.callers.setdefault(call.caller, []).append(call)
        self._waited_for.setdefault(call.caller, set()).add(calls)

    def ended(self, job: str, report: Report) -> None:
        """Ends an open job: keeps its report, and answers the calls that wait for it. The oldest reports are dropped if need be.

        One call is answered at once, and more of them in steps: the node calls ``work`` while ``has_work``.
        """
        tasks = len(report["tasks"]) + self._settings.job_tasks
        self._open_tasks -= tasks
        self._kept_tasks += tasks
        self.reports[job] = report
        while self._kept_tasks > self._settings.kept_report_tasks and len(self.reports) > 1:
            oldest, dropped = self.reports.popitem(last=False)
            self._kept_tasks -= len(dropped["tasks"]) + self._settings.job_tasks
            del self._contents[oldest]
        calls = self._waiting.pop(job, None)
        if calls is not None:
            calls.report = report
            if self._answer(calls, 1):
                self._due.append(calls)

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
        return bool(self._gone or self._due)

    def work(self) -> None:
        """Goes on with forgetting the calls of callers that have gone, and with answering others, as far as one step may take."""
        most = self._settings.max_at_once
        caller = next(iter(self._gone), None)
        if caller is not None:
            waits = self._waited_for[caller]
            while waits and most > 0:
                calls = waits.pop()  # to look for the first one of a set takes longer with each that is gone
                most -= len(self._take(calls, caller, most))
                if caller in calls.callers:
                    waits.add(calls)
            if not waits:
                del self._waited_for[caller], self._gone[caller]
        if self._due and not self._answer(self._due[0], most):
            self._due.popleft()

    def _answer(self, calls: _Calls, most: int) -> bool:
        """Answers at most so many of these calls. Returns whether some are left."""
        assert calls.report is not None
        while calls.callers and most > 0:
            caller = next(iter(calls.callers))
            taken = self._take(calls, caller, most)
            most -= len(taken)
            for call in taken if caller not in self._gone else ():
                call.answer(calls.report)
        return bool(calls.callers)

    def _take(self, calls: _Calls, caller: Hashable, most: int) -> list[PendingReport]:
        """Removes at most so many of these calls, of this caller, and returns them, the last ones first."""
        left = calls.callers[caller]
        taken = [left.pop() for _ in range(min(len(left), most))]
        self._calls -= len(taken)
        if not left:
            del calls.callers[caller]
            self._waited_for[caller].discard(calls)
            if not calls.callers and calls.report is None:
                del self._waiting[calls.job]
        return taken
