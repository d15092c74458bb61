"""Pyro4's wire format on non-blocking connections: bytes in, whole messages out.

Pyro4 reads a message by blocking until it is there, so one slow peer stops a whole server. Here bytes are gathered as they come,
and only a whole message is handed to Pyro4's own code, which then never has to wait. What a message may be is decided from its
header, before any memory is spent on it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import Pyro4
from Pyro4 import message, util

MAX_MESSAGE = 16 * 2**20  # bytes: a job of 100,000 tasks is 2 MB, its report 6 MB
MAX_GREETING = 4096  # bytes that a peer may send before it is known
_HEADER = struct.Struct("!4sHHHHiHHHH")
_UNWANTED = message.FLAGS_COMPRESSED | message.FLAGS_KEEPSERIALIZED  # a bomb, and a way to marshal.loads


def configure() -> None:
    """Set Pyro4 up for all that follows in this process. Its defaults are for trusting and blocking peers."""
    config = Pyro4.config
    config.SERIALIZER = "serpent"
    config.SERIALIZERS_ACCEPTED = {"serpent"}
    config.SERVERTYPE = "multiplex"  # only for the socket that it binds; rmi.daemon does the serving
    config.MAX_MESSAGE_SIZE = MAX_MESSAGE
    config.ONEWAY_THREADED = False
    config.DETAILED_TRACEBACK = False
    config.AUTOPROXY = False
    config.ITER_STREAMING = False
    config.COMPRESSION = False
    config.COMMTIMEOUT = 0.0


class MalformedError(Exception):
    """These bytes are not a message of Pyro4, or not one that is wanted here."""


class Frame:
    """The bytes of one whole message, read as Pyro4 reads a connection."""

    __slots__ = ("_data", "_read")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._read = 0

    def recv(self, size: int) -> bytes:
        """The next ``size`` bytes; there are fewer only if the message lies about itself."""
        start, self._read = self._read, self._read + size
        return self._data[start : self._read]

    def close(self) -> None:
        """Pyro4 closes what sends too much; that is decided before, in ``Frames``."""


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self, largest: int = MAX_GREETING) -> None:
        self.largest = largest  # bytes in one message
        self._buffer = bytearray()

    @property
    def partial(self) -> bool:
        """Whether the bytes so far end in the middle of a message."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The messages that are whole now, one by one. MalformedError for anything that is not one."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _HEADER.size:
            tag, version, _, flags, _, size, _, annotations, _, _ = _HEADER.unpack_from(buffer)
            if tag != b"PYRO" or version != Pyro4.constants.PROTOCOL_VERSION:
                raise MalformedError("not the protocol of Pyro4")
            if flags & _UNWANTED:
                raise MalformedError("compressed or opaque messages are not accepted")
            if not 0 <= size <= self.largest:
                raise MalformedError(f"a message of {size} bytes, where {self.largest} are allowed")
            whole = _HEADER.size + annotations + size
            if len(buffer) < whole:
                return
            frame = Frame(bytes(buffer[:whole]))
            del buffer[:whole]
            yield frame


_serpent = util.get_serializer("serpent")
SERPENT_ID = _serpent.serializer_id


def to_bytes(kind: int, data: bytes, seq: int, flags: int = 0, key: bytes | None = None) -> bytes:
    """A message as it goes over the wire."""
    return message.Message(kind, data, SERPENT_ID, flags, seq, hmac_key=key).to_bytes()


def dump_call(object_id: str, method: str, arguments: tuple) -> bytes:
    return _serpent.serializeCall(object_id, method, arguments, {}, compress=False)[0]


def dump(value: object) -> bytes:
    return _serpent.serializeData(value, compress=False)[0]


def load(data: bytes) -> object:
    return _serpent.deserializeData(data, compressed=False)


def notice_a_vanished_host(sock: socket.socket) -> None:
    """Have the kernel give a silent connection up after about six seconds. It costs nothing while the peer answers."""
    options = [("SO_KEEPALIVE", socket.SOL_SOCKET, 1)]
    options += [("TCP_KEEPIDLE", socket.IPPROTO_TCP, 3), ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 1)]
    options += [("TCP_KEEPCNT", socket.IPPROTO_TCP, 3), ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, 6000)]
    for name, level, value in options:
        option = getattr(socket, name, None)  # not every system has them all
        if option is not None:
            sock.setsockopt(level, option, value)
