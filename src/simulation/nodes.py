"""The processes of a simulated cluster: workers, schedulers and clients around the real books, with simulated calls between them.

A call is modelled as it is live: what a node has to tell a peer goes out as one batch, one call at a time; the reply acknowledges
it and carries the answers; without a reply the batch is sent again, and after a while of silence the peer is given up. A peer that
was restarted refuses what is meant for its earlier incarnation, which is then given up at once.
"""

from __future__ import annotations

import itertools
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any, Callable

from src.simulation.audit import Witness
from src.simulation.network import Network
from src.sparrow import messages as m
from src.sparrow.jobtable import Command as SchedulerCommand
from src.sparrow.jobtable import Finish, JobTable
from src.sparrow.outbox import Outbox
from src.sparrow.queues import Owner
from src.sparrow.workqueue import Command as WorkerCommand
from src.sparrow.workqueue import Start, Tell, WorkQueue

CALL_TIMEOUT_S = 0.5  # a call that is not answered by then is made again
LOST_AFTER_S = 2.5  # a peer that has not answered for so long is given up
DISCOVERY_S = 1.0  # how often a scheduler looks for workers that it does not know, and a client asks for its jobs
TICK_S = 0.1
LEAVING_S = 0.5  # what a worker that leaves still lets its tasks run
DOORS = {m.Probe: 1, m.Launch: 2, m.Heartbeat: 2, m.Reserve: 3, m.Cancel: 3, m.Drop: 3}  # the method that takes each: one a call
REPLIES = (*m.ANSWERS, m.Load)  # messages for the caller that travel in the reply; others go out by themselves


class World:
    """Virtual time, the network, and what all nodes know of each other. The same seed gives the same events."""

    def __init__(self, seed: int, network: Network, reliable: bool, witness: Witness | None) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0  # seconds of virtual time
        self.network = network
        self.reliable = reliable  # every call is answered: no need to wait for those that are not
        self.witness = witness
        self.serial = itertools.count(1)
        self.upset: dict[frozenset[str], float] = {}  # when the nodes of these two names last gave each other up, or met
        self.workers: list[SimulatedWorker] = []
        self.schedulers: list[SimulatedScheduler] = []
        self.nodes: dict[str, Member] = {}
        self.reports: list[dict[str, Any]] = []
        self._events: list[tuple[float, int, Node, int, Callable, tuple]] = []

    def later(self, delay_s: float, node: Node, action: Callable, *args: object) -> None:
        """Something that this process does in a while, if it still lives."""
        heappush(self._events, (self.now + delay_s, next(self.serial), node, node.life, action, args))

    def send(self, sender: Node, receiver: Node, action: Callable, *args: object) -> None:
        """Something that happens at the receiver when a message arrives there, in whichever life."""
        if self.now >= sender.mute_until_s:
            for delay_s in self.network.delays(self.rng):
                heappush(self._events, (self.now + delay_s, next(self.serial), receiver, 0, action, args))

    def step(self, until_s: float = float("inf")) -> bool:
        """Let the next event happen; False if there is none up to that time."""
        if not self._events or self._events[0][0] > until_s:
            return False
        self.now, _, node, life, action, args = heappop(self._events)
        if node.paused_until_s > self.now:
            heappush(self._events, (node.paused_until_s, next(self.serial), node, life, action, args))
        elif node.life == life if life else node.deaf_until_s <= self.now:
            action(*args)
        return True


class Channel:
    """One node's way to one peer: what it is to be told, and the call under way (0: none)."""

    __slots__ = ("node", "outbox", "call", "silent_since_s")

    def __init__(self, node: Member) -> None:
        self.node = node
        self.outbox: Outbox[m.Message] = Outbox(lambda message: DOORS.get(type(message)))
        self.call = 0
        self.silent_since_s: float | None = None


