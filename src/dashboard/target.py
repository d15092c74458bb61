"""``Target``, a scheduler or worker that the dashboard samples over one connection, which is made again when it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from src.rmi.channel import Channel, abandon
from src.rmi.errors import SparrowError

UNREGISTERED = "it has left: its name is no longer in the name server"


@dataclass(frozen=True)
class TargetSettings:
    """The times of a target. If it is asked every 2 s, its silence is noticed within 3 s."""

    answer_s: float = 0.9  # a target whose answer takes longer is gone
    connect_s: float = 1.4  # the longest time to connect, including the handshake
    retry_s: float = 2.0  # between two attempts to connect to a target that is gone


class Question(NamedTuple):
    """The call that a target gets in every round. ``parse`` returns the checked answer, or raises TypeError or ValueError."""

    method: str
    arguments: tuple[Any, ...]
    parse: Callable[[Any], Any]


class Connector:
    """Makes the connections to targets, with one key and a limited number at a time. It is not thread-safe."""

    def __init__(self, key: bytes | None, max_connecting: int, settings: TargetSettings) -> None:
        self.settings = settings
        self._key = key
        self._gate = asyncio.Semaphore(max_connecting)

    async def open(self, uri: str) -> Channel:
        """Returns a connection to a remote object. Raises SparrowError if it cannot be made."""
        async with self._gate:
            return await Channel.open(uri, {"name": "dashboard"}, self._key, self.settings.connect_s)


class Target:
    """A scheduler or a worker that is sampled. It is not thread-safe.

    ``state`` is "new" until the first answer or the first failure, then "up" or "gone". ``on_change`` is called whenever it becomes
    "up" or "gone".
    """

    def __init__(self, name: str, uri: str, question: Question, on_change: Callable[[], None], connector: Connector) -> None:
        self.name, self.uri = name, uri
        self.state = "new"
        self.answer: Any = None  # the last answer, as ``question.parse`` returned it
        self.greeting: dict[str, Any] = {}  # what the target says of itself in the handshake
        self.last_seen: float | None = None  # the time of the last answer, in seconds since 1970
        self.gone_since: float | None = None  # when it became gone, in seconds since 1970; None if it is not
        self.reason = ""  # why it is gone
        self.registered = True  # whether its name is in the name server
        self._question, self._on_change, self._connector = question, on_change, connector
        self._channel: Channel | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._asked_at: float | None = None  # monotonic, while an answer is due
        self._retry_at = 0.0  # monotonic

    @property
    def address(self) -> str:
        """The address of the target, as HOST:PORT."""
        return self.uri.rpartition("@")[2]

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
        """Marks the target as gone if its answer is overdue."""
        if self.silent_at is not None and time.monotonic() >= self.silent_at:
            self._mark_gone("it does not answer")

    def set_registered(self, registered: bool) -> None:
        """Notes whether the target's name is in the name server. A target that is neither there nor connected is gone."""
        self.registered = registered
        if not registered and self._channel is None and self._connecting is None:
            self._mark_gone(UNREGISTERED)
            self.reason = UNREGISTERED

    async def fetch(self, method: str, *arguments: Any) -> Any:
        """Calls a method outside of the rounds, and returns its result. Raises LookupError if there is no answer."""
        if self._channel is None:
            raise LookupError(f"{self.name} is not connected")
        try:
            return await self._channel.call(method, *arguments)
        except SparrowError as error:
            raise LookupError(str(error)) from error

    def close(self) -> None:
        """Ends the connection, without a call of ``on_change``."""
        abandon(self._connecting, self._channel)
        self._channel = None

    async def _connect(self) -> None:
        try:
            channel = await self._connector.open(self.uri)
            self.greeting = channel.peer if isinstance(channel.peer, dict) else {}
            if self.greeting.get("name") != self.name:
                channel.close()
                raise LookupError("somebody else answers at its address")
        except (SparrowError, LookupError, TypeError, ValueError) as error:
            self._connecting = None
            self._retry_at = time.monotonic() + self._connector.settings.retry_s
            self._mark_gone(str(error))
        else:
            self._connecting = None
            self._channel = channel
            channel.on_lost = self._on_lost
            self.ask()

    def _on_lost(self) -> None:
        self._channel = self._asked_at = None
        self.ask()  # this connects again at once; the target is gone only if that fails
        if self._connecting is None:
            self._mark_gone("it closed the connection")

    def _on_answer(self, error: Exception | None, value: Any) -> None:
        self._asked_at = None
        if error is None:
            try:
                self.answer = self._question.parse(value)
            except (TypeError, ValueError) as unusable:
                error = unusable
        if error is None:
            self._mark_up()
        elif not isinstance(error, SparrowError):  # _on_lost handles the loss of a connection
            self._mark_gone(f"its answer cannot be used: {error!s:.100}")

    def _mark_up(self) -> None:
        self.last_seen = time.time()
        was_up, self.state = self.state == "up", "up"
        self.gone_since, self.reason = None, ""
        if not was_up:
            self._on_change()

    def _mark_gone(self, reason: str) -> None:
        if self.state != "gone":
            self.state, self.gone_since, self.reason = "gone", time.time(), reason
            self._on_change()
