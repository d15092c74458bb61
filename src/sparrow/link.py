"""The link of a node to one peer: the messages that wait, the call that is under way, and when the peer is given up.

    CONNECTING ----connected----> UP ----disconnected----> CONNECTING        (the batch under way is sent again)
        |                          |
        +--- too long, refused ----+--- silent, unreadable, other incarnation ---> LOST, which is final

A link is a state machine: its methods are events, and it asks its ``Host`` for connections, calls and timers. One call is under way
at a time, and its answer is the acknowledgement; messages that are sent meanwhile wait for the next call. Batches therefore form
under load, cost nothing when the node is idle, and need no timer. Until it is lost, the peer receives each message at least once,
in order within a lane. If the peer has no room, what needs room is held for a while, and the rest overtakes it: what makes room
never waits behind what needs it. A peer is one incarnation of one process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from src.sparrow.messages import Address, Message
from src.sparrow.settings import LinkSettings

CONNECTING = "connecting"
UP = "up"
LOST = "lost"


class Timer(Protocol):
    """A timer that ``Host.later`` has started."""

    def cancel(self) -> None:
        """Stops the timer, so that its action is not called."""


class Host(Protocol):
    """What a node asks of its driver, live or simulated. No method blocks: the driver reports results to the link later."""

    def now(self) -> float:
        """Returns the time in seconds, from a clock that never goes back."""

    def later(self, delay_s: float, action: Callable[..., None], *args: Any) -> Timer:
        """Has ``action(*args)`` called after ``delay_s`` seconds, and returns the timer."""

    def connect(self, link: Link) -> None:
        """Begins a connection. Later ``link.connected``, ``not_yet`` or ``unreachable`` is called, unless ``hang_up`` was."""

    def hang_up(self, link: Link) -> None:
        """Ends the connection, or the attempt to make one. No method of the link is called for either after that."""

    def call(self, link: Link, batch: list[Message]) -> None:
        """Begins a call that carries the batch.

        Later ``link.answered``, ``refused``, ``no_room``, ``silent`` or ``unreadable`` is called, or only ``link.disconnected`` if
        the connection ends first.
        """

    def note(self, level: str, text: str) -> None:
        """Logs a line for the operator; ``level`` is debug, info or warning."""

    def flush_soon(self, link: Link) -> None:
        """Has ``link.flush`` called after the current event, so that all messages that the event causes share a call."""


class LinkOwner(Protocol):
    """The node that a link belongs to. The link calls these methods; each is an event."""

    def link_up(self, link: Link, greeting: Mapping[str, Any]) -> None:
        """The peer is connected, or connected again. ``greeting`` is what the peer says of itself in the handshake."""

    def link_down(self, link: Link) -> None:
        """The connection has ended, and the link connects again. ``link_up`` or ``link_lost`` is called later."""

    def link_answered(self, link: Link, batch: Sequence[Message], answers: Sequence[Message]) -> None:
        """The peer has taken the batch and answered with these messages."""

    def link_refused(self, link: Link, message: Message) -> None:
        """The peer has refused this message, and the link has dropped it."""

    def link_lost(self, link: Link, reason: str) -> None:
        """The peer is lost, for this reason. The link calls nothing more after that."""


class Link:
    """The link to one peer.

    ``peer`` is the address under which the owner knows the peer; the link does not use it. ``name`` is the name of the peer's
    remote object. If ``incarnation`` is None, the link accepts the incarnation that answers first. ``uri`` is the peer's Pyro4 uri;
    if it is None, the host looks the name up. ``connection`` is for the host alone.
    """

    def __init__(
        self,
        owner: LinkOwner,
        host: Host,
        peer: Address,
        name: str,
        incarnation: str | None,
        uri: str | None,
        settings: LinkSettings,
    ) -> None:
        self.owner, self.host, self.peer, self.settings = owner, host, peer, settings
        self._largest_batch = settings.largest_batch
        self.name, self.incarnation, self.uri = name, incarnation, uri
        self.connection: Any = None
        self._lanes: dict[str, deque[list[Message]]] = {}  # lane -> the batches that wait; the lanes take turns
        self._under_way: list[Message] = []
        self._suspects: deque[Message] = deque()  # messages of a refused batch: they are sent one by one, before newer ones
        self._testing = False  # whether the call under way carries one of the suspects
        self._uncertain: list[Message] = []  # what was under way when a connection ended: the peer may have taken it
        self._full = False  # whether the peer had no room a moment ago, so that what needs room is held
        self._held: dict[str, deque[list[Message]]] = {}  # lane -> what is held
        self._held_once: set[Message] = set()  # the same: each message once, though the peer may say that it misses it
        self.waiting = 0  # messages that wait for the next call
        self._flushing = False
        self._connected_at_s = float("-inf")
        self._no_room_since_s: float | None = None
        self._untaken_since_s: float | None = None  # when a connection first ended with the batch that is still to be taken
        self._timer: Timer | None = None  # until the next attempt to connect, or to call a peer that had no room
        self._deadline: Timer | None = None  # until a peer that is not connected is given up
        self._pause_s = 0.0  # between two attempts to connect; it doubles with each
        self.nobody_there = False  # whether it was given up because nobody listens at its port
        self.state = CONNECTING
        self._begin_connecting()

    def __len__(self) -> int:
        """Returns how many messages the peer has not taken yet."""
        return self.waiting + len(self._under_way)

    # Requests of the owner

    def send(self, message: Message) -> None:
        """Sends a message to the peer, in the next call of its lane."""
        self.waiting += 1
        if self._full and message.needs_room:
            self._hold(message)
            return
        self._append(self._lanes, message)
        if not self._flushing:
            self._flush_soon()

    def close(self) -> None:
        """Closes the link: it drops what waits, ends the connection and calls its owner no more."""
        self.state = LOST
        self._cancel_timers()
        self.host.hang_up(self)

    # Events from the host

    def connected(self, greeting: object) -> None:
        """A connection is open; ``greeting`` is what the process at its other end says of itself in the handshake."""
        said = greeting if isinstance(greeting, dict) else {}
        incarnation = said.get("incarnation")
        if said.get("name") != self.name or not isinstance(incarnation, str):
            self.give_up("another process answers at its address")
        elif self.incarnation not in (None, incarnation):
            self.give_up("it was restarted")
        else:
            self._cancel_timers()
            self.incarnation = incarnation
            self._connected_at_s = self.host.now()
            self.state = UP
            self.owner.link_up(self, said)
            if self.state == UP:
                self.flush()

    def not_yet(self, reason: str) -> None:
        """An attempt to connect has failed for a reason that may pass: the peer does not answer yet, or the name server is away."""
        self.host.note("debug", f"{self.name}: trying again: {reason}")
        self._timer = self.host.later(self._pause_s, self._try_again)
        self._pause_s = min(2 * self._pause_s, self.settings.retry_s)

    def unreachable(self, reason: str, nobody_there: bool = False) -> None:
        """An attempt to connect has failed for good: the connection was refused, or there is no such address."""
        self.nobody_there = nobody_there
        self.give_up(reason)

    def disconnected(self) -> None:
        """The connection has ended. The link connects again at once, and sends the batch that was under way again."""
        self.state = CONNECTING
        self._cancel_timers()
        self._flushing = False
        self._release()
        now = self.host.now()
        if self._under_way:
            self._uncertain = self._under_way
            self._untaken_since_s = now if self._untaken_since_s is None else self._untaken_since_s
            if now - self._untaken_since_s > self.settings.lost_after_s:
                self.give_up("it ends the connection at every call")
                return
        self._take_back()
        self._begin_connecting()
        self.owner.link_down(self)

    def answered(self, answers: Sequence[Message]) -> None:
        """The peer has taken the batch that was under way."""
        batch, self._under_way = self._under_way, []
        if self._untaken_since_s is not None:
            self._untaken_since_s, self._uncertain = None, []
        if self._no_room_since_s is not None and any(message.needs_room for message in batch):
            self._no_room_since_s = None
        if answers:
            self.owner.link_answered(self, batch, answers)
        if self.waiting:
            self._flush_soon()

    def refused(self, reason: str) -> None:
        """The peer has refused the batch and changed nothing: its messages are sent again one by one, to drop the refused one."""
        batch, self._under_way, self._uncertain = self._under_way, [], []
        self._no_room_since_s = self._untaken_since_s = None
        if len(batch) > 1:
            self._suspects.extend(batch)
            self.waiting += len(batch)
        else:
            self.host.note("warning", f"{self.name} refuses {batch[0]}: {reason}")
            self.owner.link_refused(self, batch[0])
        if self.state == UP:
            self.flush()

    def no_room(self, reason: str) -> None:
        """The peer has no room for the batch. What needs no room is sent again at once, and all else after a pause.

        If the peer has had no room for ``no_room_for_s`` seconds, it is given up.
        """
        now = self.host.now()
        self._untaken_since_s, self._uncertain = None, []
        if self._no_room_since_s is None:
            self.host.note("info", f"{self.name} has no room: {reason}")
            self._no_room_since_s = now
        if now - self._no_room_since_s > self.settings.no_room_for_s:
            self.give_up(f"it has had no room for {self.settings.no_room_for_s:.0f} s")
        else:
            takes_nothing = not any(message.needs_room for message in self._under_way)
            self._take_back()
            self._full = True
            self._clear_suspects()
            self._cancel_timers()
            self._timer = self.host.later(self.settings.no_room_retry_s, self._pause_over)
            if takes_nothing:  # it ought to take what needs no room: nothing at all is sent during the pause
                self._flushing = True
            else:
                self.flush()

    def silent(self, reason: str) -> None:
        """The call was not answered in time, though the connection is open. What it carried counts as not taken."""
        self._take_back()
        self.give_up(reason)

    def unreadable(self, reason: str) -> None:
        """The peer's answer cannot be decoded."""
        self.give_up(f"it sent an answer that cannot be read: {reason}")

    def flush(self) -> None:
        """Calls the peer with the messages that wait, those of one lane, unless a call is under way."""
        self._flushing = False
        if self._under_way or self.state != UP:
            return
        self._testing = bool(self._suspects) and not self._full
        if self._testing:
            batch = [self._suspects.popleft()]
        elif self._lanes:
            batch = self._next_batch()
        else:
            return
        if batch:
            self._under_way = batch
            self.waiting -= len(batch)
            self.host.call(self, batch)
        elif self._lanes:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing and self.state == UP:
            self._flushing = True
            self.host.flush_soon(self)

    def _next_batch(self) -> list[Message]:
        """Takes the next batch of the lane whose turn it is. What is to be held is taken out of it: maybe all."""
        lane = next(iter(self._lanes))
        queue = self._lanes.pop(lane)
        batch = queue.popleft()
        if queue:
            self._lanes[lane] = queue
        if self._full:
            for message in batch:
                if message.needs_room:
                    self._hold(message)
            batch = [message for message in batch if not message.needs_room]
        return batch

    def _append(self, lanes: dict[str, deque[list[Message]]], message: Message) -> None:
        """Puts a message behind all others of its lane."""
        queue = lanes.get(message.lane)
        if queue is None:
            lanes[message.lane] = deque(([message],))
            return
        batch = queue[-1]
        if len(batch) < self._largest_batch:
            batch.append(message)
        else:
            queue.append([message])

    def _put_first(self, batch: list[Message]) -> None:
        """Puts a batch, which may be empty, before all others, and its lane before the others."""
        if batch:
            lane = batch[0].lane
            queue = self._lanes.pop(lane, None) or deque()
            if queue and len(batch) + len(queue[0]) <= self._largest_batch:
                queue[0] = batch + queue[0]
            else:
                queue.appendleft(list(batch))  # whoever has the batch is not to see what is added to it
            self._lanes = {lane: queue, **self._lanes}

    def give_up(self, reason: str) -> None:
        """Closes the link and tells its owner that the peer is lost, for this reason."""
        if self.state != LOST:
            self.close()
            self.owner.link_lost(self, reason)

    def untaken(self) -> Iterator[Message]:
        """Yields the messages that the peer has not taken, as far as anybody knows. The link may be lost already."""
        uncertain = {id(message) for message in self._uncertain}
        waiting = chain(self._suspects, *map(chain.from_iterable, (*self._held.values(), *self._lanes.values())))
        yield from (message for message in waiting if id(message) not in uncertain)

    # A peer without room

    def _hold(self, message: Message) -> None:
        """Holds a message that waits, if it is not held already."""
        if message in self._held_once:
            self.waiting -= 1
        else:
            self._held_once.add(message)
            self._append(self._held, message)

    def _clear_suspects(self) -> None:
        """The suspects that need no room are no longer tested one by one: they come before all else."""
        suspects, self._suspects = self._suspects, deque()
        for message in reversed(suspects):
            if message.needs_room:
                self._suspects.appendleft(message)
            else:
                self._put_first([message])

    def _release(self) -> None:
        """Has what was held sent before all else."""
        held, self._held, self._held_once, self._full = self._held, {}, set(), False
        for lane, queue in self._lanes.items():
            held.setdefault(lane, deque()).extend(queue)
        self._lanes = held

    def _pause_over(self) -> None:
        self._timer = None
        self._release()
        self.flush()

    # Connecting and resending

    def _begin_connecting(self) -> None:
        settings = self.settings
        self._pause_s = settings.first_retry_s
        self._deadline = self.host.later(settings.lost_after_s, self._too_late)
        if self.host.now() - self._connected_at_s < settings.retry_s:
            self._timer = self.host.later(settings.retry_s, self._try_again)
        else:
            self.host.connect(self)

    def _try_again(self) -> None:
        self._timer = None
        self.host.connect(self)

    def _too_late(self) -> None:
        self._deadline = None
        self.give_up(f"no connection in {self.settings.lost_after_s:g} s")

    def _take_back(self) -> None:
        """Puts the batch that was under way, which may not have arrived, before all newer messages and other lanes."""
        self.waiting += len(self._under_way)
        if self._testing:
            self._suspects.extendleft(self._under_way)
        else:
            self._put_first(self._under_way)
        self._under_way = []

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()
        self._timer = self._deadline = None
