"""``WorkQueue``, the state machine of a worker: what runs in its slots, what is queued, and which reservations ask for a task.

Each public method is an event and returns the commands that follow from it. ``Start`` and ``Stop`` are for the slots; ``Send`` is a
message to a scheduler, which may go into the answer while a call of that scheduler is being answered.

A slot is held by a run or by a reservation that asks. A message that arrives twice is recognized by its key, so a delivery at least
once is enough.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from src.sparrow import messages as m
from src.sparrow.commands import Send, Start, Stop
from src.sparrow.commands import WorkerCommand as Command
from src.sparrow.messages import Address
from src.sparrow.queues import Fifo, QueuedReservation, QueuedTask
from src.sparrow.settings import WorkerSettings

RunKey = tuple[Address, m.Run]  # the scheduler that the run belongs to, and the run
ReservationKey = tuple[Address, m.Reservation]


class Running(NamedTuple):
    """A task in a slot. The first fields are those of a ``QueuedTask``."""

    key: RunKey
    duration_s: float
    since_s: float  # when it arrived at this worker
    started_s: float

    @property
    def owner(self) -> Address:
        """The scheduler that has launched the task."""
        return self.key[0]

    @property
    def run(self) -> m.Run:
        """The run."""
        return self.key[1]


class WorkQueue:
    """The tasks and reservations of one worker. Times are seconds of its node's clock. It is not thread-safe."""

    def __init__(self, slots: int, settings: WorkerSettings = WorkerSettings(), queue: Fifo | None = None) -> None:
        self.slots = slots
        self._settings = settings
        self.queue = queue if queue is not None else Fifo()
        self.running: dict[RunKey, Running] = {}
        self.asking: dict[ReservationKey, QueuedReservation] = {}
        self.leaving = False
        self.completed = 0
        self.subscribers: dict[Address, float] = {}  # schedulers that are told of free slots -> until when; the next ones first
        self._epoch = 0  # how often free slots were told
        self._schedulers_told = 0  # since then
        self._told = 0  # free slots that were told and have not been taken since
        self._ended: OrderedDict[RunKey | ReservationKey, m.Done | m.Bounce | None] = OrderedDict()
        self._dropping: deque[tuple[Address, deque[QueuedTask | QueuedReservation]]] = deque()  # lost ones, and what to look at
        self._places: dict[Address, int] = {}  # scheduler -> where in the queue the answer to its next Reconcile begins

    @property
    def load(self) -> int:
        """The number of tasks and reservations that are queued or hold a slot (the paper's load, section 3.1)."""
        return len(self.queue) + len(self.running) + len(self.asking)

    # Events

    def received(self, owner: Address, batch: Iterable[m.Message], now: float) -> list[Command]:
        """The scheduler ``owner`` has sent these messages."""
        out: list[Command] = []
        for message in batch:
            getattr(self, message.handler)(owner, message, now, out)
        self._advance(now, out)
        self._tell(now, out)
        return out

    def ended(self, owner: Address, run: m.Run, now: float) -> list[Command]:
        """A started run has ended. Its Done and the Ask for the next task are returned together, so that they share a call."""
        out: list[Command] = []
        key = owner, run
        running = self.running.pop(key, None)
        if running is not None:
            self.completed += 1
            started_s = running.started_s
            done = m.Done(*run, started_s - running.since_s, now - started_s)
            self._remember(key, done)
            out.append(Send(owner, done))
            self._advance(now, out)
            self._tell(now, out)
        return out

    def lost(self, owner: Address, now: float) -> list[Command]:
        """A scheduler is lost. Its tasks and reservations are dropped, and its runs are stopped.

        What is queued is dropped in steps: the node calls ``work`` while ``has_work``. Until then nothing else begins.
        """
        out: list[Command] = []
        self.subscribers.pop(owner, None)
        self._places.pop(owner, None)
        self._dropping.append((owner, self.queue.entries()))
        for key in [key for key, reservation in self.asking.items() if reservation.owner == owner]:
            del self.asking[key]
        for running in [running for running in self.running.values() if running.owner == owner]:
            self._stop(running, out)
        return out + self.work(now)

    @property
    def has_work(self) -> bool:
        """Whether ``work`` has something to do."""
        return bool(self._dropping)

    def work(self, now: float) -> list[Command]:
        """Goes on with dropping what lost schedulers have queued, as far as one step may take."""
        out: list[Command] = []
        if self._dropping:
            owner, entries = self._dropping[0]
            for _ in range(min(len(entries), self._settings.max_dropped)):
                entry = entries.popleft()  # so that it is freed in this step
                if entry.owner == owner:
                    self.queue.discard(entry)
            if not entries:
                self._dropping.popleft()
        self._advance(now, out)
        self._tell(now, out)
        return out

    def leave(self, owners: Iterable[Address], now: float, within_s: float) -> list[Command]:
        """The worker is to stop. It drops everything but the runs that end within ``within_s`` seconds, and takes nothing more.

        Each of the schedulers ``owners`` is sent a Leave that names its runs that still end here.
        """
        self.leaving = True
        self.subscribers.clear()
        out: list[Command] = []
        self._abandoned = self.queue, self._dropping  # to free a million entries takes long, and the process ends soon
        self.queue, self._dropping = type(self.queue)(), deque()
        self.asking.clear()
        for running in list(self.running.values()):
            if running.started_s + running.duration_s > now + within_s:
                self._stop(running, out)
        for owner in owners:
            out.append(Send(owner, m.Leave([running.run for running in self.running.values() if running.owner == owner])))
        return out

    # Messages

    def _on_launch(self, owner: Address, launch: m.Launch, now: float, out: list[Command]) -> None:
        key = owner, (launch.job, launch.task, launch.attempt)
        if self.leaving or self._recognize(key, out):
            return
        if not self.queue and len(self.running) + len(self.asking) < self.slots:
            self._start(key, launch.duration_s, now, now, out)
        else:
            self.queue.push(QueuedTask(key, launch.duration_s, now))

    def _on_reserve(self, owner: Address, reserve: m.Reserve, now: float, out: list[Command]) -> None:
        key = owner, (reserve.job, reserve.reservation)
        if not self.leaving and key not in self.asking and not self._recognize(key, out):
            self.queue.push(QueuedReservation(key, now))

    def _on_cancel(self, owner: Address, cancel: m.Cancel, now: float, out: list[Command]) -> None:
        key = owner, (cancel.job, cancel.reservation)
        self.queue.remove(key)
        self._remember(key, None)

    def _on_drop(self, owner: Address, drop: m.Drop, now: float, out: list[Command]) -> None:
        key = owner, (drop.job, drop.task, drop.attempt)
        self.queue.remove(key)
        if key in self.running:
            self._stop(self.running[key], out)

    def _on_assign(self, owner: Address, assign: m.Assign, now: float, out: list[Command]) -> None:
        asked = self._end_request(owner, assign)
        key = owner, (assign.job, assign.task, assign.attempt)
        if self.leaving or self._recognize(key, out):
            return
        if asked:
            self._start(key, assign.duration_s, now, now, out)
        else:  # the request was given up meanwhile, but the scheduler counts on this worker for the task
            self.queue.push(QueuedTask(key, assign.duration_s, now))

    def _on_offer(self, owner: Address, offer: m.Offer, now: float, out: list[Command]) -> None:
        key = owner, (offer.job, offer.task, offer.attempt)
        if self.leaving or self._recognize(key, out):
            return
        if self._free > 0:  # so nothing is queued, or this answers an Ask whose slot is free now
            self._start(key, offer.duration_s, now, now, out)
        else:
            bounce = m.Bounce(*key[1])
            self._remember(key, bounce)
            out.append(Send(owner, bounce))

    def _on_noted(self, owner: Address, noted: m.Noted, now: float, out: list[Command]) -> None:
        if noted.epoch == self._epoch and self._told > 0:
            self._tell_next(out)

    def _on_subscribe(self, owner: Address, subscribe: m.Subscribe, now: float, out: list[Command]) -> None:
        if not self.leaving:
            self.subscribers = {owner: now + subscribe.for_s, **self.subscribers}
            self.subscribers[owner] = now + subscribe.for_s
            self._told = 0

    def _on_no_task(self, owner: Address, no_task: m.NoTask, now: float, out: list[Command]) -> None:
        self._end_request(owner, no_task)

    def _on_reconcile(self, owner: Address, believed: m.Reconcile, now: float, out: list[Command]) -> None:
        missing_runs, running = [], []
        for run in believed.runs:
            key = owner, run
            if key in self.running:
                running.append((run, now - self.running[key].started_s))
            elif key not in self.queue:
                said = self._ended.get(key)
                if said is None:
                    missing_runs.append(run)
                else:
                    out.append(Send(owner, said))
        missing_reservations = []
        for reservation in believed.reservations:
            asked = owner, reservation
            if asked not in self.asking and asked not in self.queue and asked not in self._ended:
                missing_reservations.append(reservation)
        named = {*believed.runs, *believed.reservations}
        extra_runs: list[m.Run] = []
        extra_reservations: list[m.Reservation] = []
        for entry in self._some_held(owner):
            if entry.owner == owner and now - entry.since_s >= self._settings.reconcile.settled_s:
                if isinstance(entry, QueuedReservation):
                    if entry.reservation not in named:
                        extra_reservations.append(entry.reservation)
                elif entry.run not in named:
                    extra_runs.append(entry.run)
        out.append(Send(owner, m.Holdings(missing_runs, missing_reservations, extra_runs, extra_reservations, running)))

    # Slots

    def _advance(self, now: float, out: list[Command]) -> None:
        """Fills the free slots from the front of the queue: a task starts, a reservation asks for one."""
        while not self._dropping and len(self.running) + len(self.asking) < self.slots:
            entry = self.queue.pop()
            if entry is None:
                return
            if isinstance(entry, QueuedTask):
                self._start(*entry, now, out)
            else:
                self.asking[entry.key] = entry
                out.append(Send(entry.owner, m.Ask(*entry.reservation)))

    @property
    def _free(self) -> int:
        return self.slots - len(self.running) - len(self.asking)

    def _tell(self, now: float, out: list[Command]) -> None:
        """Tells schedulers of free slots if there are more than they have been told of, and nothing is queued."""
        if not self.subscribers:
            return
        free = 0 if self._dropping else self._free
        if free <= self._told:
            self._told = free
            return
        self.subscribers = {owner: until_s for owner, until_s in self.subscribers.items() if until_s > now}
        self._epoch, self._told, self._schedulers_told = self._epoch + 1, free, 0
        self._tell_next(out)

    def _tell_next(self, out: list[Command]) -> None:
        """Tells the scheduler that was not told for longest. If that has no task, the next one is told."""
        told, schedulers = self._schedulers_told, len(self.subscribers)
        if told < min(schedulers, self._settings.told_schedulers):
            owner = next(iter(self.subscribers))
            self.subscribers[owner] = self.subscribers.pop(owner)
            self._schedulers_told += 1
            out.append(Send(owner, m.Idle(self._epoch, self._told, told, schedulers)))

    def _start(self, key: RunKey, duration_s: float, since_s: float, now: float, out: list[Command]) -> None:
        self.running[key] = Running(key, duration_s, since_s, now)
        out.append(Start(*key, duration_s))

    def _stop(self, running: Running, out: list[Command]) -> None:
        del self.running[running.key]
        out.append(Stop(*running.key))

    # Recognizing what came before

    def _end_request(self, owner: Address, answer: m.Assign | m.NoTask) -> bool:
        """Ends the request that this answers. Returns False if there is no such request, or no longer."""
        key = owner, (answer.job, answer.reservation)
        self._remember(key, None)
        return self.asking.pop(key, None) is not None

    def _recognize(self, key: RunKey | ReservationKey, out: list[Command]) -> bool:
        """Returns whether that run or reservation came before. If it has ended or was sent back, this is said again.

        The sender would not send it again if it had heard that.
        """
        if key in self._ended:
            said = self._ended[key]
            if said is not None:
                out.append(Send(key[0], said))
            return True
        return key in self.running or key in self.queue

    def _remember(self, key: RunKey | ReservationKey, said: m.Done | m.Bounce | None) -> None:
        self._ended[key] = said
        if len(self._ended) > self._settings.remembered:
            self._ended.popitem(last=False)

    def _some_held(self, asker: Address) -> Iterator[Running | QueuedTask | QueuedReservation]:
        """Yields what holds a slot and the next part of the queue for this asker, at most ``max_named`` entries."""
        yield from self.running.values()
        yield from self.asking.values()
        part, self._places[asker] = self.queue.part(self._places.get(asker, 0), self._settings.reconcile.max_named)
        yield from part
