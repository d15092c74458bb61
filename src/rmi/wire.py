"""Pyro4's wire format on non-blocking connections: bytes in, whole messages out.

Pyro4 reads a message by blocking until it is there, so one slow peer stops a whole server. Here bytes are gathered as they come,
and only a whole message is handed to Pyro4's own code, which then never has to wait. What a message may be is decided from its
header, before any memory is spent on it.
"""

from __future__ import annotations

import hmac
import re
import socket
import struct
from collections.abc import Iterator
from typing import Any, Callable

import Pyro4
from Pyro4 import errors, message, util

MAX_MESSAGE = 16 * 2**20  # bytes: a job of 100,000 tasks is 2 MB, its report 6 MB
MAX_GREETING = 4096  # bytes in the first message of a peer
MAX_ANNOTATIONS = 1024  # bytes beside the message itself: a signature has 26
MAX_STRUCTURE = 250_000  # texts and numbers in a message, and other characters: each may take a kilobyte once it is read
_HEADER = struct.Struct("!4sHHHHiHHHH")
_SIGNATURE = struct.Struct("!4sH20s")  # the annotation with a message's HMAC-SHA1
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
    util._serializers["serpent"] = util._serializers_by_id[SERPENT_ID] = _serpent


class MalformedError(Exception):
    """These bytes are not a message of Pyro4, or not one that is wanted here."""


class Frame:
    """One whole message: its header's fields, and its bytes, which Pyro4 reads as it reads a connection."""

    __slots__ = ("kind", "flags", "seq", "serializer", "annotated", "signature", "_data", "_start", "_read")

    def __init__(self, data: bytes) -> None:
        _, _, self.kind, self.flags, self.seq, _, self.serializer, annotations, _, _ = _HEADER.unpack_from(data)
        self.signature: bytes | None = None  # by which only who has the key can have sent this
        self.annotated = annotations > 0  # with something else than a signature
        if annotations >= _SIGNATURE.size:
            name, size, signature = _SIGNATURE.unpack_from(data, _HEADER.size + annotations - _SIGNATURE.size)  # Pyro4 puts it last
            if name == b"HMAC" and size == len(signature):
                self.signature, self.annotated = signature, annotations > _SIGNATURE.size
        self._data = data
        self._start = _HEADER.size + annotations
        self._read = 0

    @property
    def payload(self) -> bytes:
        return self._data[self._start :]

    @property
    def well_annotated(self) -> bool:
        """Whether the annotations are whole: each has a name of four characters, its length in two bytes, and so many bytes."""
        at = _HEADER.size
        while at + 6 <= self._start and self._data[at : at + 4].isascii():
            at += 6 + int.from_bytes(self._data[at + 4 : at + 6], "big")
        return at == self._start

    def recv(self, size: int) -> bytes:
        """The next ``size`` bytes; there are fewer only if the message lies about itself."""
        start, self._read = self._read, self._read + size
        return self._data[start : self._read]

    def is_from(self, key: bytes | None) -> bool:
        """Whether it is signed with this key; for None, whether it is not signed."""
        if key is None or self.signature is None:
            return key is None and self.signature is None
        return hmac.compare_digest(self.signature, hmac.digest(key, self.payload, "sha1"))

    def close(self) -> None:
        """Pyro4 closes what sends too much; that is decided before, in ``Frames``."""


