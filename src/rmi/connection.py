"""One connection to a daemon: what asyncio and Pyro4 each expect of it, and the replies that are still owed on it.

The size of a message is bounded before it is read (``wire``), and so is the time for the handshake and for each message
(``settings``). A silent, slow or hostile peer therefore costs one descriptor for a bounded time, and delays nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from Pyro4 import errors, message

from src.rmi import wire
from src.rmi.errors import MalformedError, TamperedError
from src.rmi.greeting import kept
from src.rmi.keepalive import enable_keepalive
from src.rmi.receiving import receive_buffer
from src.rmi.serializer import dump
from src.rmi.session import Greeted, Session
from src.rmi.settings import DaemonSettings
from src.rmi.turns import Turns

log = logging.getLogger("sparrow.connection")


class DaemonInterface(Protocol):
    """What a connection needs of its daemon. The names that begin with an underscore are Pyro4's."""

    connections: set[Connection]
    settings: DaemonSettings
    _pyroHmacKey: bytes | None  # noqa: N815
    turns: Turns

    def on_connected(self, connection: Connection) -> bool:
        """Returns whether this new connection is accepted."""

    def on_known(self, connection: Connection) -> bool:
        """The peer has completed the handshake. Returns whether the connection may stay."""

    def on_rejected(self, address: tuple[Any, ...], why: str) -> None:
        """A peer is turned away, for this reason."""

    def on_disconnected(self, connection: Connection) -> None:
        """The connection has closed."""

    def on_partial_message(self, connection: Connection, size: int) -> None:
        """So many bytes have arrived of a message that is not whole yet."""

    def on_unsent(self) -> None:
        """A connection has more than ``unsent_check_bytes`` of unread replies."""

    def respond(self, connection: Connection, frame: wire.Frame) -> None:
        """Answer one request."""

    def greet(self, connection: Connection, frame: wire.Frame) -> Greeted:
        """Returns what comes of the first message of a connection."""


class Newcomer(asyncio.BaseProtocol):
    """The protocol of a connection that somebody may wait for until it is known who is there."""

    settled: asyncio.Future[None] | None = None  # it is done when the peer is known, or gone

    def settle(self) -> None:
        """The peer is known, or gone."""
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(None)


