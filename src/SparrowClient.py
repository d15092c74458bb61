"""The client, as a class and as a command: it submits jobs, waits for them and prints a summary.

python SparrowClient.py BATCH+LATE_BINDING 10 10 1
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, wait
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

if not __package__:
    import _root  # noqa: F401

from src.cli import terminal
from src.cli.exit_status import ExitStatus
from src.cli.logs import printable
from src.cli.methods import methods_help
from src.cli.options import new_parser, whole_number
from src.cli.summary import summary, summary_table
from src.cluster.client_host import LiveClientHost
from src.cluster.registry import NameServer, parse_address
from src.Job import Job, JobReport
from src.rmi.errors import ConfigurationError, SparrowError, UnavailableError
from src.rmi.security import Security
from src.sparrow.checks import number, seconds
from src.sparrow.client_node import ClientNode
from src.sparrow.jobspec import MAX_TASKS, JobSpec
from src.sparrow.placement import method_named
from src.sparrow.reports import Report
from src.sparrow.settings import ClientSettings

LIMITS = ClientSettings()
REDRAW_S = 0.1  # between two updates of the progress bar
CLOSE_S = 1.0  # the longest time that ``close`` waits for tasks of the event loop that are cancelled


class SparrowClient:
    """Submits jobs to the schedulers that a name server knows. It may be used from any thread.

    ``nameserver_hostname`` is HOST[:PORT]; None means the default of the command line. ``notice`` is called with a line of text
    when the client has to wait, in the client's own thread. ``key_file`` has the cluster's key (default: SPARROW_KEY_FILE). That
    thread runs until ``close()`` or the end of a ``with`` block. Raises ConfigurationError if the address or the key cannot be
    used.
    """

    def __init__(
        self,
        nameserver_hostname: str | None = None,
        *,
        notice: Callable[[str], None] = lambda line: None,
        key_file: str | None = None,
        settings: ClientSettings = ClientSettings(),
    ) -> None:
        self._names = NameServer(*parse_address(nameserver_hostname), Security.of(key_file).key)
        self._settings = settings
        self._reported_tasks = 0
        self._ended = False
        self._submitted: dict[str, _Submitted] = {}  # jobs that have no report yet, by their ids on the wire
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="SparrowClient", daemon=True)
        self._thread.start()
        self._node: ClientNode = asyncio.run_coroutine_threadsafe(self._begin(notice), self._loop).result()

    async def _begin(self, notice: Callable[[str], None]) -> ClientNode:
        host = LiveClientHost(self._names, self._finish, self._fail, notice)
        host.node = ClientNode(host, random.Random(), str(self._names), self._settings)
        return host.node

    def submit(self, job: Job, method: str | None = None, *, wait: bool = True) -> Future[Any]:
        """Submits a job and returns a future of its ``JobReport``; if ``wait`` is false, of None as soon as the job is accepted.

        Raises ValueError if the method is unknown here. The future fails with UnavailableError if no scheduler can be found, and
        with ValueError if the scheduler rejects the job.
        """
        name = None if method is None else method_named(method).name
        submitted = _Submitted(job.id, JobSpec(job.wire_id, job.durations_s, name, wait), Future(), time.monotonic())
        submitted.future.add_done_callback(partial(self._future_done, submitted.spec.id))
        self._loop.call_soon_threadsafe(self._begin_job, submitted)
        return submitted.future

    def _begin_job(self, submitted: _Submitted) -> None:
        same = self._submitted.get(submitted.spec.id)
        if self._ended:
            _cancel(submitted.future)
        elif same is not None:  # the same Job was submitted before: there is one report for both
            same.future.add_done_callback(partial(_copy, submitted.future))
        elif submitted.future.cancelled():
            submitted.future.set_running_or_notify_cancel()
        else:
            self._submitted[submitted.spec.id] = submitted
            self._node.submit(submitted.spec)

    def _future_done(self, job: str, future: Future[Any]) -> None:
        """Runs in the thread that cancels a future, or in the client's own."""
        if future.cancelled() and not self._ended:
            self._loop.call_soon_threadsafe(self._withdraw, job, future)

    def _withdraw(self, job: str, future: Future[Any]) -> None:
        submitted = self._submitted.get(job)
        if submitted is not None and submitted.future is future:
            del self._submitted[job]
            self._node.withdraw(job)
            future.set_running_or_notify_cancel()  # this is what wakes those who wait for it

    def _finish(self, job: str, report: Report) -> None:
        id, spec, future, began_s = self._submitted.pop(job)
        self._reported_tasks += len(spec.durations_s)
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(JobReport.from_wire(id, report, time.monotonic() - began_s) if spec.wait else None)
            except (LookupError, TypeError, ValueError) as error:  # the report is malformed
                future.set_exception(error)

    def _fail(self, job: str, error: Exception) -> None:
        future = self._submitted.pop(job).future
        if future.set_running_or_notify_cancel():
            future.set_exception(error)

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
        range, UnavailableError if no scheduler can be found, and TimeoutError if the jobs have not ended in ``timeout_s``.
        """
        futures = [self.submit(job, method) for job in seeded_jobs(num_jobs, num_tasks, task_length, task_spread, seed)]
        _, late = wait(futures, timeout_s, FIRST_EXCEPTION)
        failed = [future for future in futures if future.done() and future.exception()]
        if late and not failed:
            raise TimeoutError(f"{len(late)} of {num_jobs} jobs have not ended in {timeout_s:g} s")
        return [future.result() for future in failed or futures]

    def tasks_ended(self) -> int:
        """Returns how many tasks of all submitted jobs are known to have ended; for open jobs the number is about a second old."""
        return self._reported_tasks + self._node.tasks_ended

    def unmet(self) -> str | None:
        """Returns why no scheduler has been found so far; None if one has been."""
        return self._node.unmet

    def close(self) -> None:
        """Ends all connections and the thread. Open jobs go on in the cluster; their futures are cancelled."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        self._ended = True
        self._node.close()
        for submitted in self._submitted.values():
            _cancel(submitted.future)
        self._submitted.clear()
        until = self._loop.time() + CLOSE_S
        while (others := asyncio.all_tasks() - {asyncio.current_task()}) and self._loop.time() < until:
            for task in others:  # more than once: asyncio.wait_for may swallow a cancellation that comes as it ends
                task.cancel()
            await asyncio.wait(others, timeout=0.1)

    def __enter__(self) -> SparrowClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Submitted(NamedTuple):
    """A job that has no report yet."""

    id: str  # the id that the caller of ``submit`` has given it
    spec: JobSpec
    future: Future[Any]  # of the JobReport; of None if the caller does not wait
    began_s: float


