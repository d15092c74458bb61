"""A Pyro4 daemon that no peer can stop: Pyro4's code answers the calls, and asyncio does the waiting.

Everything runs in the one thread of the event loop, so remote methods need no locks. ``connection`` bounds what one peer may do
on its own connection; this module bounds what all of them may take together.

A remote method may reply after it has returned: it calls ``Daemon.defer()``, returns, and replies later through the
``PendingReply``.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import Pyro4
from Pyro4 import errors, message, util

from src.rmi import session, wire
from src.rmi.accounts import PartialMessages
from src.rmi.connection import Connection, PendingReply
from src.rmi.errors import ConfigurationError, MalformedError, UnavailableError
from src.rmi.listening import is_meant_for_others, loopback_warning
from src.rmi.room import Room
from src.rmi.security import STOCK_LOSS, Security, StockKey, describe_rejection, server_context
from src.rmi.serializer import dump
from src.rmi.settings import DaemonSettings
from src.rmi.turns import Turns

if TYPE_CHECKING:
    from src.rmi.tls import TlsListener

UNPROTECTED = Security(insecure=True)

Method = TypeVar("Method", bound=Callable[..., Any])
expose: Callable[[Method], Method] = Pyro4.expose  # marks a method as remote

log = logging.getLogger("sparrow.daemon")

_context = Pyro4.current_context
_OUR_FLAGS = message.FLAGS_BATCH | message.FLAGS_ONEWAY
_PUBLIC: tuple[type[Exception], ...] = (TypeError, ValueError, LookupError, AttributeError, BlockingIOError)


class MinimalDaemonObject:
    """The remote object ``Pyro.Daemon`` of a daemon, with no more methods than stock proxies need."""

    def __init__(self, daemon: Daemon) -> None:
        self._complete = Pyro4.core.DaemonObject(daemon)

    @expose
    def ping(self) -> None:
        """Does nothing: the reply says that the daemon is there."""

    @expose
    def get_metadata(self, object_id: str, as_lists: bool = False) -> dict[str, Any]:
        """Returns which methods an object exposes. Raises DaemonError if there is no such object."""
        metadata: dict[str, Any] = self._complete.get_metadata(object_id, as_lists)
        return metadata


class Daemon(Pyro4.core.Daemon):
    """Serves remote objects on one address. All but ``__init__`` and ``stop`` needs a running event loop.

    ``who`` is what every peer is told in the reply to its handshake. ``connections`` are those that stand; ``room`` says which of
    them make room for others.
    """

    def __init__(
        self,
        host: str,
        port: int = 0,
        security: Security = UNPROTECTED,
        gone: Callable[[Any, Connection], None] | None = None,
        settings: DaemonSettings = DaemonSettings(),
    ) -> None:
        """Bind the address.

        ``gone`` is called with what a peer said of itself in its handshake, and with its connection, after that has closed. Raises
        UnavailableError if the address cannot be bound, and ConfigurationError if it would not be protected (``security``).
        """
        self.settings = settings
        self.turns = Turns(settings.turns)
        serializer = wire.configure_pyro4(settings.wire)
        self._load, self._load_call = serializer.loads, serializer.loadsCall
        self._tls = server_context()
        try:
            with _plain_socket():
                super().__init__(host=host, port=port, interface=MinimalDaemonObject)
        except (socket.gaierror, UnicodeError):
            raise UnavailableError(f"the host name to listen on does not resolve: {host!r}; set another with --host") from None
        except OSError as error:
            why = f"{f'{host}:{port}' if port else host}: {error.strerror or error}"
            raise UnavailableError(f"cannot listen on {why}; set another with --host or --port") from None
        address = self.sock.getsockname()[0]
        if (warning := loopback_warning(host, address)) is not None:
            log.warning("%s", warning)
        try:
            security.check_listen_address(address, for_others=is_meant_for_others(host))
        except ConfigurationError:
            self.close()
            raise
        self._pyroHmacKey = None if security.key is None else bytes(security.key)
        self._accepts_stock = isinstance(security.key, StockKey)
        if self._accepts_stock:
            log.warning("stock Pyro4 programs with the key are accepted: %s", STOCK_LOSS)
        self.who: dict[str, Any] = {}
        self.connections: set[Connection] = set()
        self.room: Room[Connection] = Room(
            settings.max_connections, settings.max_connections_of_a_name, settings.room_look_again_s, lambda one: one.busy
        )
        self._gone = gone
        self._server: asyncio.AbstractServer | TlsListener | None = None
        self._rejected_count = 0  # handshakes that failed since the last warning about them
        self._rejection_warned_at_s = self._descriptors_warned_at_s = float("-inf")
        self._partial = PartialMessages()

    async def serve(self) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_exception)
        if self._tls is not None:
            from src.rmi.tls import TlsListener  # most processes have no TLS, and save 0.1 MB

            self.sock.listen(self.settings.backlog_connections)
            self._server = TlsListener(self.sock, self._tls, lambda: Connection(self), self.settings.tls)
            return
        # asyncio accepts up to ``backlog`` connections in a row before anything else runs, and each fails when no descriptor
        # is left. So it accepts one at a time, while the kernel's own queue is as long as the settings say.
        self._server = await loop.create_server(lambda: Connection(self), sock=self.sock, backlog=1)
        self.sock.listen(self.settings.backlog_connections)

    def stop(self) -> None:
        """Close the address and every connection, at once."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort("the daemon stops")
        self.connections.clear()
        self.close()

    @staticmethod
    def defer() -> PendingReply:
        """Returns the reply of the remote method that runs now, which sends it later.

        Raises ValueError if the method was called oneway or in a batch, where no reply can be sent later.
        """
        if _context.msg_flags & (message.FLAGS_BATCH | message.FLAGS_ONEWAY):
            raise ValueError("this method answers later, so it can be called neither oneway nor in a batch")
        return PendingReply(_context.client, _context.seq)

    # Called by connections

    def on_connected(self, connection: Connection) -> bool:
        """Returns whether a new connection is accepted. If there is no room, another one may be closed for it (``room``)."""
        ip = str(connection.getpeername()[0])
        leaving = self.room.enter(connection, ip, asyncio.get_running_loop().time())
        if leaving is not connection:
            self.connections.add(connection)
        return self._make_room(leaving, connection)

    def on_known(self, connection: Connection) -> bool:
        """Protect a connection with a completed handshake. Returns whether it may stay: a name has a bounded number."""
        said = connection.peer if isinstance(connection.peer, dict) else {}
        name = said.get("name")
        alone = isinstance(name, str) and isinstance(said.get("uri"), str)  # who can be reached is the only one of this name
        return self._make_room(self.room.known(connection, name if alone else None), connection)

    def _make_room(self, leaving: Connection | None, newcomer: Connection) -> bool:
        """Close the connection that has to leave, if there is one. Returns whether the newcomer stays."""
        if leaving is not None:
            leaving.abort("its place is needed for another connection")
            self.on_disconnected(leaving)
        return leaving is not newcomer

    def greet(self, connection: Connection, frame: wire.Frame) -> session.Greeted:
        """Returns what comes of the first message of a connection: a session if both have the key, or else what Pyro4 does with it.

        Pyro4's own code handles the handshake without a key, and that of stock programs where they are accepted.
        """
        key, theirs = self._pyroHmacKey, session.protection_of(frame)
        if key is None and theirs is session.Protection.SESSION:
            why = describe_rejection(None, True, False)
            return session.Greeted(wire.to_bytes(message.MSG_CONNECTFAIL, dump(why), frame.seq), None, None, why)
        if key is None or self._accepts_stock and theirs is session.Protection.STOCK:
            _forget_annotations()
            if self._handshake(connection):
                return session.Greeted(b"", None, connection.peer, "")
            if key is not None and session.has_stock_signature(frame, key):
                return session.Greeted(b"", None, None, session.UNREADABLE)
            why = describe_rejection(key, theirs is not session.Protection.NONE, False)
            return session.Greeted(b"", None, None, why)
        return session.answer_greeting(key, frame, self.who, self.locationStr, self._load, self._is_here)

    def _is_here(self, target: str) -> bool:
        """Returns whether a client that greets this target, OBJECT@HOST:PORT, means this daemon."""
        object_id, _, location = target.rpartition("@")
        return object_id in self.objectsById and (location == self.locationStr or object_id == session.NAME_SERVER)

    def on_rejected(self, address: tuple[Any, ...], why: str) -> None:
        """Log which peer was turned away and why, with at least ``warning_interval_s`` between two lines."""
        self._rejected_count += 1
        now = asyncio.get_running_loop().time()
        if now - self._rejection_warned_at_s >= self.settings.warning_interval_s:
            others = f" (and {self._rejected_count - 1} others before)" if self._rejected_count > 1 else ""
            log.warning("turned away %s:%s: %s%s", *address[:2], why, others)
            self._rejected_count, self._rejection_warned_at_s = 0, now

    def on_disconnected(self, connection: Connection) -> None:
        """Forget a connection that has closed, or is about to. Every call but the first has no effect."""
        self.room.left(connection)
        if connection in self.connections:
            self.connections.discard(connection)
            self._clientDisconnect(connection)

    def on_partial_message(self, connection: Connection, size: int) -> None:
        """Count the bytes of messages that are not whole yet, and close the connection with most if the total is too high."""
        self._partial.count(connection, size, self.settings.max_total_partial_bytes)

    def on_unsent(self) -> None:
        """Close the connection with most unread replies if those on all connections take too much memory together."""
        if sum(connection.unsent_bytes for connection in self.connections) > self.settings.max_total_unsent_bytes:
            largest = max(self.connections, key=lambda one: one.unsent_bytes)
            largest.abort("the unread replies on all connections take too much memory together")

    def respond(self, connection: Connection, frame: wire.Frame) -> None:
        """Answer one request. Calls in serpent are executed here, three times faster than by Pyro4's code for all others.

        In a session there are no others. Raises MalformedError if there is one.
        """
        self.room.called(connection)
        flags = frame.flags
        ours = frame.kind == message.MSG_INVOKE and not frame.annotated and frame.serializer == wire.SERPENT_ID
        if flags & ~_OUR_FLAGS:
            ours = False
        if connection.session is not None:
            if not ours or flags:
                raise MalformedError("not a plain call")
        elif not ours or not frame.is_from(self._pyroHmacKey):
            if flags & message.FLAGS_BATCH:  # Pyro4's code for these has no bounds, and answers with source lines
                raise errors.ProtocolError("a batched call with annotations or other flags is not accepted")
            _forget_annotations()
            self.handleRequest(connection)
            _forget_annotations()  # nothing is kept of what others put there
            return
        context, seq = _context, frame.seq
        context.client, context.seq, context.msg_flags = connection, seq, flags
        try:
            object_id, method, arguments, keywords = self._load_call(frame.payload)
            target = self.objectsById.get(object_id)
            if target is None:
                raise errors.DaemonError("unknown object")
            if flags & message.FLAGS_BATCH:
                from src.rmi.batches import run_batch  # our own programs make no batched calls

                reply = run_batch(target, arguments, self.settings.batch, public_error)
            else:
                result = util.getAttribute(target, method)(*arguments, **keywords)
                if connection.reply_deferred:
                    return
                reply = dump(result)
            if not flags & message.FLAGS_ONEWAY:
                connection.send_result(seq, reply)
        except Exception as error:
            if not flags & message.FLAGS_ONEWAY:
                self._sendExceptionResponse(connection, seq, wire.SERPENT_ID, error, None)

    def _on_loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Warn if no descriptor is left, which asyncio reports every second; asyncio handles every other error."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif loop.time() - self._descriptors_warned_at_s >= self.settings.warning_interval_s:
            self._descriptors_warned_at_s = loop.time()
            log.warning("no connection can be accepted until others end (%s); ulimit -n allows more", error.strerror)

    # Called by Pyro4

    def validateHandshake(self, connection: Connection, data: Any) -> dict[str, Any]:  # noqa: N802
        """Keep what the peer says of itself. Returns what it is told in reply."""
        connection.peer = data
        return self.who

    def clientDisconnect(self, connection: Connection) -> None:  # noqa: N802
        """Tell the owner of this daemon that a connection has closed, if its peer was known."""
        if self._gone is not None and connection.known:
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
        """Send an error as a class that every Pyro4 client knows, and without the traceback, which shows source."""
        if connection.reply_deferred:
            connection.reply_deferred = False
            connection.pending.discard(seq)
        shown = public_error(error)
        if serializer_id != wire.SERPENT_ID or annotations:
            super()._sendExceptionResponse(connection, seq, serializer_id, shown, None, flags, annotations)
            return
        try:
            data = dump(shown)
        except Exception as unwritable:  # the arguments of an error may be anything
            data = dump(errors.PyroError(f"{type(shown).__name__}, whose arguments cannot be sent: {unwritable!s:.100}"))
        connection.send_result(seq, data, flags | message.FLAGS_EXCEPTION)

    def _Daemon__deserializeBlobArgs(self, protocolmsg: Any) -> Any:  # noqa: N802
        raise errors.SecurityError("serialized blobs are not accepted")


