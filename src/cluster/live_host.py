"""``LiveHost``, the driver of a node with asyncio and Pyro4: connections, calls, timers (its contract: ``sparrow.link.Host``)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from src.cluster.registry import NameServer
from src.rmi.channel import Channel
from src.rmi.errors import LostError, SilentError, SparrowError, UnavailableError, UnreachableError
from src.sparrow import messages as m
from src.sparrow.checks import number
from src.sparrow.link import Link
from src.sparrow.messages import Address

NOTHING = m.encode([])  # the answer to most calls


class LiveHost:
    """The driver of one node; it makes no decisions.

    ``address`` is the name and incarnation of the node in calls; ``who()`` returns what the node says of itself in the handshake;
    its notes go to ``log``.
    """

    def __init__(self, address: Address, names: NameServer, who: Callable[[], dict[str, Any]], log: logging.Logger) -> None:
        self._address, self._names, self._who, self._log = address, names, who, log
        self._loop = asyncio.get_running_loop()
        self.now = time.monotonic

    def later(self, delay_s: float, action: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Has ``action(*args)`` called after ``delay_s`` seconds, and returns the timer."""
        return self._loop.call_later(delay_s, action, *args)

    def note(self, level: str, text: str) -> None:
        """Writes a line to the log, with the node's name."""
        getattr(self._log, level)("%s: %s", self._address.name, text)

    # Connections

    def connect(self, link: Link) -> None:
        """Begins a connection to the peer of this link, and reports the result to the link."""
        link.connection = self._loop.create_task(self._connect(link))

    async def _connect(self, link: Link) -> None:
        attempt, channel, failure = asyncio.current_task(), None, None
        try:
            uri = link.uri or await self._names.lookup(link.name)
            if uri is not None:
                channel = await Channel.open(uri, self._who(), self._names.key, link.settings.lost_after_s)
        except Exception as error:
            failure = error
        if link.connection is not attempt:  # it was hung up; asyncio.wait_for may swallow the cancellation that says so
            if channel is not None:
                channel.drop()
            return
        link.connection = channel
        try:
            if channel is not None:
                channel.on_lost = partial(self._disconnected, link)
                link.connected(channel.peer)
                if channel.closed and link.connection is channel:  # it ended while it was being opened
                    self._disconnected(link)
            else:
                self._report_failure(link, failure)
        except Exception as error:  # a link that is neither connected nor lost would wait for ever
            self._give_up(link, error)

    def _report_failure(self, link: Link, failure: Exception | None) -> None:
        if failure is None:
            link.not_yet("its name is not in the name server")
        elif isinstance(failure, UnreachableError):
            link.unreachable(str(failure), nobody_there=isinstance(failure.__cause__, ConnectionRefusedError))
        elif isinstance(failure, (LostError, UnavailableError)):
            link.not_yet(str(failure))
        elif isinstance(failure, SparrowError):
            link.give_up(str(failure))
        else:
            raise failure

    def _give_up(self, link: Link, error: Exception) -> None:
        """Gives up a peer after an error of ours, which the log has."""
        self._log.error("%s: the link to %s failed", self._address.name, link.name, exc_info=error)
        link.give_up(f"{type(error).__name__}: {error}")

    def _disconnected(self, link: Link) -> None:
        if link.connection is not None:
            link.connection = None
            link.disconnected()

    def hang_up(self, link: Link) -> None:
        """Ends the connection of this link, or the attempt to make one."""
        connection, link.connection = link.connection, None
        if isinstance(connection, Channel):
            connection.drop()
        elif connection is not None:
            connection.cancel()

    # Calls

    def flush_soon(self, link: Link) -> None:
        """Has ``link.flush`` called in the next turn of the event loop."""
        self._loop.call_soon(link.flush)

    def call(self, link: Link, batch: list[m.Message]) -> None:
        """Begins the call that carries this batch, and reports the answer to the link."""
        method = m.method_of(batch)
        arguments = () if method == m.Probe.method else (*self._address, m.encode(batch))
        channel: Channel = link.connection
        channel.begin(method, arguments, partial(self._call_ended, link, channel, batch), link.settings.lost_after_s)

    def _call_ended(self, link: Link, channel: Channel, batch: list[m.Message], error: Exception | None, value: Any) -> None:
        if link.connection is not channel or isinstance(error, LostError) and not isinstance(error, SilentError):
            return  # the connection has ended, which _disconnected reports
        if error is None:
            try:
                answers = [] if value == NOTHING else self._answers(batch, value)
            except (TypeError, ValueError) as malformed:
                link.unreadable(str(malformed))
                return
            try:
                link.answered(answers)
            except Exception as unexpected:  # the connection of this peer must not end for it
                self._give_up(link, unexpected)
        elif isinstance(error, SilentError):
            link.silent(str(error))
        elif isinstance(error, BlockingIOError):
            link.no_room(str(error))
        else:
            link.refused(str(error))

    @staticmethod
    def _answers(batch: list[m.Message], value: Any) -> list[m.Message]:
        if isinstance(batch[0], m.Probe):
            return m.loads(batch, number(value, "load"))
        return m.decode(value, m.answers_of(batch))
