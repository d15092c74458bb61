"""Attacks by way of the name server: names of workers that lead nowhere. ``attacks`` has them in its list."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterator

from scripts.testbed.attacks_base import Attack, Steps, names_of
from scripts.testbed.strangers import stranger
from scripts.testbed.target import Target
from src.sparrow.names import WORKERS

NAMES = 10_000
PREFIX = f"{WORKERS}nowhere"


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port that does not answer. Yields it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        with filled(listener):
            yield int(listener.getsockname()[1])


@contextlib.contextmanager
def filled(listener: socket.socket) -> Iterator[None]:
    """The port of this socket does not answer within the block, because its queue of connections is full."""
    listener.listen(0)
    with contextlib.ExitStack() as held:
        with contextlib.suppress(TimeoutError, socket.timeout):
            while True:
                waiting = held.enter_context(socket.socket())
                waiting.settimeout(0.2)
                waiting.connect(listener.getsockname())
        yield


def nowhere(target: Target, rng: random.Random) -> Steps:
    """10,000 names of workers that lead to black holes, silence, closed connections, closed ports, and the target itself."""
    with contextlib.ExitStack() as held:
        ports = [held.enter_context(black_hole()), *(held.enter_context(stranger(kind)) for kind in ("silence", "closes"))]
        ports += [9, target.port]
        names = held.enter_context(names_of(target))
        held.callback(names.remove, None, PREFIX)
        number = 0
        while True:
            name = f"{PREFIX}{number % NAMES}"
            names.register(name, f"PYRO:{name}@127.0.0.1:{rng.choice(ports)}")
            number += 1
            yield


NAMING_ATTACKS = {"nowhere": Attack(nowhere, 1_000, ("scheduler",))}
