"""What an attack is: its acts, how often they come, and where it makes sense; and what several of them use."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

import Pyro4
from Pyro4 import message

from scripts.testbed.protection import OPEN
from scripts.testbed.proxy import KeyedProxy, proxy_of
from scripts.testbed.target import GROWTH_MB, PATIENCE_S, PORTS, Target, next_frame
from src.rmi import wire
from src.rmi.session import NAME_SERVER
from src.rmi.settings import WireLimits
from src.sparrow.names import SCHEDULERS

REMOTE = ("scheduler", "worker", "nameserver")  # the ports that have remote objects

Steps = Generator[None, None, None]


class Attack(NamedTuple):
    """One kind of attack, and where it makes sense. Its first act may be longer than the others: it prepares."""

    act: Callable[[Target, random.Random], Steps]
    per_s: float  # acts a second
    ports: tuple[str, ...] = PORTS
    under: tuple[str, ...] = (OPEN,)  # the protections of a cluster that it is tried under
    occupies: bool = False  # jobs take longer by it: what is measured is how long small questions to the target wait
    growth_mb: int = GROWTH_MB  # by which the target may grow

    @property
    def what(self) -> str:
        """One line: what is done, and what is checked beside the time of jobs, the memory, and that the target serves others."""
        return (self.act.__doc__ or "").partition("\n")[0]


class GotThroughError(Exception):
    """Raised when an attack has reached what it wanted; the text says what that was."""


_serial = itertools.count()


def fresh(word: str) -> str:
    """Returns a name that nobody has had so far: an id of a job, or the end of a worker's name."""
    return f"{word}.{os.getpid()}.{next(_serial)}"


def frames(data: bytes) -> list[wire.Frame]:
    """Returns the messages in these bytes."""
    return list(wire.FrameReader(WireLimits.max_payload_bytes).feed(data))


def results(data: bytes) -> list[wire.Frame]:
    """Returns the answers to calls in these bytes."""
    return [frame for frame in frames(data) if frame.kind == message.MSG_RESULT]


def names_of(target: Target) -> Any:
    """Returns a proxy of the name server of the cluster, to be used in a ``with`` block."""
    uri = Pyro4.URI(f"PYRO:{NAME_SERVER}@{target.nameserver}")
    return Pyro4.Proxy(uri) if target.key is None else KeyedProxy(uri, target.key)


def other(target: Target, object_id: str) -> Target:
    """Returns another remote object of the same cluster as a target. Raises NamingError if there is none of that name."""
    with proxy_of(target.nameserver, object_id, target.key) as proxy:
        uri = proxy._pyroUri
        return target._replace(host=uri.host, port=uri.port, object_id=object_id)


@contextlib.contextmanager
def listening(names: Any, name: str) -> Iterator[socket.socket]:
    """A port of ours that is registered under that name, as long as the block lasts. Yields the socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        names.register(name, f"PYRO:{name}@127.0.0.1:{server.getsockname()[1]}")
        try:
            yield server
        finally:
            names.remove(name)


@contextlib.contextmanager
def called_by_scheduler(server: socket.socket) -> Iterator[tuple[socket.socket, bytes]]:
    """Waits for a scheduler to call at this port: dashboards do so too. Yields the connection and the first message."""
    server.settimeout(PATIENCE_S)
    while True:
        peer, _ = server.accept()
        with peer:
            peer.settimeout(PATIENCE_S)
            greeting = next_frame(peer)
            if SCHEDULERS.encode() in greeting.payload:
                yield peer, greeting.data
                return
