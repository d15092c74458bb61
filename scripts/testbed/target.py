"""What is attacked, and how an attack talks to it."""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, Optional, Union

from Pyro4 import message

from scripts.testbed import mutations
from src.rmi import wire
from src.rmi.session import ClientHandshake, Session
from src.rmi.settings import WireLimits

PATIENCE_S = 10.0  # for the target to answer or to hang up: a greeting has 5 s, a request to the dashboard 4 s
PORTS = ("scheduler", "worker", "nameserver", "dashboard")
GROWTH_MB = 150  # of an attacked process: 64 MB of messages that have begun to arrive, and what it takes to read one
OBJECTS = {"scheduler": "sparrow.scheduler.1", "worker": "sparrow.worker.host1", "nameserver": "Pyro.NameServer"}


class Target(NamedTuple):
    """A port to attack. ``object_id`` is the remote object there; empty for the dashboard, which speaks HTTP."""

    host: str
    port: int
    object_id: str = ""
    nameserver: str = ""
    key: bytes | None = None

    @property
    def kind(self) -> str:
        """Which of PORTS it is, by its remote object."""
        kinds = {"": "dashboard", OBJECTS["nameserver"]: "nameserver"}
        return kinds.get(self.object_id, "scheduler" if ".scheduler." in self.object_id else "worker")

    def connect(self) -> socket.socket:
        """Returns a new connection. Raises OSError if there is none to be had."""
        return socket.create_connection((self.host, self.port), timeout=PATIENCE_S)

    def parts(self, ours: bool = False) -> list[mutations.Part]:
        """Returns valid messages to it, the first of which is a greeting; with ``ours`` only as our own programs send them."""
        speak = mutations.to_scheduler if ".scheduler." in self.object_id else mutations.to_worker
        return speak(self.object_id, ours)

    def opening(self) -> bytes:
        """Returns a valid beginning of a conversation."""
        if not self.object_id:
            return b"GET /sparrow/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
        return mutations.sealed(mutations.greeting()) if self.key is None else self.handshake(self.key).greeting("a client")

    def greet(self, peer: socket.socket) -> Session | None:
        """Say a valid beginning of a conversation; with a key wait for the answer, and complete the handshake."""
        if self.key is None or not self.object_id:
            peer.sendall(self.opening())
            return None
        handshake = self.handshake(self.key)
        session = self.complete(peer, handshake, handshake.greeting("a client"))
        if session is not None:
            peer.sendall(session.seal(message.MSG_PING, b"", 0))
        return session

    def complete(self, peer: socket.socket, handshake: ClientHandshake, greeting: bytes) -> Session | None:
        """Say this greeting of that handshake. Returns the session, or None if the target refuses it."""
        peer.sendall(greeting)
        return handshake.answered(f"{self.host}:{self.port}", next_frame(peer))

    def handshake(self, key: bytes) -> ClientHandshake:
        """Returns a new handshake with the target."""
        return ClientHandshake(key, f"{self.object_id}@{self.host}:{self.port}")


class Greeting(enum.Enum):
    """What ``send`` takes for a valid beginning of a conversation."""

    VALID = enum.auto()


GREETING = Greeting.VALID
Piece = Union[bytes, Greeting, Callable[[Optional[Session]], bytes]]  # the last is called with the session, if there is one


def send(target: Target, *pieces: Piece) -> bytes:
    """Send these on a new connection and close our direction. Returns what is answered until the target closes its own."""
    answer = b""
    session = None
    with target.connect() as peer, contextlib.suppress(ConnectionError):
        for piece in pieces:
            if isinstance(piece, Greeting):
                session = target.greet(peer)
            else:
                peer.sendall(piece if isinstance(piece, bytes) else piece(session))
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
        while part := peer.recv(65536):
            answer += part
    return answer


def next_frame(peer: socket.socket) -> wire.Frame:
    """Returns the next message. Raises ConnectionError if there is none."""
    frames = wire.FrameReader(WireLimits.max_payload_bytes)
    while part := peer.recv(65536):
        for frame in frames.feed(part):
            return frame
    raise ConnectionError("no answer")


def reset(peer: socket.socket) -> None:
    """Close a connection with a reset instead of an orderly end."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@contextlib.contextmanager
def held() -> Iterator[list[socket.socket]]:
    """A list for connections, all of which are closed at the end."""
    peers: list[socket.socket] = []
    try:
        yield peers
    finally:
        for peer in peers:
            peer.close()


def one_more(peers: list[socket.socket], target: Target, most: int) -> socket.socket:
    """Returns a new connection, which is the last of these then. The oldest is closed if there are so many already."""
    if len(peers) >= most:
        peers.pop(0).close()
    peers.append(target.connect())
    return peers[-1]


def was_closed(peer: socket.socket) -> bool:
    """Returns whether the other side has closed the connection, which becomes a non-blocking one."""
    peer.setblocking(False)
    try:
        return not peer.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
