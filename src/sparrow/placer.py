"""``Placer``, the part of a job table that places tasks: rounds of probes, launches, reservations and their cancellation.

Nothing here takes long at a time, whatever the size of a job: an event places, reserves or cancels at most ``max_at_once`` tasks.
What is left is ``unfinished``: the jobs take turns in it, ``max_at_once`` tasks each, between other events. All tasks of a job
share its probes all the same, so that the result is that of placing them at once. Only a worker that has gone meanwhile is not
used, and the tasks that it was to get are placed again. What is taken from the front is an OrderedDict: each such step of a dict
looks at all entries that were taken before.
"""

from __future__ import annotations

import math
import random
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice

from src.sparrow import messages as m
from src.sparrow.commands import SchedulerCommand as Command
from src.sparrow.commands import Send
from src.sparrow.jobs import PLACED, Idle, Job, Round, Sampler, Task, WorkerEntry
from src.sparrow.placement import PER_TASK
from src.sparrow.pulling import Backlog, IdleWorkers, Subscriptions
from src.sparrow.settings import SchedulerSettings
from src.sparrow.tally import Tally

COPIED = 20  # so many loads are copied and shuffled, and rounds looked at, in the time that placing one task takes


class Placer:
    """Places the tasks of one scheduler's jobs on its ``workers``. Times are seconds of its node's clock."""

    def __init__(self, rng: random.Random, settings: SchedulerSettings, workers: dict[str, WorkerEntry], tally: Tally) -> None:
        self._rng, self._settings, self._workers, self._tally = rng, settings, workers, tally
        self.sampler = Sampler()
        self.waiting_for_workers: OrderedDict[str, Job] = OrderedDict()  # jobs that had tasks to place when there was no worker
        self._place_waiting_at_s: float | None = None  # when these jobs are to be placed; None while there is no worker
        self._is_placing_waiting = False  # these jobs are being placed
        self.reservations_made = 0  # the next number: none is used twice, even for a job that is submitted again after its end
        self.unfinished: OrderedDict[str, Job] = OrderedDict()  # jobs that have their turns
        self.budget = 0  # how much this event may still do
        self.idle = IdleWorkers()
        self.backlog = Backlog()
        self.subscriptions = Subscriptions(settings.subscribe_s)
        self._asking: OrderedDict[tuple[str, int], tuple[Job, Round]] = OrderedDict()  # rounds that wait for loads, by deadline
        self._has_late = False  # the time of some of these rounds is over
        self._withdrawn: deque[tuple[str, Iterator[tuple[Job, Round]]]] = deque()  # lost workers, rounds that may wait for them

    def begin(self) -> None:
        """An event begins."""
        self.budget = self._settings.max_at_once

    # Events

    def place(self, job: Job, tasks: list[int], now: float, out: list[Command]) -> None:
        """Places these unplaced tasks by the method of the job, or begins to. If there is no worker, they wait for one."""
        late, workers = job.method.late_binding, self.sampler.names
        self.budget -= 1 + len(tasks) // COPIED
        if late or not workers:
            job.unplaced.extend(tasks)
        if job.method.pulls:
            self.backlog.add(job)
        if not workers:
            self.waiting_for_workers[job.id] = job
            return
        if late:
            if job.method.pulls:
                self.subscriptions.need(workers, now)
                self.subscribe(out)
                self.offer(now, out)
            self._choose_reservations(job)
        else:
            job.begin_round(tasks)
        self.go_on(job, now, out)

    def go_on(self, job: Job, now: float, out: list[Command]) -> None:
        """Does what is to be done for this job, or as much as this event may; the rest is done when it has its turn."""
        if job.id not in self.unfinished and (self.budget <= 0 or self._advance(job, now, out)):
            self.unfinished[job.id] = job

    def turn(self, now: float, out: list[Command]) -> Job:
        """Gives the job that has waited longest a turn, and returns it. There must be one in ``unfinished``."""
        (_, job), budget = self.unfinished.popitem(last=False), self.budget
        if self._advance(job, now, out):
            self.unfinished[job.id] = job
        self.budget = min(self.budget, budget - 1)  # others may have done what was left
        return job

    def load_arrived(self, job: Job, load: m.Load, worker: str, now: float, out: list[Command]) -> None:
        """A worker has answered a probe."""
        round_ = job.rounds.get(load.round)
        if round_ is not None and worker in round_.waiting:
            round_.waiting.discard(worker)
            round_.loads[worker] = load.load
            if not round_.waiting and (job.id, round_.number) in self._asking:
                self._end_asking(job, round_, now, out)

    def withdraw_probes(self, worker: str, now: float, out: list[Command]) -> None:
        """Stops waiting for the loads that were asked of this worker. Rounds that wait for no other worker end."""
        self._withdrawn.append((worker, iter(list(self._asking.values()))))
        self._go_on_withdrawing(now, out)

    def _go_on_withdrawing(self, now: float, out: list[Command]) -> None:
        while self._withdrawn and self.budget > 0:
            worker, rounds = self._withdrawn[0]
            examined = list(islice(rounds, COPIED))
            if not examined:
                self._withdrawn.popleft()
            self.budget -= bool(examined)
            for job, round_ in examined:
                if worker in round_.waiting and (job.id, round_.number) in self._asking:
                    round_.waiting.discard(worker)
                    if not round_.waiting:
                        self._end_asking(job, round_, now, out)

    def worker_joined(self, worker: str, now: float) -> None:
        """This worker may get tasks from now on."""
        self.sampler.add(worker)
        self.subscriptions.joined(worker, now)
        if self.waiting_for_workers and self._place_waiting_at_s is None:
            self._place_waiting_at_s = now + self._settings.gather_s

    def worker_gone(self, worker: str) -> None:
        """This worker gets no tasks any more, until it joins again."""
        self.sampler.remove(worker)
        self.idle.forget(worker)

    @property
    def has_work(self) -> bool:
        """Whether ``work`` has something to do."""
        begun = self.unfinished or self._withdrawn or self._has_late or self._is_placing_waiting
        return bool(begun or self.subscriptions or self.idle and self.backlog.oldest())

    def work(self, now: float, out: list[Command]) -> None:
        """Goes on with what was too much for one event, except for the jobs that have their turns."""
        self._go_on_withdrawing(now, out)
        if self._is_placing_waiting:
            self._place_waiting(now, out)
        if self._has_late:
            self._end_late(now, out)
        self.subscribe(out)
        self.offer(now, out)

    def subscribe(self, out: list[Command]) -> None:
        """Asks workers to tell of their free slots, or as many as this event may."""
        while self.subscriptions and self.budget > 0:
            worker = self._workers.get(self.subscriptions.next())
            if worker is not None:
                self.budget -= 1
                out.append(Send(worker.address, m.Subscribe(self.subscriptions.lease_s)))

    def offer(self, now: float, out: list[Command]) -> None:
        """Gives the oldest tasks to the workers that have said that they are idle, or as many as this event may."""
        while self.budget > 0 and self.idle:
            job = self.backlog.oldest()
            if job is None:
                return
            name, said = self.idle.take()
            self.budget -= 1
            self.give(job, self._workers[name], said, now, out)

    def give(self, job: Job, worker: WorkerEntry, said: Idle, now: float, out: list[Command]) -> None:
        """Gives the next task of a job to a worker that has said that it has a free slot."""
        index = job.unplaced.popleft()
        task = self.placed(job, index, worker, now, now)
        job.pulled_by(index, worker.address.name, said, now)
        self._count(job, "pulled", 1)
        out.append(Send(worker.address, m.Offer(job.id, index, task.attempt, task.duration_s)))
        if job.reserved and not job.unplaced:
            self.go_on(job, now, out)  # cancels its reservations

    def tick(self, now: float, out: list[Command]) -> None:
        """Places jobs that have waited for a worker, and ends rounds whose time is over."""
        if self.backlog and self.backlog.oldest():
            self._ask_for_idle(now, out)
        if self._place_waiting_at_s is not None and now >= self._place_waiting_at_s:
            self._place_waiting_at_s = None
            self._place_waiting(now, out)
        self._end_late(now, out)

    def ended(self, job: Job) -> None:
        """This job has ended."""
        self.unfinished.pop(job.id, None)
        self.waiting_for_workers.pop(job.id, None)

    def placed(self, job: Job, index: int, worker: WorkerEntry, now: float, started_s: float | None = None) -> Task:
        """A worker gets this task, which has started there if ``started_s`` says when. Returns the task."""
        task = job.tasks[index]
        task.state, task.worker, task.placed_s, task.started_s = PLACED, worker.address.name, now, started_s
        task.attempt += 1
        worker.runs[job.id, index] = now
        return task

    def end_reservation(self, job: Job, number: int) -> WorkerEntry | None:
        """Ends a reservation. Returns its worker, unless that is lost."""
        worker = self._workers.get(job.reserved.pop(number))
        return worker if worker is not None and worker.reservations.pop((job.id, number), None) is not None else None

    # Steps

    def _advance(self, job: Job, now: float, out: list[Command]) -> bool:
        """Does what is to be done for this job, as far as the budget goes. Returns whether something is left."""
        while job.ready and self.budget > 0:
            round_ = next(iter(job.ready.values()))
            if not self.sampler.names:
                self.place(job, job.end_round(round_), now, out)
            elif round_.is_probing:
                self._probe(job, round_, now, out)
            elif round_.is_placing:
                self._launch(job, round_, now, out)
            else:
                self._decide(job, round_, now, out)
        if job.to_reserve:
            self._reserve(job, now, out)
        if job.reserved and not job.unplaced:
            self._cancel(job, now, out)
        return bool(job.ready or job.to_reserve or (job.reserved and not job.unplaced))

    def _probe(self, job: Job, round_: Round, now: float, out: list[Command]) -> None:
        """Samples workers for the tasks of a round, or for the next ones if each task has probes of its own."""
        method, todo, workers = job.method, len(round_.tasks), self.sampler.names
        if method.samples == PER_TASK:
            if todo > self.budget and round_.workers is None:
                round_.workers = list(workers)  # each part is to have as many probes for a task
            workers = workers if round_.workers is None else round_.workers
            todo = min(todo - round_.probed_tasks, self.budget)
        probed = method.probe(todo, workers, self._rng)
        round_.probed = round_.probed + probed if round_.probed else probed
        round_.probed_tasks += todo
        self.budget -= len(probed)  # there are workers, so it is at least one
        if not method.needs_loads:
            round_.chosen = iter(method.place(todo, probed, {}, self._rng))
            return
        self._count(job, "probes", len(probed))
        probe = m.Probe(job.id, round_.number)
        for name in dict.fromkeys(probed):
            if name not in round_.asked and name in self._workers:
                round_.asked.add(name)
                round_.waiting.add(name)
                out.append(Send(self._workers[name].address, probe))
        if not round_.is_probing:
            if round_.workers is not None:  # some may have gone since the first part
                round_.waiting = {name for name in round_.waiting if name in self.sampler.positions}
            if round_.waiting:
                round_.deadline_s = now + self._settings.probe_timeout_s
                self._asking[job.id, round_.number] = job, round_
                del job.ready[round_.number]

    def _end_asking(self, job: Job, round_: Round, now: float, out: list[Command]) -> None:
        """All loads have arrived, or no more are waited for: it can be decided by them."""
        del self._asking[job.id, round_.number]
        job.ready[round_.number] = round_
        self.go_on(job, now, out)

    def _decide(self, job: Job, round_: Round, now: float, out: list[Command]) -> None:
        """Decides by the loads that have arrived. Samples again if there are none."""
        round_.loads = {worker: load for worker, load in round_.loads.items() if worker in self.sampler.positions}
        self.budget -= 1 + len(round_.loads) // COPIED
        if not round_.loads:
            self.place(job, job.end_round(round_), now, out)
            return
        round_.chosen = iter(())
        if job.method.samples != PER_TASK:
            round_.chosen = iter(job.method.place(len(round_.tasks), round_.probed, round_.loads, self._rng))

    def _launch(self, job: Job, round_: Round, now: float, out: list[Command]) -> None:
        """Launches the tasks of a round, or the next ones."""
        tasks = list(islice(round_.tasks, self.budget))
        probed, loads = round_.probed, round_.loads
        if job.method.samples == PER_TASK:
            each = len(probed) // round_.probed_tasks
            if len(tasks) < round_.probed_tasks:
                first = (round_.probed_tasks - len(round_.tasks)) * each
                probed = probed[first : first + each * len(tasks)]
                loads = dict(loads)
            chosen = list(job.method.place(len(tasks), probed, loads, self._rng))
            for name in chosen if len(tasks) < len(round_.tasks) else ():
                round_.loads[name] += 1
        else:
            assert round_.chosen is not None
            chosen = list(islice(round_.chosen, len(tasks)))
            probed = probed if job.method.needs_loads else chosen
        job.decided(tasks, probed, loads, chosen)
        again, present = [], self.sampler.positions
        for index, name in zip(tasks, chosen):
            if name not in present:
                again.append(index)
                continue
            worker = self._workers[name]
            task = self.placed(job, index, worker, now)
            out.append(Send(worker.address, m.Launch(job.id, index, task.attempt, task.duration_s)))
        round_.remove(len(tasks))
        self.budget -= len(tasks)
        if not round_.tasks:
            job.end_round(round_)
        if again:
            self.place(job, again, now, out)

    def _choose_reservations(self, job: Job) -> None:
        """Chooses workers until there are d reservations for each task that waits for one (d: the method's probe ratio)."""
        if job.method.pulls and self.idle.schedulers <= 1:
            return  # every worker that becomes free tells this scheduler
        ratio = job.method.probe_ratio
        short = ratio * len(job.unplaced) - len(job.reserved) - len(job.to_reserve)
        if short > 0:
            job.to_reserve.extend(job.method.probe(math.ceil(short / ratio), self.sampler.names, self._rng))

    def _reserve(self, job: Job, now: float, out: list[Command]) -> None:
        """Makes the reservations that were chosen, or the next ones; none if no task waits for them any more."""
        if not job.unplaced:
            job.to_reserve.clear()
            return
        id, workers, present = job.id, self._workers, self.sampler.positions
        chosen = [job.to_reserve.popleft() for _ in range(min(len(job.to_reserve), self.budget))]
        self.budget -= len(chosen)
        made = [name for name in chosen if name in present]
        gone = len(chosen) - len(made)
        first = self.reservations_made
        for number, name in enumerate(made, first):
            worker = workers[name]
            job.reserved[number] = name
            worker.reservations[id, number] = now
            out.append(Send(worker.address, m.Reserve(id, number)))
        if made:
            self.reservations_made += len(made)
            job.reserve(first, made, now)
        self._count(job, "reservations", len(made))
        if gone:
            self.place(job, [], now, out)

    def _cancel(self, job: Job, now: float, out: list[Command]) -> None:
        """Cancels reservations of a job with no task that waits for one (proactive cancellation, section 3.6), or the next ones."""
        numbers = list(islice(job.reserved, max(0, self.budget)))
        job.take_back(numbers, False, now)
        self.budget -= len(numbers)
        self._count(job, "cancellations", len(numbers))
        for number in numbers:
            worker = self.end_reservation(job, number)
            if worker is not None:
                out.append(Send(worker.address, m.Cancel(job.id, number)))

    def _ask_for_idle(self, now: float, out: list[Command]) -> None:
        """Tasks wait for an idle worker. Nothing is lost on the way, so this is for what nobody has thought of."""
        subscriptions, settings = self.subscriptions, self._settings
        subscriptions.need(self.sampler.names, now)
        self.subscribe(out)
        if now - subscriptions.heard_s > settings.unheard_s:
            subscriptions.heard_s = now
            for name in self._rng.sample(self.sampler.names, min(settings.unheard_workers, len(self.sampler.names))):
                out.append(Send(self._workers[name].address, m.Subscribe(subscriptions.lease_s)))

    def _place_waiting(self, now: float, out: list[Command]) -> None:
        """Places the tasks that have waited for the first worker, or the next ones."""
        starving = self.waiting_for_workers
        while starving and self.sampler.names and self.budget > 0:
            _, job = starving.popitem(last=False)
            tasks: list[int] = []
            if not job.method.late_binding:
                tasks = list(job.unplaced)
                job.unplaced.clear()
            self.place(job, tasks, now, out)
        self._is_placing_waiting = bool(starving and self.sampler.names)

    def _end_late(self, now: float, out: list[Command]) -> None:
        """Ends the rounds whose time is over, or the next ones."""
        self._has_late = False
        while self._asking and not self._has_late:
            job, round_ = next(iter(self._asking.values()))
            if now < round_.deadline_s:
                break
            self._has_late = self.budget <= 0
            if not self._has_late:
                self.budget -= 1
                self._end_asking(job, round_, now, out)

    def _count(self, job: Job, what: str, by: int) -> None:
        if by:
            self._tally.counts[job.method.name][what] += by
