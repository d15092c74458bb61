"""One fault under running jobs: what is broken, how long it takes to be made good, and the check that nothing was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple

import Pyro4

from scripts.testbed.local_cluster import LocalCluster
from src.Job import Job, JobReport
from src.simulation import audit
from src.sparrow import messages as m
from src.sparrow.placement import METHODS
from src.SparrowClient import SparrowClient

SETTLED_S = 60.0  # for all jobs to end, on a busy machine
EMPTY_S = 10.0  # and for the books to be empty after that
POLL_S = 0.002
WARM_UP_TASKS, WARM_UP_S = 4, 0.03


class TrialError(AssertionError):
    """What was to be proven does not hold; the text says what."""


class Fault(NamedTuple):
    """A fault that can be tried. ``what`` breaks, and the clock runs until ``then``; more than ``limit_s`` is too long."""

    name: str
    what: str
    then: str
    limit_s: float
    cluster: Callable[[], LocalCluster]
    cause: Callable[[Trial], float]
    why_not: Callable[[], str]  # why it cannot be tried here; empty if it can

    def measure(self) -> float:
        """Seconds from the fault to its recovery, on a cluster of its own. TrialError if anything was lost or counted twice."""
        with self.cluster() as cluster, SparrowClient(cluster.nameserver) as client:
            trial = Trial(cluster, client)
            for method in METHODS:  # who talks to whom is connected from here on, and has been for a while
                trial.submit(method, WARM_UP_TASKS, WARM_UP_S).result(SETTLED_S)
            recovery_s = self.cause(trial)
            trial.settle()
            return recovery_s


FAULTS: dict[str, Fault] = {}  # by name, in the order in which they are shown


def fault(limit_s: float, workers: int = 3, schedulers: int = 1) -> Callable[[Callable[[Trial], float]], Fault]:
    """Make a fault of a function that causes it. The first line of its docstring is WHAT: THEN."""
    return fault_of(limit_s, lambda: LocalCluster(workers, schedulers=schedulers))


def fault_of(
    limit_s: float, cluster: Callable[[], LocalCluster], why_not: Callable[[], str] = lambda: ""
) -> Callable[[Callable[[Trial], float]], Fault]:
    """The same on a cluster of another kind."""

    def add(cause: Callable[[Trial], float]) -> Fault:
        what, _, then = (cause.__doc__ or "").partition("\n")[0].rstrip(".").partition(": ")
        made = FAULTS[cause.__name__] = Fault(cause.__name__, what, then, limit_s, cluster, cause, why_not)
        return made

    return add


class Trial:
    """A cluster, a client with jobs in it, and a clock that starts when something breaks."""

    def __init__(self, cluster: LocalCluster, client: SparrowClient) -> None:
        self.cluster = cluster
        self.client = client
        self.jobs: list[tuple[m.JobSpec, Future]] = []
        self.foreign_tasks = 0  # of jobs that others have submitted
        self._broken_s = time.monotonic()
        self._proxies: dict[int, Pyro4.Proxy] = {}
        self._lives = {number: self.stats(number)["incarnation"] for number in self._schedulers()}

    def submit(self, method: str, tasks: int, each_s: float) -> Future:
        job = Job(None, tasks, each_s)
        future = self.client.submit(job, method)
        self.jobs.append((m.JobSpec(job.wire_id, job.durations_s, method, True), future))
        return future

    def stats(self, scheduler: int = 1) -> dict[str, Any]:
        """What that scheduler says in brief, on a connection that is kept; empty while it cannot be reached."""
        try:
            if scheduler not in self._proxies:
                self._proxies[scheduler] = self.cluster.proxy(f"sparrow.scheduler.{scheduler}")
            return dict(self._proxies[scheduler].stats([], False, True))
        except Pyro4.errors.PyroError:
            self._proxies.pop(scheduler, None)
            return {}

    def break_now(self) -> None:
        """The clock of ``until`` starts."""
        self._broken_s = time.monotonic()

    def kill(self, *names: str) -> None:
        """kill -9, all at the same time; the clock of ``until`` starts."""
        self.break_now()
        for name in names:
            self.cluster.processes[name].kill()
        for name in names:
            self.cluster.processes.pop(name).wait()

    def until(self, condition: Callable[[], object], what: str, within_s: float = 20.0) -> float:
        """Wait until it is true. Returns the seconds since something broke. TrialError if that is not to be."""
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
        """Whether every open task is on a worker, or has a reservation out."""
        return not stats["open_tasks"]["waiting"] or any(held["reservations"] for held in stats["workers"].values())

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
        """TrialError if a scheduler or worker gives another up within the block."""
        logs = sorted(self.cluster.logs.glob("[hs]*.log"))  # of workers and schedulers
        before = [log.read_text().count("is lost") for log in logs]
        yield
        for log, count in zip(logs, before):
            if log.read_text().count("is lost") > count:
                raise TrialError(f"somebody was given up:\n{log.read_text()[-1000:]}")

    def settle(self) -> None:
        """Wait until all jobs have ended and check the books: each job reported once, each task counted once, nothing left."""
        deadline_s = time.monotonic() + SETTLED_S
        reports = [future.result(max(0.0, deadline_s - time.monotonic())) for _, future in self.jobs]
        self.until(self.cluster.holds_nothing, "the books empty", EMPTY_S)
        wrong = [line for (spec, _), report in zip(self.jobs, reports) for line in self._wrong_with(spec, report)]
        wrong += self._wrong_with_counts()
        wrong += [f"a traceback in {path.name}" for path in self.cluster.logs.glob("*.log") if "Traceback" in path.read_text()]
        if wrong:
            raise TrialError("\n".join(wrong))

    def _wrong_with(self, spec: m.JobSpec, report: JobReport) -> list[str]:
        workers = {path.stem for path in self.cluster.logs.glob("host*.log")} | set(self.cluster.outputs)
        failed = [f"{spec.id}: task {task} failed: {reason}" for task, reason in report.failed.items()]
        return failed + audit.of_report(spec, as_sent(report), workers)

    def _wrong_with_counts(self) -> list[str]:
        """What the schedulers have counted, against what was submitted. One that was restarted knows a part only."""
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


def as_sent(report: JobReport) -> dict[str, Any]:
    """A report as it came over the wire, for the checks of ``sparrow.audit``."""
    failed = [[reason, [task]] for task, reason in report.failed.items()]
    return {**report._asdict(), "tasks": [list(task) for task in report.tasks], "failed": failed}
