"""``WebServer``, an HTTP server on asyncio whose connections have limits, so that no client can stop it.

A silent, slow or hostile connection costs a descriptor for a limited time and does not delay others: the head of a request is first
collected, within limits of time and size, and parsed when it is complete; a response must be read within a limited time. It is
handed to the system in parts, each when the last one is read, so that unread responses take no memory of their own. The number of
connections is limited too: ``room`` says which one ends for a new one.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from src.dashboard.hosts import AllowedHosts
from src.dashboard.http_messages import Header, Request, RequestHandler, Response
from src.dashboard.request_head import HeadReader, RefusedRequestError
from src.dashboard.room import BUSY, IDLE, READING, Room
from src.rmi.errors import UnavailableError

Respond = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("sparrow.web")


@dataclass(frozen=True)
class WebServerLimits:
    """The limits of connections."""

    max_connections: int = 1_024
    max_head_bytes: int = 16 * 1024  # the largest head of a request: its line and headers
    first_s: float = 10.0  # from the connection to the end of the first request's head
    head_s: float = 4.0  # from the first byte of a request's head to its last
    idle_s: float = 30.0  # the longest time without a request
    read_s: float = 6.0  # the longest time to make a response, and to read it if it is small
    read_bytes_per_s: int = 256 * 1024  # a large response has as much time more as it takes at this rate
    part_bytes: int = 64 * 1024  # of a response that are handed to the system at a time
    drain_s: float = 1.0  # after a response that ends the connection, input is read for this time, so that the response arrives


class Connection(asyncio.Protocol):
    """One connection of a client. Its requests are answered one after the other."""

    def __init__(self, server: WebServer) -> None:
        self._server = server
        self._limits = server.limits
        self._heads = HeadReader(server.limits.max_head_bytes)
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None
        self._responding: asyncio.Task[None] | None = None
        self._unsent: list[memoryview] = []  # parts of the response that the system has not taken
        self._unread = False  # the client has not read yet what the system has taken
        self._ending = False  # the last response is being sent
        self._eof = False  # the client sends nothing more

    # asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to wait for a request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(0)
        self._abort_after(self._limits.first_s)
        peer = transport.get_extra_info("peername")
        self._server.opened(self, str(peer[0]) if peer else "")

    def data_received(self, data: bytes) -> None:
        """Takes received bytes: a part of a request, or several requests."""
        if self._ending:
            return
        waits = self._responding is None and not self._unread
        if waits and not self._heads.begun:
            self._abort_after(self._limits.head_s)
        self._heads.feed(data)
        if waits:
            self._begin_response()
        elif len(self._heads) > self._limits.max_head_bytes:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Returns whether the connection stays: a client that sends nothing more still gets its responses."""
        self._eof = True
        return self._responding is not None or bool(self._unsent) or self._unread

    def pause_writing(self) -> None:
        """Notes that the client has yet to read what was sent."""
        self._unread = True

    def resume_writing(self) -> None:
        """Goes on with the response, or with the next request, because the client has read what was sent."""
        self._unread = False
        if self._responding is None:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """Cancels what is under way, and removes the connection from the server."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._responding is not None:
            self._responding.cancel()
        self._unsent.clear()
        self._server.room.leave(self)

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
        """Begins the response to the next request if its head is complete, or refuses it if it cannot become a request."""
        try:
            head = self._heads.take()
        except RefusedRequestError as error:
            self._write(RequestHandler(error, self._server.headers, self._server.hosts.allows))
            return
        if head is None and self._eof:
            self._transport.close()
        elif head is not None:
            self._server.room.move(self, BUSY)
            self._abort_after(2 * self._limits.read_s)
            self._responding = asyncio.get_running_loop().create_task(self._respond(head))

    async def _respond(self, head: bytes) -> None:
        handler = RequestHandler(head, self._server.headers, self._server.hosts.allows)
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

    def _write(self, handler: RequestHandler) -> None:
        if self._transport.is_closing():
            return
        self._ending = handler.close_connection
        if self._ending:
            self._heads.clear()
            self._transport.resume_reading()
        self._server.room.move(self, READING)
        self._abort_after(self._limits.read_s + len(handler.body) / self._limits.read_bytes_per_s)
        self._unsent = [memoryview(part) for part in (handler.written(), handler.body) if part]
        self._send()

    def _send(self) -> None:
        """Hands the response to the system part by part, as long as what it has taken is read at once."""
        while self._unsent and not self._unread and not self._transport.is_closing():
            part, rest = self._unsent[0][: self._limits.part_bytes], self._unsent[0][self._limits.part_bytes :]
            self._unsent[:1] = [rest] if rest else []
            self._transport.write(part)
        if self._unsent or self._unread or self._transport.is_closing():
            return
        if self._ending:
            self._transport.write_eof()
            self._abort_after(self._limits.drain_s)
        else:
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        """Goes on with the bytes that arrived during the last response, or waits for more."""
        self._server.room.move(self, IDLE)
        self._transport.resume_reading()
        if self._heads.begun or self._eof:
            self._abort_after(self._limits.head_s)
            self._begin_response()
        else:
            self._abort_after(self._limits.idle_s)


class WebServer:
    """A web server on one address, for requests to ``hosts``.

    ``respond`` returns the response to a request; ``headers`` go with every response.
    """

    def __init__(
        self,
        respond: Respond,
        headers: tuple[Header, ...],
        hosts: AllowedHosts,
        limits: WebServerLimits = WebServerLimits(),  # noqa: B008 (it is frozen)
    ) -> None:
        self.respond = respond
        self.headers = headers
        self.hosts = hosts
        self.limits = limits
        self.room: Room[Connection] = Room(limits.max_connections)
        self._listening: asyncio.AbstractServer | None = None
        self.address = ""  # the IP address that it listens on

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
        self.address = str(listener.getsockname()[0])
        return int(listener.getsockname()[1])

    def close(self) -> None:
        """Stops listening and ends all connections."""
        if self._listening is not None:
            self._listening.close()
        for connection in self.room:
            connection.abort()

    def opened(self, connection: Connection, host: str) -> None:
        """Takes a new connection from that host, in place of another one if there are too many."""
        leaving = self.room.enter(connection, host)
        if leaving is not None:
            leaving.abort()
