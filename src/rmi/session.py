"""The conversation of two of our programs that have the same key: a handshake, then messages that belong to it alone.

Messages are those of ``wire``, each with one annotation, its last 32 bytes a tag. Nothing is read of a message before its tag is
right. ``|`` joins bytes; ``header`` is all 24 bytes of it, so the sizes of payload and annotations are covered.

    client                                                          daemon
      CONNECT    OPEN: client's nonce (32), tag (32)
                 payload: {"handshake": who, "target": "object@host:port"}    ──▶
                                                              OPEN: daemon's nonce (32), tag (32)    CONNECTOK
                                                 ◀──   payload: what the daemon says of itself, or CONNECTFAIL and why
      PING       SEAL: tag (32); no payload, no answer               ──▶     from here on the daemon knows the client
      INVOKE     SEAL: tag (32)                                      ──▶
                                                 ◀──                                     SEAL: tag (32)    RESULT

    tag of CONNECT    = HMAC-SHA-256(key, "sparrow/1 greeting of the client|" | header | nonce | payload)
    tag of CONNECTOK  = HMAC-SHA-256(key, "sparrow/1 greeting of the daemon|" | tag of CONNECT | header | nonce | payload)
    key of a direction = HMAC-SHA-256(key, "sparrow/1 from the client|" or "sparrow/1 from the daemon|"
                                           | tag of CONNECT | tag of CONNECTOK)
    tag of a message  = HMAC-SHA-256(key of its direction, number | header | payload)

``number`` (8 bytes) counts the messages of one direction from 0. It is not sent: each side counts for itself. Both nonces are drawn
anew for each connection and enter the keys of the session through the two tags, as all does that both sides say in the handshake.

What this promises to who has the key, against who has not but sees, changes, repeats, holds back and makes up what passes:

- A message counts only as the next one of the connection and the direction for which it was made, whole and unchanged.
- A recorded greeting leads nowhere: whoever repeats it cannot compute the keys of the new session. So what a peer says of itself is
  believed (``Connection.peer``, the callbacks of the daemon, its place among the connections) only after its first sealed message.
- A greeting says for which object at which address it is made, and is refused by every other: what is heard on the port of a dead
  process gets nobody into a living one. A name server is greeted under any address, since users reach it by host names and
  forwarded ports; for it the name of the object alone counts.
- The daemon has proved that it has the key, and that it answers this greeting, before the client sends its first call.

What it does not promise: secrecy; that a message arrives (a connection that is cut is a connection lost); protection from others
who have the key; or that the other end of the TCP connection is the peer itself. Somebody in the middle of the path can pass on a
whole conversation, unchanged, while both ends are alive. TLS (``security``) hides what is said and names the hosts that talk.

Stock Pyro4 knows none of this. Who gives a ``StockKey`` (``--allow-stock-pyro4``) also accepts its signature, the annotation
"HMAC" of ``wire``, from those that call, and gives it to a name server that asks for it.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import Pyro4
from Pyro4 import errors, message

from src.rmi import wire
from src.rmi.errors import StockPeerError, TamperedError, WrongCredentialsError
from src.rmi.security import describe_key_mismatch, describe_rejection, describe_stock_daemon
from src.rmi.serializer import dump
from src.rmi.settings import WireLimits

NAME_SERVER: str = Pyro4.constants.NAMESERVER_NAME  # the object id of a name server

_HASH = "sha256"
_TAG_BYTES = _NONCE_BYTES = 32
_BLOCK_BYTES = 64  # of SHA-256; the keys of a session are shorter
_NUMBER = struct.Struct("!Q")
_SEAL_HEAD = wire.ANNOTATION.pack(b"SEAL", _TAG_BYTES)
_OPEN_HEAD = wire.ANNOTATION.pack(b"OPEN", _NONCE_BYTES + _TAG_BYTES)
_HEADER_END = wire.HEADER.size
_TAG_START = _HEADER_END + len(_SEAL_HEAD)
_SEALED_START = _TAG_START + _TAG_BYTES  # where the payload of a sealed message begins
_SEAL_BYTES = len(_SEAL_HEAD) + _TAG_BYTES
_NONCE_START = _HEADER_END + len(_OPEN_HEAD)
_OPENED_START = _NONCE_START + _NONCE_BYTES + _TAG_BYTES  # where the payload of a greeting begins
_OPEN_BYTES = _OPENED_START - _HEADER_END

CLIENT_GREETS = b"sparrow/1 greeting of the client|"
_DAEMON_GREETS = b"sparrow/1 greeting of the daemon|"
_FROM_CLIENT = b"sparrow/1 from the client|"
_FROM_DAEMON = b"sparrow/1 from the daemon|"
UNREADABLE = "its greeting cannot be read"  # why a peer is turned away that has the key
NOT_HERE = "not here"  # the key of a refusal's payload: the daemon at this address has no such object
_NOBODY = bytes(_TAG_BYTES)  # in the place of the client's tag, if the client has sent none


class Protection(enum.Enum):
    """How the first message of a peer is protected."""

    NONE = enum.auto()
    STOCK = enum.auto()  # by the signature of stock Pyro4
    SESSION = enum.auto()


def protection_of(frame: wire.Frame) -> Protection:
    """Returns how a greeting, or the answer to one, claims to be protected. Nothing has been verified."""
    if frame.data[_HEADER_END:_NONCE_START] == _OPEN_HEAD:
        return Protection.SESSION
    return Protection.NONE if frame.signature is None else Protection.STOCK


def has_stock_signature(frame: wire.Frame, key: bytes) -> bool:
    """Returns whether stock Pyro4 would accept the signature of this message."""
    with contextlib.suppress(errors.PyroError):
        message.Message.recv(wire.Frame(frame.data), hmac_key=key)
        return frame.signature is not None
    return False


class _Mac:
    """HMAC-SHA-256 (RFC 2104) under one key. Copying two hashes that know the key takes a third of the time of ``hmac.digest``."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def tag(self, first: bytes, rest: bytes) -> bytes:
        """Returns the tag of ``first | rest``."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(first + rest)
        outer.update(inner.digest())
        return outer.digest()


class Session:
    """The two keys of one conversation, and how many messages each side has sent under them."""

    __slots__ = ("_received", "_receiving", "_sending", "_sent")

    def __init__(self, sending_key: bytes, receiving_key: bytes) -> None:
        self._sending, self._receiving = _Mac(sending_key), _Mac(receiving_key)
        self._sent = self._received = 0

    def seal(
        self, kind: int, data: bytes, seq: int, flags: int = 0, max_payload_bytes: int = WireLimits.max_payload_bytes
    ) -> bytes:
        """Returns the next message to the other side. It must be sent, and before the one that is sealed next.

        Raises MessageTooLargeError if it is too large; then it does not count.
        """
        header = wire.header_of(kind, flags, seq, len(data), _SEAL_BYTES, max_payload_bytes)
        tag = self._sending.tag(_NUMBER.pack(self._sent) + header, data)
        self._sent += 1
        return header + _SEAL_HEAD + tag + data

    def check(self, frame: wire.Frame) -> None:
        """Raises TamperedError if this is not the next message of the other side, or is not as it was sealed."""
        data = frame.data
        expected = self._receiving.tag(_NUMBER.pack(self._received) + data[:_HEADER_END], data[_SEALED_START:])
        if data[_HEADER_END:_TAG_START] != _SEAL_HEAD or not hmac.compare_digest(data[_TAG_START:_SEALED_START], expected):
            raise TamperedError("a message was changed, repeated, left out or made up on the way")
        self._received += 1
        frame.annotated = False  # the seal, which is its only annotation, has been dealt with


class ClientHandshake:
    """The client's side of one handshake. ``target`` is the uri of the object that is to be called, without its protocol."""

    def __init__(self, key: bytes, target: str) -> None:
        self._key = key
        self._target = target
        self._tag = _NOBODY

    def greeting(self, who: object) -> bytes:
        """Returns the first message of the conversation; ``who`` is what the client says of itself."""
        said = dump({"handshake": who, "target": self._target})
        greeting, self._tag = signed_greeting(self._key, message.MSG_CONNECT, said, 0, CLIENT_GREETS)
        return greeting

    def answered(self, address: str, frame: wire.Frame) -> Session | None:
        """Verifies the answer to the greeting. Returns the session, or None if it is a refusal, with the reason as its payload.

        Raises WrongCredentialsError if the answer does not prove that the daemon at ``address`` has the same key.
        """
        theirs = protection_of(frame)
        tag = _tag_of(frame)
        if theirs is Protection.SESSION and _is_greeting(self._key, frame, _DAEMON_GREETS + self._tag):
            if frame.kind != message.MSG_CONNECTOK:
                return None
            return Session(_derived(self._key, _FROM_CLIENT, self._tag, tag), _derived(self._key, _FROM_DAEMON, self._tag, tag))
        if theirs is Protection.STOCK and has_stock_signature(frame, self._key):
            raise StockPeerError(f"{address} {describe_stock_daemon()}")
        raise WrongCredentialsError(f"{address} {describe_key_mismatch(self._key, theirs is not Protection.NONE)}")


