"""Calls to one remote object on one connection, any number of them in flight at once.

A Pyro4 proxy blocks its thread and holds its lock for the whole of a call. A channel speaks the same protocol to the same
daemons, but a call returns at once, and its reply is found by the sequence number. So one thread talks to a thousand peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import errno
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, Optional, Union

import Pyro4
from Pyro4 import errors, message

from src.rmi import wire
from src.rmi.accounts import Unfinished
from src.rmi.connecting import connect
from src.rmi.errors import (
    LostError,
    MalformedError,
    NameStorageError,
    NotHereError,
    RefusedError,
    ServerFullError,
    SilentError,
    SparrowError,
    StockPeerError,
    TamperedError,
    UnreachableError,
    WrongCredentialsError,
)
from src.rmi.greeting import kept
from src.rmi.keepalive import enable_keepalive
from src.rmi.receiving import receive_buffer
from src.rmi.security import StockKey, client_context, describe_key_mismatch, describe_tls_error
from src.rmi.serializer import dump, dump_call, printable_ascii
from src.rmi.session import NAME_SERVER as NAME_SERVER
from src.rmi.session import NOT_HERE, ClientHandshake, Protection, Session, protection_of
from src.rmi.settings import ChannelSettings
from src.rmi.uri import parse_uri


class _Default(enum.Enum):
    """Stands for a time that a caller leaves to the settings, since None means that there is no limit."""

    TIMEOUT = enum.auto()


_GREETINGS = (message.MSG_CONNECTOK, message.MSG_CONNECTFAIL)
_DEFAULT_TIMEOUT: Final = _Default.TIMEOUT
Timeout = Union[float, None, _Default]  # seconds; None for no limit
Ended = Callable[[Optional[Exception], Any], None]  # gets the error of a call, or None and its result


class Channel(asyncio.BufferedProtocol):
    """One connection to one remote object, for one event loop only.

    ``peer`` is what is kept of what the other side answered to the handshake (``greeting``). ``on_lost`` is called once when the
    connection has closed. With a key, all that is said belongs to a session (``session``), unless ``as_stock`` has it signed as
    stock Pyro4 does.
    """

    def __init__(
        self, uri: Pyro4.URI, key: bytes | None, settings: ChannelSettings = ChannelSettings(), as_stock: bool = False
    ) -> None:
        self.uri = uri
        self.peer: Any = None
        self.on_lost: Callable[[], None] | None = None
        self._settings = settings
        self._key = key
        self._handshake = None if key is None or as_stock else ClientHandshake(key, f"{uri.object}@{uri.location}")
        self._session: Session | None = None  # once the other side has answered the handshake
        self._object_id: str = uri.object
        self._load = wire.configure_pyro4(settings.wire).loads
        self._frames = wire.FrameReader(settings.wire.max_greeting_bytes, settings.wire, self._awaits)
        self._unfinished = Unfinished(lambda why: self._close_with(LostError(f"{self.address}: {why}")), settings)
        self._max_payload_bytes = settings.wire.max_payload_bytes
        self._max_calls = settings.max_calls_in_flight
        self._calls: dict[int, tuple[Ended, float | None]] = {}  # sequence number -> who is told the result, and the deadline
        self._seq = 0
        self._transport: Any = None
        self._receive_buffer = receive_buffer()
        self._greeting: asyncio.Future[Any] | None = None
        self._deadline_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(
        cls,
        uri: str | Pyro4.URI,
        who: object = "hello",
        key: bytes | None = None,
        timeout_s: float | None = None,
        settings: ChannelSettings = ChannelSettings(),
    ) -> Channel:
        """Connect and greet: ``who`` is what this side says of itself. Returns the open channel.

        The connection and the handshake have ``timeout_s`` seconds together; None takes it from the settings. Raises
        UnreachableError if nobody accepts the connection, or the uri names no host and port; LostError if it ends or nobody answers
        on it; RefusedError if the peer refuses it, and WrongCredentialsError if for the key or for TLS. It raises nothing else.
        """
        try:
            parsed = parse_uri(uri)
        except ValueError as error:
            raise UnreachableError(f"not an address: {error}") from error
        limit_s = settings.connect_timeout_s if timeout_s is None else timeout_s
        deadline = asyncio.get_running_loop().time() + limit_s
        try:
            return await cls(parsed, key, settings)._opened(who, limit_s, limit_s)
        except StockPeerError:
            if not isinstance(key, StockKey) or parsed.object != NAME_SERVER:
                raise
        left_s = deadline - asyncio.get_running_loop().time()
        return await cls(parsed, key, settings, as_stock=True)._opened(who, left_s, limit_s)

    async def _opened(self, who: object, within_s: float, limit_s: float) -> Channel:
        """Connect and greet within so many seconds, the rest of ``limit_s``. Returns this channel; it raises what ``open`` does."""
        try:
            await asyncio.wait_for(self._connect_and_greet(who), within_s)
        except asyncio.TimeoutError:
            # With TLS there is no transport until both handshakes are done, so somebody may have accepted the connection.
            connected = self._transport is not None or client_context() is not None
            self.close()
            raise (LostError if connected else UnreachableError)(f"{self.address} has not answered in {limit_s:g} s") from None
        except ssl.SSLError as error:
            raise WrongCredentialsError(describe_tls_error(self.address, error)) from None
        except ValueError as error:  # a host that cannot be
            raise UnreachableError(f"not an address: {self.uri.asString()!r:.100}") from error
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise LostError(f"no descriptor is left for a connection to {self.address}") from error
            raise UnreachableError(f"no connection to {self.address}: {error}") from error
        except BaseException as error:
            self.close()
            if isinstance(error, SparrowError) or not isinstance(error, Exception):
                raise
            # The uri is what anybody has registered: no caller may end for what it leads to.
            raise UnreachableError(f"no connection to {self.address}: {type(error).__name__}: {error}") from error
        return self

    @property
    def address(self) -> str:
        """HOST:PORT of the other side."""
        return f"{self.uri.host}:{self.uri.port}"

    @property
    def closed(self) -> bool:
        """Whether no call can be made any more, or not yet."""
        return self._transport is None or self._transport.is_closing()

    async def _connect_and_greet(self, who: object) -> None:
        await self._connect()
        await self._greet(who)

    async def _connect(self) -> None:
        await connect(lambda: self, self.uri.host, self.uri.port, client_context(), self._settings.next_address_s)

    async def _greet(self, who: object) -> None:
        if self.closed:  # the peer may accept a connection and close it before this task runs again
            raise LostError(f"{self.address} closed the connection")
        self._greeting = self._loop.create_future()
        if self._handshake is None:
            greeting = wire.to_bytes(message.MSG_CONNECT, dump({"handshake": who}), 0, self._key, self._max_payload_bytes)
        else:
            greeting = self._handshake.greeting(who)
        self._transport.write(greeting)
        self.peer = await self._greeting

    async def call(self, method: str, *arguments: Any, timeout_s: Timeout = _DEFAULT_TIMEOUT) -> Any:
        """Call a method and wait for its result. Raises what the method raised, or LostError. ``timeout_s`` is as in ``begin``."""
        future = self._loop.create_future()

        def ended(error: Exception | None, value: Any) -> None:
            if not future.done():
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)

        self.begin(method, arguments, ended, timeout_s)
        return await future

    def begin(self, method: str, arguments: Sequence[Any], ended: Ended, timeout_s: Timeout = _DEFAULT_TIMEOUT) -> None:
        """Begin a call. ``ended`` is called once: with the error of the call, or with None and its result.

        If a call is not answered within ``timeout_s`` seconds (None: no limit; by default that of the settings), the channel is
        closed and every call in flight ends with SilentError. Raises what the serializer raises if the arguments cannot be sent;
        then ``ended`` is not called.
        """
        transport, session, calls, loop = self._transport, self._session, self._calls, self._loop
        if transport is None or transport.is_closing() or (session is None and self._handshake is not None):
            loop.call_soon(ended, LostError(f"the connection to {self.address} is closed"), None)
            return
        if len(calls) >= self._max_calls:
            why = f"{self._max_calls} calls to {self.address} are in flight: wait for some to end"
            loop.call_soon(ended, RefusedError(why), None)
            return
        data = dump_call(self._object_id, method, arguments, {})
        seq = (self._seq + 1) & 0xFFFF
        while seq in calls:
            seq = (seq + 1) & 0xFFFF
        if session is None:
            request = wire.to_bytes(message.MSG_INVOKE, data, seq, self._key, self._max_payload_bytes)
        else:
            request = session.seal(message.MSG_INVOKE, data, seq, 0, self._max_payload_bytes)
        if timeout_s is _DEFAULT_TIMEOUT:
            timeout_s = self._settings.answer_timeout_s
        deadline = None if timeout_s is None else loop.time() + timeout_s
        self._seq = seq
        calls[seq] = (ended, deadline)
        transport.write(request)
        if deadline is not None and self._deadline_timer is None:
            self._deadline_timer = loop.call_later(self._settings.deadline_check_interval_s, self._check_deadlines)

    def drop(self) -> None:
        """Close the connection without calling ``on_lost``."""
        self.on_lost = None
        self.close()

    def close(self) -> None:
        """Close the connection at once. Every call in flight ends with LostError, and ``on_lost`` is called."""
        if self._transport is not None:
            self._transport.abort()

    def _check_deadlines(self) -> None:
        self._deadline_timer = None
        deadlines = [deadline for _, deadline in self._calls.values() if deadline is not None]
        if deadlines and min(deadlines) <= self._loop.time():
            self._close_with(SilentError(f"{self.address} has not answered in time"))
        elif deadlines:
            self._deadline_timer = self._loop.call_later(self._settings.deadline_check_interval_s, self._check_deadlines)

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the new connection."""
        self._transport = transport
        enable_keepalive(transport.get_extra_info("socket"), self._settings.keepalive)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Returns where asyncio may put what it receives next."""
        return self._receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Read what asyncio has received."""
        self.data_received(self._receive_buffer[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Hand each reply that is whole to its call. What cannot be read, or answers nothing, closes the connection."""
        self._frames.append(data)
        while (answer := self._next_answer()) is not None:
            self._take(*answer)
            if self.closed:
                return
            self._unfinished.has(0)
        partial = self._frames.partial_bytes
        if (partial or self._unfinished.partial_bytes) and not self.closed:
            self._unfinished.has(partial)

    def _next_answer(self) -> tuple[wire.Frame, Any] | None:
        """Returns the next message that is whole, with its value. If it cannot be read the connection is closed."""
        try:
            frame = self._frames.next()
            if frame is None:
                return None
            payload = self._authenticated_payload(frame)
            if frame.serializer == wire.SERPENT_ID:
                return frame, self._load(payload)
            return frame, printable_ascii(payload, self._settings.wire.max_shown_bytes)
        except TamperedError as error:
            self._close_with(LostError(f"the connection to {self.address} is not safe: {error}"))
        except MalformedError as error:
            self._close_with(LostError(f"{self.address} does not speak Pyro4's protocol: {error}"))
        except WrongCredentialsError as error:
            self._close_with(error)
        except errors.PyroError as error:
            self._close_with(RefusedError(f"{self.address} speaks Pyro4 with settings that this process does not accept: {error}"))
        except Exception as error:  # the parsers behind ``_load`` raise errors of any type for bytes that a hostile peer chose
            self._close_with(LostError(f"{self.address} sent something that cannot be read: {error!r:.200}"))
        return None

    def _take(self, frame: wire.Frame, value: Any) -> None:
        if frame.kind == message.MSG_RESULT:
            self._end_call(frame.seq, frame.flags, value)
        elif self._greeting is not None and not self._greeting.done():
            if frame.kind == message.MSG_CONNECTOK:
                self._frames.max_payload_bytes = self._settings.wire.max_payload_bytes
                self._greeting.set_result(kept(value, self._settings.wire))
            else:
                greeted = None if self._handshake is None else self.uri.location
                self._greeting.set_exception(_refusal(self.address, value, greeted))

    def _awaits(self, kind: int, seq: int) -> bool:
        """Returns whether a message of this kind, with this number, answers something that this side has said."""
        if kind == message.MSG_RESULT:
            return seq in self._calls
        return kind in _GREETINGS and self._greeting is not None and not self._greeting.done()

    def connection_lost(self, error: Exception | None) -> None:
        """End every call in flight with LostError, and call ``on_lost``."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        self._unfinished.has(0)
        self._frames.clear()  # the channel may live on for long
        if isinstance(error, ssl.SSLError):
            self._end_all(WrongCredentialsError(describe_tls_error(self.address, error)))
        else:
            greeting = self._greeting is not None and not self._greeting.done()
            hint = " (does one side use TLS, PYRO_SSL, and the other not?)" if greeting else ""
            self._end_all(LostError(f"{self.address} closed the connection" + (f": {error}" if error else "") + hint))
        if self.on_lost is not None:
            self.on_lost()

    def _authenticated_payload(self, frame: wire.Frame) -> bytes:
        """Returns the payload. Raises TamperedError or WrongCredentialsError if the key of this channel does not vouch for it."""
        if self._session is not None:
            self._session.check(frame)
            return frame.payload
        if self._handshake is not None:
            self._session = self._handshake.answered(self.address, frame)
            if self._session is not None and not self.closed:  # the first sealed message proves to the daemon who we are
                self._transport.write(self._session.seal(message.MSG_PING, b"", 0))
            return frame.payload
        if not frame.annotated and frame.is_from(self._key):
            return frame.payload
        theirs = protection_of(frame)
        if frame.annotated and theirs is (Protection.NONE if self._key is None else Protection.STOCK):
            with contextlib.suppress(errors.SecurityError):
                payload: bytes = message.Message.recv(frame, hmac_key=self._key).data
                return payload
        raise WrongCredentialsError(f"{self.address} {describe_key_mismatch(self._key, theirs is not Protection.NONE)}")

    def _end_call(self, seq: int, flags: int, value: Any) -> None:
        ended, _ = self._calls.pop(seq, (None, None))
        if ended is None:
            return
        if flags & message.FLAGS_EXCEPTION:
            ended(_remote_error(value), None)
        else:
            ended(None, value)

    def _end_all(self, error: Exception) -> None:
        """End the handshake with this error, and every call in flight with the loss of the connection, which refuses no call."""
        calls, self._calls = self._calls, {}
        lost = error if isinstance(error, LostError) else LostError(str(error))
        for ended, _ in calls.values():
            ended(lost, None)
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(error)
            self._greeting.exception()  # marks it as retrieved: the task that waited for it may have been cancelled

    def _close_with(self, error: Exception) -> None:
        self._end_all(error)
        self.close()


def abandon(connecting: asyncio.Task[Any] | None, channel: Channel | None) -> None:
    """Cancel a connection attempt, and close an open channel without calling its ``on_lost``."""
    if connecting is not None:
        connecting.cancel()
    if channel is not None:
        channel.drop()


# Pyro4 sends the cause of these two failures only as text, so the text is read here, once, and everybody else decides by type.


def _refusal(address: str, why: Any, target: str | None) -> RefusedError:
    """Returns the error for a CONNECTFAIL.

    ``target`` is the HOST:PORT that was greeted, if the answer is known to be of somebody with our key to this very greeting.
    """
    if target is not None and isinstance(why, dict):
        if why.get(NOT_HERE) == target:
            return NotHereError(f"{address} refuses: another process of ours answers there")
        why = "somebody passes on to another process what we say"
    kind = ServerFullError if "no free workers" in str(why) else RefusedError
    return kind(f"{address} refuses: {why}")


def _remote_error(value: Any) -> Exception:
    """Returns the error for a RESULT that is an exception; a value that is none becomes a RefusedError."""
    if isinstance(value, errors.NamingError) and str(value).startswith("sqlite error"):
        return NameStorageError(str(value))
    if isinstance(value, Exception) and not isinstance(value, (StopIteration, StopAsyncIteration)):  # these mean something to await
        return value
    return RefusedError(f"{value!s:.1000}")
