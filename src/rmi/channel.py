"""Calls to one remote object, any number of them in flight at once, on one connection.

A Pyro4 proxy holds its thread and its lock for the whole of a call. This speaks the same protocol to the same daemons, but a call
returns a future at once and the answers are matched by their sequence number, so one thread talks to a thousand peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Callable
from typing import Any, Optional

import Pyro4
from Pyro4 import errors, message

from src.rmi import wire
from src.rmi.errors import LostError, RefusedError, SilentError, UnreachableError, WrongCredentialsError
from src.rmi.security import client_context

NAME_SERVER = Pyro4.constants.NAMESERVER_NAME  # the remote object of a name server
CONNECT_S = 2.5  # for connecting and the handshake together
ANSWER_S = 2.5  # for the answer to a call, unless it says otherwise
_CHECK_S = 0.25  # how often the deadlines of calls in flight are looked at
_MAX_CALLS = 0x7FFF  # in flight at once: sequence numbers have 16 bits


Ended = Callable[[Optional[Exception], Any], None]


class Channel(asyncio.Protocol):
    """One connection to one remote object. For one event loop only."""

    def __init__(self, uri: Pyro4.URI, key: bytes | None) -> None:
        self.uri = uri
        self.peer: Any = None  # what the other end said of itself in its handshake
        self.on_lost: Callable[[], None] | None = None
        self._key = key
        self._frames = wire.Frames(wire.MAX_MESSAGE)
        self._calls: dict[int, tuple[Ended, float | None]] = {}
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
        try:
            channel = cls(Pyro4.URI(uri) if isinstance(uri, str) else uri, key)
        except (errors.PyroError, ValueError) as error:
            raise UnreachableError(f"not an address: {uri!r:.100}") from error
        try:
            await asyncio.wait_for(channel._connect(), timeout_s)
            await asyncio.wait_for(channel._greet(who), timeout_s)
        except asyncio.TimeoutError:
            connected = channel._transport is not None or client_context() is not None  # with TLS nobody can tell
            channel.close()
            raise (LostError if connected else UnreachableError)(f"{channel.address} has not answered in {timeout_s:g} s") from None
        except ssl.SSLError as error:
            raise WrongCredentialsError(_tls_trouble(channel.address, error)) from None
        except (UnicodeError, OverflowError) as error:
            raise UnreachableError(f"not an address: {uri!r:.100}") from error
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise LostError(f"no descriptor is left for a connection to {channel.address}") from error
            raise UnreachableError(f"no connection to {channel.address}: {error}") from error
        except BaseException:
            channel.close()
            raise
        return channel

    @property
    def address(self) -> str:
        return f"{self.uri.host}:{self.uri.port}"

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    async def _connect(self) -> None:
        await self._loop.create_connection(lambda: self, self.uri.host, self.uri.port, ssl=client_context())

    async def _greet(self, who: object) -> None:
        if self.closed:  # again, before we could say a word
            raise LostError(f"{self.address} closed the connection")
        self._greeting = self._loop.create_future()
        self._transport.write(wire.to_bytes(message.MSG_CONNECT, wire.dump({"handshake": who}), 0, key=self._key))
        self.peer = await self._greeting

    async def call(self, method: str, *arguments: Any, timeout_s: float | None = ANSWER_S) -> Any:
        """Call and wait for the result. Raises what the method raised there, or LostError. For ``timeout_s`` see ``begin``."""
        future = self._loop.create_future()

        def ended(error: Exception | None, value: Any) -> None:
            if not future.done():
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)

        self.begin(method, arguments, ended, timeout_s)
        return await future

    def begin(self, method: str, arguments: tuple, ended: Ended, timeout_s: float | None = ANSWER_S) -> None:
        """Begin a call; ``ended`` gets its exception, or None and its result, as soon as that arrives.

        One call that is not answered within ``timeout_s`` (None: it may take for ever) ends the whole channel.
        """
        if self.closed:
            self._loop.call_soon(ended, LostError(f"the connection to {self.address} is closed"), None)
            return
        if len(self._calls) >= _MAX_CALLS:
            why = f"{_MAX_CALLS} calls to {self.address} are in flight: wait for some to end"
            self._loop.call_soon(ended, RefusedError(why), None)
            return
        while True:
            self._seq = (self._seq + 1) & 0xFFFF
            if self._seq not in self._calls:
                break
        deadline = None if timeout_s is None else self._loop.time() + timeout_s
        self._calls[self._seq] = (ended, deadline)
        data = wire.dump_call(self.uri.object, method, arguments)
        self._transport.write(wire.to_bytes(message.MSG_INVOKE, data, self._seq, key=self._key))
        if deadline is not None and self._check is None:
            self._check = self._loop.call_later(_CHECK_S, self._check_deadlines)

    def drop(self) -> None:
        """Close it without a word to ``on_lost``."""
        self.on_lost = None
        self.close()

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
        answers = []
        try:
            for frame in self._frames.feed(data):
                payload = self._payload(frame)
                answers.append((frame, wire.load(payload) if frame.serializer == wire.SERPENT_ID else wire.legible(payload)))
        except wire.MalformedError as error:
            self._fail(LostError(f"{self.address} does not speak our protocol: {error}"))
            self.close()
        except WrongCredentialsError as error:
            self._fail(error)
            self.close()
        except errors.PyroError as error:
            self._fail(RefusedError(f"{self.address} and we do not agree: {error}"))
            self.close()
        except Exception as error:  # a peer may send anything at all
            self._fail(LostError(f"{self.address} sent something that cannot be read: {error!r:.200}"))
            self.close()
        for frame, value in answers:
            if frame.kind == message.MSG_RESULT:
                self._answered(frame.seq, frame.flags, value)
            elif self._greeting is not None and not self._greeting.done():
                if frame.kind == message.MSG_CONNECTOK:
                    self._greeting.set_result(value)
                else:
                    self._greeting.set_exception(RefusedError(f"{self.address} refuses: {value}"))

    def _payload(self, frame: wire.Frame) -> bytes:
        """What is in it. WrongCredentialsError if it is not signed as it should be."""
        if not frame.annotated and frame.is_from(self._key):
            return frame.payload
        if frame.annotated and (frame.signature is None) == (self._key is None):
            with contextlib.suppress(errors.SecurityError):
                return message.Message.recv(frame, hmac_key=self._key).data
        raise WrongCredentialsError(f"{self.address} {_key_trouble(self._key, frame)}")

    def connection_lost(self, error: Exception | None) -> None:
        if self._check is not None:
            self._check.cancel()
        if isinstance(error, ssl.SSLError):
            self._fail(WrongCredentialsError(_tls_trouble(self.address, error)))
        else:
            greeting = self._greeting is not None and not self._greeting.done()
            hint = " (does one of us use TLS, PYRO_SSL, and the other not?)" if greeting else ""
            self._fail(LostError(f"{self.address} closed the connection" + (f": {error}" if error else "") + hint))
        if self.on_lost is not None:
            self.on_lost()

    def _answered(self, seq: int, flags: int, value: Any) -> None:
        ended, _ = self._calls.pop(seq, (None, None))
        if ended is None:
            return
        if flags & message.FLAGS_EXCEPTION:
            ended(value if isinstance(value, Exception) else RefusedError(str(value)), None)
        else:
            ended(None, value)

    def _fail(self, error: Exception) -> None:
        calls, self._calls = self._calls, {}
        for ended, _ in calls.values():
            ended(error, None)
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(error)
            self._greeting.exception()  # whoever waited may have gone: then nobody needs to hear of it


def let_go(connecting: asyncio.Task | None, channel: Channel | None) -> None:
    """Give up a connection that is being made, and one that stands, without a word to anybody."""
    if connecting is not None:
        connecting.cancel()
    if channel is not None:
        channel.drop()


def _tls_trouble(address: str, error: ssl.SSLError) -> str:
    why = getattr(error, "verify_message", "") or error.reason or str(error)
    return (
        f"{address} and we have no TLS in common: {why}; all need PYRO_SSL=1 and certificates of one authority (scripts/new-certs)"
    )


def _key_trouble(ours: bytes | None, frame: wire.Frame) -> str:
    if ours is None:
        return "asks for a key: give the file with --key-file FILE, or in SPARROW_KEY_FILE"
    if frame.signature is None:
        return "has no key, and we have one: give it the same, or us none (--key-file FILE, or SPARROW_KEY_FILE)"
    return "has another key than we: all need the same file (--key-file FILE, or SPARROW_KEY_FILE)"
