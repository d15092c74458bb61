"""HTTP requests and responses as values. ``http.server`` reads and writes them, without a socket, once ``request_head`` agrees."""

from __future__ import annotations

import http.server
import io
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from src.dashboard.request_head import RefusedRequestError, parsed

ALLOWED_METHODS = ("GET", "HEAD")

Header = tuple[str, str]

log = logging.getLogger("sparrow.web")


class Request(NamedTuple):
    """A request: the undecoded path with its query, and the headers with their names in lower case."""

    path: str
    headers: Mapping[str, str]


class Response(NamedTuple):
    """A response.

    A client that has the body with this ``etag`` already gets status 304 and no body. ``gzipped`` is the same body for clients that
    accept gzip.
    """

    body: bytes
    content_type: str
    status: int = 200
    etag: str = ""
    gzipped: bytes | None = None
    headers: tuple[Header, ...] = ()


def text_response(status: HTTPStatus, text: str = "", headers: tuple[Header, ...] = ()) -> Response:
    """Returns a response of one line of plain text, by default the name of the status."""
    return Response(f"{status.value} {text or status.phrase}\n".encode(), "text/plain; charset=utf-8", status, headers=headers)


class RequestHandler(http.server.BaseHTTPRequestHandler):
    """Parses one request from its complete head, or takes the reason why there is none, and writes the response as bytes.

    If the request is malformed or not allowed, ``request`` is None and the response is written already. ``headers`` go with every
    response. A request for a host that ``is_ours`` does not know is refused.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, head: bytes | RefusedRequestError, headers: tuple[Header, ...], is_ours: Callable[[str], bool]) -> None:
        self.rfile = io.BytesIO(b"" if isinstance(head, RefusedRequestError) else head.removeprefix(b"\r\n"))
        self.wfile = self._written = io.BytesIO()
        self.client_address = ("", 0)
        self.request: Request | None = None
        self.body = b""
        self._fixed_headers = headers
        self.command, self.request_version, self.close_connection = "", "HTTP/1.1", True
        self.raw_requestline = self.rfile.readline()
        try:
            if isinstance(head, RefusedRequestError):
                raise head
            wanted = parsed(head)
        except RefusedRequestError as error:
            self.refuse(error.status, error.text)
            return
        if not self.parse_request():
            self.close_connection = True
        elif wanted.host is not None and not is_ours(wanted.host):
            why = f"this is not {wanted.host}; if that is a name of this server, start it with --allow-host {wanted.host}"
            self.refuse(HTTPStatus.MISDIRECTED_REQUEST, why)
        elif self.command not in ALLOWED_METHODS:
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, headers=(("Allow", ", ".join(ALLOWED_METHODS)),))
        else:
            self.request = Request(wanted.path, wanted.fields)

    def written(self) -> bytes:
        """Returns the bytes of the response but for ``body``, which follows them."""
        return self._written.getvalue()

    def refuse(self, status: HTTPStatus, text: str = "", headers: tuple[Header, ...] = ()) -> None:
        """Writes a response that ends the connection."""
        self.close_connection = True
        self.request_version = self.protocol_version  # a response to HTTP/0.9 would have no status line
        self.respond(text_response(status, text, headers))

    def respond(self, response: Response) -> None:
        """Writes a response: without a body for HEAD or a known etag, and compressed if the client accepts that."""
        status, body = response.status, response.body
        asked = self.request.headers if self.request else {}
        headers = [("Content-Type", response.content_type), *self._fixed_headers, *response.headers]
        if response.etag:
            headers += [("ETag", f'"{response.etag}"'), ("Cache-Control", "no-cache")]
            if _names_etag(asked.get("if-none-match", ""), response.etag):
                status, body, headers = 304, b"", headers[1:]
        else:
            headers.append(("Cache-Control", "no-store"))
        if response.gzipped is not None:
            headers.append(("Vary", "Accept-Encoding"))
            if body and _accepts_gzip(asked.get("accept-encoding", "")):
                body = response.gzipped
                headers.append(("Content-Encoding", "gzip"))
        self.send_response_only(status)
        self.send_header("Date", self.date_time_string())
        for name, value in headers:
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        self.body = b"" if self.command == "HEAD" else body

    # http.server calls these.

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuses a request that http.server cannot parse."""
        self.refuse(HTTPStatus(code))

    def handle_expect_100(self) -> bool:
        """Returns True, so that parsing goes on: a request with a body is refused later in any case."""
        return True

    def log_message(self, format: str, *args: Any) -> None:
        """Logs, at level debug, what http.server would print."""
        log.debug(format, *args)


def _accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _names_etag(if_none_match: str, etag: str) -> bool:
    return any(part.strip() in ("*", f'"{etag}"', f'W/"{etag}"') for part in if_none_match.split(","))
