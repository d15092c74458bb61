"""One remote object that the dashboard asks the same thing every round, on one connection that is made again when it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from src.rmi.channel import Channel, let_go
from src.rmi.errors import SparrowError

SILENT_S = 0.9  # a call that is not answered for so long means that the peer is gone: asked every 2 s, it is seen within 3
CONNECT_S = 1.4  # for connecting and the handshake
RETRY_S = 2.0  # between two tries to reach one that is gone
LEFT = "it has left: its name is no longer in the name server"


class Watched:
    """``state`` is "new" until it answers or turns out not to, then "up" or "gone". For one event loop only.

    ``parse`` checks an answer, and raises TypeError or ValueError for what cannot be used; ``changed`` is called when it
    comes or goes.
    """

    def __init__(
        self,
        name: str,
        uri: str,
        call: tuple,
        parse: Callable[[Any], Any],
        changed: Callable[[], None],
        key: bytes | None,
        gate: asyncio.Semaphore,
    ) -> None:
        self.name, self.uri = name, uri
        self.state = "new"
        self.answer: Any = None
        self.greeting: dict[str, Any] = {}
        self.last_seen: float | None = None  # seconds since 1970
        self.gone_since: float | None = None  # likewise
        self.reason = ""
        self.listed = True  # in the name server
        self._call, self._parse, self._changed, self._key, self._gate = call, parse, changed, key, gate
        self._channel: Channel | None = None
        self._connecting: asyncio.Task | None = None
        self._asked_at: float | None = None  # monotonic, while an answer is due
        self._retry_at = 0.0

    @property
    def address(self) -> str:
        return self.uri.rpartition("@")[2]

    @property
    def is_busy(self) -> bool:
        """Whether an answer may still come in this round."""
        return self._connecting is not None or self._asked_at is not None

    @property
    def silent_at(self) -> float | None:
        """When the call in flight will have been unanswered for too long (monotonic)."""
        return None if self._asked_at is None else self._asked_at + SILENT_S

    def ask(self) -> None:
        """Begin this round's call, unless the last is still unanswered, or a connection if there is none."""
        now = time.monotonic()
        if self._channel is None:
            if self._connecting is None and self.listed and now >= self._retry_at:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
        elif self._asked_at is None:
            self._asked_at = now
            self._channel.begin(self._call[0], self._call[1:], self._answered)

    def look_at_the_clock(self) -> None:
        if self.silent_at is not None and time.monotonic() >= self.silent_at:
            self._went("it does not answer")

    def is_listed(self, listed: bool) -> None:
        """Whether its name is in the name server."""
        self.listed = listed
        if not listed and self._channel is None and self._connecting is None:
            self._went(LEFT)
            self.reason = LEFT

    async def fetch(self, *call: Any) -> Any:
        """One call apart from the rounds. LookupError if no answer is to be had."""
        if self._channel is None:
            raise LookupError(f"{self.name} is not connected")
        try:
            return await self._channel.call(*call)
        except SparrowError as error:
            raise LookupError(str(error)) from error

    def close(self) -> None:
        let_go(self._connecting, self._channel)
        self._channel = None

    async def _connect(self) -> None:
        try:
            async with self._gate:
                channel = await Channel.open(self.uri, {"name": "dashboard"}, self._key, CONNECT_S)
            self.greeting = channel.peer if isinstance(channel.peer, dict) else {}
            if self.greeting.get("name") != self.name:
                channel.close()
                raise LookupError("somebody else answers at its address")
        except (SparrowError, LookupError, TypeError, ValueError) as error:
            self._connecting = None
            self._retry_at = time.monotonic() + RETRY_S
            self._went(str(error))
        else:
            self._connecting = None
            self._channel = channel
            channel.on_lost = self._lost
            self.ask()

    def _lost(self) -> None:
        self._channel = self._asked_at = None
        self.ask()  # a broken connection is made again at once; only if that fails it is gone
        if self._connecting is None:
            self._went("it closed the connection")

    def _answered(self, error: Exception | None, value: Any) -> None:
        self._asked_at = None
        if error is None:
            try:
                self.answer = self._parse(value)
            except (TypeError, ValueError) as wrong:
                error = wrong
        if error is None:
            self.last_seen = time.time()
            came, self.state = self.state != "up", "up"
            self.gone_since, self.reason = None, ""
            if came:
                self._changed()
        elif not isinstance(error, SparrowError):  # it is there, but it is no use; a lost connection is told by _lost
            self._went(f"its answer cannot be used: {error!s:.100}")

    def _went(self, reason: str) -> None:
        if self.state != "gone":
            self.state, self.gone_since, self.reason = "gone", time.time(), reason
            self._changed()
