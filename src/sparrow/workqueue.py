"""The worker's book: what runs in its slots, what is queued, and which reservations are asking for a task.

A state machine like the scheduler's: events in, commands out. ``Start`` and ``Stop`` are for the slots, ``Tell`` is to be
delivered to that scheduler (or, while a call of that scheduler is being answered, may go into the answer).

A slot is held by a run or by a reservation that asks. Whatever comes twice is recognized by its key, so delivery need only be at
least once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Callable, NamedTuple, Union

from src.sparrow import messages as m
from src.sparrow.queues import Fifo, Owner, QueuedReservation, QueuedTask

REMEMBERED = 20_000  # runs and reservations that have ended here and are recognized when they are named again


class Running(NamedTuple):
    task: QueuedTask
    started_s: float


class Start(NamedTuple):
    owner: Owner
    run: m.Run
    duration_s: float


class Stop(NamedTuple):
    owner: Owner
    run: m.Run


class Tell(NamedTuple):
    owner: Owner
    message: m.Message


Command = Union[Start, Stop, Tell]


class WorkQueue:
    """The book of one worker. Not thread-safe: its owner's event loop is the only one to touch it."""

    def __init__(self, slots: int, queue: Fifo | None = None) -> None:
        self.slots = slots
        self.queue = queue if queue is not None else Fifo()
        self.running: dict[Hashable, Running] = {}
        self.asking: dict[Hashable, QueuedReservation] = {}
        self.leaving = False
        self.completed = 0
        self._ended: OrderedDict[Hashable, m.Done | None] = OrderedDict()
        self._turn = 0  # the place in the queue from where the next heartbeat is answered

    @property
    def load(self) -> int:
        """Queued and running, as the paper counts it."""
        return len(self.queue) + len(self.running) + len(self.asking)

    # Events

    def received(self, owner: Owner, batch: Iterable[m.Message], now: float) -> list[Command]:
        """A scheduler says all this."""
        out: list[Command] = []
        for message in batch:
            self._handlers[type(message)](self, owner, message, now, out)
        self._advance(now, out)
        return out

    def ended(self, owner: Owner, run: m.Run, now: float) -> list[Command]:
        """A started run is over. Its completion and the request for the next task come together, to travel in one call."""
        out: list[Command] = []
        running = self.running.pop((owner, run), None)
        if running is not None:
            self.completed += 1
            job, task, attempt = run
            done = m.Done(job, task, attempt, running.started_s - running.task.since_s, now - running.started_s)
            self._remember((owner, run), done)
            out.append(Tell(owner, done))
            self._advance(now, out)
        return out

    def lost(self, owner: Owner, now: float) -> list[Command]:
        """A scheduler is gone, and with it all interest in what it gave: nothing of it keeps a slot."""
        out: list[Command] = []
        for entry in [entry for entry in self.queue if entry.owner == owner]:
            self.queue.remove(entry.key)
        for key in [key for key, reservation in self.asking.items() if reservation.owner == owner]:
            del self.asking[key]
        for running in [running for running in self.running.values() if running.task.owner == owner]:
            self._stop(running, out)
        self._advance(now, out)
        return out

    def leave(self, owners: Iterable[Owner], now: float, within_s: float) -> list[Command]:
        """The worker is to stop: hand everything back but what ends ``within_s``, and take nothing more."""
        self.leaving = True
        out: list[Command] = []
        while self.queue:
            self.queue.pop()
        self.asking.clear()
        for running in list(self.running.values()):
            if running.started_s + running.task.duration_s > now + within_s:
                self._stop(running, out)
        for owner in owners:
            out.append(Tell(owner, m.Leave([r.task.run for r in self.running.values() if r.task.owner == owner])))
        return out

    # Messages

    def _on_probe(self, owner: Owner, probe: m.Probe, now: float, out: list[Command]) -> None:
        out.append(Tell(owner, m.Load(probe.job, probe.round, self.load)))

    def _on_launch(self, owner: Owner, launch: m.Launch, now: float, out: list[Command]) -> None:
        task = QueuedTask(owner, (launch.job, launch.task, launch.attempt), launch.duration_s, now)
        if not self.leaving and not self._known(task.key, out):
            self.queue.push(task)

    def _on_reserve(self, owner: Owner, reserve: m.Reserve, now: float, out: list[Command]) -> None:
        entry = QueuedReservation(owner, (reserve.job, reserve.reservation), now)
        if not self.leaving and entry.key not in self.asking and not self._known(entry.key, out):
            self.queue.push(entry)

    def _on_cancel(self, owner: Owner, cancel: m.Cancel, now: float, out: list[Command]) -> None:
        key = owner, (cancel.job, cancel.reservation)
        self.queue.remove(key)
        self._remember(key, None)

    def _on_drop(self, owner: Owner, drop: m.Drop, now: float, out: list[Command]) -> None:
        key = owner, (drop.job, drop.task, drop.attempt)
        self.queue.remove(key)
        if key in self.running:
            self._stop(self.running[key], out)

    def _on_assign(self, owner: Owner, assign: m.Assign, now: float, out: list[Command]) -> None:
        asked = self._answered(owner, assign)
        task = QueuedTask(owner, (assign.job, assign.task, assign.attempt), assign.duration_s, now)
        if self.leaving or self._known(task.key, out):
            return
        if asked:
            self._start(task, now, out)
        else:  # the answer to a request that was given up meanwhile: the task is ours all the same
            self.queue.push(task)

    def _on_no_task(self, owner: Owner, no_task: m.NoTask, now: float, out: list[Command]) -> None:
        self._answered(owner, no_task)

    def _on_heartbeat(self, owner: Owner, heartbeat: m.Heartbeat, now: float, out: list[Command]) -> None:
        missing_runs = []
        for run in heartbeat.runs:
            if (owner, run) not in self.running and (owner, run) not in self.queue:
                done = self._ended.get((owner, run))
                if done is None:
                    missing_runs.append(run)
                else:
                    out.append(Tell(owner, done))
        missing_reservations = []
        for reservation in heartbeat.reservations:
            key = owner, reservation
            if key not in self.asking and key not in self.queue and key not in self._ended:
                missing_reservations.append(reservation)
        named = {*heartbeat.runs, *heartbeat.reservations}
        extra_runs: list[m.Run] = []
        extra_reservations: list[m.Reservation] = []
        for entry in self._some_held():
            if entry.owner == owner and now - entry.since_s >= m.SETTLED_S:
                if isinstance(entry, QueuedTask):
                    if entry.run not in named:
                        extra_runs.append(entry.run)
                elif entry.reservation not in named:
                    extra_reservations.append(entry.reservation)
        out.append(Tell(owner, m.Held(missing_runs, missing_reservations, extra_runs, extra_reservations)))

    _handlers: dict[type, Callable] = {
        m.Probe: _on_probe,
        m.Launch: _on_launch,
        m.Reserve: _on_reserve,
        m.Cancel: _on_cancel,
        m.Drop: _on_drop,
        m.Assign: _on_assign,
        m.NoTask: _on_no_task,
        m.Heartbeat: _on_heartbeat,
    }

    # Slots

    def _advance(self, now: float, out: list[Command]) -> None:
        """Fill the free slots from the front of the queue."""
        while self.queue and len(self.running) + len(self.asking) < self.slots:
            entry = self.queue.pop()
            if isinstance(entry, QueuedTask):
                self._start(entry, now, out)
            else:
                self.asking[entry.key] = entry
                out.append(Tell(entry.owner, m.Ask(*entry.reservation)))

    def _start(self, task: QueuedTask, now: float, out: list[Command]) -> None:
        self.running[task.key] = Running(task, now)
        out.append(Start(task.owner, task.run, task.duration_s))

    def _stop(self, running: Running, out: list[Command]) -> None:
        del self.running[running.task.key]
        out.append(Stop(running.task.owner, running.task.run))

    # Questions

    def _answered(self, owner: Owner, answer: m.Assign | m.NoTask) -> bool:
        """End the request that this answers; False if there is none (any more)."""
        key = owner, (answer.job, answer.reservation)
        self._remember(key, None)
        return self.asking.pop(key, None) is not None

    def _known(self, key: Hashable, out: list[Command]) -> bool:
        """Whether that came before. If it has ended, its end is told once more: the sender seems not to know."""
        done = self._ended.get(key)
        if done is not None:
            out.append(Tell(key[0], done))  # type: ignore[index]
        return key in self._ended or key in self.running or key in self.queue

    def _remember(self, key: Hashable, done: m.Done | None) -> None:
        self._ended[key] = done
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)

    def _some_held(self) -> Iterator[QueuedTask | QueuedReservation]:
        """What is in the slots, and a part of the queue: another one each time, no larger than a message should be."""
        yield from [running.task for running in self.running.values()]
        yield from self.asking.values()
        first = self._turn if self._turn < len(self.queue) else 0
        self._turn = first + m.MAX_CONFIRMED
        yield from list(islice(self.queue, first, self._turn))