class Connection(asyncio.BufferedProtocol, Newcomer):
    """One connection to a daemon. ``peer`` is what the other side said of itself in its handshake, once that is completed.

    ``known`` tells whether it is: with a key, the first sealed message of the ``session`` completes it. ``partial_bytes`` is what
    the daemon counts for this connection in its total, and is set by the daemon alone. ``pending`` has the sequence
    numbers of the calls that are still to be answered.
    """

    # Pyro4 reads or sets these on every connection.
    keep_open = False
    objectId = None  # noqa: N815
    timeout = None

    def __init__(self, daemon: DaemonInterface) -> None:
        self.daemon = daemon
        self.peer: Any = None
        self.known = False
        self.session: Session | None = None
        self.pending: set[int] = set()
        self.pyroInstances: dict[Any, Any] = {}
        self.tracked_resources: weakref.WeakSet[Any] = weakref.WeakSet()
        self.reply_deferred = False  # whether the method that runs now has called ``Daemon.defer``
        self._due: deque[tuple[PendingReply, Callable[[], bytes | None]]] = deque()  # deferred replies that wait for a turn
        self._has_turn = False
        self.partial_bytes = 0
        self._settings = settings = daemon.settings
        self._max_payload_bytes = settings.wire.max_payload_bytes
        self._max_unsent_bytes = settings.max_unsent_bytes
        self._unsent_check_bytes = settings.unsent_check_bytes
        self._turns = daemon.turns
        self.account = daemon.turns.account()
        self._frames = wire.FrameReader(settings.wire.max_greeting_bytes, settings.wire)
        self._frame: wire.Frame | None = None
        self._greeted: Greeted | None = None  # what came of the first message
        self._deadline_timer: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._paused = False  # whether nothing is read until it was this connection's turn
        self._at_end = False  # whether the other side has said all, and waits for its turn
        self._receive_buffer = receive_buffer()[: settings.wire.max_greeting_bytes]  # of a stranger a little at a time is read
        self._address: tuple[Any, ...] = ("", 0)

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the handshake, or close the connection if the daemon does not accept it."""
        self._transport = transport
        self._address = transport.get_extra_info("peername") or self._address
        if not self.daemon.on_connected(self):
            self._transport.abort()
            return
        enable_keepalive(transport.get_extra_info("socket"), self._settings.keepalive)
        self._set_deadline(self._settings.greeting_timeout_s)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Returns where asyncio may put what it receives next."""
        return self._receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Read what asyncio has received."""
        self.data_received(self._receive_buffer[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Take these bytes, and have the messages answered that are whole: now, or when it is the turn of this connection."""
        self._frames.append(data)
        if not self.account.waits:
            self._turns.asks(self)
        elif not self._paused:
            self._paused = True
            self._transport.pause_reading()
        if self.account.waits:
            self.daemon.on_partial_message(self, self._frames.partial_bytes)

    def take_turn(self, until: float) -> bool:
        """Give the replies that are due and answer the messages that are whole, until this time. Returns whether more may be.

        An error closes this connection.
        """
        frames, session, more, answered = self._frames, self.session, False, False
        if self._transport.is_closing():
            return False
        self._has_turn = True
        try:
            if self._due:
                more = self._give_due(until)
                if self._transport.is_closing():
                    return False
            while not more and (frame := frames.next()) is not None:
                self._frame, answered = frame, True
                if session is not None:
                    session.check(frame)
                if self.known:
                    self.daemon.respond(self, frame)
                    self.reply_deferred = False
                elif self._greeted is None:
                    self._greet(frame)
                    session = self.session
                else:  # the first message that is sealed, a PING, completes the handshake
                    self._become_known()
                if self._transport.is_closing():
                    return False
                if time.monotonic() >= until and frames.partial_bytes:
                    more = True
                    break
        except TamperedError as error:
            self.daemon.on_rejected(self._address, str(error))
            self.abort(str(error))
        except MalformedError as error:
            self.abort(str(error))
        except (errors.PyroError, OSError) as error:  # Pyro4 has logged it, and raises it to have the connection closed
            self.abort(str(error))
        except Exception:  # a defect here is to end this connection, not the process; the log says where it is
            log.exception("closing the connection from %s:%s after an unexpected error", *self._address[:2])
            self._transport.abort()
        else:
            more = more or bool(self._due)
            self._turn_ended(more, answered)
        finally:
            self._has_turn = False
        return more

    def _give_due(self, until: float) -> bool:
        """Give replies that are due, until this time. Returns whether this turn is over."""
        while self._due and not self._transport.is_closing():
            reply, written = self._due[0]
            payload = written()
            if payload is None:
                return True
            self._due.popleft()
            reply.give(payload)
            if time.monotonic() >= until:
                return bool(self._due or self._frames.partial_bytes)
        return False

    def owe(self, reply: PendingReply, written: Callable[[], bytes | None]) -> None:
        """Give a deferred reply when it is the turn of this connection. ``written`` is that of ``PendingReply.answer_in_turn``."""
        self._due.append((reply, written))
        if not self.account.waits and not self._has_turn:
            self._turns.later(self)

    def _turn_ended(self, more: bool, answered: bool) -> None:
        """Watch over what is left, and read on if that is no whole message. Each message has its own time, from its first byte."""
        partial = self._frames.partial_bytes
        unfinished = partial > 0 and not more
        if (unfinished != (self._deadline_timer is not None) or unfinished and answered) and self.known:
            self._set_deadline(self._settings.message_timeout_s if unfinished else None)
        if partial or self.partial_bytes:
            self.daemon.on_partial_message(self, partial)
        if more:
            return
        if self._at_end:
            self.close()
        elif self._paused:
            self._paused = False
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """Returns whether the connection stays open although the other side has said all: until its turn. With TLS it cannot."""
        self._at_end = self.account.waits and self._transport.get_extra_info("sslcontext") is None
        return self._at_end

    def _greet(self, frame: wire.Frame) -> None:
        greeted = self.daemon.greet(self, frame)
        self._greeted = greeted = greeted._replace(said=kept(greeted.said, self._settings.wire))
        if greeted.answer:
            self._transport.write(greeted.answer)
        if greeted.why:
            self.peer = None
            self.daemon.on_rejected(self._address, greeted.why)
            self.close()
        elif greeted.session is None:
            self._become_known()
        else:
            self.session = greeted.session

    def _become_known(self) -> None:
        assert self._greeted is not None
        self.peer, self.known = self._greeted.said, True
        if not self.daemon.on_known(self):
            return
        self._frames.max_payload_bytes = self._settings.wire.max_payload_bytes
        self._receive_buffer = receive_buffer()
        self._set_deadline(None)
        self.settle()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the daemon that this connection holds nothing any more."""
        self._set_deadline(None)
        self.settle()
        self._due.clear()
        self._frames.clear()
        self.daemon.on_partial_message(self, 0)
        self.daemon.on_disconnected(self)

    # Called by Pyro4, to which a connection is a socket that blocks

    @property
    def sock(self) -> Connection:
        """The object that has ``getpeername``."""
        return self

    def getpeername(self) -> tuple[Any, ...]:
        """Returns the address of the other side."""
        return self._address

    def recv(self, size: int) -> bytes:
        """Returns the next bytes of the message that is being answered."""
        assert self._frame is not None
        return self._frame.recv(size)

    def send(self, data: bytes) -> None:
        """Send a reply, unless the method that runs now has deferred it."""
        if self.reply_deferred:
            self.reply_deferred = False
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        """Send these bytes, or close the connection if its peer does not read."""
        transport = self._transport
        if self.unsent_bytes > self._max_unsent_bytes:
            self.abort("it does not read what it asked for")
            return
        transport.write(data)
        if self.unsent_bytes > self._unsent_check_bytes:
            self.daemon.on_unsent()

    def send_result(self, seq: int, data: bytes, flags: int = 0) -> None:
        """Send the result of a call, protected as this connection is. Raises MessageTooLargeError if one message cannot hold it."""
        if self.session is None:
            key, most = self.daemon._pyroHmacKey, self._max_payload_bytes
            self._write(wire.to_bytes(message.MSG_RESULT, data, seq, key, most, flags))
        else:
            self._write(self.session.seal(message.MSG_RESULT, data, seq, flags, self._max_payload_bytes))

    def close(self) -> None:
        """Close the connection after what has been written is sent."""
        self._transport.close()

    # Called by the daemon

    @property
    def unsent_bytes(self) -> int:
        """The bytes of replies that the other side has not taken yet; 0 once the connection is closing."""
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    @property
    def busy(self) -> bool:
        """Whether something is outstanding: a reply, the rest of a message, bytes that the other side has not taken yet."""
        return bool(self.pending or self.partial_bytes or self.unsent_bytes)

    @property
    def closing(self) -> bool:
        """Whether the connection is closed, or will be."""
        return bool(self._transport.is_closing())

    def abort(self, reason: str) -> None:
        """Close the connection at once."""
        log.debug("closing the connection from %s:%s: %s", *self._address[:2], reason)
        self._transport.abort()

    def _set_deadline(self, timeout_s: float | None) -> None:
        """Abort the connection after so many seconds, unless this is called again before. None sets no deadline."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        self._deadline_timer = None
        if timeout_s is not None:
            loop = asyncio.get_running_loop()
            self._deadline_timer = loop.call_later(timeout_s, self.abort, f"no whole message in {timeout_s:.0f} s")