class Node:
    """One process on one machine. Its address, an ``Owner``, is its name and its incarnation."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.life = 0  # goes up when it starts and when it dies: what was meant for an earlier life never happens
        self.paused_until_s = self.deaf_until_s = self.mute_until_s = 0.0
        self.upset_s = 0.0  # when the last fault was over
        self.start()

    def start(self) -> None:
        self.life += 1
        self.address = Owner(self.name, str(self.life))
        self.up, self.silent = True, False
        self.channels: dict[Owner, Channel] = {}
        self._touched: dict[Owner, Channel] = {}

    def crash(self, silent: bool) -> None:
        self.life += 1
        self.up, self.silent = False, silent
        self.channels, self._touched = {}, {}
        self.paused_until_s = 0.0


class Member(Node, ABC):
    """A node that keeps a book, and talks to others of its kind as a book says."""

    def put(self, node: Member, peer: Owner, message: m.Message) -> None:
        channel = self.channels.get(peer)
        if channel is None:
            channel = self.channels[peer] = Channel(node)
        channel.outbox.put(message)
        self._touched[peer] = channel

    def flush(self) -> None:
        """Call each peer that there is something new for, unless a call to it is under way."""
        touched, self._touched = self._touched, {}
        for peer, channel in touched.items():
            self.call(peer, channel)

    def call(self, peer: Owner, channel: Channel) -> None:
        batch = channel.outbox.take()
        if batch:
            channel.call = call = next(self.world.serial)
            if channel.silent_since_s is None:
                channel.silent_since_s = self.world.now
            self.world.send(self, channel.node, channel.node.called, self, self.address, peer, call, batch)
            if not self.world.reliable:
                self.world.later(CALL_TIMEOUT_S, self, self.timed_out, peer, call)

    def called(self, caller: Member, address: Owner, callee: Owner, call: int, batch: list[m.Message]) -> None:
        """A call arrives: the answer is a list of messages, or None when it is refused."""
        if not self.silent:
            answer = self.perform(self.hear(address, batch), address) if self.up and callee == self.address else None
            self.world.send(self, caller, caller.answered, callee, call, answer)

    def answered(self, peer: Owner, call: int, answer: list[m.Message] | None) -> None:
        channel = self.channels.get(peer)
        if channel is None or channel.call != call:
            return  # too late: that call was given up
        if answer is None:
            self.give_up(peer)
            return
        channel.call, channel.silent_since_s = 0, None
        channel.outbox.delivered()
        if answer:
            self.perform(self.hear(peer, answer))
        self.call(peer, channel)

    def timed_out(self, peer: Owner, call: int) -> None:
        channel = self.channels.get(peer)
        if channel is None or channel.call != call or channel.silent_since_s is None:
            return
        if self.world.now - channel.silent_since_s >= LOST_AFTER_S:
            self.give_up(peer)
        else:
            channel.outbox.failed()
            self.call(peer, channel)

    def give_up(self, peer: Owner) -> None:
        self.channels.pop(peer, None)
        self.world.upset[frozenset((self.name, peer.scheduler))] = self.world.now

    def reaches(self, other: Node) -> bool:
        """Whether a call to it would be answered now."""
        hindered_s = max(
            other.paused_until_s, *(until for node in (self, other) for until in (node.deaf_until_s, node.mute_until_s))
        )
        return other.up and hindered_s <= self.world.now

    @abstractmethod
    def hear(self, peer: Owner, batch: list[m.Message]) -> Sequence[Any]:
        """What follows from these messages, as commands."""

    @abstractmethod
    def perform(self, commands: Iterable[Any], caller: Owner | None = None) -> list[m.Message]:
        """Do these commands; returns what goes into the reply to the caller."""


class SimulatedWorker(Member):
    def __init__(self, world: World, name: str, slots: int, queue_class: type[WorkQueue]) -> None:
        self.slots, self.queue_class = slots, queue_class
        super().__init__(world, name)

    def start(self) -> None:
        super().start()
        self.book = self.queue_class(self.slots)
        self.ends: dict[tuple[Owner, m.Run], int] = {}  # the runs in the slots, each with the serial number of its end

    def hear(self, peer: Owner, batch: list[m.Message]) -> Sequence[WorkerCommand]:
        return self.book.received(peer, batch, self.world.now)

    def perform(self, commands: Iterable[WorkerCommand], caller: Owner | None = None) -> list[m.Message]:
        answer: list[m.Message] = []
        for command in commands:
            if isinstance(command, Tell):
                if self.world.witness:
                    self.world.witness.told(self.address, command.owner, command.message)
                if command.owner == caller and isinstance(command.message, REPLIES):
                    answer.append(command.message)
                else:
                    self.put(self.world.nodes[command.owner.scheduler], command.owner, command.message)
            elif isinstance(command, Start):
                end = self.ends[command.owner, command.run] = next(self.world.serial)
                self.world.later(command.duration_s, self, self.end, command.owner, command.run, end)
            else:
                del self.ends[command.owner, command.run]
        self.flush()
        return answer

    def end(self, owner: Owner, run: m.Run, end: int) -> None:
        if self.ends.get((owner, run)) == end:
            del self.ends[owner, run]
            if self.world.witness:
                self.world.witness.ran(self.address, owner, run)
            self.perform(self.book.ended(owner, run, self.world.now))

    def give_up(self, peer: Owner) -> None:
        super().give_up(peer)
        self.perform(self.book.lost(peer, self.world.now))

    def leave(self) -> None:
        self.perform(self.book.leave(list(self.channels), self.world.now, LEAVING_S))


class SimulatedScheduler(Member):
    def __init__(self, world: World, name: str, table_class: type[JobTable]) -> None:
        self.table_class = table_class
        super().__init__(world, name)

    def start(self) -> None:
        super().start()
        self.book = self.table_class(self.world.rng)
        self.ticking = False
        self.clients: dict[str, Client] = {}  # of each job
        self.reports: dict[str, dict[str, Any]] = {}

    def discover(self) -> None:
        """Join the workers that can be reached and are not known. (Live, the name server tells of them.)"""
        for worker in self.world.workers:
            name, incarnation = worker.address
            entry = self.book.workers.get(name)
            if (entry is None or entry.incarnation != incarnation) and not worker.book.leaving and self.reaches(worker):
                if entry is not None:
                    self.channels.pop(Owner(name, entry.incarnation), None)
                self.world.upset[frozenset((self.name, name))] = self.world.now
                self.perform(self.book.joined(name, incarnation, worker.slots, self.world.now))
        if not self.world.reliable:
            self.world.later(DISCOVERY_S, self, self.discover)

    def schedule(self, client: Client, specs: Iterable[m.JobSpec]) -> None:
        """A client hands over jobs, maybe not for the first time, and is told which of them have been reported."""
        if self.up:
            reports = [self.reports[spec.id] for spec in specs if spec.id in self.reports]
            for spec in specs:
                if spec.id not in self.reports:
                    self.clients[spec.id] = client
                    self.perform(self.book.submitted(spec, self.world.now))
            if not self.world.reliable:
                self.world.send(self, client, client.told, self, reports)
        elif not self.silent:
            self.world.send(self, client, client.told, self, None)

    def hear(self, peer: Owner, batch: list[m.Message]) -> Sequence[SchedulerCommand]:
        return self.book.received(peer.scheduler, peer.incarnation, batch, self.world.now)

    def perform(self, commands: Iterable[SchedulerCommand], caller: Owner | None = None) -> list[m.Message]:
        answer: list[m.Message] = []
        for command in commands:
            if isinstance(command, Finish):
                if self.world.witness:
                    self.world.witness.finished(self.address, command.report)
                self.reports[command.job] = command.report
                client = self.clients[command.job]
                self.world.send(self, client, client.told, self, [command.report])
                continue
            if caller and command.worker == caller.scheduler and isinstance(command.message, REPLIES):
                worker = caller
                answer.append(command.message)
            else:
                worker = Owner(command.worker, self.book.workers[command.worker].incarnation)
                self.put(self.world.nodes[command.worker], worker, command.message)
            if self.world.witness:
                self.world.witness.sent(self.address, worker, command.message)
        self.flush()
        if not self.ticking and self.book.busy:
            self.ticking = True
            self.world.later(TICK_S, self, self.tick)
        return answer

    def tick(self) -> None:
        self.ticking = False
        self.perform(self.book.tick(self.world.now))

    def give_up(self, peer: Owner) -> None:
        super().give_up(peer)
        entry = self.book.workers.get(peer.scheduler)
        if entry is not None and entry.incarnation == peer.incarnation:
            self.perform(self.book.lost(peer.scheduler, self.world.now))


class Client(Node):
    """Holds its jobs until they are reported, and hands them to the next scheduler when its own is gone."""

    def __init__(self, world: World, name: str, scheduler: int) -> None:
        super().__init__(world, name)
        self.scheduler = scheduler
        self.heard_s = 0.0
        self.jobs: dict[str, m.JobSpec] = {}
        self.reports: list[dict[str, Any]] = []
        self.asking = False

    def submit(self, spec: m.JobSpec) -> None:
        self.jobs[spec.id] = spec
        if self.world.witness:
            self.world.witness.submitted(spec)
        self.hand([spec])
        if not self.world.reliable and not self.asking:
            self.asking, self.heard_s = True, self.world.now
            self.world.later(DISCOVERY_S, self, self.ask)

    def hand(self, specs: list[m.JobSpec]) -> None:
        scheduler = self.world.schedulers[self.scheduler]
        self.world.send(self, scheduler, scheduler.schedule, self, specs)

    def ask(self) -> None:
        self.asking = bool(self.jobs)
        if self.asking:
            if self.world.now - self.heard_s >= LOST_AFTER_S:
                self.scheduler = (self.scheduler + 1) % len(self.world.schedulers)
                self.heard_s = self.world.now
            self.hand(list(self.jobs.values()))
            self.world.later(DISCOVERY_S, self, self.ask)

    def told(self, scheduler: SimulatedScheduler, reports: list[dict[str, Any]] | None) -> None:
        if scheduler is self.world.schedulers[self.scheduler]:
            self.heard_s = self.world.now if reports is not None else -LOST_AFTER_S
        for report in reports or ():
            if self.jobs.pop(report["id"], None):
                self.reports.append(report)
                self.world.reports.append(report)
