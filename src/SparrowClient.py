"""The client, as a class and as a command: it submits jobs, waits for them and prints a summary.

python SparrowClient.py BATCH+LATE_BINDING 10 10 1
"""

from __future__ import annotations

if not __package__:
    import _root  # noqa: F401
if __name__ == "__main__":
    from src.cli import interpreter

    interpreter.enter()

import asyncio
import contextlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from functools import partial
from types import TracebackType
from typing import Any

from src.cli import terminal
from src.cli.client_options import parse
from src.cli.exit_status import ExitStatus
from src.cli.logs import printable
from src.cli.program import interruption, run_program
from src.cli.summary import left_behind_text, open_text, summary, summary_table
from src.cli.terminal import counted
from src.cluster.client_host import LiveClientHost
from src.cluster.registry import NameServer, parse_address
from src.cluster.submissions import Submissions, Work
from src.Job import Job, JobReport, seeded_jobs
from src.rmi.errors import ConfigurationError, SparrowError, UnavailableError
from src.rmi.security import Security
from src.sparrow.checks import seconds
from src.sparrow.client_node import ClientNode
from src.sparrow.errors import ClientClosedError
from src.sparrow.jobspec import JobSpec
from src.sparrow.placement import method_named
from src.sparrow.reports import Report
from src.sparrow.settings import ClientSettings

REDRAW_S = 0.1  # between two updates of the progress bar
CLOSE_S = 1.0  # the longest time that ``close`` waits for tasks of the event loop that are cancelled


