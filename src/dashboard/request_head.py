"""The head of an HTTP request: where it ends, and whether it may mean two things. RFC 9112 is kept strictly, and it is pure.

Two programs that read the same bytes differently, such as a proxy and this server, can be made to see different requests (request
smuggling). So what RFC 9112 lets a server repair or guess is refused here: a line that ends with LF alone (section 2.2), a folded
field and a space before a colon (section 5), more than one Content-Length, or one that is no number, and any Transfer-Encoding
(section 6). A request with a body is refused as well, since no resource takes one. The connection ends with each refusal, so that
nothing after it is taken for a request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

MAX_FIELDS = 100

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])" % _TOKEN)
_FIELD = re.compile(rb"(%b):[ \t]*([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_NAME = r"[A-Za-z0-9_.~-]{1,255}"
_HOST = re.compile(rf"(?:\[([0-9A-Fa-f:.]{{2,45}})\]|({_NAME}))(?::[0-9]{{0,5}})?")
_ABSOLUTE = re.compile(r"http://([^/?#]*)(.*)", re.IGNORECASE)


class RefusedRequestError(Exception):
    """Raised if a request must be answered with this status and this line, and the connection ended."""

    def __init__(self, status: HTTPStatus, text: str = "") -> None:
        super().__init__(text or status.phrase)
        self.status, self.text = status, text


class RequestHead(NamedTuple):
    """What a request asks for. ``host`` is the host that it is meant for, without the port; None if it names none (HTTP/1.0)."""

    method: str
    path: str  # not decoded; it begins with a slash, and has the query
    host: str | None
    fields: Mapping[str, str]  # by names in lower case


class HeadReader:
    """Collects received bytes and takes whole heads from them. One empty line before a head is ignored (RFC 9112, section 2.2)."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._line_at = 0  # where the line begins that is being received
        self._searched = 0
        self.begun = False  # whether a head has begun that has not been taken

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes received bytes."""
        self._buffer += data
        self.begun = self.begun or bool(data)

    def clear(self) -> None:
        """Drops all bytes."""
        self._buffer.clear()
        self._line_at = self._searched = 0

    def take(self) -> bytes | None:
        """Returns the next head if all of it is there, else None. Raises RefusedRequestError if it cannot become one."""
        buffer = self._buffer
        while (at := buffer.find(b"\n", self._searched)) >= 0 and at < self._max_bytes:
            if at == self._line_at or buffer[at - 1] != 0x0D:
                raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "each line of a request's head ends with CR LF")
            empty, first = at == self._line_at + 1, self._line_at == 0
            self._line_at = self._searched = at + 1
            if empty and not first and self._line_at != 4:
                head = bytes(buffer[: self._line_at])
                del buffer[: self._line_at]
                self._line_at = self._searched = 0
                self.begun = bool(buffer)
                return head
            if empty and not first:
                raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "a request begins with a request line, not with empty lines")
        self._searched = len(buffer)
        if len(buffer) > self._max_bytes:
            raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return None


def parsed(head: bytes) -> RequestHead:
    """Returns what a whole head asks for. Raises RefusedRequestError if it is malformed or ambiguous, or has a body."""
    line, *lines = head.removeprefix(b"\r\n").removesuffix(b"\r\n\r\n").split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _bad("the first line of a request is METHOD SP TARGET SP HTTP/1.1")
    method, target, version = match[1].decode(), match[2].decode(), (int(match[3]), int(match[4]))
    if version[0] != 1:
        raise RefusedRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "this server speaks HTTP/1.1")
    if len(lines) > MAX_FIELDS:
        raise RefusedRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request has at most {MAX_FIELDS} fields")
    values: dict[str, list[str]] = {}
    for one in lines:
        field = _FIELD.fullmatch(one)
        if field is None:
            raise _bad("a field of a request is NAME: VALUE on one line, without a space before the colon")
        values.setdefault(field[1].decode().lower(), []).append(field[2].decode("latin-1").rstrip(" \t"))
    _check_no_body(values)
    path, host = _target(method, target)
    hosts = values.get("host", [])
    if len(hosts) > 1 or (not hosts and version >= (1, 1)):
        raise _bad("a request has one Host field")
    named = _host_name(hosts[0]) if hosts else None
    return RequestHead(method, path, named if host is None else host, {name: ", ".join(found) for name, found in values.items()})


def is_host(text: str) -> bool:
    """Returns whether this may be the name or the IPv4 address of a host."""
    return re.fullmatch(_NAME, text) is not None


def _check_no_body(values: Mapping[str, list[str]]) -> None:
    """Raises RefusedRequestError unless it is certain that the request ends with its head."""
    if "transfer-encoding" in values:
        raise _bad("a request has no body here, and so no Transfer-Encoding")
    lengths = values.get("content-length", [])
    if len(lengths) > 1:
        raise _bad("a request has at most one Content-Length")
    if lengths and not (lengths[0].isascii() and lengths[0].isdigit()):
        raise _bad("Content-Length is a whole number")
    if lengths and lengths[0].strip("0"):
        raise _bad("a request has no body here")


def _target(method: str, target: str) -> tuple[str, str | None]:
    """Returns the path of a target, and the host if the target names one (RFC 9112, section 3.2): then it counts, not Host."""
    if target.startswith("/"):
        return target, None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        rest = absolute[2]
        return rest if rest.startswith("/") else f"/{rest}", _host_name(absolute[1])
    if method in ("CONNECT", "OPTIONS"):  # whose targets have forms of their own; they are refused as methods
        return "/", None
    raise _bad("the target of a request is a path that begins with a slash, or http://HOST/PATH")


def _host_name(authority: str) -> str:
    match = _HOST.fullmatch(authority)
    if match is None:
        raise _bad("Host is HOST or HOST:PORT")
    return match[1] or match[2]


def _bad(text: str) -> RefusedRequestError:
    return RefusedRequestError(HTTPStatus.BAD_REQUEST, text)