class Greeted(NamedTuple):
    """What comes of a greeting: the answer, and either the session and what the client says of itself, or why it is turned away."""

    answer: bytes
    session: Session | None
    said: Any
    why: str


def answer_greeting(
    key: bytes, frame: wire.Frame, who: object, location: str, read: Callable[[bytes], Any], is_here: Callable[[str], bool]
) -> Greeted:
    """Returns what a daemon with this key answers to the first message of a connection, and what comes of it.

    ``who`` is what the daemon says of itself, ``location`` its HOST:PORT; ``read`` reads a payload, or raises ValueError;
    ``is_here`` tells whether a target is an object of this daemon.
    """
    theirs = protection_of(frame)
    if theirs is Protection.STOCK:
        why = describe_rejection(key, True, has_stock_signature(frame, key))
        signed = wire.to_bytes(message.MSG_CONNECTFAIL, dump(why), frame.seq, key)  # stock Pyro4 reads nothing without a signature
        return Greeted(signed, None, None, why)
    is_ours = theirs is Protection.SESSION and frame.kind == message.MSG_CONNECT and _is_greeting(key, frame, CLIENT_GREETS)
    if not is_ours:
        why = describe_rejection(key, theirs is Protection.SESSION, False)
        return Greeted(
            signed_greeting(key, message.MSG_CONNECTFAIL, dump(why), frame.seq, _DAEMON_GREETS + _NOBODY)[0], None, None, why
        )
    tag, kind, session = _tag_of(frame), message.MSG_CONNECTFAIL, None
    told: object
    said, target = _read_greeting(read, frame.payload)
    if target is None:
        why = told = UNREADABLE
    elif not is_here(target):
        why, told = f"it wanted {target:.200}, and that is not here", {NOT_HERE: location}
    else:
        why, told, kind = "", who, message.MSG_CONNECTOK
    answer, our_tag = signed_greeting(key, kind, dump(told), frame.seq, _DAEMON_GREETS + tag)
    if not why:
        session = Session(_derived(key, _FROM_DAEMON, tag, our_tag), _derived(key, _FROM_CLIENT, tag, our_tag))
    return Greeted(answer, session, said, why)