class SparrowClient:
    """Submits jobs to the schedulers that a name server knows. It may be used from any thread of the process that made it.

    ``nameserver_hostname`` is HOST[:PORT]; None means the default of the command line. ``notice`` is called with a line of text
    when the client has to wait, in the client's own thread. ``key_file`` has the cluster's key (default: SPARROW_KEY_FILE), and
    ``allow_stock_pyro4`` is as on the command line. That thread runs until ``close()`` or the end of a ``with`` block. Raises
    ConfigurationError if the address or the key cannot be used.
    """

    def __init__(
        self,
        nameserver_hostname: str | None = None,
        *,
        notice: Callable[[str], None] = lambda line: None,
        key_file: str | None = None,
        allow_stock_pyro4: bool = False,
        settings: ClientSettings = ClientSettings(),
    ) -> None:
        if not callable(notice):
            raise TypeError(f"notice must be a function that takes a line of text, not {notice!r:.60}")
        security = Security.of(key_file, allow_stock_pyro4=allow_stock_pyro4)
        self._names = NameServer(*parse_address(nameserver_hostname), security.key)
        self._settings = settings
        self._process = os.getpid()
        self._closing = threading.Lock()  # nothing is given to the event loop between the last look at ``_closed`` and its end
        self._closed = False
        self._submissions = Submissions()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="SparrowClient", daemon=True)
        self._thread.start()
        self._node: ClientNode = asyncio.run_coroutine_threadsafe(self._begin(notice), self._loop).result()

    async def _begin(self, notice: Callable[[str], None]) -> ClientNode:
        host = LiveClientHost(self._names, self._submissions, notice)
        host.node = self._submissions.node = ClientNode(host, random.Random(), str(self._names), self._settings)
        return host.node

    def submit(self, job: Job, method: str | None = None, *, wait: bool = True) -> Future[Any]:
        """Submits a job and returns a future of its ``JobReport``; if ``wait`` is false, of None as soon as the job is accepted.

        Raises TypeError if ``job`` is not a Job, ValueError if the method is unknown here, and ClientClosedError, a RuntimeError,
        after ``close()``. The future fails with UnavailableError if no scheduler can be found, or if what the scheduler answers is
        not the job's report; with ValueError if the scheduler rejects the job; and with ClientClosedError if the client is closed
        before the report has come. Its ``cancel()`` returns True if the job has not left the client, and will not run; False once
        the job was handed to a scheduler, which goes on.
        """
        try:
            id, wire_id, durations_s = job.id, job.wire_id, job.durations_s
        except AttributeError:
            raise TypeError(
                f"submit takes a Job, not {job!r:.60}: write submit(Job.from_durations([0.1, 0.2])), with from src.Job import Job"
            ) from None
        if not isinstance(wait, bool):
            raise TypeError(f"wait must be True or False, not {wait!r:.60}")
        spec = JobSpec(wire_id, durations_s, None if method is None else method_named(method).name, wait)
        future: Future[Any] = Future()
        self._call(self._submissions.submit, spec, future, partial(_report, id, time.monotonic()) if wait else _nothing)
        future.add_done_callback(partial(self._future_done, wire_id))
        return future

    def _call(self, action: Callable[..., object], *args: Any) -> None:
        """Has ``action(*args)`` called in the client's thread."""
        self._check_usable()
        with self._closing:
            if self._closed:  # by another thread, a moment ago
                self._check_usable()
            self._loop.call_soon_threadsafe(action, *args)

    def _check_usable(self) -> None:
        if self._process != os.getpid():
            raise RuntimeError(
                f"this client was made by process {self._process}, and process {os.getpid()}, forked from it, needs its own: "
                "call SparrowClient() in each process"
            )
        if self._closed:
            raise ClientClosedError("this client is closed: make another one, and use it before close() or the end of its block")

    def _check_not_inside(self, method: str) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError(f"{method}() would wait for ever in a callback of a future or of notice: call it in another thread")

    def _future_done(self, job: str, future: Future[Any]) -> None:
        """Runs in the thread that cancels a future, or in the client's own."""
        if future.cancelled():
            with contextlib.suppress(RuntimeError):  # the client is closed, or this is a forked process
                self._call(self._submissions.withdraw, job, future)

    def run(
        self,
        method: str,
        num_jobs: int,
        num_tasks: int,
        task_length: float,
        task_spread: float = 0.0,
        *,
        seed: int | None = None,
        timeout_s: float | None = None,
    ) -> list[JobReport]:
        """Submits ``num_jobs`` jobs at once, waits for all of them, and returns their reports in the order of submission.

        Times are in seconds. The same ``seed`` gives the same durations. Raises TypeError or ValueError if an argument is out of
        range, UnavailableError if no scheduler can be found, TimeoutError if the jobs have not ended in ``timeout_s``, which go on,
        and what ``submit`` raises.
        """
        self._check_usable()
        self._check_not_inside("run")
        if timeout_s is not None:
            seconds(timeout_s, "timeout_s")
        futures = [self.submit(job, method) for job in seeded_jobs(num_jobs, num_tasks, task_length, task_spread, seed)]
        _, late = wait(futures, timeout_s, FIRST_EXCEPTION)
        failed = [future for future in futures if future.done() and future.exception()]
        if late and not failed:
            raise TimeoutError(
                f"after {timeout_s:g} s {open_text(len(late), num_jobs)} not ended; {left_behind_text(self.left_behind())}"
            )
        return [future.result() for future in failed or futures]

    def tasks_ended(self) -> int:
        """Returns how many tasks of all submitted jobs are known to have ended; for open jobs the number is about a second old."""
        return self._submissions.reported_tasks + self._node.tasks_ended

    def left_behind(self) -> Work:
        """Returns the work that goes on at the schedulers if this client ends now: jobs, tasks, and seconds of tasks' durations."""
        self._check_usable()
        self._check_not_inside("left_behind")
        answer: Future[Work] = Future()
        self._call(lambda: answer.set_result(self._submissions.left_behind()))
        return answer.result()

    def unmet(self) -> str | None:
        """Returns why no scheduler has been found so far; None if one has been."""
        return self._node.unmet

    def close(self) -> None:
        """Ends all connections and the thread. It may be called more than once.

        The futures of jobs that have not left the client are cancelled. Jobs that a scheduler has go on in the cluster; their
        futures fail with ClientClosedError.
        """
        if self._process != os.getpid():  # the thread and the connections are those of the parent
            return
        self._check_not_inside("close")
        with self._closing:
            closed, self._closed = self._closed, True
        if not closed:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._node.close()
        self._submissions.close()
        until = self._loop.time() + CLOSE_S
        others = asyncio.all_tasks() - {asyncio.current_task()}
        while others and self._loop.time() < until:
            for task in others:  # more than once: asyncio.wait_for may swallow a cancellation that comes as it ends
                task.cancel()
            _, others = await asyncio.wait(others, timeout=0.1)

    def __enter__(self) -> SparrowClient:
        self._check_usable()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _report(id: str, began_s: float, report: Report, handed_over: int) -> Generator[None, None, JobReport]:
    return JobReport.from_wire(id, report, time.monotonic() - began_s, handed_over)


