"""A Pyro4 daemon that no peer can stop: Pyro4 answers the calls, asyncio does the waiting.

Everything runs in the one thread of the event loop, so remote methods need no locks. What a peer may do to its own connection, and
for how long, is in rmi.connection.

A remote method may answer later: it calls ``defer()``, returns, and answers through what it got.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import Pyro4
from Pyro4 import errors, message, util

from src.rmi import wire
from src.rmi.connection import GREETING_S, MAX_CONNECTIONS, Connection, Later
from src.rmi.errors import ConfigurationError, UnavailableError
from src.rmi.security import Security, server_context

BACKLOG = 1024  # connections that the kernel takes while we are busy
WARN_APART_S = 10.0  # between two lines of the same kind: that peers are turned away, that no descriptor is left
MAX_UNREAD = 256 * 2**20  # bytes of answers that peers have not read, on all connections of a daemon together
MAX_BEGUN = 64 * 2**20  # bytes of messages that have begun, on all connections of a daemon together

OPEN = Security(insecure=True)
expose = Pyro4.expose  # marks the methods that are remote

log = logging.getLogger("sparrow.daemon")


class Face:
    """What a daemon itself lets others ask, under the name Pyro.Daemon: no more than stock proxies need."""

    def __init__(self, daemon: Daemon) -> None:
        self._whole = Pyro4.core.DaemonObject(daemon)

    @expose
    def ping(self) -> None:
        """Nothing; the answer says that the daemon is there."""

    @expose
    def get_metadata(self, object_id: str, as_lists: bool = False) -> dict:
        """Which methods an object exposes. DaemonError for an unknown one."""
        return self._whole.get_metadata(object_id, as_lists)


class Daemon(Pyro4.core.Daemon):
    """Serves remote objects on one address.

    UnavailableError if that cannot be had, ConfigurationError if it must not be (rmi.security).

    ``who`` is told to every peer in the answer to its handshake; ``gone`` is called with what a peer had said of itself, and its
    connection, when that is closed.
    """

    def __init__(
        self,
        host: str,
        port: int = 0,
        security: Security = OPEN,
        gone: Callable[[Any, Connection], None] | None = None,
    ) -> None:
        wire.configure()
        self._tls = server_context()
        try:
            with _plain_socket():
                super().__init__(host=host, port=port, interface=Face)
        except (socket.gaierror, UnicodeError):
            raise UnavailableError(f"the host name to listen on does not resolve: {host!r}; set another with --host") from None
        except OSError as error:
            why = f"{f'{host}:{port}' if port else host}: {error.strerror or error}"
            raise UnavailableError(f"cannot listen on {why}; set another with --host or --port") from None
        try:
            security.must_allow(self.sock.getsockname()[0])
        except ConfigurationError:
            self.close()
            raise
        self._pyroHmacKey = security.key
        self.who: dict[str, Any] = {}
        self.connections: set[Connection] = set()
        self._strangers: dict[Connection, None] = {}  # those that have not said who they are, the oldest first
        self._gone = gone
        self._server: asyncio.AbstractServer | None = None
        self._turned_away = 0  # peers, since the last line about them
        self._warned_s = self._complained_s = float("-inf")
        self._begun = 0  # bytes, of all connections

    async def serve(self) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._loop_failed)
        # asyncio accepts up to ``backlog`` connections in a row, and goes on and on failing when no descriptor is left
        self._server = await loop.create_server(
            lambda: Connection(self),
            sock=self.sock,
            backlog=1,
            ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else GREETING_S,
        )
        self.sock.listen(BACKLOG)

    def stop(self) -> None:
        """Close the address and every connection, at once."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()
        self.connections.clear()
        self.close()

    def connected(self, connection: Connection) -> bool:
        """A new connection; when there are too many, the one that was silent for longest makes room. False if all have spoken."""
        if len(self.connections) >= MAX_CONNECTIONS:
            oldest = next(iter(self._strangers), None)
            if oldest is None:
                return False
            oldest.give_up("others want its place")
            self.disconnected(oldest)
        self.connections.add(connection)
        self._strangers[connection] = None
        return True

    def greeted(self, connection: Connection) -> None:
        """It has said who it is."""
        self._strangers.pop(connection, None)

    def disconnected(self, connection: Connection) -> None:
        """It is closed, or as good as that."""
        self._strangers.pop(connection, None)
        if connection in self.connections:
            self.connections.discard(connection)
            self._clientDisconnect(connection)

    def turned_away(self, address: tuple, frame: wire.Frame) -> None:
        """Say who could not come in, and why; not more than now and then, however many try."""
        self._turned_away += 1
        now = asyncio.get_running_loop().time()
        if now - self._warned_s >= WARN_APART_S:
            if frame.is_from(self._pyroHmacKey):
                why = "its greeting cannot be read"
            elif self._pyroHmacKey is None:
                why = "it has a key, and we have none"
            else:
                why = "it has no key" if frame.signature is None else "its key is not ours"
            others = f" (and {self._turned_away - 1} others before)" if self._turned_away > 1 else ""
            log.warning("turned away %s:%s: %s%s", *address[:2], why, others)
            self._turned_away, self._warned_s = 0, now

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something went wrong that nobody waits for. Without descriptors, asyncio tries to accept again every second."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif loop.time() - self._complained_s >= WARN_APART_S:
            self._complained_s = loop.time()
            log.warning("no connection can be accepted until others end (%s); ulimit -n allows more", error.strerror)

    def respond(self, connection: Connection, frame: wire.Frame) -> None:
        """Answer one request. A plain call, which nearly all are, takes the short way; Pyro4 does the rest, three times slower."""
        plain = frame.kind == message.MSG_INVOKE and not frame.flags and not frame.annotated and frame.serializer == wire.SERPENT_ID
        if not plain or not frame.is_from(self._pyroHmacKey):
            self.handleRequest(connection)
            return
        context = Pyro4.current_context
        context.client, context.seq, context.msg_flags = connection, frame.seq, 0
        try:
            object_id, method, arguments, keywords = wire.load_call(frame.payload)
            target = self.objectsById.get(object_id)
            if target is None:
                raise errors.DaemonError("unknown object")
            result = wire.dump(util.getAttribute(target, method)(*arguments, **keywords))
            answer = wire.to_bytes(message.MSG_RESULT, result, frame.seq, self._pyroHmacKey)
        except Exception as error:
            self._sendExceptionResponse(connection, frame.seq, wire.SERPENT_ID, error, None)
        else:
            connection.send(answer)

    def has_begun(self, connection: Connection, size: int) -> None:
        """So many bytes of a message are here. When all take too much together, the connection that takes most is closed."""
        self._begun += size - connection.begun
        connection.begun = size
        if self._begun > MAX_BEGUN:
            largest = max(self.connections, key=lambda one: one.begun)
            self._begun -= largest.begun
            largest.begun = 0
            largest.give_up("too much has begun to arrive on all connections together")

    def has_unread(self) -> None:
        """Some connection has much to read. When all have too much together, the one that has most is closed."""
        if sum(connection.unread for connection in self.connections) > MAX_UNREAD:
            largest = max(self.connections, key=lambda one: one.unread)
            largest.give_up("too much waits to be read on all connections together")

    @staticmethod
    def defer() -> Later:
        """Called by a remote method that will answer later: through what this returns."""
        context = Pyro4.current_context
        if context.msg_flags & (message.FLAGS_BATCH | message.FLAGS_ONEWAY):
            raise ValueError("this method answers later, so it can be called neither oneway nor in a batch")
        return Later(context.client, context.seq, context.client.daemon._pyroHmacKey)

    # Pyro4 calls these

    def validateHandshake(self, connection: Connection, data: Any) -> dict:  # noqa: N802
        connection.peer = data
        return self.who

    def clientDisconnect(self, connection: Connection) -> None:  # noqa: N802
        if self._gone is not None:
            self._gone(connection.peer, connection)

    def _sendExceptionResponse(  # noqa: N802
        self,
        connection: Any,
        seq: int,
        serializer_id: int,
        error: BaseException,
        trace: Any,
        flags: int = 0,
        annotations: Any = None,
    ) -> None:
        """An error goes out as the built-in or Pyro4 class that every Pyro4 client knows, and without our source in it."""
        connection.answer_later = False
        super()._sendExceptionResponse(connection, seq, serializer_id, presentable(error), None, flags, annotations)

    def _Daemon__deserializeBlobArgs(self, protocolmsg: Any) -> Any:  # noqa: N802
        raise errors.SecurityError("serialized blobs are not accepted")


def current_caller() -> dict[str, Any]:
    """What the caller of the remote method that runs just now said of itself in its handshake; empty if nothing of the kind."""
    peer = getattr(Pyro4.current_context.client, "peer", None)
    return peer if isinstance(peer, dict) else {}


def presentable(error: BaseException) -> BaseException:
    """An error as another process may see it."""
    if isinstance(error, errors.PyroError):
        return error
    for kind in (TypeError, ValueError, LookupError, AttributeError, BlockingIOError):
        if isinstance(error, kind):
            return error if type(error).__module__ == builtins.__name__ else kind(*error.args)
    log.error("a remote call failed unexpectedly", exc_info=error)
    return RuntimeError(f"{type(error).__name__} in the server; its log says more")


@contextlib.contextmanager
def _plain_socket() -> Iterator[None]:
    """Have Pyro4 make a plain socket, even with PYRO_SSL: asyncio does the TLS on it."""
    wanted, Pyro4.config.SSL = Pyro4.config.SSL, False
    try:
        yield
    finally:
        Pyro4.config.SSL = wanted
