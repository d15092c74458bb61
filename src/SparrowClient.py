"""A client: submits jobs, waits for them, and says how it went.

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
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, wait
from types import TracebackType
from typing import Any

if not __package__:
    import _root  # noqa: F401

from src.cli import command, terminal
from src.cluster.handover import Handover
from src.cluster.registry import NameServer, parse_address
from src.Job import Job, JobReport
from src.rmi.errors import ConfigurationError, SparrowError, UnavailableError
from src.rmi.security import Security
from src.sparrow import messages as m
from src.sparrow.metrics import percentile
from src.sparrow.placement import METHODS, method_named

PATIENCE_S = 15.0  # for finding the name server and a scheduler, which may be starting just now
MAX_JOBS = 100_000
MAX_TASKS_AT_ONCE = 1_000_000  # of all jobs of one command
REDRAW_S = 0.1
CLOSE_S = 1.0  # for what a client still does to end


class SparrowClient:
    """Submits jobs to the schedulers that a name server knows. It may be used from any thread.

    ``nameserver_hostname`` is HOST[:PORT], or None as on the command line. ``notice`` gets a line of text when something has to be
    waited for; ``key_file`` has the cluster's key (default: SPARROW_KEY_FILE). A client works in a thread of its own
    until ``close()``, or the end of a ``with`` block.
    """

    def __init__(
        self,
        nameserver_hostname: str | None = None,
        *,
        notice: Callable[[str], None] = lambda line: None,
        patience_s: float = PATIENCE_S,
        key_file: str | None = None,
    ) -> None:
        self._names = NameServer(*parse_address(nameserver_hostname), Security.of(key_file).key)
        self._reported_tasks = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="SparrowClient", daemon=True)
        self._thread.start()
        self._handover: Handover = asyncio.run_coroutine_threadsafe(self._begin(notice, patience_s), self._loop).result()

    async def _begin(self, notice: Callable[[str], None], patience_s: float) -> Handover:
        return Handover(self._names, notice, patience_s)

    def submit(self, job: Job, method: str | None = None, *, wait: bool = True) -> Future:
        """Begin a job. The future has its ``JobReport``, or None once the job is accepted with ``wait`` false.

        The future fails with UnavailableError if no scheduler can be found, and with ValueError for an unknown method.
        """
        name = None if method is None else method_named(method).name
        return asyncio.run_coroutine_threadsafe(self._run(job.id, m.JobSpec(job.wire_id, job.durations_s, name, wait)), self._loop)

    async def _run(self, id: str, spec: m.JobSpec) -> JobReport | None:
        began = time.monotonic()
        report = await self._handover.run(spec)
        self._reported_tasks += len(spec.durations_s)
        return JobReport.from_wire(id, report, time.monotonic() - began) if spec.wait else None

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
        """Submit that many jobs at once and wait for all: their reports, in the order of submission.

        Times in seconds. ValueError or TypeError for what no job can be; UnavailableError as for ``submit``; TimeoutError.
        """
        futures = [self.submit(job, method) for job in seeded_jobs(num_jobs, num_tasks, task_length, task_spread, seed)]
        _, late = wait(futures, timeout_s, FIRST_EXCEPTION)
        failed = [future for future in futures if future.done() and future.exception()]
        if late and not failed:
            raise TimeoutError(f"{len(late)} of {num_jobs} jobs have not ended in {timeout_s:g} s")
        return [future.result() for future in failed or futures]

    def tasks_ended(self) -> int:
        """Tasks that are known to have ended, of all jobs submitted; about a second old for jobs that go on."""
        return self._reported_tasks + self._handover.tasks_ended()

    def unmet(self) -> str | None:
        """Why no scheduler has been found so far; None once one was."""
        return self._handover.unmet

    def close(self) -> None:
        """Let go of everything. Jobs that have not ended go on in the cluster; their futures are cancelled."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        self._handover.close()
        until = self._loop.time() + CLOSE_S
        while (others := asyncio.all_tasks() - {asyncio.current_task()}) and self._loop.time() < until:
            for task in others:  # more than once: asyncio.wait_for may swallow a cancellation that comes as it ends
                task.cancel()
            ended, _ = await asyncio.wait(others, timeout=0.1)
            for task in ended:
                if not task.cancelled():
                    task.exception()  # whoever waits for its future has it too

    def __enter__(self) -> SparrowClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def seeded_jobs(num_jobs: int, num_tasks: int, length_s: float, spread_s: float, seed: int | None) -> list[Job]:
    """Jobs whose durations depend on the seed alone; their ids are always new."""
    m.number(num_jobs, "no_of_jobs", least=1, most=MAX_JOBS)
    rng = random.Random(seed)
    return [Job(None, num_tasks, length_s, spread_s, rng=rng) for _ in range(num_jobs)]