class Frames:
    """Cuts a stream of bytes into messages."""

    def __init__(self, largest: int = MAX_GREETING) -> None:
        self.largest = largest  # bytes in one message
        self._buffer = bytearray()

    @property
    def partial(self) -> int:
        """How many bytes are here of a message that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The messages that are whole now, one by one. MalformedError for anything that is not one."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _HEADER.size:
            tag, version, kind, flags, seq, size, serializer, annotations, _, checksum = _HEADER.unpack_from(buffer)
            total = kind + version + flags + seq + size + serializer + annotations + message.Message.checksum_magic
            if tag != b"PYRO" or version != Pyro4.constants.PROTOCOL_VERSION or checksum != total & 0xFFFF:
                raise MalformedError("not the protocol of Pyro4")
            if flags & _UNWANTED:
                raise MalformedError("compressed or opaque messages are not accepted")
            if annotations > MAX_ANNOTATIONS:
                raise MalformedError(f"annotations of {annotations} bytes, where {MAX_ANNOTATIONS} are allowed")
            if not 0 <= size <= self.largest:
                raise MalformedError(f"a message of {size} bytes, where {self.largest} are allowed")
            whole = _HEADER.size + annotations + size
            if len(buffer) < whole:
                return
            frame = Frame(bytes(buffer[:whole]))
            del buffer[:whole]
            if annotations and not frame.well_annotated:
                raise MalformedError("annotations that cannot be read")
            yield frame


class Serpent(util.SerpentSerializer):
    """Serpent, with a short cut for what nearly all of our messages are: calls with three strings or none, answers with a string or
    a whole number. The bytes are the same; anything else, and any string with a quote or an escape in it, goes the long way.
    """

    _HEAD = b"# serpent utf-8 python3.2\n"
    _CALL = re.compile(rb"# serpent utf-8 python3\.2\n\('([\w.]+)','(\w+)',\((?:'([^'\\]*)','([^'\\]*)','([^'\\]*)')?\),\{\}\)")
    _TEXT = re.compile(rb"# serpent utf-8 python3\.2\n'([^'\\]*)'")
    _PLAIN = re.compile(r"[^'\\\x00-\x1f\x7f-\uffff\U00010000-\U0010ffff]*")
    _VALUE = re.compile(  # a text that nobody closed ends with the message, so that it is looked at once
        rb"'[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z)|\"[^\"\\]*(?:\\.[^\"\\]*)*(?:\"|\\?\Z)|[0-9.]+(?:e[+-]?[0-9]+)?", re.DOTALL
    )

    def dumpsCall(self, obj: str, method: str, vargs: tuple, kwargs: dict) -> bytes:  # noqa: N802
        if not vargs and not kwargs:
            return self._HEAD + f"('{obj}','{method}',(),{{}})".encode("ascii")
        if len(vargs) == 3 and not kwargs and all(type(arg) is str and self._PLAIN.fullmatch(arg) for arg in vargs):
            first, second, third = vargs
            return self._HEAD + f"('{obj}','{method}',('{first}','{second}','{third}'),{{}})".encode("ascii")
        return super().dumpsCall(obj, method, vargs, kwargs)

    def dumps(self, data: Any) -> bytes:
        if type(data) is str and self._PLAIN.fullmatch(data):
            return self._HEAD + f"'{data}'".encode("ascii")
        if type(data) is int:
            return self._HEAD + b"%d" % data
        return super().dumps(data)

    def loadsCall(self, data: bytes) -> tuple:  # noqa: N802
        call = self._CALL.fullmatch(data)
        if call is not None and data.isascii():
            obj, method, *arguments = [part.decode("ascii") for part in call.groups() if part is not None]
            return obj, method, arguments, {}
        return self._read(super().loadsCall, data)

    def loads(self, data: bytes) -> Any:
        text = self._TEXT.fullmatch(data)
        if text is not None and data.isascii():
            return text[1].decode("ascii")
        number = data[len(self._HEAD) :]
        return int(number) if number.isdigit() and len(number) < 16 else self._read(super().loads, data)

    def _read(self, how: Callable[[bytes], Any], data: bytes) -> Any:
        """Serpent reads with Python's own parser, which raises whatever it likes and needs seconds and gigabytes for a large list.
        ValueError for what cannot be read or would be too much.
        """
        if len(data) > MAX_STRUCTURE and len(self._VALUE.sub(b"", data, MAX_STRUCTURE)) > MAX_STRUCTURE:
            raise ValueError("too many values in one message: send large lists as JSON text")
        try:
            return how(data)
        except errors.PyroError:
            raise
        except Exception as error:
            raise ValueError(f"not a message in serpent: {type(error).__name__}: {error!s:.100}") from None


_serpent = Serpent()
SERPENT_ID = _serpent.serializer_id
dump = _serpent.dumps
load = _serpent.loads
load_call = _serpent.loadsCall


def legible(data: bytes) -> str:
    """The text in bytes of another serializer, which we do not read: Pyro4's daemons say in marshal why they turn a peer away."""
    return re.sub(rb"[^ -~]+", b" ", data[:1000]).decode("ascii").strip()


def dump_call(object_id: str, method: str, arguments: tuple) -> bytes:
    return _serpent.dumpsCall(object_id, method, arguments, {})


def to_bytes(kind: int, data: bytes, seq: int, key: bytes | None = None) -> bytes:
    """A message as it goes over the wire, signed with the key if there is one."""
    if len(data) > MAX_MESSAGE:
        return message.Message(kind, data, SERPENT_ID, 0, seq, hmac_key=key).to_bytes()  # raises, and says why
    signature = b"" if key is None else _SIGNATURE.pack(b"HMAC", 20, hmac.digest(key, data, "sha1"))
    version, annotations = Pyro4.constants.PROTOCOL_VERSION, len(signature)
    checksum = (kind + version + len(data) + SERPENT_ID + seq + annotations + message.Message.checksum_magic) & 0xFFFF
    return _HEADER.pack(b"PYRO", version, kind, 0, seq, len(data), SERPENT_ID, annotations, 0, checksum) + signature + data


def notice_a_vanished_host(sock: socket.socket) -> None:
    """Have the kernel give a silent connection up after about six seconds. It costs nothing while the peer answers."""
    options = [("SO_KEEPALIVE", socket.SOL_SOCKET, 1)]
    options += [("TCP_KEEPIDLE", socket.IPPROTO_TCP, 3), ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 1)]
    options += [("TCP_KEEPCNT", socket.IPPROTO_TCP, 3), ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, 6000)]
    for name, level, value in options:
        option = getattr(socket, name, None)  # not every system has them all
        if option is not None:
            sock.setsockopt(level, option, value)
