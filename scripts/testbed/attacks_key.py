"""Attacks with what passes between programs that have the key, and with connections that greet and then say nothing.

The stranger of ``tampered`` and ``replayed`` has no key, but has heard a whole conversation; to make one for him is all that the
key is used for.
"""

from __future__ import annotations

import contextlib
import random
import resource
import socket
from collections.abc import Generator
from typing import Callable

from Pyro4 import message

from scripts.testbed import mutations
from scripts.testbed.target import Target, held, send
from src.rmi import wire
from src.rmi.settings import WireLimits

CROWD = 5_000  # connections, more than a daemon has places for

Steps = Generator[None, None, None]


def recorded_conversation(target: Target) -> list[bytes]:
    """Returns what a program of ours said to the target, message by message. Without a key nothing has to be said for that."""
    parts = target.parts(ours=True)
    if target.key is None:
        return [mutations.sealed(part, seq) for seq, part in enumerate(parts)]
    handshake = target.handshake(target.key)
    said = [handshake.greeting({"name": "sparrow.worker.mutant", "incarnation": "a", "uri": "PYRO:a@127.0.0.1:9", "slots": 1})]
    with target.connect() as peer:
        session = target.complete(peer, handshake, said[0])
        if session is None:
            raise ConnectionError("the target refuses its own key")
        said.append(session.seal(message.MSG_PING, b"", 0))
        for seq, part in enumerate(parts[1:], 1):
            said.append(mutations.sealed(part, seq, session))
        peer.sendall(b"".join(said[1:]))
    return said


def tampered(target: Target, rng: random.Random) -> Steps:
    """A conversation that was heard, said again: whole, in parts, in another order, changed. TimeoutError if a call is answered."""
    said = recorded_conversation(target)
    while True:
        again = list(said)
        how = rng.randrange(5)
        if how == 1:
            again = rng.sample(said, len(said))
        elif how == 2:
            again = said[:1] + rng.sample(said[1:], 2)
        elif how == 3:
            again = [said[0], *(_changed(one, rng) for one in said[1:])]
        elif how == 4:
            again = [_changed(said[0], rng), *said[1:]]
        answer = send(target, *again)
        if target.key is not None and any(frame.kind == message.MSG_RESULT for frame in _frames(answer)):
            raise TimeoutError("a stranger was answered")
        yield


def _changed(data: bytes, rng: random.Random) -> bytes:
    """Returns the message with one byte of its annotations or its payload changed."""
    at = rng.randrange(wire.HEADER.size, len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _frames(data: bytes) -> list[wire.Frame]:
    return list(wire.FrameReader(WireLimits.max_payload_bytes).feed(data))


def crowd(target: Target, rng: random.Random) -> Steps:
    """5,000 connections that greet, as far as they can without the key, and say nothing more; what is closed is made again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CROWD + 500 if hard == resource.RLIM_INFINITY else min(CROWD + 500, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    opening = recorded_conversation(target)[0]
    with held() as peers:
        while True:
            if len(peers) >= min(CROWD, wanted - 200):
                peers.pop(0).close()
            peer: socket.socket = target.connect()
            peers.append(peer)
            with contextlib.suppress(OSError):
                peer.sendall(opening)
            yield


# name -> the attack, acts a second, whether it makes sense at the dashboard, too
KEY_ATTACKS: dict[str, tuple[Callable[[Target, random.Random], Steps], float, bool]] = {
    "tampered": (tampered, 50, False),
    "crowd": (crowd, 750, False),
}
