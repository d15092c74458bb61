"""Attacks by way of the name server: names of workers that lead nowhere. ``attacks`` has them in its list."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Generator

import Pyro4

from scripts.testbed.strangers import stranger
from scripts.testbed.target import Target
from src.sparrow.names import WORKERS

NAMES = 10_000
PREFIX = f"{WORKERS}nowhere"


@contextlib.contextmanager
def black_hole() -> Generator[int, None, None]:
    """A port that does not answer, because its queue of connections is full. Yields it."""
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        with contextlib.suppress(TimeoutError, socket.timeout):
            while True:
                waiting = held.enter_context(socket.socket())
                waiting.settimeout(0.2)
                waiting.connect(("127.0.0.1", port))
        yield port


def nowhere(target: Target, rng: random.Random) -> Generator[None, None, None]:
    """10,000 names of workers that lead to black holes, silence, closed connections, closed ports, and the target itself."""
    host, _, port = target.nameserver.rpartition(":")
    with contextlib.ExitStack() as held:
        ports = [held.enter_context(black_hole()), *(held.enter_context(stranger(kind)) for kind in ("silence", "closes"))]
        ports += [9, target.port]
        names = held.enter_context(Pyro4.locateNS(host, int(port), hmac_key=target.key))
        held.callback(names.remove, prefix=PREFIX)
        number = 0
        while True:
            name = f"{PREFIX}{number % NAMES}"
            names.register(name, f"PYRO:{name}@127.0.0.1:{rng.choice(ports)}")
            number += 1
            yield
