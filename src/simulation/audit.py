"""What must always be true of the books, of reports and of what is said. Each check returns the violations it found, as sentences.

For simulated runs, and for live tests: nothing here changes a book.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from src.sparrow import messages as m
from src.sparrow.jobs import DONE, FAILED, PLACED, UNPLACED
from src.sparrow.jobtable import JobTable
from src.sparrow.placement import method_named
from src.sparrow.queues import Owner
from src.sparrow.workqueue import WorkQueue

TOLERANCE_S = 1e-6  # of sums of times


def of_table(table: JobTable) -> list[str]:
    """Of one scheduler's book, after any event: tasks, reservations and workers tell the same story."""
    found = []
    out: Counter = Counter()
    runs, reservations = set(), set()
    for job in table.jobs.values():
        held = Counter(job.unplaced)
        for round_ in job.rounds.values():
            held.update(round_.tasks)
        waiting = {index for index, task in enumerate(job.tasks) if task.state == UNPLACED}
        if set(held) != waiting or any(times > 1 for times in held.values()):
            found.append(f"{job.id}: unplaced tasks {sorted(waiting)}, but {sorted(held.elements())} wait to be placed")
        still = sum(task.state not in (DONE, FAILED) for task in job.tasks)
        if job.open != still or not still:
            found.append(f"{job.id}: open with {still} of its tasks, and says {job.open}")
        if job.method.late_binding and job.unplaced and not job.reserved and table.workers and job.id not in table._starving:
            found.append(f"{job.id}: tasks wait, but no reservation is out")
        runs |= {(task.worker, job.id, index) for index, task in enumerate(job.tasks) if task.state == PLACED}
        reservations |= {(worker, job.id, number) for number, worker in job.reserved.items()}
        out[job.method.name] += len(job.reserved)
    if runs != {(name, *run) for name, entry in table.workers.items() for run in entry.runs}:
        found.append("jobs and workers differ about the runs that are out")
    if reservations != {(name, *key) for name, entry in table.workers.items() for key in entry.reservations}:
        found.append("jobs and workers differ about the reservations that are out")
    for method, count in table.tally.counts.items():
        ends = count["assigned"] + count["no_ops"] + count["cancellations"] + count["reservations_lost"]
        if count["reservations"] != ends + out[method]:
            found.append(f"{method}: {count['reservations']} reservations, {ends} ended and {out[method]} are out")
    return found


def of_queue(queue: WorkQueue) -> list[str]:
    """Of one worker's book, after any event: its slots and its queue."""
    found = []
    taken = len(queue.running) + len(queue.asking)
    if taken > queue.slots:
        found.append(f"{taken} of {queue.slots} slots taken")
    if len(queue.queue) and taken < queue.slots:
        found.append(f"{len(queue.queue)} queued, and only {taken} of {queue.slots} slots taken")
    twice = [entry.key for entry in queue.queue if entry.key in queue.running or entry.key in queue.asking]
    if twice:
        found.append(f"queued and in a slot at once: {twice}")
    return found


def of_report(spec: m.JobSpec, report: dict[str, Any], workers: set[str]) -> list[str]:
    """Of the report of one job: every task is in it, done or failed, with times that can be."""
    found = []
    tasks, failed = report["tasks"], failed_tasks(report)
    if report["id"] != spec.id or (spec.method and report["method"] != spec.method):
        found.append(f"a report of {report['id']} by {report['method']}")
    if len(tasks) != len(spec.durations_s) or len(set(failed)) != len(failed) or not set(failed) <= set(range(len(tasks))):
        found.append(f"{len(tasks)} tasks reported, {len(report['failed'])} of them as failed, of {len(spec.durations_s)}")
    for index, (worker, wait_s, service_s, attempts) in enumerate(tasks):
        if index in failed:
            continue
        if worker not in workers or attempts < 1 or wait_s < 0 or service_s < spec.durations_s[index] - TOLERANCE_S:
            found.append(f"task {index} done by {worker} in {attempts} attempts, after {wait_s} s of waiting, in {service_s} s")
        elif wait_s + service_s > report["response_s"] + TOLERANCE_S:
            found.append(f"task {index} took {wait_s} + {service_s} s, the whole job {report['response_s']} s")
    if not failed and report["response_s"] < report["ideal_s"] - TOLERANCE_S:
        found.append(f"a response of {report['response_s']} s where {report['ideal_s']} s is ideal")
    return [f"{spec.id}: {violation}" for violation in found]


class Witness:
    """Hears all that is said in a cluster and sees what is run, and holds the schedulers to it."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self._late_bound: set[str] = set()  # jobs
        self._asked: set[tuple] = set()  # (worker, scheduler, reservation), as the next two with a run
        self._missing: set[tuple] = set()
        self._ran: set[tuple] = set()

    def submitted(self, spec: m.JobSpec) -> None:
        if spec.method and method_named(spec.method).late_binding:
            self._late_bound.add(spec.id)

    def told(self, worker: Owner, scheduler: Owner, message: m.Message) -> None:
        """A worker says this. What a scheduler may answer follows from it."""
        if isinstance(message, m.Ask):
            self._asked.add((worker, scheduler, tuple(message)))
        elif isinstance(message, m.Held):
            self._missing.update((worker, scheduler, run) for run in message.missing_runs)

    def sent(self, scheduler: Owner, worker: Owner, message: m.Message) -> None:
        """A scheduler says this. Late binding: no worker gets a task that it did not ask for, now or before it was missing."""
        if isinstance(message, m.Assign):
            if (worker, scheduler, (message.job, message.reservation)) not in self._asked:
                self.violations.append(f"{message} to {worker}, which did not ask")
        elif isinstance(message, m.Launch):
            run = message.job, message.task, message.attempt
            if message.job in self._late_bound and (worker, scheduler, run) not in self._missing:
                self.violations.append(f"{message} to {worker}, of a late-binding job")

    def ran(self, worker: Owner, scheduler: Owner, run: m.Run) -> None:
        """A run has really come to its end."""
        self._ran.add((worker.scheduler, scheduler, run))

    def finished(self, scheduler: Owner, report: dict[str, Any]) -> None:
        """A scheduler ends a job: what it counts as done must have been run, by that worker, in that attempt."""
        failed = failed_tasks(report)
        for index, (worker, _, _, attempt) in enumerate(report["tasks"]):
            if index not in failed and (worker, scheduler, (report["id"], index, attempt)) not in self._ran:
                self.violations.append(f"{report['id']}: task {index} counts as done by {worker}, which never finished it")


def failed_tasks(report: dict[str, Any]) -> list[int]:
    """The numbers of a report's failed tasks."""
    return [index for _, tasks in report["failed"] for index in tasks]
