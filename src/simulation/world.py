"""``World``, ``Process`` and ``Connection``: virtual time and its events, the processes, and the connections between them."""

from __future__ import annotations

import itertools
import random
from collections import Counter, deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from src.simulation.network import Network
from src.sparrow.identity import incarnation
from src.sparrow.settings import VANISHED_S

EPOCH_S = 1e6  # the time of all clocks at the start, which is long after theirs
ANY_LIFE = 0  # an event of the network, which concerns a process in whichever incarnation it is then

Action = Callable[..., None]


class Timer:
    """An action that is called later, unless it is cancelled before."""

    __slots__ = ("_action", "_args")

    def __init__(self, action: Action, args: tuple[Any, ...]) -> None:
        self._action: Action | None = action
        self._args = args

    def cancel(self) -> None:
        """Cancels the action."""
        self._action = None

    def fire(self) -> None:
        """Calls the action, unless it is cancelled."""
        if self._action is not None:
            self._action(*self._args)


class World:
    """Virtual time and the events that are due. The same seed gives the same events.

    ``faultless`` says that every packet takes the same time and nothing breaks, so that the simulation can leave out many events.
    """

    def __init__(self, seed: int, network: Network, faultless: bool) -> None:
        self.rng = random.Random(seed)  # for the schedulers
        self.rng_of_faults = random.Random(f"faults {seed}")
        self.now = 0.0  # seconds of virtual time
        self.turn = 0  # the serial number of the present event, which orders events of the same time
        self.network = network
        self.faultless = faultless
        self.stopped = False
        self.counts: Counter[str] = Counter()  # how often things have happened, so that tests can see what a run covers
        self.serial = itertools.count(1)
        self.ports = itertools.count(10_000)
        self.at_port: dict[int, Process] = {}
        # An event is (time, serial number, process, its life, action, arguments).
        self.events: list[Any] = []  # a heap
        self.packets: deque[Any] = deque()  # packets that all take the same time: they are in order without a heap

    def push(self, at_s: float, process: Process, action: Action, *args: Any) -> None:
        """Has ``action(*args)`` called at that time for a process, in whichever life it is then."""
        heappush(self.events, (at_s, next(self.serial), process, ANY_LIFE, action, args))

    def run_until(self, until_s: float) -> None:
        """Runs the events up to that time, or until ``stop`` is called or no event is left."""
        events, packets, self.stopped = self.events, self.packets, False
        while (events or packets) and not self.stopped:
            if packets and (not events or packets[0] < events[0]):
                if packets[0][0] > until_s:
                    break
                self.now, self.turn, process, life, action, args = packets.popleft()
            else:
                if events[0][0] > until_s:
                    break
                self.now, self.turn, process, life, action, args = heappop(events)
            if process.hindered_until_s > self.now and self._is_hindered(process, life, action, args):
                continue
            if not life or life == process.life:
                action(*args)
                if process.touched:
                    process.settle()

    def stop(self) -> None:
        """Has ``run_until`` return after the present event."""
        self.stopped = True

    def _is_hindered(self, process: Process, life: int, action: Action, args: tuple[Any, ...]) -> bool:
        """Returns whether the event cannot take place now, and puts it off if so.

        A paused process puts off all events, a deaf one only those of the network.
        """
        until_s = max(process.paused_until_s, process.deaf_until_s if life == ANY_LIFE else 0.0)
        if until_s > self.now:
            heappush(self.events, (until_s, next(self.serial), process, life, action, args))
        return until_s > self.now

    def process_at(self, uri: str) -> Process | None:
        """Returns the process whose present or last port is that of the uri; None if there is none, or no longer."""
        port = int(uri.rpartition(":")[2])
        process = self.at_port.get(port)
        return process if process is not None and process.port == port else None


