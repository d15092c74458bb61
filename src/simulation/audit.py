"""The invariants of job tables, work queues, reports and messages. Each check returns the violations that it finds, as sentences.

The checks are for simulated runs and for live tests; they change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from src.sparrow import messages as m
from src.sparrow.jobs import DONE, FAILED, PLACED, UNPLACED
from src.sparrow.jobspec import JobSpec
from src.sparrow.jobtable import JobTable
from src.sparrow.messages import Address
from src.sparrow.placement import method_named
from src.sparrow.reports import Report
from src.sparrow.settings import SchedulerSettings
from src.sparrow.workqueue import WorkQueue

TOLERANCE_S = 1e-6  # the rounding error of sums of times


def of_table(table: JobTable) -> list[str]:
    """Returns the violations in one scheduler's table after an event: tasks, reservations and workers must agree."""
    found = []
    out: Counter[str] = Counter()
    runs, reservations = set(), set()
    for job in table.jobs.values():
        if len(job.tasks) < job.num_tasks:
            continue  # its tasks are still being made
        held = Counter(job.unplaced)
        for round_ in job.rounds.values():
            held.update(round_.tasks)
        held.update(table.postponed.of(job.id))
        waiting = {index for index, task in enumerate(job.tasks) if task.state == UNPLACED}
        if set(held) != waiting or any(times > 1 for times in held.values()):
            found.append(f"{job.id}: unplaced tasks {sorted(waiting)}, but {sorted(held.elements())} wait to be placed")
        still = sum(task.state not in (DONE, FAILED) for task in job.tasks)
        if job.open != still or not (still or job.id in table.placer.unfinished):  # its reservations end, and its report is made
            found.append(f"{job.id}: open with {still} of its tasks, and says {job.open}")
        if (
            job.method.late_binding
            and not job.method.pulls
            and job.unplaced
            and not job.reserved
            and not job.to_reserve
            and table.workers
            and job.id not in table.placer.waiting_for_workers
        ):
            found.append(f"{job.id}: tasks wait, but no reservation is out")
        if job.method.pulls and job.unplaced and table.placer.idle and not table.has_work:
            found.append(f"{job.id}: tasks wait, and an idle worker is known")
        runs |= {(task.worker, job.id, index) for index, task in enumerate(job.tasks) if task.state == PLACED}
        reservations |= {(worker, job.id, number) for number, worker in job.reserved.items()}
        out[job.method.name] += len(job.reserved)
    if runs != {(entry.address.name, *run) for entry in table.holders() for run in entry.runs}:
        found.append("jobs and workers differ about the runs that are out")
    present, held_or_lost = (
        {(entry.address.name, *key) for entry in entries for key in entry.reservations}
        for entries in (table.workers.values(), table.holders())
    )
    if not present <= reservations <= held_or_lost:  # of a worker that is lost, some may have been cancelled before their turn
        found.append("jobs and workers differ about the reservations that are out")
    for method, count in table.tally.counts.items():
        ends = count["assigned"] + count["no_ops"] + count["cancellations"] + count["reservations_lost"]
        if count["reservations"] != ends + out[method]:
            found.append(f"{method}: {count['reservations']} reservations, {ends} ended and {out[method]} are out")
    return found


def of_queue(queue: WorkQueue) -> list[str]:
    """Returns the violations in one worker's queue after an event: free slots, double entries, or too many taken slots."""
    found = []
    taken = len(queue.running) + len(queue.asking)
    if taken > queue.slots:
        found.append(f"{taken} of {queue.slots} slots taken")
    if len(queue.queue) and taken < queue.slots and not queue.has_work:  # nothing begins while it drops entries
        found.append(f"{len(queue.queue)} queued, and only {taken} of {queue.slots} slots taken")
    twice = [entry.key for entry in queue.queue if entry.key in queue.running or entry.key in queue.asking]
    if twice:
        found.append(f"queued and in a slot at once: {twice}")
    return found