def _cancel(future: Future[Any]) -> None:
    """Cancels a future and wakes those who wait for it. A future that is cancelled already wakes them too."""
    if future.cancel():
        future.set_running_or_notify_cancel()


def _copy(target: Future[Any], source: Future[Any]) -> None:
    """Gives ``target`` the result of ``source``."""
    if source.cancelled():
        _cancel(target)
    elif target.set_running_or_notify_cancel():
        error = source.exception()
        if error is None:
            target.set_result(source.result())
        else:
            target.set_exception(error)


def seeded_jobs(num_jobs: int, num_tasks: int, length_s: float, spread_s: float, seed: int | None) -> list[Job]:
    """Returns jobs with new ids; their durations depend on ``seed`` alone. Raises ValueError if a value is out of range."""
    number(num_jobs, "no_of_jobs", least=1, most=LIMITS.max_jobs)
    rng = random.Random(seed)
    return [Job(None, num_tasks, length_s, spread_s, rng=rng) for _ in range(num_jobs)]


# The command


class _GaveUpError(Exception):
    """Raised if the command stops waiting for jobs. It has the exit status and the line that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = new_parser(
        "Submit jobs, all at once, wait for them and print how it went.",
        "example: 10 jobs of 10 tasks of 1 s each\n  python SparrowClient.py BATCH+LATE_BINDING 10 10 1\n\n"
        f"methods\n{methods_help()}\n\n"
        "exit status: 0 all tasks done; 1 a task failed; 2 usage; 69 no name server or scheduler to be had;\n"
        "124 --timeout reached; 130 Ctrl-C",
    )
    parser.add_argument("method", help="one of the methods below, in upper or lower case")
    parser.add_argument("no_of_jobs", type=_count(LIMITS.max_jobs), help=f"1 to {LIMITS.max_jobs:,}")
    parser.add_argument("no_of_tasks", type=_count(MAX_TASKS), help=f"of each job, 1 to {MAX_TASKS:,}")
    parser.add_argument("duration", type=_number_of_seconds, help="of each task, in seconds")
    parser.add_argument(
        "task_spread",
        type=_number_of_seconds,
        nargs="?",
        default=0.0,
        help="draw each from duration ± task_spread (default: 0)",
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="draw the same durations again")
    parser.add_argument("--timeout", type=_number_of_seconds, metavar="S", help="give up waiting after so many seconds")
    parser.add_argument("--no-wait", action="store_true", help="submit the jobs and leave")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors (and the object of --json)")
    parsed = parser.parse_args(arguments)
    try:
        parsed.method = method_named(parsed.method).name
        if parsed.no_of_jobs * parsed.no_of_tasks > LIMITS.max_tasks:
            raise ValueError(
                f"no_of_jobs times no_of_tasks must be at most {LIMITS.max_tasks:,}: submit the rest when these have ended"
            )
        parsed.jobs = seeded_jobs(parsed.no_of_jobs, parsed.no_of_tasks, parsed.duration, parsed.task_spread, parsed.seed)
    except ValueError as error:
        parser.error(str(error).replace("length_spread", "task_spread").replace("task_length", "duration"))
    return parsed


def _count(most: int) -> Callable[[str], int]:
    return lambda text: whole_number(text, 1, most)


def _seed(text: str) -> int:
    return whole_number(text, -(2**63), 2**63)


def _number_of_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a number of seconds") from None
    try:
        return seconds(value, "a time")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _await_all(client: SparrowClient, futures: list[Future[Any]], progress: terminal.Progress, timeout_s: float | None) -> None:
    """Returns when all jobs have ended.

    Raises _GaveUpError if the time is up, UnavailableError if no scheduler has been found by then, and the error of a job that
    fails.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    late = set(futures)
    while late:
        ended, late = wait(late, REDRAW_S, FIRST_EXCEPTION)
        for future in ended:
            future.result()
        progress.show(client.tasks_ended(), f"· {len(late):,} jobs open")
        if late and deadline is not None and time.monotonic() >= deadline:
            if (unmet := client.unmet()) is not None:
                raise UnavailableError(unmet)
            why = f"--timeout: {len(late):,} of {len(futures):,} jobs have not ended in {timeout_s:g} s; they go on without us"
            raise _GaveUpError(ExitStatus.TIMED_OUT, why)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command, and returns its exit status."""
    options = _parse(arguments)
    progress = terminal.Progress(options.no_of_jobs * options.no_of_tasks, "tasks", shown=not options.quiet and not options.json)

    def say(line: str) -> None:
        progress.clear()
        print(printable(line), file=sys.stderr)

    try:
        client = SparrowClient(options.nameserver, notice=(lambda line: None) if options.quiet else say, key_file=options.key_file)
    except ConfigurationError as error:
        say(f"error: {error}")
        return ExitStatus.USAGE
    began = time.monotonic()
    futures: list[Future[Any]] = []
    status: int = ExitStatus.OK
    try:
        futures += [client.submit(job, options.method, wait=not options.no_wait) for job in options.jobs]
        _await_all(client, futures, progress, options.timeout)
    except _GaveUpError as error:
        say(str(error))
        status = error.status
    except (KeyboardInterrupt, CancelledError):
        open_jobs = sum(not future.done() for future in futures)
        goes_on = f"{open_jobs:,} of {len(options.jobs):,} jobs have not ended; they go on without us"
        say(f"interrupted: {goes_on if client.unmet() is None else 'no job was submitted'}")
        return ExitStatus.INTERRUPTED
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
    reports = [future.result() for future in futures if future.done() and not future.cancelled()]
    result = summary(options.method, options.no_of_jobs, options.no_of_tasks, [report for report in reports if report], makespan_s)
    if options.json:
        print(json.dumps(result))
    elif options.no_wait and not options.quiet:
        print(f"{options.no_of_jobs:,} jobs handed over")
    elif not options.quiet:
        print(summary_table(result))
    return ExitStatus.TASK_FAILED if result["failed"] and status == ExitStatus.OK else status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(ExitStatus.INTERRUPTED)
    except BrokenPipeError:  # the reader of the output has closed it, so there is nothing to print to
        sys.stdout = None
        sys.exit(ExitStatus.OK)
