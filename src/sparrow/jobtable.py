"""``JobTable``, the state machine of a scheduler: every open job, and what each worker holds of it.

Each event is a method that returns the commands that follow from it. ``Send`` is a message to a worker, which may go into the
answer while a call of that worker is being answered; ``Finish`` has the report of a job. There are no other effects.

Late binding follows section 3.3 of the paper, cancellation section 3.6. The runs and reservations of a lost worker are placed
again, which the paper does not treat.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

from src.sparrow import messages as m
from src.sparrow.commands import Finish, Send
from src.sparrow.commands import SchedulerCommand as Command
from src.sparrow.jobs import DONE, PLACED, UNPLACED, Job, Reservations, Round, Sampler, WorkerEntry, by_job, check_known, due
from src.sparrow.jobspec import JobSpec
from src.sparrow.losses import Loss, LostWorkers, Postponed, RunKey
from src.sparrow.messages import Address
from src.sparrow.placement import PROBE_RATIO, method_named
from src.sparrow.reports import Progress
from src.sparrow.settings import SchedulerSettings
from src.sparrow.tally import Tally


class JobTable:
    """The jobs and workers of one scheduler. Times are seconds of its node's clock. It is not thread-safe."""

    def __init__(
        self, rng: random.Random, default_method: str = "RANDOM", settings: SchedulerSettings = SchedulerSettings()
    ) -> None:
        self._rng = rng
        self._settings = settings
        self.default_method = method_named(default_method).name
        self.jobs: dict[str, Job] = {}
        self.workers: dict[str, WorkerEntry] = {}
        self._sampler = Sampler()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self.waiting_for_workers: dict[str, Job] = {}  # jobs that had tasks to place when there was no worker
        self._place_waiting_at_s: float | None = None  # when these jobs are to be placed; None while there is no worker
        self._reservations_made = 0  # the next number: none is used twice, even for a job that is submitted again after its end
        self.postponed = Postponed()
        self._lost_workers = LostWorkers(settings)
        self.tally = Tally(settings.tally)

    # Events: from clients, about workers, and time

    def submitted(self, spec: JobSpec, now: float) -> list[Command]:
        """A client has submitted a job. Nothing changes if it is open already. Raises ValueError if the method is unknown."""
        job = Job(spec, spec.method or self.default_method, now, self._settings.tally.shown_placements)
        if spec.id in self.jobs:
            return []
        out: list[Command] = []
        self.jobs[job.id] = job
        self._ended.pop(job.id, None)
        self.tally.submitted(job)
        self._place(job, list(range(len(job.tasks))), now, out)
        return out

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
            self._sampler.add(name)
            if self.waiting_for_workers and self._place_waiting_at_s is None:
                self._place_waiting_at_s = now + self._settings.gather_s
        return out

    def disconnected(self, worker: str) -> None:
        """The connection to a worker has ended. It keeps what it has, but gets nothing new before it joins again."""
        self._sampler.remove(worker)

    def lost(self, worker: str, now: float, unsent: Collection[m.Run] = ()) -> list[Command]:
        """A worker is lost, with all its runs and reservations. It has not taken the runs ``unsent``."""
        out: list[Command] = []
        entry = self.workers.pop(worker, None)
        if entry is not None:
            self._sampler.remove(worker)
            self._lost_workers.lost(entry.address)
            self._take_back(worker, entry.runs, entry.reservations, Loss.of(entry, self.jobs, unsent), now, out)
            self._withdraw_probes(worker, now, out)
        return out

    def tick(self, now: float) -> list[Command]:
        """Some time has passed. The node calls this about every 0.1 s while the table is ``busy``."""
        out: list[Command] = []
        if self._place_waiting_at_s is not None and now >= self._place_waiting_at_s:
            self._place_waiting(now, out)
        for job_id, tasks in self.postponed.due(now):
            self._place(self.jobs[job_id], tasks, now, out)
        for job in list(self.jobs.values()):
            for round_ in [r for r in job.rounds.values() if now >= r.deadline_s]:
                self._decide(job, round_, now, out)
        self._lost_workers.tick(now)
        doubted = self._lost_workers.doubted
        for worker, entry in self.workers.items():
            if (entry.holds_anything or worker in doubted) and now - entry.reconciled_s >= self._settings.reconcile.every_s:
                entry.reconciled_s = now
                out.append(Send(entry.address, self._reconcile(entry, now)))
        return out

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
            check_known(message, self.jobs, self._ended, self._reservations_made)
        out: list[Command] = []
        entry = self.workers.get(worker.name)
        if entry is not None and entry.address == worker:
            for message in batch:
                getattr(self, message.handler)(entry, message, now, out)
        else:
            out += [Send(worker, m.NoTask(message.job, message.reservation)) for message in batch if isinstance(message, m.Ask)]
        return out

    def _on_load(self, worker: WorkerEntry, load: m.Load, now: float, out: list[Command]) -> None:
        job = self.jobs.get(load.job)
        round_ = job.rounds.get(load.round) if job else None
        name = worker.address.name
        if job and round_ and name in round_.waiting:
            round_.waiting.discard(name)
            round_.loads[name] = load.load
            if not round_.waiting:
                self._decide(job, round_, now, out)

    def _on_ask(self, worker: WorkerEntry, ask: m.Ask, now: float, out: list[Command]) -> None:
        job, name = self.jobs.get(ask.job), worker.address.name
        if job is not None and job.reserved.get(ask.reservation) == name:
            self._end_reservation(job, ask.reservation)
            given = job.unplaced.popleft() if job.unplaced else None
            job.answered(ask.reservation, name, given, now)
            if given is not None:
                job.assigned[ask.reservation] = given
                self._count(job, "assigned")
                self._placed(job, given, worker, now, now)  # it has a free slot for the task
            else:
                self._count(job, "no_ops")
        # A worker that asks again, because the answer may not have arrived, gets the same answer.
        index = job.assigned.get(ask.reservation) if job is not None else None
        if job is None or index is None or job.tasks[index].state != PLACED or job.tasks[index].worker != name:
            out.append(Send(worker.address, m.NoTask(ask.job, ask.reservation)))
        else:
            task = job.tasks[index]
            out.append(Send(worker.address, m.Assign(ask.job, ask.reservation, index, task.attempt, task.duration_s)))
            self._cancel_what_is_left(job, now, out)

    def _on_done(self, worker: WorkerEntry, done: m.Done, now: float, out: list[Command]) -> None:
        job = self.jobs.get(done.job)
        task = job.tasks[done.task] if job else None
        if (
            job is None
            or task is None
            or task.attempt != done.attempt
            or task.state != PLACED
            or task.worker != worker.address.name
        ):
            return  # the task was placed again since, or this Done has arrived before
        task.state = DONE
        held_s = max(0.0, now - task.placed_s)  # a worker may report longer times by mistake, which would falsify the statistics
        task.service_s = min(done.service_s, held_s)
        task.wait_s = task.placed_s - job.submitted_s + min(done.queued_s, held_s - task.service_s)
        worker.done += 1
        del worker.runs[job.id, done.task]
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
        self._sampler.remove(name)
        kept = {(job, task) for job, task, _ in leave.runs}
        self._take_back(name, [run for run in worker.runs if run not in kept], worker.reservations, None, now, out)
        self._withdraw_probes(name, now, out)

    # Placing

    def _place(self, job: Job, tasks: list[int], now: float, out: list[Command]) -> None:
        """Places these unplaced tasks by the method of the job. If there is no worker, they wait for one."""
        workers = self._sampler.names
        if job.method.late_binding or not workers:
            job.unplaced.extend(tasks)
        if not workers:
            self.waiting_for_workers[job.id] = job
        elif job.method.late_binding:
            self._reserve(job, now, out)
        else:
            probed = job.method.probe(len(tasks), workers, self._rng)
            if job.method.needs_loads:
                self._probe(job, tasks, probed, now, out)
            else:
                self._launch(job, tasks, probed, {}, now, out)

    def _probe(self, job: Job, tasks: list[int], probed: list[str], now: float, out: list[Command]) -> None:
        round_ = Round(job.rounds_begun, tasks, probed, now + self._settings.probe_timeout_s)
        job.rounds_begun += 1
        job.rounds[round_.number] = round_
        self._count(job, "probes", len(probed))
        probe = m.Probe(job.id, round_.number)
        out.extend(Send(self.workers[worker].address, probe) for worker in dict.fromkeys(probed))

    def _decide(self, job: Job, round_: Round, now: float, out: list[Command]) -> None:
        """Ends a round: places its tasks by the loads that have arrived, or samples again if there are none."""
        del job.rounds[round_.number]
        loads = {worker: load for worker, load in round_.loads.items() if worker in self._sampler}
        if loads:
            self._launch(job, round_.tasks, round_.probed, loads, now, out)
        else:
            self._place(job, round_.tasks, now, out)

    def _launch(self, job: Job, tasks: list[int], probed: list[str], loads: dict[str, int], now: float, out: list[Command]) -> None:
        chosen = job.method.place(len(tasks), probed, loads, self._rng)
        job.decided(tasks, probed, loads, chosen)
        for index, name in zip(tasks, chosen):
            worker = self.workers[name]
            self._placed(job, index, worker, now)
            task = job.tasks[index]
            out.append(Send(worker.address, m.Launch(job.id, index, task.attempt, task.duration_s)))

    def _placed(self, job: Job, index: int, worker: WorkerEntry, now: float, started_s: float | None = None) -> None:
        task = job.tasks[index]
        task.state, task.worker, task.placed_s, task.started_s = PLACED, worker.address.name, now, started_s
        task.attempt += 1
        worker.runs[job.id, index] = now

    def _reserve(self, job: Job, now: float, out: list[Command]) -> None:
        """Makes reservations until there are d for each task that waits for one (d: the probe ratio)."""
        short = PROBE_RATIO * len(job.unplaced) - len(job.reserved)
        if short > 0:
            chosen = job.method.probe(-(-short // PROBE_RATIO), self._sampler.names, self._rng)
            self._count(job, "reservations", len(chosen))
            job.reservations.append(Reservations(self._reservations_made, chosen, now))
            for name in chosen:
                worker = self.workers[name]
                number = self._reservations_made
                self._reservations_made += 1
                job.reserved[number] = name
                worker.reservations[job.id, number] = now
                out.append(Send(worker.address, m.Reserve(job.id, number)))

    def _cancel_what_is_left(self, job: Job, now: float, out: list[Command]) -> None:
        """Cancels the job's reservations if no task waits for one any more (proactive cancellation, section 3.6)."""
        if job.reserved and not job.unplaced:
            self._count(job, "cancellations", len(job.reserved))
            for number in job.take_back(job.reserved, False, now):
                worker = self._end_reservation(job, number)
                out.append(Send(worker.address, m.Cancel(job.id, number)))

    def _end_reservation(self, job: Job, number: int) -> WorkerEntry:
        worker = self.workers[job.reserved.pop(number)]
        del worker.reservations[job.id, number]
        return worker

    # Placing again, and the end of tasks and jobs

    def _take_back(
        self,
        worker: str,
        runs: Iterable[RunKey],
        reservations: Iterable[tuple[str, int]],
        loss: Loss | None,
        now: float,
        out: list[Command],
    ) -> None:
        """Takes these runs and reservations from a worker, so that their tasks are placed again.

        ``loss`` is None if the worker gives them back; else a task that was lost before waits for a while, or fails.
        """
        entry = self.workers.get(worker)
        given_up, unreserved = by_job(runs), by_job(reservations)
        if entry is not None:
            entry.reservations.clear()
            for job_id, tasks in given_up.items():
                for index in tasks:
                    del entry.runs[job_id, index]
        for job_id in {**given_up, **unreserved}:
            job = self.jobs[job_id]
            for number in job.take_back(unreserved.get(job_id, ()), True, now):
                del job.reserved[number]
                self._count(job, "reservations_lost")
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
                self._place(job, at_once, now, out)
            elif job.method.late_binding and job.unplaced and job_id in self.jobs:
                self._place(job, [], now, out)

    def _lose(self, job: Job, index: int, loss: Loss, now: float, out: list[Command]) -> float | None:
        """Counts the loss of a task. Returns the pause before it is placed again; None if it has failed: it was lost too often."""
        retried = job.retried
        pause_s = loss.count_task(job, index, self._settings, now)
        self._count(job, "retried", job.retried - retried)
        if pause_s is None:
            self._count(job, "failed")
            self._close_task(job, now, out)
        return pause_s

    def _withdraw_probes(self, worker: str, now: float, out: list[Command]) -> None:
        """Stops waiting for the loads that were asked of this worker. Rounds that wait for no other worker end."""
        for job in list(self.jobs.values()):
            for round_ in [r for r in job.rounds.values() if worker in r.waiting]:
                round_.waiting.discard(worker)
                if not round_.waiting:
                    self._decide(job, round_, now, out)

    def _place_waiting(self, now: float, out: list[Command]) -> None:
        """Places the tasks that have waited for the first worker."""
        self._place_waiting_at_s = None
        starving, self.waiting_for_workers = self.waiting_for_workers, {}
        for job in starving.values():
            tasks, late = list(job.unplaced), job.method.late_binding
            if not late:
                job.unplaced.clear()
            self._place(job, [] if late else tasks, now, out)

    def _close_task(self, job: Job, now: float, out: list[Command]) -> None:
        job.open -= 1
        self._cancel_what_is_left(job, now, out)
        if job.open == 0:
            del self.jobs[job.id]
            self.waiting_for_workers.pop(job.id, None)
            self._ended[job.id] = None
            if len(self._ended) > self._settings.remembered_jobs:
                self._ended.popitem(last=False)
            report = job.report(now)
            self.tally.ended(job, report, now)
            out.append(Finish(job.id, report))

    # State

    def _is_current(self, worker: WorkerEntry, job_id: str, index: int, attempt: int) -> bool:
        """Returns whether that worker has that task, and under that attempt, as far as this table knows."""
        return (job_id, index) in worker.runs and self.jobs[job_id].tasks[index].attempt == attempt

    def _reconcile(self, worker: WorkerEntry, now: float) -> m.Reconcile:
        """Returns the Reconcile with the runs and reservations that the worker is to confirm next; they count as confirmed now."""
        settings = self._settings.reconcile
        runs = [(job_id, index, self.jobs[job_id].tasks[index].attempt) for job_id, index in due(worker.runs, now, settings)]
        return m.Reconcile(runs, due(worker.reservations, now, settings))

    def _count(self, job: Job, what: str, by: int = 1) -> None:
        self.tally.counts[job.method.name][what] += by

    def progress(self, job_ids: Iterable[str]) -> dict[str, Progress]:
        """Returns the progress of those of these jobs that are open."""
        open_jobs = {id: job for id in job_ids if (job := self.jobs.get(id))}
        return {id: {"ended": len(job.tasks) - job.open, "tasks": len(job.tasks)} for id, job in open_jobs.items()}
