"""``Target``, a scheduler or worker that the dashboard samples over one connection, which is made again when it breaks."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from src.rmi.channel import Channel, abandon
from src.rmi.errors import LostError, SparrowError
from src.sparrow.schema import Read, UnreadableError

UP, SILENT, GONE, UNREADABLE = "up", "silent", "gone", "unreadable"
UNREGISTERED = "it has left: its name is no longer in the name server"
_MOST_REASON = 300  # characters of a reason that are kept: some come from the peer

log = logging.getLogger("sparrow.monitor")


@dataclass(frozen=True)
class TargetSettings:
    """The times of a target. If it is asked every 2 s, its silence is noticed within 3 s."""

    answer_s: float = 0.9  # a target whose answer takes longer is silent
    connect_s: float = 1.4  # the longest time to connect, including the handshake
    retry_s: float = 2.0  # between two attempts to connect to a target that is gone
    most_retry_s: float = 10.0  # the same, for one that has never answered: it grows by half from attempt to attempt
    complain_s: float = 60.0  # between two lines in the log about one target that says what cannot be read
    max_fetches: int = 4  # calls outside of the rounds that are under way at a time


class Question(NamedTuple):
    """The call that a target gets in every round. ``parse`` and ``greeting`` return what it said, or raise UnreadableError."""

    method: str
    arguments: tuple[Any, ...]
    parse: Read
    greeting: Read


class Gate:
    """Lets a limited number in at a time; of those who wait, the one with the lowest rank is next. It is not thread-safe."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._tickets = itertools.count()

    @asynccontextmanager
    async def enter(self, rank: int) -> AsyncIterator[None]:
        """Waits until there is room."""
        if self._free:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (rank, next(self._tickets), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()
                raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Connector:
    """Makes the connections to targets, with one key and a limited number at a time. It is not thread-safe."""

    def __init__(self, key: bytes | None, max_connecting: int, settings: TargetSettings) -> None:
        self.settings = settings
        self._key = key
        self._gate = Gate(max_connecting)

    async def open(self, uri: str, rank: int = 0) -> Channel:
        """Returns a connection to a remote object. Raises SparrowError if it cannot be made. A lower rank goes first."""
        async with self._gate.enter(rank):
            return await Channel.open(uri, {"name": "dashboard"}, self._key, self.settings.connect_s)


class Target:
    """A scheduler or a worker that is sampled. It is not thread-safe.

    ``state`` is "new" until the first answer or the first failure. Then it is "up", "silent" (connected, without an answer), "gone"
    (no connection can be had) or "unreadable" (what it says is not of the declared form). ``on_change`` is called whenever it
    changes.
    """

    def __init__(self, name: str, uri: str, question: Question, on_change: Callable[[], None], connector: Connector) -> None:
        self.name, self.uri = name, uri
        self.state = "new"
        self.since = time.time()  # when ``state`` took its present value, in seconds since 1970
        self.answer: Any = None  # the last answer that could be read, as ``question.parse`` returned it
        self.greeting: Any = None  # what the target says of itself in the handshake, as ``question.greeting`` returned it
        self.last_seen: float | None = None  # the time of that answer, in seconds since 1970
        self.reason = ""  # why it is not up
        self.registered = True  # whether its name is in the name server
        self._question, self._on_change, self._connector = question, on_change, connector
        self._channel: Channel | None = None
        self._connected_at = 0.0  # monotonic
        self._connecting: asyncio.Task[None] | None = None
        self._asked_at: float | None = None  # monotonic, while an answer is due
        self._fetches = 0
        self._failures = 0  # attempts to connect since the last answer
        self._retry_at = 0.0  # monotonic
        self._complained_at = float("-inf")  # monotonic
        self._lost_because = ""

    @property
    def address(self) -> str:
        """The address of the target, as HOST:PORT."""
        return self.uri.rpartition("@")[2]

    @property
    def gone_since(self) -> float | None:
        """When it became gone, in seconds since 1970; None if it is not."""
        return self.since if self.state == GONE else None

    @property
    def is_busy(self) -> bool:
        """Whether an answer may still come in this round."""
        return self._connecting is not None or self._asked_at is not None

    @property
    def silent_at(self) -> float | None:
        """When the call under way has been unanswered for too long, on the monotonic clock; None if there is no such call."""
        return None if self._asked_at is None else self._asked_at + self._connector.settings.answer_s

    def ask(self) -> None:
        """Begins the call of this round, unless the last one is unanswered. If there is no connection, it begins to connect."""
        now = time.monotonic()
        if self._channel is None:
            if self._connecting is None and self.registered and now >= self._retry_at:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
        elif self._asked_at is None:
            self._asked_at = now
            self._channel.begin(self._question.method, self._question.arguments, self._on_answer)

    def check_deadline(self) -> None:
        """Marks the target as silent if its answer is overdue."""
        if self.silent_at is not None and time.monotonic() >= self.silent_at:
            self._mark(SILENT, f"it is connected, but has not answered for {self._connector.settings.answer_s:g} s")

    def set_registered(self, registered: bool) -> None:
        """Notes whether the target's name is in the name server. A target that is neither there nor connected is gone."""
        self.registered = registered
        if not registered and self._channel is None and self._connecting is None:
            self._mark(GONE, UNREGISTERED)
            self.reason = UNREGISTERED

    async def fetch(self, method: str, *arguments: Any) -> Any:
        """Calls a method outside of the rounds, and returns its result. Raises LookupError if there is no answer.

        The call has no deadline here: a caller that waits no longer leaves it under way, and it counts until it is answered.
        """
        if self._channel is None:
            raise LookupError(f"{self.name} is not connected")
        if self._fetches >= self._connector.settings.max_fetches:
            raise LookupError(f"{self.name} has not answered the last questions yet")
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def end(error: Exception | None, value: Any) -> None:
            self._fetches -= 1
            if not ended.done():
                ended.set_result((error, value))

        self._fetches += 1
        self._channel.begin(method, arguments, end, None)
        error, value = await ended
        if error is not None:
            raise LookupError(f"{self.name} does not answer: {_readable(str(error))}") from error
        return value

    def close(self) -> None:
        """Ends the connection, without a call of ``on_change``."""
        abandon(self._connecting, self._channel)
        self._channel = None

    async def _connect(self) -> None:
        rank = 0 if self.last_seen is not None else 1 + self._failures  # who has answered goes first, then who is new
        try:
            channel = await self._connector.open(self.uri, rank)
        except (SparrowError, LookupError, TypeError, ValueError) as error:
            self._wait_before_retry()
            self._mark(GONE, str(error))
            return
        try:
            self.greeting = self._question.greeting(channel.peer)
        except UnreadableError as error:
            self._not_connected(channel, UNREADABLE, f"its greeting: {error}")
            return
        if self.greeting["name"] != self.name:
            self._not_connected(channel, GONE, "another process answers at its address")
            return
        self._connecting = None
        self._channel, self._connected_at = channel, time.monotonic()
        channel.on_lost = self._on_lost
        self.ask()

    def _not_connected(self, channel: Channel, state: str, reason: str) -> None:
        channel.close()
        self._wait_before_retry()
        self._mark(state, reason)

    def _wait_before_retry(self) -> None:
        """Sets the time of the next attempt to connect. It comes later and later for a name that has never answered."""
        settings = self._connector.settings
        self._connecting = None
        pause_s = settings.retry_s
        if self.last_seen is None:
            pause_s = min(settings.most_retry_s, settings.retry_s * 1.5 ** min(self._failures, 10))
        self._failures += 1
        self._retry_at = time.monotonic() + pause_s

    def _on_lost(self) -> None:
        self._channel = self._asked_at = None
        if time.monotonic() - self._connected_at < self._connector.settings.retry_s:
            self._wait_before_retry()  # else who hangs up at once would be connected again without a pause
        self.ask()  # this connects again at once; the target is gone only if that fails
        if self._connecting is None:
            self._mark(GONE, self._lost_because or "it closed the connection")

    def _on_answer(self, error: Exception | None, value: Any) -> None:
        self._asked_at = None
        if error is None:
            try:
                self.answer = self._question.parse(value)
            except UnreadableError as unreadable:
                self._mark(UNREADABLE, str(unreadable))
            else:
                self._mark_up()
        elif isinstance(error, LostError):  # _on_lost is called as well
            self._lost_because = str(error)
        else:
            self._mark(UNREADABLE, f"an error, {error}")

    def _mark_up(self) -> None:
        self.last_seen = time.time()
        self._failures = 0
        self._mark(UP, "")

    def _mark(self, state: str, reason: str) -> None:
        if state == UNREADABLE:
            reason = f"{self.name} answers something that cannot be read: {reason}"
        reason = _readable(reason)
        if self.state != state or (state == UNREADABLE and self.reason != reason):
            was, self.state, self.reason = self.state, state, reason
            if state == UNREADABLE and time.monotonic() - self._complained_at >= self._connector.settings.complain_s:
                self._complained_at = time.monotonic()
                log.warning("%s", reason)
            if was != state:
                self.since = time.time()
                self._on_change()


def _readable(text: str) -> str:
    """Returns the beginning of a text, with a space for what cannot be printed: a peer may have chosen it."""
    return "".join(char if char.isprintable() else " " for char in text[:_MOST_REASON])
