"""One connection to a daemon, as asyncio sees it and as Pyro4 expects it, and the answers that are still owed on it.

It has ``GREETING_S`` for its handshake and ``MESSAGE_S`` for each message that it begins, and what it may send is bounded before it
is read (rmi.wire): a connection that is silent, slow, broken or hostile costs a descriptor for a while and nobody else's time.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any, Protocol

from Pyro4 import errors, message

from src.rmi import wire

GREETING_S = 5.0  # for the whole handshake
MESSAGE_S = 30.0  # for the rest of a message that has begun
MAX_CONNECTIONS = 4096  # of a daemon
MAX_UNSENT = 64 * 2**20  # bytes of answers that a peer has not read
NOTABLE = 2**20  # bytes of them that a daemon looks at

log = logging.getLogger("sparrow.connection")


class Server(Protocol):
    """What a connection needs of its daemon. The names with an underscore are Pyro4's."""

    connections: set[Connection]

    def connected(self, connection: Connection) -> bool: ...

    def greeted(self, connection: Connection) -> None: ...

    def disconnected(self, connection: Connection) -> None: ...

    def has_unread(self) -> None: ...

    def _handshake(self, connection: Connection) -> bool: ...

    def respond(self, connection: Connection, frame: wire.Frame) -> None: ...

    def turned_away(self, address: tuple, frame: wire.Frame) -> None: ...

    def has_begun(self, connection: Connection, size: int) -> None: ...

    def _sendExceptionResponse(  # noqa: N802
        self, connection: Any, seq: int, serializer_id: int, error: BaseException, trace: Any
    ) -> None: ...


class Connection(asyncio.Protocol):
    """One connection, in the shape that Pyro4's daemon expects of one."""

    keep_open = False

    def __init__(self, daemon: Server) -> None:
        self.daemon = daemon
        self.peer: Any = None  # what it said of itself in its handshake
        self.objectId = None
        self.pyroInstances: dict = {}
        self.tracked_resources: weakref.WeakSet = weakref.WeakSet()
        self.answer_later = False
        self.begun = 0  # bytes that are here of a message that is not whole yet
        self.timeout = None  # set by Pyro4, meaningless here
        self._frames = wire.Frames()
        self._frame: wire.Frame | None = None
        self._greeted = False
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._address: tuple = ("", 0)

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._address = transport.get_extra_info("peername") or self._address
        if not self.daemon.connected(self):
            self._transport.abort()
            return
        wire.notice_a_vanished_host(transport.get_extra_info("socket"))
        self._expect_more_within(GREETING_S)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._frame = frame
                if self._greeted:
                    self.daemon.respond(self, frame)
                    self.answer_later = False
                elif self.daemon._handshake(self):
                    self._greeted = True
                    self.daemon.greeted(self)
                    self._frames.largest = wire.MAX_MESSAGE
                    self._expect_more_within(None)
                else:
                    self.daemon.turned_away(self._address, frame)
                    self.close()
                if self._transport.is_closing():
                    return
        except wire.MalformedError as error:
            self.give_up(str(error))
        except (errors.PyroError, OSError) as error:  # Pyro4 has logged it, and wants the connection closed
            self.give_up(str(error))
        except Exception:  # whatever a peer found to break, it is its own connection that ends
            log.exception("closing the connection from %s:%s after an unexpected error", *self._address[:2])
            self._transport.abort()
        else:
            if self._greeted and bool(self._frames.partial) != (self._deadline is not None):
                self._expect_more_within(MESSAGE_S if self._frames.partial else None)
            if self._frames.partial or self.begun:
                self.daemon.has_begun(self, self._frames.partial)

    def connection_lost(self, error: Exception | None) -> None:
        self._expect_more_within(None)
        self.daemon.has_begun(self, 0)
        self.daemon.disconnected(self)

    # Pyro4 calls these

    @property
    def sock(self) -> Connection:
        return self

    def getpeername(self) -> tuple:
        return self._address

    def recv(self, size: int) -> bytes:
        assert self._frame is not None
        return self._frame.recv(size)

    def send(self, data: bytes) -> None:
        if self.answer_later:
            self.answer_later = False
        elif self.unread > MAX_UNSENT:
            self.give_up("it does not read what it asked for")
        else:
            self._transport.write(data)
            if self.unread > NOTABLE:
                self.daemon.has_unread()

    def close(self) -> None:
        self._transport.close()

    # ours

    @property
    def unread(self) -> int:
        """Bytes of answers that the other end has not taken yet."""
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    @property
    def closing(self) -> bool:
        return bool(self._transport.is_closing())

    def abort(self) -> None:
        self._transport.abort()

    def _expect_more_within(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(seconds, self.give_up, f"no whole message in {seconds:.0f} s")

    def give_up(self, why: str) -> None:
        log.debug("closing the connection from %s:%s: %s", *self._address[:2], why)
        self._transport.abort()


class Later:
    """An answer that is still owed to a call."""

    def __init__(self, connection: Connection, seq: int, key: bytes | None) -> None:
        self.connection = connection
        self._seq = seq
        self._key = key
        connection.answer_later = True

    def answer(self, value: object) -> None:
        """Send it, if whoever called is still there. An answer that is too large for a message becomes an error there."""
        daemon = self.connection.daemon
        if self.connection in daemon.connections and not self.connection.closing:
            try:
                data = wire.to_bytes(message.MSG_RESULT, wire.dump(value), self._seq, self._key)
            except errors.PyroError as error:
                daemon._sendExceptionResponse(self.connection, self._seq, wire.SERPENT_ID, error, None)
            else:
                self.connection.send(data)