def _forget_annotations() -> None:
    """Pyro4's code adds those of the last message that this thread has sent, its signature too, to the next one."""
    _context.annotations, _context.response_annotations = {}, {}


def current_caller() -> dict[str, Any]:
    """Returns what the caller of the running remote method said of itself in its handshake, or {} if that was no dict."""
    peer = getattr(_context.client, "peer", None)
    return peer if isinstance(peer, dict) else {}


def public_error(error: BaseException) -> BaseException:
    """Returns an error as another process may see it: a class of Pyro4 or a built-in one. All others are logged here."""
    if isinstance(error, UnicodeError):  # it carries the whole text that it is about
        return ValueError(str(error))
    if isinstance(error, errors.PyroError) or (isinstance(error, _PUBLIC) and type(error).__module__ == builtins.__name__):
        return error
    for kind in _PUBLIC:
        if isinstance(error, kind):
            return kind(*error.args)
    log.error("a remote call failed unexpectedly", exc_info=error)
    return RuntimeError(f"{type(error).__name__} in the server; its log says more")


@contextlib.contextmanager
def _plain_socket() -> Iterator[None]:
    """Make Pyro4 bind a plain socket, even with PYRO_SSL: asyncio does the TLS on it."""
    wanted, Pyro4.config.SSL = Pyro4.config.SSL, False
    try:
        yield
    finally:
        Pyro4.config.SSL = wanted