def _read_greeting(read: Callable[[bytes], Any], payload: bytes) -> tuple[Any, str | None]:
    """Returns what a client says of itself, and its target; None as the target if that cannot be read."""
    try:
        greeting = read(payload)
        said, target = greeting["handshake"], greeting["target"]
    except (errors.PyroError, ValueError, TypeError, LookupError):
        return None, None
    return said, target if isinstance(target, str) else None


def signed_greeting(key: bytes, kind: int, data: bytes, seq: int, context: bytes) -> tuple[bytes, bytes]:
    """Returns a message of the handshake, with a fresh nonce, and its tag."""
    header = wire.header_of(kind, 0, seq, len(data), _OPEN_BYTES)
    nonce = os.urandom(_NONCE_BYTES)
    tag = hmac.digest(key, context + header + nonce + data, _HASH)
    return header + _OPEN_HEAD + nonce + tag + data, tag


def _is_greeting(key: bytes, frame: wire.Frame, context: bytes) -> bool:
    data = frame.data
    nonce_end = _NONCE_START + _NONCE_BYTES
    expected = hmac.digest(key, context + data[:_HEADER_END] + data[_NONCE_START:nonce_end] + data[_OPENED_START:], _HASH)
    return hmac.compare_digest(data[nonce_end:_OPENED_START], expected)


def _tag_of(frame: wire.Frame) -> bytes:
    return frame.data[_NONCE_START + _NONCE_BYTES : _OPENED_START]


def _derived(key: bytes, label: bytes, client_tag: bytes, daemon_tag: bytes) -> bytes:
    return hmac.digest(key, label + client_tag + daemon_tag, _HASH)
