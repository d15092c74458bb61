"""``JobTable``, the state machine of a scheduler: every open job, and what each worker holds of it.

Each event is a method that returns the commands that follow from it. ``Send`` is a message to a worker, which may go into the
answer while a call of that worker is being answered; ``Finish`` has the report of a job. There are no other effects.

Late binding follows section 3.3 of the paper, cancellation section 3.6. The runs and reservations of a lost worker are placed
again, which the paper does not treat.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence

from src.sparrow import messages as m
from src.sparrow.commands import Finish, Send
from src.sparrow.commands import SchedulerCommand as Command
from src.sparrow.departures import Departure
from src.sparrow.jobs import DONE, UNPLACED, Idle, Job, WorkerEntry, by_job, check_known, due
from src.sparrow.jobspec import JobSpec
from src.sparrow.losses import Loss, LostWorkers, Postponed
from src.sparrow.messages import Address
from src.sparrow.placement import method_named
from src.sparrow.placer import Placer
from src.sparrow.reports import Progress
from src.sparrow.settings import SchedulerSettings
from src.sparrow.tally import Tally


class JobTable:
    """The jobs and workers of one scheduler. Times are seconds of its node's clock. It is not thread-safe."""

    def __init__(
        self, rng: random.Random, default_method: str = "RANDOM", settings: SchedulerSettings = SchedulerSettings()
    ) -> None:
        self._settings = settings
        self.default_method = method_named(default_method).name
        self.jobs: dict[str, Job] = {}
        self.workers: dict[str, WorkerEntry] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self.postponed = Postponed()
        self._has_due = False  # some of them are to be placed
        self._lost_workers = LostWorkers(settings)
        self.tally = Tally(settings.tally)
        self.placer = Placer(rng, settings, self.workers, self.tally)
        self._departures: deque[Departure] = deque()  # workers that are lost or leave, and from which runs are still to be taken
        self._arriving: deque[Job] = deque()  # jobs whose tasks are still to be made
        self._unreconciled: deque[str] = deque()  # workers that are to be reconciled next

    # Events: from clients, about workers, and time

    def submitted(self, spec: JobSpec, now: float) -> list[Command]:
        """A client has submitted a job. Nothing changes if it is open already. Raises ValueError if the method is unknown."""
        job = Job(spec, spec.method or self.default_method, now, self._settings.tally.shown_placements)
        if spec.id in self.jobs:
            return []
        out = self._begin()
        self.jobs[job.id] = job
        self._ended.pop(job.id, None)
        self.tally.submitted(job, sum(spec.durations_s))
        self._make_tasks(job, now, out)
        return out

    def _make_tasks(self, job: Job, now: float, out: list[Command]) -> None:
        """Makes the tasks of a job, or the next ones, and has them placed when all have been made."""
        if job.make_tasks(self._settings.max_made_at_once):
            self.placer.place(job, list(range(job.num_tasks)), now, out)
        else:
            self._arriving.append(job)

    def joined(self, worker: Address, slots: int, now: float) -> list[Command]:
        """A worker is connected, maybe again. If it had another incarnation before, what it held is lost: it was restarted."""
        out: list[Command] = []
        name = worker.name
        known = self.workers.get(name)
        if known is not None and known.address != worker:
            out += self.lost(name, now)
            known = None
        if known is None:
            self._lost_workers.joined(worker, now)
            known = self.workers[name] = WorkerEntry(worker, slots)
        if not known.leaving:
            self.placer.worker_joined(name, now)
            self.placer.begin()
            self.placer.subscribe(out)
        return out

    def disconnected(self, worker: str) -> None:
        """The connection to a worker has ended. It keeps what it has, but gets nothing new before it joins again."""
        self.placer.worker_gone(worker)

    def lost(self, worker: str, now: float, untaken: Iterable[m.Message] = ()) -> list[Command]:
        """A worker is lost, with all its runs and reservations. It has not taken the messages ``untaken``."""
        out = self._begin()
        entry = self.workers.pop(worker, None)
        if entry is not None:
            self.placer.worker_gone(worker)
            self._lost_workers.lost(entry.address)
            self._depart(Departure.by_loss(entry, self.jobs, untaken), now, out)
            self.placer.withdraw_probes(worker, now, out)
        return out

    def tick(self, now: float) -> list[Command]:
        """Some time has passed. The node calls this about every 0.1 s while the table is ``busy``."""
        out = self._begin()
        self.placer.tick(now, out)
        self._place_postponed(now, out)
        self._lost_workers.tick(now)
        self._reconcile_next(now, out)
        return out

    @property
    def has_work(self) -> bool:
        """Whether ``work`` has something to do."""
        return bool(self._departures or self._arriving or self._has_due or self.placer.has_work)

    def work(self, now: float) -> list[Command]:
        """Goes on with what was too much for one event, as far as one step may take. The node calls this while ``has_work``."""
        out = self._begin()
        if self._departures:
            self._take_next(now, out)
        if self._arriving:
            self._make_tasks(self._arriving.popleft(), now, out)
        if self._has_due:
            self._place_postponed(now, out)
        self.placer.work(now, out)
        while self.placer.unfinished and self.placer.budget > 0:
            job = self.placer.turn(now, out)
            if job.open == 0 and not job.reserved:
                self._end(job, now, out)
                break  # the report is work enough
        return out

    def _place_postponed(self, now: float, out: list[Command]) -> None:
        """Places the tasks whose pause is over, or the next ones."""
        while self.placer.budget > 0 and (due_tasks := self.postponed.next(now)):
            job_id, tasks = due_tasks
            self.placer.place(self.jobs[job_id], tasks, now, out)
        self._has_due = self.postponed.is_due(now)

    def _begin(self) -> list[Command]:
        """Begins an event. Returns the list of its commands."""
        self.placer.begin()
        return []

    def _reconcile_next(self, now: float, out: list[Command]) -> None:
        """Reconciles the workers that are due, or as many as one tick may; the others follow in the next tick."""
        settings, due_workers = self._settings, self._unreconciled
        if not due_workers:
            doubted, every_s = self._lost_workers.doubted, settings.reconcile.every_s
            for name, entry in self.workers.items():
                if now - entry.reconciled_s >= every_s and (entry.holds_anything or name in doubted):
                    due_workers.append(name)
        left = settings.max_reconciled
        while due_workers and left > 0:
            worker = self.workers.get(due_workers.popleft())
            if worker is not None:
                worker.reconciled_s = now
                believed = self._reconcile(worker, now)
                left -= 1 + len(believed.runs) + len(believed.reservations)
                out.append(Send(worker.address, believed))

    @property
    def busy(self) -> bool:
        """Whether the table has open jobs or workers to check, so that it needs ``tick``."""
        return bool(self.jobs or self._lost_workers.doubted)

    # Events: messages from workers

    def received(self, worker: Address, batch: Sequence[m.Message], now: float) -> list[Command]:
        """A worker has sent these messages. Raises UnknownIdError, and changes nothing, if one names something that is unknown.

        The messages of a worker that was lost, or of an earlier incarnation, have no effect, but its Asks are answered with no-ops.
        """
        for message in batch:
            check_known(message, self.jobs, self._ended, self.placer.reservations_made)
        entry = self.workers.get(worker.name)
        if entry is None or entry.address != worker:
            return [Send(worker, m.NoTask(message.job, message.reservation)) for message in batch if isinstance(message, m.Ask)]
        return self._take(entry, batch, now)

    def answered(self, worker: Address, answers: Sequence[m.Message], now: float) -> list[Command]:
        """A worker has answered. What it says of a job that has ended meanwhile has no effect, nor has what a lost worker says."""
        entry = self.workers.get(worker.name)
        return [] if entry is None or entry.address != worker else self._take(entry, answers, now)

    def _take(self, worker: WorkerEntry, batch: Sequence[m.Message], now: float) -> list[Command]:
        out: list[Command] = []
        self.placer.budget = self._settings.max_at_once
        for message in batch:
            getattr(self, message.handler)(worker, message, now, out)
        return out

    def _on_load(self, worker: WorkerEntry, load: m.Load, now: float, out: list[Command]) -> None:
        job = self.jobs.get(load.job)
        if job is not None:
            self.placer.load_arrived(job, load, worker.address.name, now, out)

    def _on_ask(self, worker: WorkerEntry, ask: m.Ask, now: float, out: list[Command]) -> None:
        job, name = self.jobs.get(ask.job), worker.address.name
        if job is not None and job.reserved.get(ask.reservation) == name:
            self.placer.end_reservation(job, ask.reservation)
            given = job.unplaced.popleft() if job.unplaced else None
            job.answered(ask.reservation, name, given, now)
            if given is not None:
                job.assigned[ask.reservation] = given
                self._count(job, "assigned")
                self.placer.placed(job, given, worker, now, now)  # it has a free slot for the task
            else:
                self._count(job, "no_ops")
        # A worker that asks again, because the answer may not have arrived, gets the same answer.
        index = job.assigned.get(ask.reservation) if job is not None else None
        if job is None or index is None or (job.id, index) not in worker.runs:
            out.append(Send(worker.address, m.NoTask(ask.job, ask.reservation)))
            if job is not None and job.method.pulls:
                self._give_another(worker, now, out)
        else:
            task = job.tasks[index]
            out.append(Send(worker.address, m.Assign(ask.job, ask.reservation, index, task.attempt, task.duration_s)))
            self._cancel_what_is_left(job, now, out)

    def _give_another(self, worker: WorkerEntry, now: float, out: list[Command]) -> None:
        """A worker has asked for a task of a job that has none left: it gets one of the oldest job that has."""
        self.placer.subscriptions.heard_s = now
        job = self.placer.backlog.oldest()
        if job is not None:
            self.placer.give(job, worker, Idle(1, now, 0), now, out)

    def _on_idle(self, worker: WorkerEntry, idle: m.Idle, now: float, out: list[Command]) -> None:
        name = worker.address.name
        self.placer.subscriptions.heard_s = now
        if idle.epoch > worker.epoch and name in self.placer.sampler.positions:
            worker.epoch = idle.epoch
            self.placer.idle.tell(name, idle.slots, idle.told, idle.schedulers, now)
            if self.placer.backlog.oldest() is not None:
                self.placer.offer(now, out)
            elif idle.schedulers > 1:
                out.append(Send(worker.address, m.Noted(idle.epoch)))

    def _on_bounce(self, worker: WorkerEntry, bounce: m.Bounce, now: float, out: list[Command]) -> None:
        self.placer.idle.forget(worker.address.name)
        if bounce.job in self.jobs and self._is_current(worker, bounce.job, bounce.task, bounce.attempt):
            job = self.jobs[bounce.job]
            del worker.runs[job.id, bounce.task]
            job.bounced(bounce.task)
            self._count(job, "bounced")
            self.placer.place(job, [], now, out)

    def _on_done(self, worker: WorkerEntry, done: m.Done, now: float, out: list[Command]) -> None:
        job = self.jobs.get(done.job)
        if job is None:
            return
        task = job.tasks[done.task]
        if task.attempt != done.attempt or worker.runs.pop((job.id, done.task), None) is None:
            return  # the task was placed again since, or this Done has arrived before
        task.state = DONE
        held_s = max(0.0, now - task.placed_s)  # a worker may report longer times by mistake, which would falsify the statistics
        task.service_s = min(done.service_s, held_s)
        task.wait_s = task.placed_s - job.submitted_s + min(done.queued_s, held_s - task.service_s)
        worker.done += 1
        self._close_task(job, now, out)

    def _on_holdings(self, worker: WorkerEntry, held: m.Holdings, now: float, out: list[Command]) -> None:
        for job_id, index, attempt in held.missing_runs:
            if self._is_current(worker, job_id, index, attempt):
                duration_s = self.jobs[job_id].tasks[index].duration_s
                out.append(Send(worker.address, m.Launch(job_id, index, attempt, duration_s)))
        for job_id, number in held.missing_reservations:
            if (job_id, number) in worker.reservations:
                out.append(Send(worker.address, m.Reserve(job_id, number)))
        for job_id, index, attempt in held.extra_runs:
            if not self._is_current(worker, job_id, index, attempt):
                out.append(Send(worker.address, m.Drop(job_id, index, attempt)))
        for job_id, number in held.extra_reservations:
            if (job_id, number) not in worker.reservations:
                out.append(Send(worker.address, m.Cancel(job_id, number)))
        for (job_id, index, attempt), age_s in held.running:
            if self._is_current(worker, job_id, index, attempt):
                task = self.jobs[job_id].tasks[index]
                task.started_s = max(task.placed_s, now - age_s)

    def _on_leave(self, worker: WorkerEntry, leave: m.Leave, now: float, out: list[Command]) -> None:
        name = worker.address.name
        worker.leaving = True
        self.placer.worker_gone(name)
        kept = {(job, task) for job, task, _ in leave.runs}
        self._depart(Departure.by_leave(worker, kept), now, out)
        self.placer.withdraw_probes(name, now, out)

    # Placing again, and the end of tasks and jobs

    def _depart(self, departure: Departure, now: float, out: list[Command]) -> None:
        """Begins to take from a worker what it had."""
        self._departures.append(departure)
        if len(self._departures) == 1:
            self._take_next(now, out)

    def _take_next(self, now: float, out: list[Command]) -> None:
        """Takes the next runs and reservations from the worker whose departure has begun first. Their tasks are placed again.

        A task that was lost before waits for a while, or fails; not so if the worker gives it back.
        """
        departure = self._departures[0]
        runs, reservations = departure.step(self._settings.max_at_once)
        if departure.is_over:
            self._departures.popleft()
        given_up, unreserved, loss = by_job(runs), by_job(reservations), departure.loss
        for job_id in {**given_up, **unreserved}:
            job = self.jobs.get(job_id)
            if job is None:  # all its tasks have ended, and these reservations were cancelled
                continue
            lost = [number for number in unreserved.get(job_id, ()) if job.reserved.pop(number, None) is not None]
            job.take_back(lost, True, now)
            self._count(job, "reservations_lost", len(lost))
            again: dict[float, list[int]] = {}  # a pause in seconds -> the tasks that are placed again after it
            for index in given_up.get(job_id, ()):
                job.tasks[index].state, job.tasks[index].worker = UNPLACED, None
                pause_s = 0.0 if loss is None else self._lose(job, index, loss, now, out)
                if pause_s is not None:
                    again.setdefault(pause_s, []).append(index)
            at_once = again.pop(0.0, None)
            for pause_s, tasks in again.items():
                self.postponed.add(now + pause_s, job_id, tasks)
            if at_once:
                self.placer.place(job, at_once, now, out)
            elif job.method.late_binding and job.unplaced and job_id in self.jobs:
                self.placer.place(job, [], now, out)

    def _lose(self, job: Job, index: int, loss: Loss, now: float, out: list[Command]) -> float | None:
        """Counts the loss of a task. Returns the pause before it is placed again; None if it has failed: it was lost too often."""
        retried = job.retried
        pause_s = loss.count_task(job, index, self._settings, now)
        self._count(job, "retried", job.retried - retried)
        if pause_s is None:
            self._count(job, "failed")
            self._close_task(job, now, out)
        return pause_s

    def _close_task(self, job: Job, now: float, out: list[Command]) -> None:
        job.open -= 1
        if job.reserved:
            self._cancel_what_is_left(job, now, out)
        if job.open == 0 and not job.reserved:
            if job.num_tasks > self._settings.max_at_once:
                self.placer.unfinished[job.id] = job  # the report is made in a step of its own
            else:
                self._end(job, now, out)

    def _cancel_what_is_left(self, job: Job, now: float, out: list[Command]) -> None:
        """Cancels the job's reservations if no task waits for one any more (proactive cancellation, section 3.6)."""
        if job.reserved and not job.unplaced:
            self.placer.go_on(job, now, out)

    def _end(self, job: Job, now: float, out: list[Command]) -> None:
        del self.jobs[job.id]
        self.placer.ended(job)
        self._ended[job.id] = None
        if len(self._ended) > self._settings.remembered_jobs:
            self._ended.popitem(last=False)
        report = job.report(now)
        self.tally.ended(job, report, now)
        out.append(Finish(job.id, report))

    # State

    def holders(self) -> Iterator[WorkerEntry]:
        """Yields the workers that have runs or reservations: also those that are lost, as long as not all was taken from them."""
        yield from self.workers.values()
        yield from (departure.worker for departure in self._departures if departure.loss is not None)

    def _is_current(self, worker: WorkerEntry, job_id: str, index: int, attempt: int) -> bool:
        """Returns whether that worker has that task, and under that attempt, as far as this table knows."""
        return (job_id, index) in worker.runs and self.jobs[job_id].tasks[index].attempt == attempt

    def _reconcile(self, worker: WorkerEntry, now: float) -> m.Reconcile:
        """Returns the Reconcile with the runs and reservations that the worker is to confirm next; they count as confirmed now."""
        settings = self._settings.reconcile
        runs = [(job_id, index, self.jobs[job_id].tasks[index].attempt) for job_id, index in due(worker.runs, now, settings)]
        return m.Reconcile(runs, due(worker.reservations, now, settings))

    def _count(self, job: Job, what: str, by: int = 1) -> None:
        if by:
            self.tally.counts[job.method.name][what] += by

    def progress(self, job_ids: Iterable[str]) -> dict[str, Progress]:
        """Returns the progress of those of these jobs that are open."""
        open_jobs = {id: job for id in job_ids if (job := self.jobs.get(id))}
        return {id: {"ended": job.num_tasks - job.open, "tasks": job.num_tasks} for id, job in open_jobs.items()}
