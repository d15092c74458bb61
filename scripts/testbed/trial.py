"""One fault under running jobs: what breaks, how long the recovery takes, and the check that nothing was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple

import Pyro4

from scripts.testbed.local_cluster import LocalCluster
from scripts.testbed.standstill import StandstillWatch
from src.Job import Job, JobReport
from src.simulation import audit
from src.sparrow.jobspec import JobSpec
from src.sparrow.placement import METHODS
from src.sparrow.reports import Report
from src.SparrowClient import SparrowClient

SETTLED_S = 60.0  # for all jobs to end, on a busy machine
EMPTY_S = 10.0  # and for the books to be empty after that
POLL_S = 0.002
WARM_UP_TASKS, WARM_UP_S = 4, 0.03
STOOD_STILL_S = 0.25  # without the processor: a trial that lasts for tenths of a second says nothing about times then
MOST_TRIES = 3  # of a fault whose times the machine has spoilt


class TrialError(AssertionError):
    """Raised when the recovery did not come, or something was not as it must be; the text says what is wrong."""


class LossError(TrialError):
    """Raised when a fault lost or doubled something."""


class Fault(NamedTuple):
    """A fault that can be tried. ``what`` breaks, and the recovery ends with ``then``, at most ``limit_s`` later."""

    name: str
    what: str
    then: str
    limit_s: float
    cluster: Callable[[], LocalCluster]
    cause: Callable[[Trial], float]
    why_not: Callable[[], str]  # why it cannot be tried here; empty if it can

    def measure(self) -> float:
        """Returns the seconds from fault to recovery, on a cluster of its own.

        Raises LossError if anything was lost or counted twice, TrialError if the recovery does not come within its limit. If the
        machine stood still meanwhile, its times prove nothing: only a loss counts then, and the fault is tried again.
        """
        tries = 1
        while True:
            with StandstillWatch() as watch:
                try:
                    return self._try()
                except LossError:
                    raise
                except TrialError:
                    if watch.longest_s < STOOD_STILL_S or tries == MOST_TRIES:
                        raise
            tries += 1

    def _try(self) -> float:
        with self.cluster() as cluster, SparrowClient(cluster.nameserver) as client:
            trial = Trial(cluster, client)
            for method in METHODS:  # all connections that jobs need are made by then
                trial.submit(method, WARM_UP_TASKS, WARM_UP_S).result(SETTLED_S)
            recovery_s = self.cause(trial)
            trial.settle()
        if recovery_s > self.limit_s:
            raise TrialError(f"the recovery took {recovery_s:.2f} s, more than {self.limit_s:g} s")
        return recovery_s


FAULTS: dict[str, Fault] = {}  # by name, in the order in which they are shown


def fault(limit_s: float, workers: int = 3, schedulers: int = 1) -> Callable[[Callable[[Trial], float]], Fault]:
    """Make a fault of a function that causes it. The first line of the function's docstring is WHAT: THEN."""
    return fault_of(limit_s, lambda: LocalCluster(workers, schedulers=schedulers))


def fault_of(
    limit_s: float, cluster: Callable[[], LocalCluster], why_not: Callable[[], str] = lambda: ""
) -> Callable[[Callable[[Trial], float]], Fault]:
    """Make a fault on a cluster of another kind, as ``fault`` does on one of local processes."""

    def add(cause: Callable[[Trial], float]) -> Fault:
        what, _, then = (cause.__doc__ or "").partition("\n")[0].rstrip(".").partition(": ")
        made = FAULTS[cause.__name__] = Fault(cause.__name__, what, then, limit_s, cluster, cause, why_not)
        return made

    return add


