"""``Submissions``: the jobs of a client that have no report yet, and the futures of those who wait for them.

A future can be cancelled as long as its job has never left the client: then the job will not run. When the job is about to be
handed to a scheduler, its futures become "running", so that ``cancel()`` returns False from then on, as ``concurrent.futures`` has
it: a scheduler cannot be told to stop a job. This holds also if that scheduler is lost, or has no room and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, NamedTuple

from src.sparrow.client_node import ClientNode
from src.sparrow.errors import ClientClosedError, UnavailableError
from src.sparrow.jobspec import JobSpec
from src.sparrow.reports import Report
from src.sparrow.schema import UnreadableError
from src.sparrow.taskcolumns import decode

Steps = Generator[None, None, Any]
# From a scheduler's report, and how often the job was handed over, to the steps that make what a future returns.
Result = Callable[[Report, int], Steps]


class Answer(NamedTuple):
    """What a scheduler has answered to ``schedule``: nobody has read it yet."""

    scheduler: str
    value: object


class Work(NamedTuple):
    """Work of open jobs. ``work_s`` is the sum of the durations of the tasks that have not ended; it is about a second old."""

    jobs: int
    tasks: int
    work_s: float


class _Submission:
    """A job that has no report yet."""

    def __init__(self, spec: JobSpec, result: Result, future: Future[Any]) -> None:
        self.spec = spec
        self.result = result
        self.futures = [future]
        self.has_left = False  # whether it was ever handed to a scheduler


class Submissions:
    """The open jobs of one client by their ids on the wire. All methods are called in the client's own thread."""

    node: ClientNode

    def __init__(self) -> None:
        self._open: dict[str, _Submission] = {}
        self.reported_tasks = 0  # tasks of jobs that have been reported

    def submit(self, spec: JobSpec, future: Future[Any], result: Result) -> None:
        """Submits a job, unless it is open already: then there is one report for both futures."""
        submission = self._open.get(spec.id)
        if future.cancelled():
            future.set_running_or_notify_cancel()
        elif submission is None:
            self._open[spec.id] = _Submission(spec, result, future)
            self.node.submit(spec)
        elif submission.spec != spec:
            _end(future, error=ValueError(f"this job is open already, with {_difference(submission.spec, spec)}: make another Job"))
        elif not submission.has_left or future.set_running_or_notify_cancel():
            submission.futures.append(future)

    def withdraw(self, job: str, future: Future[Any]) -> None:
        """A future was cancelled. If nobody else waits for its job, the job is dropped."""
        submission = self._open.get(job)
        if submission is None:
            return
        if future in submission.futures:
            submission.futures.remove(future)
            future.set_running_or_notify_cancel()  # this is what wakes those who wait for it
        if not submission.futures:
            del self._open[job]
            self.node.withdraw(job)

    def leave(self, job: str) -> bool:
        """A job is about to be handed to a scheduler. Returns False if all its futures are cancelled: then the job is dropped."""
        submission = self._open.get(job)
        if submission is None:
            return False
        submission.futures = [future for future in submission.futures if future.running() or future.set_running_or_notify_cancel()]
        submission.has_left = bool(submission.futures)
        if not submission.has_left:
            del self._open[job]
        return submission.has_left

    def finish(self, job: str, answer: Answer, handed_over: int) -> None:
        """A job has ended: its futures get their result, after some steps if its report is large.

        They get UnavailableError if the answer is not the report of this job: then nobody knows what has become of its tasks.
        """
        submission = self._open[job]
        self.reported_tasks += len(submission.spec.durations_s)
        self._go_on(job, submission, answer, _result(submission, answer, handed_over))

    def _go_on(self, job: str, submission: _Submission, answer: Answer, steps: Steps) -> None:
        """Takes the next step to a result. Other events take place between two steps."""
        if self._open.get(job) is not submission:  # the client was closed meanwhile
            return
        result, failure = None, None
        try:
            next(steps)
        except StopIteration as end:
            result = end.value
        except UnreadableError as error:
            failure = UnavailableError(f"the answer of {answer.scheduler} to a job cannot be read: {error}")
        else:
            asyncio.get_running_loop().call_soon(self._go_on, job, submission, answer, steps)
            return
        del self._open[job]
        _end(*submission.futures, result=result, error=failure)

    def fail(self, job: str, error: Exception) -> None:
        """A job will have no report: its futures get this error. Nothing happens if the job was dropped."""
        submission = self._open.pop(job, None)
        if submission is not None:
            _end(*submission.futures, error=error)

    def close(self) -> None:
        """The client ends: the futures of jobs that never left it are cancelled, those of the others get ClientClosedError."""
        for submission in self._open.values():
            if submission.has_left:
                error = ClientClosedError(
                    "the client was closed before the job's report came; a scheduler that has the job goes on"
                )
                _end(*submission.futures, error=error)
            else:
                for future in submission.futures:
                    future.cancel()
                    future.set_running_or_notify_cancel()
        self._open.clear()

    def left_behind(self) -> Work:
        """Returns the work that goes on at the schedulers if the client ends now."""
        held = [job for job in self.node.jobs.values() if job.scheduler is not None]
        tasks = [max(0, len(job.spec.durations_s) - job.ended) for job in held]
        work_s = sum(sum(job.spec.durations_s) * left / len(job.spec.durations_s) for job, left in zip(held, tasks))
        return Work(len(held), sum(tasks), work_s)


def _result(submission: _Submission, answer: Answer, handed_over: int) -> Steps:
    report = yield from decode(answer.value, submission.spec)
    return (yield from submission.result(report, handed_over))


def _end(*futures: Future[Any], result: Any = None, error: Exception | None = None) -> None:
    """Ends futures that are running, or still pending, with a result or an error."""
    for future in futures:
        if future.running() or future.set_running_or_notify_cancel():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


def _difference(old: JobSpec, new: JobSpec) -> str:
    """Returns the first field in which two jobs of one id differ, with its value in the old one."""
    name = next(name for name in JobSpec._fields if getattr(old, name) != getattr(new, name))
    return f"{name}={getattr(old, name)!r:.60}"