class PendingReply:
    """The reply that a remote method owes to its caller after it has returned."""

    def __init__(self, connection: Connection, seq: int) -> None:
        self.connection = connection
        self._seq = seq
        connection.reply_deferred = True
        connection.pending.add(seq)

    def answer(self, value: object) -> None:
        """Send the reply. The caller gets an error if it is too large for one message; if the caller has gone, nothing is sent."""
        self.connection.pending.discard(self._seq)
        if self._is_wanted:
            self.give(dump(value))

    def answer_in_turn(self, written: Callable[[], bytes | None]) -> None:
        """Send the reply when it is the turn of its connection, at whose cost that is.

        ``written()`` returns the payload; None if it has done a part of the work and is to be called again in another turn.
        """
        if self._is_wanted:
            self.connection.owe(self, written)
        else:
            self.connection.pending.discard(self._seq)

    def give(self, payload: bytes) -> None:
        """Send this reply, on a connection that is not closing."""
        connection = self.connection
        connection.pending.discard(self._seq)
        try:
            connection.send_result(self._seq, payload)
        except errors.PyroError as error:
            connection.send_result(self._seq, dump(error), message.FLAGS_EXCEPTION)

    @property
    def _is_wanted(self) -> bool:
        return self.connection in self.connection.daemon.connections and not self.connection.closing
