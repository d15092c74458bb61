"""``WebServer``, an HTTP server on asyncio whose connections have limits, so that no client can stop it.

A silent, slow or hostile connection costs a descriptor for a limited time and does not delay others: the head of a request is first
collected, within limits of time and size, and parsed when it is complete; a response must be read within a limited time. The number
of connections is limited too: a new connection replaces the one that has been idle the longest.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from src.dashboard.http_messages import Header, Request, RequestHandler, Response
from src.rmi.errors import UnavailableError

Respond = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("sparrow.web")


@dataclass(frozen=True)
class WebServerLimits:
    """The limits of connections."""

    max_connections: int = 1_024
    max_head_bytes: int = 16 * 1024  # the largest head of a request: its line and headers
    head_s: float = 4.0  # from the first byte of a request's head to its last
    idle_s: float = 30.0  # the longest time without a request
    read_s: float = 6.0  # the longest time to read a response, and to make one
    drain_s: float = 1.0  # after a response that ends the connection, input is read for this time, so that the response arrives


class Connection(asyncio.Protocol):
    """One connection of a client. Its requests are answered one after the other."""

    def __init__(self, server: WebServer) -> None:
        self._server = server
        self._limits = server.limits
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None
        self._responding: asyncio.Task[None] | None = None
        self._unread = False  # the client has not read the last response yet
        self._ending = False  # the last response is written

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to wait for a request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(0)
        self._server.opened(self)
        self._abort_after(self._limits.idle_s)

    def data_received(self, data: bytes) -> None:
        """Takes received bytes: a part of a request, or several requests."""
        if self._ending:
            return
        if not self._buffer and self._responding is None and not self._unread:
            self._server.mark_busy(self)
            self._abort_after(self._limits.head_s)
        self._buffer += data
        if self._responding is not None or self._unread:
            if len(self._buffer) > self._limits.max_head_bytes:
                self._transport.pause_reading()
        else:
            self._begin_response()

    def pause_writing(self) -> None:
        """Notes that the client has not read the response yet, and sets the deadline for that."""
        self._unread = True
        self._abort_after(self._limits.read_s)

    def resume_writing(self) -> None:
        """Goes on with the next request, because the client has read the response."""
        self._unread = False
        if not self._ending and self._responding is None:
            self._wait_for_request()

    def connection_lost(self, error: Exception | None) -> None:
        """Cancels what is under way, and removes the connection from the server."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._responding is not None:
            self._responding.cancel()
        self._server.closed(self)

    # The server calls this, and so does the deadline.

    def abort(self) -> None:
        """Ends the connection at once."""
        self._transport.abort()

    # One request after the other

    def _abort_after(self, seconds: float) -> None:
        """Sets the deadline of the connection to ``seconds`` from now, in place of the last one."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _begin_response(self) -> None:
        """Begins the response to the next request if its head is complete, or refuses a head that is too large."""
        while self._buffer[:2] == b"\r\n":  # RFC 9112 allows empty lines before a request
            del self._buffer[:2]
        ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := self._buffer.find(mark)) >= 0]
        if ends and min(ends) <= self._limits.max_head_bytes:
            head = bytes(self._buffer[: min(ends)])
            del self._buffer[: min(ends)]
            self._abort_after(2 * self._limits.read_s)
            self._responding = asyncio.get_running_loop().create_task(self._respond(head))
        elif len(self._buffer) > self._limits.max_head_bytes:
            handler = RequestHandler(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", self._server.headers)
            handler.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            self._write(handler)

    async def _respond(self, head: bytes) -> None:
        handler = RequestHandler(head, self._server.headers)
        if handler.request is not None:
            try:
                handler.respond(await asyncio.wait_for(self._server.respond(handler.request), self._limits.read_s))
            except asyncio.TimeoutError:
                handler.refuse(HTTPStatus.GATEWAY_TIMEOUT)
            except Exception:  # a defect of this program must not end the server, or show its text to a client
                log.exception("the response to %r failed", handler.path)
                handler.refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._responding = None
        self._write(handler)
        if not self._unread and not self._ending:
            self._wait_for_request()

    def _write(self, handler: RequestHandler) -> None:
        self._abort_after(self._limits.read_s)
        self._transport.write(handler.written())
        if handler.close_connection:
            self._ending = True
            self._buffer.clear()
            self._transport.resume_reading()
            self._transport.write_eof()
            if not self._unread:
                self._abort_after(self._limits.drain_s)

    def _wait_for_request(self) -> None:
        """Goes on with the bytes that arrived during the last response, or waits for more."""
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        if self._buffer:
            self._abort_after(self._limits.head_s)
            self._begin_response()
        else:
            self._abort_after(self._limits.idle_s)
            self._server.mark_idle(self)


class WebServer:
    """A web server on one address. ``respond`` returns the response to a request; ``headers`` go with every response."""

    def __init__(
        self,
        respond: Respond,
        headers: tuple[Header, ...],
        limits: WebServerLimits = WebServerLimits(),  # noqa: B008 (it is frozen)
    ) -> None:
        self.respond = respond
        self.headers = headers
        self.limits = limits
        self._connections: set[Connection] = set()
        self._idle: OrderedDict[Connection, None] = OrderedDict()  # the one that has been idle the longest is first
        self._listening: asyncio.AbstractServer | None = None

    async def listen(self, host: str, port: int) -> int:
        """Begins to listen, and returns the port. Raises UnavailableError if it cannot listen on the address."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError):
            raise UnavailableError(f"the host name to listen on does not resolve: {host!r}; set another with --host") from None
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)  # IPv4 first: localhost is 127.0.0.1
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            self._listening = await loop.create_server(lambda: Connection(self), sock=listener, backlog=1024)
        except OSError as error:
            listener.close()
            why = f"cannot listen on {host}:{port}: {error.strerror or error}; set another with --host or --port"
            raise UnavailableError(why) from None
        return int(listener.getsockname()[1])

    def close(self) -> None:
        """Stops listening and ends all connections."""
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._connections):
            connection.abort()

    # Connections call these.

    def opened(self, connection: Connection) -> None:
        """Takes a new connection. If there are too many, it ends the one that has been idle the longest, or else the new one."""
        if len(self._connections) >= self.limits.max_connections:
            if not self._idle:
                connection.abort()
                return
            self._idle.popitem(last=False)[0].abort()
        self._connections.add(connection)
        self.mark_idle(connection)

    def mark_busy(self, connection: Connection) -> None:
        """Notes that the connection has begun a request."""
        self._idle.pop(connection, None)

    def mark_idle(self, connection: Connection) -> None:
        """Notes that the connection waits for a request."""
        if connection in self._connections:
            self._idle[connection] = None

    def closed(self, connection: Connection) -> None:
        """Removes a connection that has ended."""
        self._connections.discard(connection)
        self._idle.pop(connection, None)
