"""An HTTP server that no client can stop: http.server reads the requests and writes the answers, asyncio does the waiting.

A connection that is silent, slow or hostile costs a descriptor for a while and nobody else's time: the head of a request is
gathered first, within ``HEAD_S`` and ``MAX_HEAD``, and only a whole one is looked at; an answer must be read within ``READ_S``.
There are at most ``MAX_CONNECTIONS``; a new one takes the place of the one that has been idle the longest.
"""

from __future__ import annotations

import asyncio
import http.server
import io
import logging
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from src.rmi.errors import UnavailableError

MAX_CONNECTIONS = 1_024
MAX_HEAD = 16 * 1024  # bytes of a request's line and headers
HEAD_S = 4.0  # for the whole head of a request, from its first byte
IDLE_S = 30.0  # without a request
READ_S = 6.0  # for reading an answer
DRAIN_S = 1.0  # a request that is refused is still read for so long, so that the refusal arrives
METHODS = "GET, HEAD"

log = logging.getLogger("sparrow.web")


class Request(NamedTuple):
    """What was asked for: the undecoded path, and the headers in lower case."""

    path: str
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """``etag`` makes it answer 304 to whoever has it; ``gzipped`` is the same body for whoever takes it so."""

    body: bytes
    content_type: str
    status: int = 200
    etag: str = ""
    gzipped: bytes | None = None
    headers: tuple = ()


Respond = Callable[[Request], Awaitable[Answer]]


def plain(status: HTTPStatus, text: str = "", headers: tuple = ()) -> Answer:
    """A short answer in words."""
    return Answer(f"{status.value} {text or status.phrase}\n".encode(), "text/plain; charset=utf-8", status, headers=headers)


class Exchange(http.server.BaseHTTPRequestHandler):
    """One request, from its whole head, and its answer as bytes. No socket is involved."""

    protocol_version = "HTTP/1.1"

    def __init__(self, head: bytes, headers: tuple) -> None:
        self.rfile = io.BytesIO(head)
        self.wfile = self.written = io.BytesIO()
        self.client_address = ("", 0)
        self.request: Request | None = None
        self._always = headers
        self.command, self.request_version, self.close_connection = "", "HTTP/1.1", True
        self.raw_requestline = self.rfile.readline(MAX_HEAD)
        if not self.parse_request():
            self.close_connection = True
        elif self.request_version == "HTTP/0.9":
            self.refuse(HTTPStatus.BAD_REQUEST)
        elif self.command not in ("GET", "HEAD"):
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", METHODS))
        elif self.headers.get("Transfer-Encoding") or self.headers.get("Content-Length", "0") != "0":
            self.refuse(HTTPStatus.BAD_REQUEST, text="a request has no body here")
        elif len(self.headers.get_all("Host", [])) != 1 and self.request_version == "HTTP/1.1":
            self.refuse(HTTPStatus.BAD_REQUEST, text="a request needs one Host header")
        else:
            self.request = Request(self.path, {name.lower(): value for name, value in self.headers.items()})

    def refuse(self, status: HTTPStatus, *headers: tuple, text: str = "") -> None:
        self.close_connection = True
        self.request_version = self.protocol_version  # the answer has a status line, whatever was asked for
        self.answer(plain(status, text, headers))

    def answer(self, answer: Answer) -> None:
        status, body = answer.status, answer.body
        asked = self.request.headers if self.request else {}
        headers = [("Content-Type", answer.content_type), *self._always, *answer.headers]
        if answer.etag:
            headers += [("ETag", f'"{answer.etag}"'), ("Cache-Control", "no-cache")]
            if _has(asked.get("if-none-match", ""), answer.etag):
                status, body, headers = 304, b"", headers[1:]
        else:
            headers.append(("Cache-Control", "no-store"))
        if answer.gzipped is not None:
            headers.append(("Vary", "Accept-Encoding"))
            if body and _takes_gzip(asked.get("accept-encoding", "")):
                body = answer.gzipped
                headers.append(("Content-Encoding", "gzip"))
        self.send_response_only(status)
        self.send_header("Date", self.date_time_string())
        for name, value in headers:
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # http.server calls these

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.refuse(HTTPStatus(code))

    def handle_expect_100(self) -> bool:
        return True  # a request with a body is refused: there is nothing to wait for

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _has(if_none_match: str, etag: str) -> bool:
    return any(part.strip() in ("*", f'"{etag}"', f'W/"{etag}"') for part in if_none_match.split(","))


