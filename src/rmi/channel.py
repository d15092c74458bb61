"""Calls to one remote object, any number of them in flight at once, on one connection.

A Pyro4 proxy holds its thread and its lock for the whole of a call. This speaks the same protocol to the same daemons, but a call
returns a future at once and the answers are matched by their sequence number, so one thread talks to a thousand peers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import Pyro4
from Pyro4 import errors, message

from rmi import wire
from rmi.errors import LostError, RefusedError, SilentError, UnreachableError

CONNECT_S = 2.5  # for connecting and the handshake together
ANSWER_S = 2.5  # for the answer to a call, unless it says otherwise
_CHECK_S = 0.25  # how often the deadlines of calls in flight are looked at
_MAX_CALLS = 0x7FFF  # in flight at once: sequence numbers have 16 bits


class Channel(asyncio.Protocol):
    """One connection to one remote object. For one event loop only."""

    def __init__(self, uri: Pyro4.URI, key: bytes | None) -> None:
        self.uri = uri
        self.peer: Any = None  # what the other end said of itself in its handshake
        self.on_lost: Callable[[], None] | None = None
        self._key = key
        self._frames = wire.Frames(wire.MAX_MESSAGE)
        self._calls: dict[int, tuple[asyncio.Future, float | None]] = {}
        self._seq = 0
        self._transport: Any = None
        self._greeting: asyncio.Future | None = None
        self._check: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(
        cls, uri: str | Pyro4.URI, who: object = "hello", key: bytes | None = None, timeout_s: float = CONNECT_S
    ) -> Channel:
        """Connect and say who we are.

        UnreachableError if nobody is there, LostError if somebody is but does not answer, RefusedError if we are turned away.
        """
        wire.configure()
        channel = cls(Pyro4.URI(uri) if isinstance(uri, str) else uri, key)
        try:
            await asyncio.wait_for(channel._connect(), timeout_s)
            await asyncio.wait_for(channel._greet(who), timeout_s)
        except asyncio.TimeoutError:
            connected = channel._transport is not None
            channel.close()
            raise (LostError if connected else UnreachableError)(f"{channel.address} has not answered in {timeout_s:g} s") from None
        except (OSError, ssl.SSLError) as error:
            raise UnreachableError(f"no connection to {channel.address}: {error}") from error
        except BaseException:
            channel.close()
            raise
        return channel

    @property
    def address(self) -> str:
        return f"{self.uri.host}:{self.uri.port}"

    async def _connect(self) -> None:
        await self._loop.create_connection(lambda: self, self.uri.host, self.uri.port)

    async def _greet(self, who: object) -> None:
        self._greeting = self._loop.create_future()
        self._transport.write(wire.to_bytes(message.MSG_CONNECT, wire.dump({"handshake": who}), 0, key=self._key))
        self.peer = await self._greeting

    def call(self, method: str, *arguments: Any, timeout_s: float | None = ANSWER_S) -> asyncio.Future:
        """Begin a call. The future has its result, or the exception that it raised there, or LostError.

        One call that is not answered within ``timeout_s`` (None: it may take for ever) ends the whole channel.
        """
        future = self._loop.create_future()
        if self._transport is None or self._transport.is_closing():
            future.set_exception(LostError(f"the connection to {self.address} is closed"))
            return future
        if len(self._calls) >= _MAX_CALLS:
            future.set_exception(RefusedError(f"{_MAX_CALLS} calls to {self.address} are in flight: wait for some to end"))
            return future
        while True:
            self._seq = (self._seq + 1) & 0xFFFF
            if self._seq not in self._calls:
                break
        deadline = None if timeout_s is None else self._loop.time() + timeout_s
        self._calls[self._seq] = (future, deadline)
        data = wire.dump_call(self.uri.object, method, arguments)
        self._transport.write(wire.to_bytes(message.MSG_INVOKE, data, self._seq, key=self._key))
        if deadline is not None and self._check is None:
            self._check = self._loop.call_later(_CHECK_S, self._check_deadlines)
        return future

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _check_deadlines(self) -> None:
        self._check = None
        deadlines = [deadline for _, deadline in self._calls.values() if deadline is not None]
        if deadlines and min(deadlines) <= self._loop.time():
            self._fail(SilentError(f"{self.address} has not answered in time"))
            self.close()
        elif deadlines:
            self._check = self._loop.call_later(_CHECK_S, self._check_deadlines)

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        wire.notice_a_vanished_host(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                answer = message.Message.recv(frame, hmac_key=self._key)
                value = wire.load(answer.data) if answer.data else None
                if answer.type == message.MSG_RESULT:
                    self._answered(answer.seq, answer.flags, value)
                elif self._greeting is not None and not self._greeting.done():
                    if answer.type == message.MSG_CONNECTOK:
                        self._greeting.set_result(value)
                    else:
                        self._greeting.set_exception(RefusedError(f"{self.address} refuses: {value}"))
        except wire.MalformedError as error:
            self._fail(LostError(f"{self.address} does not speak our protocol: {error}"))
            self.close()
        except errors.PyroError as error:
            self._fail(RefusedError(f"{self.address} and we do not agree: {error}"))
            self.close()
        except Exception as error:  # a peer may send anything at all
            self._fail(LostError(f"{self.address} sent something that cannot be read: {error!r}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._check is not None:
            self._check.cancel()
        self._fail(LostError(f"{self.address} closed the connection" + (f": {error}" if error else "")))
        if self.on_lost is not None:
            self.on_lost()

    def _answered(self, seq: int, flags: int, value: Any) -> None:
        future, _ = self._calls.pop(seq, (None, None))
        if future is not None and not future.done():
            if flags & message.FLAGS_EXCEPTION:
                future.set_exception(value if isinstance(value, Exception) else RefusedError(str(value)))
            else:
                future.set_result(value)

    def _fail(self, error: Exception) -> None:
        calls, self._calls = self._calls, {}
        waiting = [future for future, _ in calls.values()]
        if self._greeting is not None:
            waiting.append(self._greeting)
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waited may have gone: then nobody needs to hear of it