def _nothing(report: Report, handed_over: int) -> Generator[None, None, None]:
    """Has no step, and no result: the caller of ``submit`` wants no report."""
    yield from ()


# The command


def _await_all(client: SparrowClient, futures: list[Future[Any]], progress: terminal.Progress, timeout_s: float | None) -> bool:
    """Returns True when all jobs have ended, and False if the time is up before.

    Raises UnavailableError if no scheduler has been found by then, and the error of a job that fails.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    late = set(futures)
    while late:
        ended, late = wait(late, REDRAW_S, FIRST_EXCEPTION)
        for future in ended:
            future.result()
        progress.show(client.tasks_ended(), f"· {counted(len(late), 'job')} open")
        if late and deadline is not None and time.monotonic() >= deadline:
            unmet = client.unmet()
            if unmet is not None:
                raise UnavailableError(unmet)
            return False
    return True


def _unfinished(client: SparrowClient, futures: list[Future[Any]], waits: bool) -> str:
    """Returns how many jobs have not ended, or were not accepted if the command does not wait for them, and what goes on."""
    open_jobs = sum(not future.done() for future in futures)
    open_of_all = open_text(open_jobs, len(futures))
    if client.unmet() is not None:
        return "no job was submitted"
    if not waits:
        accepted = counted(len(futures) - open_jobs, "job")
        return f"{open_of_all} not been accepted by a scheduler; {accepted} accepted, and not stopped"
    return f"{open_of_all} not ended; {left_behind_text(client.left_behind())}"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command, and returns its exit status."""
    options = parse(arguments)
    progress = terminal.Progress(options.no_of_jobs * options.no_of_tasks, "tasks", shown=not options.quiet and not options.json)

    def say(line: str) -> None:
        progress.clear()
        print(printable(line), file=sys.stderr)

    try:
        client = SparrowClient(
            options.nameserver,
            notice=(lambda line: None) if options.quiet else say,
            key_file=options.key_file,
            allow_stock_pyro4=options.allow_stock_pyro4,
        )
    except ConfigurationError as error:
        say(f"error: {error}")
        return ExitStatus.USAGE
    began = time.monotonic()
    futures: list[Future[Any]] = []
    status = ExitStatus.OK
    try:
        for job in options.jobs:
            futures.append(client.submit(job, options.method, wait=not options.no_wait))
        if not _await_all(client, futures, progress, options.timeout):
            say(f"--timeout: after {terminal.seconds_text(options.timeout)} {_unfinished(client, futures, not options.no_wait)}")
            status = ExitStatus.TIMED_OUT
    except KeyboardInterrupt as error:
        status = interruption(error)
        why = "interrupted" if status == ExitStatus.INTERRUPTED else "terminated"
        say(f"{why}: {_unfinished(client, futures, not options.no_wait)}")
        return status
    except SparrowError as error:
        say(f"error: {error}")
        return ExitStatus.USAGE if isinstance(error, ConfigurationError) else ExitStatus.UNAVAILABLE
    except Exception as error:  # a scheduler's answer is malformed: the user gets one line and no traceback
        say(f"error: {type(error).__name__}: {error}")
        return ExitStatus.UNAVAILABLE
    finally:
        makespan_s = time.monotonic() - began
        progress.clear()
        client.close()
    accepted = [future.result() for future in futures if future.done() and not future.exception()]
    reports = [report for report in accepted if report is not None]
    result = summary(options.method, options.no_of_jobs, options.no_of_tasks, reports, makespan_s)
    if options.json:
        print(json.dumps(result))
    elif options.no_wait and not options.quiet:
        print(f"{counted(len(accepted), 'job')} handed over")
    elif not options.quiet:
        print(summary_table(result, reports))
    return ExitStatus.TASK_FAILED if result["failed"] and status == ExitStatus.OK else status


if __name__ == "__main__":
    run_program(main)