class Connection(asyncio.Protocol):
    """One client. Its requests are answered one after the other."""

    def __init__(self, server: WebServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._deadline: asyncio.TimerHandle | None = None
        self._answering: asyncio.Task | None = None
        self._unread = False  # the last answer is still on its way
        self._ending = False

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(0)
        self._server.opened(self)
        self._end_in(IDLE_S)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        if not self._buffer and self._answering is None and not self._unread:
            self._server.busy(self)
            self._end_in(HEAD_S)
        self._buffer += data
        if self._answering is not None or self._unread:
            if len(self._buffer) > MAX_HEAD:
                self._transport.pause_reading()
        else:
            self._next()

    def pause_writing(self) -> None:
        self._unread = True
        self._end_in(READ_S)

    def resume_writing(self) -> None:
        self._unread = False
        if not self._ending and self._answering is None:
            self._rest()

    def connection_lost(self, error: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._answering is not None:
            self._answering.cancel()
        self._server.closed(self)

    # ours

    def abort(self) -> None:
        self._transport.abort()

    def _end_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _next(self) -> None:
        """Answer the next request, once its head is whole."""
        while self._buffer[:2] == b"\r\n":  # allowed before a request
            del self._buffer[:2]
        ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := self._buffer.find(mark)) >= 0]
        if ends and min(ends) <= MAX_HEAD:
            head = bytes(self._buffer[: min(ends)])
            del self._buffer[: min(ends)]
            self._end_in(2 * READ_S)
            self._answering = asyncio.get_running_loop().create_task(self._answer(head))
        elif len(self._buffer) > MAX_HEAD:
            exchange = Exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", self._server.headers)
            exchange.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            self._write(exchange)

    async def _answer(self, head: bytes) -> None:
        exchange = Exchange(head, self._server.headers)
        if exchange.request is not None:
            try:
                exchange.answer(await asyncio.wait_for(self._server.respond(exchange.request), READ_S))
            except asyncio.TimeoutError:
                exchange.refuse(HTTPStatus.GATEWAY_TIMEOUT)
            except Exception:  # a bug of ours must not end the server, nor show itself to a client
                log.exception("answering %r", exchange.path)
                exchange.refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._answering = None
        self._write(exchange)
        if not self._unread and not self._ending:
            self._rest()

    def _write(self, exchange: Exchange) -> None:
        self._end_in(READ_S)
        self._transport.write(exchange.written.getvalue())
        if exchange.close_connection:
            self._ending = True
            self._buffer.clear()
            self._transport.resume_reading()
            self._transport.write_eof()
            if not self._unread:
                self._end_in(DRAIN_S)

    def _rest(self) -> None:
        """The last answer is out: go on with what has come meanwhile, or wait."""
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        if self._buffer:
            self._end_in(HEAD_S)
            self._next()
        else:
            self._end_in(IDLE_S)
            self._server.idle(self)


class WebServer:
    """Listens on one address. ``headers`` go with every answer."""

    def __init__(self, respond: Respond, headers: tuple) -> None:
        self.respond = respond
        self.headers = headers
        self._connections: set[Connection] = set()
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._listening: asyncio.AbstractServer | None = None

    async def listen(self, host: str, port: int) -> int:
        """Returns the port. UnavailableError if the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError):
            raise UnavailableError(f"the host name to listen on does not resolve: {host!r}; set another with --host") from None
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)  # localhost is 127.0.0.1 first
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
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._connections):
            connection.abort()

    # Connections call these

    def opened(self, connection: Connection) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            if not self._idle:
                connection.abort()
                return
            self._idle.popitem(last=False)[0].abort()
        self._connections.add(connection)
        self.idle(connection)

    def busy(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        if connection in self._connections:
            self._idle[connection] = None

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._idle.pop(connection, None)
