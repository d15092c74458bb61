"""Pyro4's message format on connections that never block: bytes in, whole messages out.

One message, version 48 of the protocol (Pyro4 4.82). All numbers are unsigned and in network byte order, except the payload's size,
which is signed:

    offset  bytes  field
         0      4  "PYRO"
         4      2  version of the protocol
         6      2  kind: 1 CONNECT, 2 CONNECTOK, 3 CONNECTFAIL, 4 INVOKE, 5 RESULT, 6 PING
         8      2  flags: 1 exception, 2 compressed, 4 oneway, 8 batch, 16 metadata, 32 item stream, 64 serialized blob
        10      2  sequence number: a RESULT has that of its INVOKE
        12      4  size of the payload
        16      2  serializer of the payload: 1 is serpent
        18      2  size of all annotations together
        20      2  reserved: 0
        22      2  checksum: the sum of the seven fields from version to size of the annotations, and 0x34E9; its lower 16 bits
        24      .  annotations, one after the other
         .      .  payload

One annotation:

         0      4  name, in ASCII
         4      2  size of its value
         6      .  value

The annotation "HMAC" is the signature of stock Pyro4: HMAC-SHA1 (20 bytes), under the cluster's key, of the payload followed by the
values of the other annotations in the order of their names. Pyro4 writes it as the last annotation. Our own programs sign in
another way, with the annotations "OPEN" and "SEAL" (``session``). Messages without a key carry none of these.

A conversation begins with CONNECT (payload: a dict with "handshake"), answered by CONNECTOK or CONNECTFAIL. INVOKE and RESULT
follow, or PING answered by PING.

Pyro4's own code reads a message by blocking until it is there, so one slow peer stops a whole server. Here bytes are collected as
they arrive, and Pyro4's code gets only whole messages, on which it never waits. Whether a message is accepted is decided from its
header, before memory is spent on it.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable, Iterator

import Pyro4
from Pyro4 import errors, message, util

from src.rmi.errors import MalformedError
from src.rmi.serializer import Serpent
from src.rmi.settings import WireLimits

HEADER = struct.Struct("!4sHHHHiHHHH")
SERPENT_ID: int = util.SerpentSerializer.serializer_id
_HEADER_BYTES = HEADER.size
_VERSION: int = Pyro4.constants.PROTOCOL_VERSION
_CHECKSUM_MAGIC: int = message.Message.checksum_magic
ANNOTATION = struct.Struct("!4sH")  # before the value of an annotation: its name, and the size of the value
_ANNOTATION_BYTES = ANNOTATION.size
_SIGNATURE = struct.Struct("!4sH20s")  # the annotation "HMAC" with its value
_SIGNATURE_BYTES = _SIGNATURE.size
_DIGEST_BYTES = 20
_REJECTED_FLAGS = message.FLAGS_COMPRESSED | message.FLAGS_KEEPSERIALIZED  # either may expand to gigabytes, or reach marshal


def configure_pyro4(limits: WireLimits) -> Serpent:
    """Set Pyro4 up for connections that must not block and for peers that are not trusted. Returns the serializer.

    Pyro4 keeps its configuration for the whole process, so its own code follows the limits that were given last.
    """
    config = Pyro4.config
    config.SERIALIZER = "serpent"
    config.SERIALIZERS_ACCEPTED = {"serpent"}
    config.SERVERTYPE = "multiplex"  # only binds the socket: rmi.daemon accepts and reads
    config.MAX_MESSAGE_SIZE = limits.max_payload_bytes
    config.ONEWAY_THREADED = False
    config.DETAILED_TRACEBACK = False
    config.AUTOPROXY = False
    config.ITER_STREAMING = False
    config.COMPRESSION = False
    config.COMMTIMEOUT = 0.0
    serializer = Serpent(limits)
    util._serializers["serpent"] = util._serializers_by_id[SERPENT_ID] = serializer
    return serializer


class Frame:
    """One whole message: the fields of its header, and all its bytes, which Pyro4's code reads as it would read a connection.

    ``signature`` is the value of the annotation "HMAC", or None. ``annotated`` says whether there are annotations beside it.
    """

    __slots__ = ("kind", "flags", "seq", "serializer", "annotated", "signature", "data", "_start", "_read")

    kind: int
    flags: int
    seq: int
    serializer: int
    _start: int

    def __init__(self, data: bytes) -> None:
        _, _, self.kind, self.flags, self.seq, _, self.serializer, annotations, _, _ = HEADER.unpack_from(data)
        self.signature: bytes | None = None
        self.annotated = annotations > 0
        self._start = _HEADER_BYTES + annotations
        if annotations >= _SIGNATURE_BYTES:
            name, size, signature = _SIGNATURE.unpack_from(data, self._start - _SIGNATURE_BYTES)
            if name == b"HMAC" and size == _DIGEST_BYTES:
                self.signature, self.annotated = signature, annotations > _SIGNATURE_BYTES
        self.data = data
        self._read = 0

    @property
    def payload(self) -> bytes:
        """The payload, still serialized."""
        return self.data[self._start :]

    def well_annotated(self, most: int) -> bool:
        """Returns whether the annotations end where the header says, each has a name in ASCII, and there are at most so many."""
        at, count = _HEADER_BYTES, 0
        while count < most and at + _ANNOTATION_BYTES <= self._start and self.data[at : at + 4].isascii():
            at += _ANNOTATION_BYTES + int.from_bytes(self.data[at + 4 : at + _ANNOTATION_BYTES], "big")
            count += 1
        return at == self._start

    def recv(self, size: int) -> bytes:
        """Returns the next ``size`` bytes of the message, or fewer at its end."""
        start, self._read = self._read, self._read + size
        return self.data[start : self._read]

    def is_from(self, key: bytes | None) -> bool:
        """Returns whether this message is signed with the key, or, without a key, whether it is not signed.

        The signature is compared with that of the payload alone, so a frame that is ``annotated`` needs Pyro4's own check.
        """
        if key is None or self.signature is None:
            return key is None and self.signature is None
        return hmac.compare_digest(self.signature, hmac.digest(key, self.payload, "sha1"))

    def close(self) -> None:
        """Does nothing: Pyro4 closes what sends too large a message, and ``FrameReader`` lets none of those through."""


class FrameReader:
    """Cuts the bytes of one connection into messages. ``max_payload_bytes`` may be set between two messages.

    ``awaited(kind, sequence number)`` returns whether a message that begins is expected. It may be asked again about the same one.
    """

    def __init__(
        self,
        max_payload_bytes: int,
        limits: WireLimits = WireLimits(),
        awaited: Callable[[int, int], bool] | None = None,
    ) -> None:
        self.max_payload_bytes = max_payload_bytes
        self._awaited = awaited
        self._max_annotations_bytes, self._max_annotations = limits.max_annotations_bytes, limits.max_annotations
        self._buffer = bytearray()

    @property
    def partial_bytes(self) -> int:
        """The bytes that have arrived of a message that is not whole yet."""
        return len(self._buffer)

    def clear(self) -> None:
        """Lets go of what has arrived of a message that is not whole: no more of it comes."""
        self._buffer = bytearray()

    def append(self, data: bytes | memoryview) -> None:
        """Takes bytes that have arrived."""
        self._buffer += data

    def feed(self, data: bytes | memoryview) -> Iterator[Frame]:
        """Takes bytes that have arrived, and yields each message that is whole. Raises what ``next`` raises."""
        self.append(data)
        while (frame := self.next()) is not None:
            yield frame

    def next(self) -> Frame | None:
        """Returns the next message if it is whole. Raises MalformedError if it is not accepted, as soon as that can be told."""
        buffer = self._buffer
        if len(buffer) < _HEADER_BYTES:
            return None
        tag, version, kind, flags, seq, size, serializer, annotations, _, checksum = HEADER.unpack_from(buffer)
        total = kind + version + flags + seq + size + serializer + annotations + _CHECKSUM_MAGIC
        if tag != b"PYRO" or version != _VERSION or checksum != total & 0xFFFF:
            raise MalformedError("not the protocol of Pyro4")
        if flags & _REJECTED_FLAGS:
            raise MalformedError("compressed or opaque messages are not accepted")
        if annotations > self._max_annotations_bytes:
            raise MalformedError(f"annotations of {annotations} bytes, where {self._max_annotations_bytes} are allowed")
        if not 0 <= size <= self.max_payload_bytes:
            raise MalformedError(f"a message of {size} bytes, where {self.max_payload_bytes} are allowed")
        if self._awaited is not None and not self._awaited(kind, seq):
            raise MalformedError("an answer that nobody has asked for")
        whole = _HEADER_BYTES + annotations + size
        if len(buffer) < whole:
            return None
        frame = Frame(bytes(buffer[:whole]))
        del buffer[:whole]
        if annotations and not frame.well_annotated(self._max_annotations):
            raise MalformedError("annotations that cannot be read, or too many of them")
        return frame


def to_bytes(
    kind: int,
    data: bytes,
    seq: int,
    key: bytes | None = None,
    max_payload_bytes: int = WireLimits.max_payload_bytes,
    flags: int = 0,
) -> bytes:
    """Returns a message with this payload in serpent, signed if there is a key. Raises MessageTooLargeError if it is too large."""
    signature = b"" if key is None else _SIGNATURE.pack(b"HMAC", _DIGEST_BYTES, hmac.digest(key, data, "sha1"))
    return header_of(kind, flags, seq, len(data), len(signature), max_payload_bytes) + signature + data


def header_of(
    kind: int, flags: int, seq: int, size: int, annotations: int, max_payload_bytes: int = WireLimits.max_payload_bytes
) -> bytes:
    """Returns the header of a message in serpent. Raises MessageTooLargeError if its payload, of ``size`` bytes, is too large."""
    if size > max_payload_bytes:  # with the words of Pyro4, which raises this for messages that it writes itself
        raise errors.MessageTooLargeError(f"max message size exceeded ({size + annotations} where max={max_payload_bytes})")
    checksum = (kind + _VERSION + flags + size + SERPENT_ID + seq + annotations + _CHECKSUM_MAGIC) & 0xFFFF
    return HEADER.pack(b"PYRO", _VERSION, kind, flags, seq, size, SERPENT_ID, annotations, 0, checksum)