class Trial:
    """A cluster, the jobs that were submitted to it, and a clock that starts when something breaks."""

    def __init__(self, cluster: LocalCluster, client: SparrowClient) -> None:
        self.cluster = cluster
        self.client = client
        self.jobs: list[tuple[JobSpec, Future[JobReport]]] = []
        self.foreign_tasks = 0  # of jobs that others have submitted
        self._broken_s = time.monotonic()
        self._proxies: dict[int, Pyro4.Proxy] = {}
        self._lives = {number: self.stats(number)["incarnation"] for number in self._schedulers()}

    def submit(self, method: str, tasks: int, each_s: float) -> Future[JobReport]:
        """Submit a job of equal tasks, each of so many seconds. ``settle`` checks its report."""
        job = Job(None, tasks, each_s)
        future = self.client.submit(job, method)
        self.jobs.append((JobSpec(job.wire_id, job.durations_s, method, True), future))
        return future

    def stats(self, scheduler: int = 1) -> dict[str, Any]:
        """Returns the stats of that scheduler, over a connection that is kept; empty while it cannot be reached."""
        try:
            return dict(self.proxy(scheduler).stats())
        except Pyro4.errors.PyroError:
            self._proxies.pop(scheduler, None)
            return {}

    def proxy(self, scheduler: int = 1) -> Any:
        """Returns the proxy of that scheduler. Raises PyroError while it cannot be reached."""
        if scheduler not in self._proxies:
            self._proxies[scheduler] = self.cluster.proxy(f"sparrow.scheduler.{scheduler}")
        return self._proxies[scheduler]

    def break_now(self) -> None:
        """Start the clock of ``until``."""
        self._broken_s = time.monotonic()

    def kill(self, *names: str) -> None:
        """Send SIGKILL to all of them at the same time, and start the clock of ``until``."""
        self.break_now()
        for name in names:
            self.cluster.processes[name].kill()
        for name in names:
            self.cluster.processes.pop(name).wait()

    def until(self, condition: Callable[[], object], what: str, within_s: float = 20.0) -> float:
        """Wait until the condition is true. Returns the seconds since something broke. Raises TrialError after ``within_s``."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline_s:
                raise TrialError(f"not within {within_s:g} s: {what}")
            time.sleep(POLL_S)
        return time.monotonic() - self._broken_s

    def until_placed_without(self, *lost: str) -> float:
        """Wait until the scheduler has given these workers up, and others have all that they held."""

        def placed() -> bool:
            stats = self.stats()
            return bool(stats) and not set(lost) & set(stats["workers"]) and self.all_is_out(stats)

        return self.until(placed, f"{', '.join(lost)} given up and what it held placed again")

    @staticmethod
    def all_is_out(stats: dict[str, Any]) -> bool:
        """Returns whether every open task is on a worker, or has a reservation there."""
        return not stats["open_tasks"]["waiting"] or any(held["reservations"] for held in stats["workers"].values())

    def newest_is_placed(self) -> bool:
        """Returns whether workers have been given all tasks of the newest job. Once this is so it remains so."""
        id = self.jobs[-1][0].id
        details = self.proxy().stats([id], True)["details"].get(id)
        return bool(details) and all(task["state"] != "unplaced" for task in details["tasks"])

    def a_worker_that(self, holds: str, at_least: int = 1) -> str:
        """Wait for a worker with so many ``runs`` or ``reservations``, and return its name."""
        found: list[str] = []

        def look() -> list[str]:
            workers = self.stats().get("workers", {})
            found.extend(name for name, held in sorted(workers.items()) if held[holds] >= at_least)
            return found

        self.until(look, f"a worker with {at_least} {holds}")
        return found[0]

    def until_loaded(self, load: int) -> None:
        """Wait until each worker has so many tasks or reservations."""
        workers = [name for name in self.cluster.processes if name.startswith("host")]
        self.until(lambda: all(self.cluster.load(name) == load for name in workers), f"{load} tasks on each worker")

    @contextmanager
    def nobody_lost(self) -> Iterator[None]:
        """Raise TrialError if a scheduler or worker gives another one up within the block."""
        logs = sorted(self.cluster.logs.glob("[hs]*.log"))  # of workers and schedulers
        before = [log.read_text().count("is lost") for log in logs]
        yield
        for log, count in zip(logs, before):
            if log.read_text().count("is lost") > count:
                raise TrialError(f"somebody was given up:\n{log.read_text()[-1000:]}")

    def settle(self) -> None:
        """Wait until all jobs have ended and check that each was reported once, each task counted once, and nothing is left."""
        deadline_s = time.monotonic() + SETTLED_S
        reports = [future.result(max(0.0, deadline_s - time.monotonic())) for _, future in self.jobs]
        self.until(self.cluster.holds_nothing, "the books empty", EMPTY_S)
        wrong = [line for (spec, _), report in zip(self.jobs, reports) for line in self._wrong_with(spec, report)]
        wrong += self._wrong_with_counts()
        wrong += [f"a traceback in {path.name}" for path in self.cluster.logs.glob("*.log") if "Traceback" in path.read_text()]
        if wrong:
            raise LossError("\n".join(wrong))

    def _wrong_with(self, spec: JobSpec, report: JobReport) -> list[str]:
        workers = {path.stem for path in self.cluster.logs.glob("host*.log")} | set(self.cluster.outputs)
        failed = [f"{spec.id}: task {task} failed: {reason}" for task, reason in report.failed.items()]
        return failed + audit.of_report(spec, as_sent(report), workers)

    def _wrong_with_counts(self) -> list[str]:
        """Compare what the schedulers have counted with what was submitted. A scheduler that was restarted knows only a part."""
        found = []
        all_jobs = all_tasks = 0
        lives = {}
        for number in self._schedulers():
            stats = self.cluster.stats(number)
            lives[number] = stats["incarnation"]
            counts = [method["counts"] for method in stats["methods"].values()]
            tasks, done = sum(count["tasks"] for count in counts), sum(count["done"] for count in counts)
            all_jobs, all_tasks = all_jobs + sum(count["jobs"] for count in counts), all_tasks + done
            if tasks != done:
                found.append(f"scheduler {number} was given {tasks} tasks and has counted {done}")
        submitted = sum(len(spec.durations_s) for spec, _ in self.jobs) + self.foreign_tasks
        if lives == self._lives and all_tasks != submitted:
            found.append(f"{submitted} tasks were submitted and {all_tasks} counted, in {all_jobs} jobs")
        return found

    def _schedulers(self) -> list[int]:
        return [int(name[len("scheduler") :]) for name in self.cluster.processes if name.startswith("scheduler")]


def as_sent(report: JobReport) -> Report:
    """Returns a report as it came over the wire, for the checks of ``src.simulation.audit``."""
    return {
        "id": report.id,
        "method": report.method,
        "submitted": report.submitted,
        "finished": report.finished,
        "response_s": report.response_s,
        "ideal_s": report.ideal_s,
        "retried": report.retried,
        "tasks": [
            {
                "worker": task.worker,
                "wait_s": task.wait_s,
                "service_s": task.service_s,
                "attempts": task.attempts - report.handed_over,
            }
            for task in report.tasks
        ],
        "failed": [{"reason": reason, "tasks": [task]} for task, reason in report.failed.items()],
    }