def summary(method: str, num_jobs: int, num_tasks: int, reports: list[JobReport], makespan_s: float) -> dict[str, Any]:
    """The object that ``--json`` prints. Response, slowdown and counts are of the jobs that were reported; null if none was."""
    responses = [report.response_s for report in reports]
    slowdowns = [report.slowdown for report in reports]
    failed = sum(len(report.failed) for report in reports)
    per_worker = Counter(task.worker for report in reports for task in report.tasks if task.worker is not None)
    return {
        "method": method,
        "jobs": num_jobs,
        "tasks": num_jobs * num_tasks,
        "completed": sum(len(report.tasks) for report in reports) - failed,
        "failed": failed,
        "retried": sum(report.retried for report in reports),
        "makespan_s": makespan_s,
        "response_s": {
            **{f"p{p}": percentile(responses, p) if responses else None for p in (50, 95, 99)},
            "mean": sum(responses) / len(responses) if responses else None,
        },
        "slowdown": {f"p{p}": percentile(slowdowns, p) if slowdowns else None for p in (50, 95)},
        "tasks_per_worker": {worker: per_worker[worker] for worker in sorted(per_worker)},
    }


def summary_table(result: dict[str, Any]) -> str:
    """The same for people."""
    workers = len(result["tasks_per_worker"])
    rows = [
        ("jobs", f"{result['jobs']:,}"),
        ("tasks done", f"{result['completed']:,} of {result['tasks']:,}, on {workers} worker{'s' * (workers != 1)}"),
        ("makespan", terminal.seconds_text(result["makespan_s"])),
    ]
    if result["response_s"]["mean"] is not None:
        response = {name: terminal.seconds_text(value) for name, value in result["response_s"].items()}
        rows.append(("job response", f"p50 {response['p50']}   p95 {response['p95']}   p99 {response['p99']}"))
        rows.append(("response / ideal", f"p50 {result['slowdown']['p50']:.2f}   p95 {result['slowdown']['p95']:.2f}"))
    rows.append(("lost and run again", f"{result['retried']:,} tasks"))
    rows.append(("failed", f"{result['failed']:,} tasks"))
    width = max(len(name) for name, _ in rows)
    return "\n".join([result["method"], *(f"  {name:<{width}}   {value}" for name, value in rows)])


# The command


class _GaveUpError(Exception):
    """The jobs did not all end; carries the exit status and the line that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = command.parser(
        "Submit jobs, all at once, wait for them and print how it went.",
        "example: 10 jobs of 10 tasks of 1 s each\n  python SparrowClient.py BATCH+LATE_BINDING 10 10 1\n\n"
        "methods\n"
        "  RANDOM              each task to any worker\n"
        "  CHOOSE_TWO          each task to the less loaded of two workers\n"
        "  BATCH               the tasks of a job to the least loaded of twice as many workers\n"
        "  BATCH+LATE_BINDING  reservations on twice as many workers; who is free first gets a task\n\n"
        "exit status: 0 all tasks done; 1 a task failed; 2 usage; 69 no name server or scheduler to be had;\n"
        "124 --timeout reached; 130 Ctrl-C",
    )
    parser.add_argument("method", help=", ".join(METHODS))
    parser.add_argument("no_of_jobs", type=_count(MAX_JOBS), help=f"1 to {MAX_JOBS:,}")
    parser.add_argument("no_of_tasks", type=_count(m.MAX_TASKS), help=f"of each job, 1 to {m.MAX_TASKS:,}")
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
        if parsed.no_of_jobs * parsed.no_of_tasks > MAX_TASKS_AT_ONCE:
            raise ValueError(
                f"no_of_jobs times no_of_tasks must be at most {MAX_TASKS_AT_ONCE:,}: submit the rest when these have ended"
            )
        parsed.jobs = seeded_jobs(parsed.no_of_jobs, parsed.no_of_tasks, parsed.duration, parsed.task_spread, parsed.seed)
    except ValueError as error:
        parser.error(str(error).replace("length_spread", "task_spread").replace("task_length", "duration"))
    return parsed


def _count(most: int) -> Callable[[str], int]:
    return lambda text: command.whole_number(text, 1, most)


def _seed(text: str) -> int:
    return command.whole_number(text, -(2**63), 2**63)


def _number_of_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a number of seconds") from None
    try:
        return m.seconds(value, "a time")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _await_all(client: SparrowClient, futures: list[Future], progress: terminal.Progress, timeout_s: float | None) -> None:
    """Return when all jobs have ended; _GaveUpError or UnavailableError when that is not to be."""
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
            raise _GaveUpError(command.TIMED_OUT, why)


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    progress = terminal.Progress(options.no_of_jobs * options.no_of_tasks, "tasks", shown=not options.quiet and not options.json)

    def say(line: str) -> None:
        progress.clear()
        print(command.printable(line), file=sys.stderr)

    try:
        client = SparrowClient(options.nameserver, notice=(lambda line: None) if options.quiet else say, key_file=options.key_file)
    except ConfigurationError as error:
        say(f"error: {error}")
        return command.USAGE
    began = time.monotonic()
    futures: list[Future] = []
    status = command.OK
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
        return command.INTERRUPTED
    except SparrowError as error:
        say(f"error: {error}")
        return command.USAGE if isinstance(error, ConfigurationError) else command.UNAVAILABLE
    except Exception as error:  # what a scheduler says that is not as it should be: one line, no traceback
        say(f"error: {type(error).__name__}: {error}")
        return command.UNAVAILABLE
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
    return command.TASK_FAILED if result["failed"] and status == command.OK else status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(command.INTERRUPTED)
    except BrokenPipeError:  # whoever read our output has left: nobody is there to be told
        sys.stdout = None
        sys.exit(command.OK)