def of_report(spec: JobSpec, report: Report, workers: set[str]) -> list[str]:
    """Returns the violations in the report of one job: every task must be in it, done or failed, with possible times."""
    found = []
    tasks, failed = report["tasks"], failed_tasks(report)
    if report["id"] != spec.id or (spec.method and report["method"] != spec.method):
        found.append(f"a report of {report['id']} by {report['method']}")
    if len(tasks) != len(spec.durations_s) or len(set(failed)) != len(failed) or not set(failed) <= set(range(len(tasks))):
        found.append(f"{len(tasks)} tasks reported, {len(report['failed'])} of them as failed, of {len(spec.durations_s)}")
    for index, task in enumerate(tasks):
        worker, wait_s, service_s, attempts = task["worker"], task["wait_s"], task["service_s"], task["attempts"]
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
    """Records all messages and all runs of a cluster, and checks the schedulers against them."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self._late_bound: set[str] = set()  # the ids of late-binding jobs
        self._asked: set[tuple[str, str, m.Reservation]] = set()  # (incarnation of worker, of scheduler, reservation) of each Ask
        self._missing: set[tuple[str, str, m.Run]] = set()  # the same with the runs that a Holdings names as missing
        self._given: dict[tuple[str, str, int], dict[int, float]] = {}  # (incarnation of scheduler, job, task) -> attempt -> when
        self._idle: set[tuple[str, str]] = set()  # (incarnation of worker, of scheduler) of each Idle and Ask
        self._ran: dict[tuple[str, Address, str, int], int] = {}  # (worker, scheduler, job, task) -> the last attempt ended

    def submitted(self, spec: JobSpec) -> None:
        """A client has submitted this job."""
        if spec.method and method_named(spec.method).late_binding:
            self._late_bound.add(spec.id)

    def heard(self, sender: Address, receiver: Address, batch: Iterable[m.Message], now: float) -> None:
        """A node has sent this batch to another at this time.

        A worker may get a late-bound task only if it asked for it, now or before.
        """
        ends = sender.incarnation, receiver.incarnation
        for message in batch:
            if isinstance(message, (m.Ask, m.Idle)):
                self._idle.add(ends)
            if isinstance(message, m.Ask):
                self._asked.add((*ends, (message.job, message.reservation)))
            elif isinstance(message, m.Holdings):
                self._missing.update((*ends, run) for run in message.missing_runs)
            elif isinstance(message, m.Assign):
                self._gave(sender, message, now)
                if (*ends[::-1], (message.job, message.reservation)) not in self._asked:
                    self.violations.append(f"{message} to {receiver.name}, which did not ask")
            elif isinstance(message, m.Offer):
                self._gave(sender, message, now)
                if ends[::-1] not in self._idle:
                    self.violations.append(f"{message} to {receiver.name}, which has not said that it is idle")
            elif isinstance(message, m.Launch):
                self._gave(sender, message, now)
                run = message.job, message.task, message.attempt
                if message.job in self._late_bound and (*ends[::-1], run) not in self._missing:
                    self.violations.append(f"{message} to {receiver.name}, of a late-binding job")

    def _gave(self, scheduler: Address, given: m.Launch | m.Assign | m.Offer, now: float) -> None:
        self._given.setdefault((scheduler.incarnation, given.job, given.task), {}).setdefault(given.attempt, now)

    def ran(self, worker: str, scheduler: Address, run: m.Run) -> None:
        """A worker has run this to its end."""
        self._ran[worker, scheduler, run[0], run[1]] = run[2]

    def finished(self, scheduler: Address, report: Report, settings: SchedulerSettings) -> None:
        """A scheduler has ended a job: each task that counts as done must have run on that worker, in that attempt.

        Attempts that were sent back at once are not reported, so the run may have a higher number.
        A task that has failed must have been given to workers often enough, and not within a moment.
        """
        failed = failed_tasks(report)
        lasting_s = sum(settings.retry_pause_s * 2**n for n in range(settings.max_retries - 1))  # the first pause is none
        for index in failed:
            given_s = list(self._given.get((scheduler.incarnation, report["id"], index), {}).values())
            if len(given_s) <= settings.max_retries or given_s[-1] - given_s[0] < lasting_s - TOLERANCE_S:
                self.violations.append(f"{report['id']}: task {index} has failed, and was given to workers at {given_s} only")
        for index, task in enumerate(report["tasks"]):
            worker = str(task["worker"])
            if index not in failed and self._ran.get((worker, scheduler, report["id"], index), 0) < task["attempts"]:
                self.violations.append(f"{report['id']}: task {index} counts as done by {worker}, which never finished it")


def failed_tasks(report: Report) -> list[int]:
    """Returns the numbers of the failed tasks of a report."""
    return [index for failure in report["failed"] for index in failure["tasks"]]
