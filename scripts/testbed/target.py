"""What is attacked, and how an attack talks to it."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from scripts.testbed import mutations

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
        return mutations.sealed(mutations.greeting(), 0, self.key)


def send(target: Target, *pieces: bytes) -> bytes:
    """Send these on a new connection and close our direction. Returns what is answered until the target closes its own."""
    answer = b""
    with target.connect() as peer, contextlib.suppress(ConnectionError):
        for piece in pieces:
            peer.sendall(piece)
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
        while part := peer.recv(65536):
            answer += part
    return answer


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


def was_closed(peer: socket.socket) -> bool:
    """Returns whether the other side has closed the connection, which becomes a non-blocking one."""
    peer.setblocking(False)
    try:
        return not peer.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True