class Process:
    """One process on one machine. Its lives (incarnations) are numbered, and the timers of an earlier life never fire."""

    __slots__ = (  # a simulation has 10,000 workers, each with more attributes than Python keeps in a small dict
        *("world", "name", "life", "up", "silent", "incarnation", "port", "uri", "connections", "touched", "_clock_ahead_s"),
        *("paused_until_s", "deaf_until_s", "hindered_until_s", "mute_until_s", "garbled_until_s", "upset_s"),
    )

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.life = 0
        self.up = False
        self.silent = False  # whether its machine is gone, so that connections are neither refused nor closed
        self.paused_until_s = self.deaf_until_s = self.hindered_until_s = self.mute_until_s = self.garbled_until_s = 0.0
        self.upset_s = 0.0  # when the last fault was over
        self.incarnation = ""
        self._clock_ahead_s = EPOCH_S  # the time of its clock, less the virtual time
        self.port = 0
        self.uri = ""  # the Pyro4 uri of its remote object
        self.connections: dict[Connection, None] = {}  # the open connections, as far as this process knows
        self.touched: dict[Any, None] = {}  # the links to flush after the present event

    def hinder(self, paused_until_s: float = 0.0, deaf_until_s: float = 0.0, mute_until_s: float = 0.0) -> None:
        """Has the process stand still, receive nothing or send nothing up to these times."""
        self.paused_until_s = max(self.paused_until_s, paused_until_s)
        self.deaf_until_s = max(self.deaf_until_s, deaf_until_s)
        self.mute_until_s = max(self.mute_until_s, mute_until_s)
        self.hindered_until_s = max(self.paused_until_s, self.deaf_until_s)
        self.upset_s = max(self.upset_s, paused_until_s, deaf_until_s, mute_until_s)

    def who(self) -> dict[str, Any]:
        """Returns what the process says of itself in the handshake."""
        return {"name": self.name, "incarnation": self.incarnation, "uri": self.uri}

    def start(self) -> None:
        """Begins a new life, at a new port or, in three of ten cases, at the port of the last life.

        In one of ten cases the clock was set back before.
        """
        self.life += 1
        self.up, self.silent = True, False
        if self.life > 1 and self.world.rng_of_faults.random() < 0.1:
            self._clock_ahead_s -= self.world.rng_of_faults.expovariate(1 / 10.0)
        self.incarnation = incarnation(int(1e9 * (self.world.now + self._clock_ahead_s)), f".{self.name}.{self.life}")
        if self.world.at_port.get(self.port) is not self or self.world.rng_of_faults.random() < 0.7:
            self.port = next(self.world.ports)
            self.world.at_port[self.port] = self
            self.uri = f"PYRO:{self.name}@127.0.0.1:{self.port}"

    def crash(self, silent: bool) -> None:
        """Ends the life. Peers notice it at once; if ``silent`` (the machine is gone) only after ``VANISHED_S``."""
        self.life += 1
        self.up, self.silent = False, silent
        self.paused_until_s, self.hindered_until_s = 0.0, self.deaf_until_s
        connections, self.connections = self.connections, {}
        for connection in connections:
            connection.end_died(self, VANISHED_S if silent else 0.0)

    def later(self, delay_s: float, action: Action, *args: Any) -> Timer:
        """Has ``action(*args)`` called after ``delay_s`` seconds if the process is still in this life. Returns the timer."""
        timer = Timer(action, args)
        world = self.world
        heappush(world.events, (world.now + delay_s, next(world.serial), self, self.life, timer.fire, ()))
        return timer

    def settle(self) -> None:
        """The present event is over, and the messages that it has caused are sent. There are none here."""

    def caller_gone(self, connection: Connection) -> None:
        """A connection from a caller has ended. There is nothing to do here."""


class Connection:
    """One connection. Each end has its own view of whether it is open; ``ended()`` is called at the caller when it breaks."""

    __slots__ = ("caller", "callee", "greeting", "ended", "calls", "call", "acknowledged", "deadline", "_last_s", "_lives")

    def __init__(self, caller: Process, callee: Process) -> None:
        self.caller, self.callee = caller, callee
        self.greeting = caller.who()  # what the caller says of itself in the handshake
        self.ended: Callable[[], None] | None = None  # None until the caller knows that the connection is open
        self.calls = 0  # how many calls the caller has made
        self.call = 0  # the number of the one that is under way; 0 if none is
        self.acknowledged: tuple[float, int] | None = None  # (time, serial number) of its empty answer, for which no event is made
        self.deadline: Timer | None = None  # of the call that is under way
        self._lives = (caller.life, callee.life)
        self._last_s = [0.0, 0.0]  # when the last packet arrives at the caller, and at the callee
        caller.connections[self] = callee.connections[self] = None

    def stands_at(self, end: Process) -> bool:
        """Returns whether the connection is open as far as this end knows, and the end is still in the same life."""
        return self in end.connections and end.life == self._lives[end is self.callee]

    def occupy(self, sender: Process, size_bytes: int) -> None:
        """The next packet from this end is so large: it arrives that much later, and so does everything behind it."""
        world, which = sender.world, sender is self.caller
        if not world.faultless:
            self._last_s[which] = max(self._last_s[which], world.now) + size_bytes / world.network.bytes_per_s

    def transmit(self, sender: Process, action: Action, *args: Any) -> None:
        """Sends a packet: ``action(*args)`` is called at the other end, in order, if the connection is still open there."""
        world = sender.world
        receiver = self.callee if sender is self.caller else self.caller
        if world.faultless:
            world.packets.append((world.now + world.network.delay_s, next(world.serial), receiver, ANY_LIFE, action, args))
            return
        rng = world.rng_of_faults
        which = receiver is self.callee
        arrives_s = max(world.now, sender.mute_until_s) + world.network.takes_s(rng)
        arrives_s = self._last_s[which] = max(arrives_s, self._last_s[which])
        breaks = rng.random() < world.network.resets
        if not breaks or rng.random() < 0.5:
            world.push(arrives_s, receiver, self._arrived, receiver, action, args)
        if breaks or arrives_s - world.now > VANISHED_S:
            for end in (self.caller, self.callee):
                world.push(min(arrives_s, world.now + VANISHED_S), end, self._broken, end)

    def _arrived(self, receiver: Process, action: Action, args: tuple[Any, ...]) -> None:
        if self.stands_at(receiver):
            action(*args)

    def _broken(self, end: Process) -> None:
        """Tells this end that the connection has broken."""
        if self.stands_at(end):
            del end.connections[self]
            if end is self.callee:
                end.caller_gone(self)
            elif self.ended is not None:
                end.world.counts["connection broken"] += 1
                self.ended()

    def close(self) -> None:
        """Closes the connection at the caller. The packets that it has sent before still arrive."""
        if self.caller.connections.pop(self, self) is None:
            world = self.caller.world
            arrives_s = max(world.now, self.caller.mute_until_s) + world.network.takes_s(world.rng_of_faults)
            world.push(max(arrives_s, self._last_s[1]), self.callee, self._broken, self.callee)

    def end_died(self, end: Process, after_s: float) -> None:
        """The process at this end has died, which the other end notices after ``after_s`` seconds."""
        other = self.callee if end is self.caller else self.caller
        other.world.push(other.world.now + after_s + other.world.network.delay_s, other, self._broken, other)
