"""The scheduler's book: every open job, and what each worker holds on its behalf.

A state machine: each method is an event and returns the commands that follow from it. ``Send`` is to be delivered to that worker
(or, while a call of that worker is being answered, may go into the answer); ``Finish`` is a job's report. Nothing else happens.

Late binding follows the paper's section 3.3, cancellation its section 3.6; what a lost worker held is placed again, which the paper
leaves out.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple, Union

from src.sparrow import messages as m
from src.sparrow.jobs import DONE, FAILED, PLACED, UNPLACED, Job, Round, Sampler, WorkerEntry, by_job, due
from src.sparrow.placement import PROBE_RATIO, method_named
from src.sparrow.tally import Tally

MAX_RETRIES = 3  # times that a task is placed again after its worker was lost; then it fails
PROBE_TIMEOUT_S = 1.0  # a round of probes is decided on the answers that are there by then
HEARTBEAT_S = 0.5  # between two heartbeats to a worker that holds something
DOUBTED_S = 3.0  # a worker that was given up and is back is asked for so long what it still holds of what was taken back
GATHER_S = 0.1  # the first worker to join does not get all the jobs that waited for one: others get this long to join
REMEMBERED_WORKERS = 10_000  # that were lost
REMEMBERED_JOBS = 10_000  # ended jobs whose late messages are known to be late, not wrong


class Send(NamedTuple):
    worker: str
    message: m.Message


class Finish(NamedTuple):
    job: str
    report: dict


Command = Union[Send, Finish]


class UnknownIdError(LookupError):
    """A message speaks of a job, task or worker that this scheduler has never heard of. Nothing was changed."""


class JobTable:
    """The book of one scheduler. Not thread-safe: its owner's event loop is the only one to touch it."""

    def __init__(self, rng: random.Random, default_method: str = "RANDOM") -> None:
        self._rng = rng
        self.default_method = method_named(default_method).name
        self.jobs: dict[str, Job] = {}
        self.workers: dict[str, WorkerEntry] = {}
        self._sampler = Sampler()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._starving: dict[str, Job] = {}  # jobs with tasks for which there was no worker at all
        self._feed_at_s: float | None = None
        self._reservations_made = 0  # a number is never used twice, not even for a job that is submitted again after its end
        self._given_up: dict[str, str] = {}  # workers that were lost -> incarnation
        self._doubted: dict[str, float] = {}  # workers that were lost and are back in the same incarnation -> until when
        self.tally = Tally()

    # Events: from clients, and from the world

    def submitted(self, spec: m.JobSpec, now: float) -> list[Command]:
        """A client hands over a job. Submitting an open job again changes nothing. ValueError for an unknown method."""
        job = Job(spec, spec.method or self.default_method, now)
        if spec.id in self.jobs:
            return []
        out: list[Command] = []
        self.jobs[job.id] = job
        self._ended.pop(job.id, None)
        self._count(job, "jobs")
        self._count(job, "tasks", len(job.tasks))
        self._place(job, list(range(len(job.tasks))), now, out)
        return out

    def joined(self, worker: str, incarnation: str, slots: int, now: float) -> list[Command]:
        """A worker can be reached. One that had another incarnation before was restarted: what it held is lost."""
        out: list[Command] = []
        known = self.workers.get(worker)
        if known is not None:
            if known.incarnation == incarnation:
                return out
            out += self.lost(worker, now)
        if self._given_up.pop(worker, None) == incarnation:
            self._doubted[worker] = now + DOUBTED_S
        self.workers[worker] = WorkerEntry(incarnation, slots)
        self._sampler.add(worker)
        if self._starving and self._feed_at_s is None:
            self._feed_at_s = now + GATHER_S
        return out

    def lost(self, worker: str, now: float) -> list[Command]:
        """A worker is gone with all that it held."""
        out: list[Command] = []
        entry = self.workers.pop(worker, None)
        if entry is not None:
            self._sampler.remove(worker)
            self._given_up[worker] = entry.incarnation
            if len(self._given_up) > REMEMBERED_WORKERS:
                del self._given_up[next(iter(self._given_up))]
            self._doubted.pop(worker, None)
            self._take_back(worker, entry.runs, entry.reservations, True, now, out)
            self._probe_in_vain(worker, now, out)
        return out

    def tick(self, now: float) -> list[Command]:
        """Time has passed: to be called about every 0.1 s while ``busy``."""
        out: list[Command] = []
        if self._feed_at_s is not None and now >= self._feed_at_s:
            self._feed(now, out)
        for job in list(self.jobs.values()):
            for round_ in [r for r in job.rounds.values() if now >= r.deadline_s]:
                self._decide(job, round_, now, out)
        for worker in [worker for worker, until_s in self._doubted.items() if now >= until_s]:
            del self._doubted[worker]
        for worker, entry in self.workers.items():
            if (entry.holds_anything() or worker in self._doubted) and now - entry.heartbeat_s >= HEARTBEAT_S:
                entry.heartbeat_s = now
                out.append(Send(worker, self._heartbeat(entry, now)))
        return out

    @property
    def busy(self) -> bool:
        return bool(self.jobs or self._doubted)

    # Events: messages from workers

    def received(self, worker: str, incarnation: str, batch: Iterable[m.Message], now: float) -> list[Command]:
        """A worker says all this. UnknownIdError, and nothing changed, if any of it is about something unheard of.

        A worker that was given up, or an earlier incarnation of it, is answered but not believed.
        """
        batch = list(batch)
        for message in batch:
            self._must_be_known(message)
        out: list[Command] = []
        entry = self.workers.get(worker)
        current = entry is not None and entry.incarnation == incarnation
        for message in batch:
            if current:
                self._handlers[type(message)](self, worker, message, now, out)
            elif isinstance(message, m.Ask):
                out.append(Send(worker, m.NoTask(message.job, message.reservation)))
        return out

    def _must_be_known(self, message: m.Message) -> None:
        if isinstance(message, (m.Done, m.Ask, m.Load)):
            job = self.jobs.get(message.job)
            if job is None:
                if message.job not in self._ended:
                    raise UnknownIdError(f"unknown job {message.job!r}")
            elif isinstance(message, m.Done) and message.task >= len(job.tasks):
                raise UnknownIdError(f"unknown task {message.task} of job {message.job!r}: it has {len(job.tasks)}")
            elif isinstance(message, m.Ask) and message.reservation >= self._reservations_made:
                raise UnknownIdError(f"unknown reservation {message.reservation} of job {message.job!r}")

    def _on_load(self, worker: str, load: m.Load, now: float, out: list[Command]) -> None:
        job = self.jobs.get(load.job)
        round_ = job.rounds.get(load.round) if job else None
        if job and round_ and worker in round_.waiting:
            round_.waiting.discard(worker)
            round_.loads[worker] = load.load
            if not round_.waiting:
                self._decide(job, round_, now, out)

    def _on_ask(self, worker: str, ask: m.Ask, now: float, out: list[Command]) -> None:
        job = self.jobs.get(ask.job)
        if job is not None and job.reserved.get(ask.reservation) == worker:
            self._end_reservation(job, ask.reservation)
            given = job.unplaced.popleft() if job.unplaced else None
            job.asked.append((ask.reservation, worker, now - job.submitted_s, given))
            if given is not None:
                job.assigned[ask.reservation] = given
                self._count(job, "assigned")
                self._placed(job, given, worker, now)
            else:
                self._count(job, "no_ops")
        # Whoever asks again, because the answer may not have arrived, is told the same again.
        index = job.assigned.get(ask.reservation) if job is not None else None
        if job is None or index is None or job.tasks[index].state != PLACED or job.tasks[index].worker != worker:
            out.append(Send(worker, m.NoTask(ask.job, ask.reservation)))
        else:
            task = job.tasks[index]
            out.append(Send(worker, m.Assign(ask.job, ask.reservation, index, task.attempt, task.duration_s)))
            self._cancel_what_is_left(job, out)

    def _on_done(self, worker: str, done: m.Done, now: float, out: list[Command]) -> None:
        job = self.jobs.get(done.job)
        task = job.tasks[done.task] if job else None
        if job is None or task is None or task.state != PLACED or task.worker != worker or task.attempt != done.attempt:
            return  # a run that was superseded, or is told a second time
        task.state = DONE
        held_s = max(0.0, now - task.placed_s)  # a worker that tells of more is wrong, and must not spoil the figures
        task.service_s = min(done.service_s, held_s)
        task.wait_s = task.placed_s - job.submitted_s + min(done.queued_s, held_s - task.service_s)
        entry = self.workers[worker]
        entry.done += 1
        del entry.runs[job.id, done.task]
        self._close_task(job, now, out)

    def _on_held(self, worker: str, held: m.Held, now: float, out: list[Command]) -> None:
        for job_id, index, attempt in held.missing_runs:
            if self._counts(worker, job_id, index, attempt):
                out.append(Send(worker, m.Launch(job_id, index, attempt, self.jobs[job_id].tasks[index].duration_s)))
        for job_id, number in held.missing_reservations:
            if (job_id, number) in self.workers[worker].reservations:
                out.append(Send(worker, m.Reserve(job_id, number)))
        for job_id, index, attempt in held.extra_runs:
            if not self._counts(worker, job_id, index, attempt):
                out.append(Send(worker, m.Drop(job_id, index, attempt)))
        for job_id, number in held.extra_reservations:
            if (job_id, number) not in self.workers[worker].reservations:
                out.append(Send(worker, m.Cancel(job_id, number)))

    def _on_leave(self, worker: str, leave: m.Leave, now: float, out: list[Command]) -> None:
        entry = self.workers[worker]
        entry.leaving = True
        self._sampler.remove(worker)
        kept = {(job, task) for job, task, _ in leave.runs}
        self._take_back(worker, [run for run in entry.runs if run not in kept], entry.reservations, False, now, out)
        self._probe_in_vain(worker, now, out)

    _handlers: dict[type, Callable] = {m.Load: _on_load, m.Ask: _on_ask, m.Done: _on_done, m.Held: _on_held, m.Leave: _on_leave}

    # Placing

    def _place(self, job: Job, tasks: list[int], now: float, out: list[Command]) -> None:
        """Find workers for these unplaced tasks; without any worker they wait for one."""
        workers = self._sampler.names
        if job.method.late_binding or not workers:
            job.unplaced.extend(tasks)
        if not workers:
            self._starving[job.id] = job
        elif job.method.late_binding:
            self._reserve(job, now, out)
        else:
            probed = job.method.probe(len(tasks), workers, self._rng)
            if job.method.needs_loads:
                self._probe(job, tasks, probed, now, out)
            else:
                self._launch(job, tasks, probed, {}, now, out)

    def _probe(self, job: Job, tasks: list[int], probed: list[str], now: float, out: list[Command]) -> None:
        round_ = Round(job.rounds_begun, tasks, probed, now + PROBE_TIMEOUT_S)
        job.rounds_begun += 1
        job.rounds[round_.number] = round_
        self._count(job, "probes", len(probed))
        out.extend(Send(worker, m.Probe(job.id, round_.number)) for worker in dict.fromkeys(probed))

    def _decide(self, job: Job, round_: Round, now: float, out: list[Command]) -> None:
        """Place the tasks of a round by the loads that were answered, or sample again if none was."""
        del job.rounds[round_.number]
        loads = {worker: load for worker, load in round_.loads.items() if self._can_take(worker)}
        if loads:
            self._launch(job, round_.tasks, round_.probed, loads, now, out)
        else:
            self._place(job, round_.tasks, now, out)

    def _launch(self, job: Job, tasks: list[int], probed: list[str], loads: dict[str, int], now: float, out: list[Command]) -> None:
        chosen = job.method.place(len(tasks), probed, loads, self._rng)
        job.decisions.append((tasks, probed, loads, chosen))
        for index, worker in zip(tasks, chosen):
            self._placed(job, index, worker, now)
            task = job.tasks[index]
            out.append(Send(worker, m.Launch(job.id, index, task.attempt, task.duration_s)))

    def _placed(self, job: Job, index: int, worker: str, now: float) -> None:
        task = job.tasks[index]
        task.state, task.worker, task.placed_s = PLACED, worker, now
        task.attempt += 1
        self.workers[worker].runs[job.id, index] = now

    def _reserve(self, job: Job, now: float, out: list[Command]) -> None:
        """Have d reservations out for each task that waits for one."""
        short = PROBE_RATIO * len(job.unplaced) - len(job.reserved)
        if short > 0:
            chosen = job.method.probe(-(-short // PROBE_RATIO), self._sampler.names, self._rng)
            self._count(job, "reservations", len(chosen))
            for worker in chosen:
                number = self._reservations_made
                self._reservations_made += 1
                job.reserved[number] = worker
                self.workers[worker].reservations[job.id, number] = now
                out.append(Send(worker, m.Reserve(job.id, number)))

    def _cancel_what_is_left(self, job: Job, out: list[Command]) -> None:
        """Proactive cancellation, once no task of the job waits for a reservation."""
        if job.reserved and not job.unplaced:
            self._count(job, "cancellations", len(job.reserved))
            for number, worker in list(job.reserved.items()):
                self._end_reservation(job, number)
                out.append(Send(worker, m.Cancel(job.id, number)))

    def _end_reservation(self, job: Job, number: int) -> None:
        del self.workers[job.reserved.pop(number)].reservations[job.id, number]

    # Ending, and beginning again

    def _take_back(
        self,
        worker: str,
        runs: Iterable[tuple[str, int]],
        reservations: Iterable[tuple[str, int]],
        lost: bool,
        now: float,
        out: list[Command],
    ) -> None:
        """What ``worker`` held is not there any more: place it again, unless a task has been lost too often."""
        entry = self.workers.get(worker)
        given_up, unreserved = by_job(runs), by_job(reservations)
        if entry is not None:
            entry.reservations.clear()
            for job_id, tasks in given_up.items():
                for index in tasks:
                    del entry.runs[job_id, index]
        for job_id in {**given_up, **unreserved}:
            job = self.jobs[job_id]
            for number in unreserved.get(job_id, ()):
                del job.reserved[number]
                self._count(job, "reservations_lost")
            again = [index for index in given_up.get(job_id, ()) if self._try_again(job, index, worker, lost, now, out)]
            if again:
                self._place(job, again, now, out)
            elif job.method.late_binding and job.unplaced and job_id in self.jobs:
                self._place(job, [], now, out)

    def _try_again(self, job: Job, index: int, worker: str, lost: bool, now: float, out: list[Command]) -> bool:
        """Make a task that ``worker`` had unplaced again; False if it has failed instead."""
        task = job.tasks[index]
        task.state, task.worker = UNPLACED, None
        if not lost:
            return True
        task.lost_on += (worker,)
        if len(task.lost_on) <= MAX_RETRIES:
            job.retried += 1
            self._count(job, "retried")
            return True
        task.state = FAILED
        task.reason = f"lost with its worker {len(task.lost_on)} times, on {', '.join(task.lost_on)}: not tried again"
        job.failed += 1
        self._count(job, "failed")
        self._close_task(job, now, out)
        return False

    def _probe_in_vain(self, worker: str, now: float, out: list[Command]) -> None:
        for job in list(self.jobs.values()):
            for round_ in [r for r in job.rounds.values() if worker in r.waiting]:
                round_.waiting.discard(worker)
                if not round_.waiting:
                    self._decide(job, round_, now, out)

    def _feed(self, now: float, out: list[Command]) -> None:
        """Workers are there again: place what had waited for one."""
        self._feed_at_s = None
        starving, self._starving = self._starving, {}
        for job in starving.values():
            tasks, late = list(job.unplaced), job.method.late_binding
            if not late:
                job.unplaced.clear()
            self._place(job, [] if late else tasks, now, out)

    def _close_task(self, job: Job, now: float, out: list[Command]) -> None:
        job.open -= 1
        self._cancel_what_is_left(job, out)
        if job.open == 0:
            del self.jobs[job.id]
            self._starving.pop(job.id, None)
            self._ended[job.id] = None
            if len(self._ended) > REMEMBERED_JOBS:
                self._ended.popitem(last=False)
            report = job.report(now)
            self.tally.ended(job, report, now)
            out.append(Finish(job.id, report))

    # Questions

    def _counts(self, worker: str, job_id: str, index: int, attempt: int) -> bool:
        """Whether that run on that worker is the one that counts for its task."""
        return (job_id, index) in self.workers[worker].runs and self.jobs[job_id].tasks[index].attempt == attempt

    def _can_take(self, worker: str) -> bool:
        entry = self.workers.get(worker)
        return entry is not None and not entry.leaving

    def _heartbeat(self, entry: WorkerEntry, now: float) -> m.Heartbeat:
        runs = [(job_id, index, self.jobs[job_id].tasks[index].attempt) for job_id, index in due(entry.runs, now)]
        return m.Heartbeat(runs, due(entry.reservations, now))

    def _count(self, job: Job, what: str, by: int = 1) -> None:
        self.tally.count(job.method.name, what, by)

    def progress(self, job_ids: Iterable[str]) -> dict[str, Any]:
        """Tasks ended and tasks in all, of those of these jobs that are open."""
        return {id: [len(job.tasks) - job.open, len(job.tasks)] for id in job_ids if (job := self.jobs.get(id))}
