"""Attacks with what passes between programs that have the key, and with connections that greet and then say nothing.

The stranger of ``tampered`` and ``replayed`` has no key, but has heard a whole conversation; to make one for him is all that the
key is used for.
"""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import time

from Pyro4 import message

from scripts.testbed import mutations
from scripts.testbed.attacks_base import REMOTE, Attack, GotThroughError, Steps, results
from scripts.testbed.protection import KEY, OPEN
from scripts.testbed.target import Target, held, next_frame, send, was_closed
from src.rmi import wire

CROWD = 5_000  # connections, more than a daemon has places for
CALLED_SHARE = 0.02  # of the acts are followed by a call of somebody else
LET_IN_S = 5.0  # for him to be answered


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
        if results(answer):
            raise GotThroughError("a stranger was answered")
        yield


def _changed(data: bytes, rng: random.Random) -> bytes:
    """Returns the message with one byte of its annotations or its payload changed."""
    at = rng.randrange(wire.HEADER.size, len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def crowd(target: Target, rng: random.Random) -> Steps:
    """5,000 connections that greet and say nothing more, again where they are closed: somebody who calls is let in and answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CROWD + 500 if hard == resource.RLIM_INFINITY else min(CROWD + 500, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    opening, most = target.opening(), min(CROWD, wanted - 200)
    called = target.parts()[1]
    with held() as peers:
        for _ in range(most):
            peers.append(_greeting(target, opening))
        while True:
            peer = peers.pop(0)
            if was_closed(peer):
                peer.close()
                peer = _greeting(target, opening)
            peers.append(peer)
            if rng.random() < CALLED_SHARE:
                _let_in(target, called)
            yield


def _greeting(target: Target, opening: bytes) -> socket.socket:
    """Returns a new connection that has said this."""
    peer = target.connect()
    with contextlib.suppress(OSError):
        peer.sendall(opening)
    return peer


def _let_in(target: Target, called: mutations.Part) -> None:
    """Call as somebody else does, who tries again when the connection ends. Raises GotThroughError if he is not let in in time."""
    until_s = time.monotonic() + LET_IN_S
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError), target.connect() as peer:
            session = target.greet(peer)
            if session is None:
                next_frame(peer)
            peer.sendall(mutations.sealed(called, 1, session))
            if results(next_frame(peer).data):
                return
    raise GotThroughError("nobody else is let in")


KEY_ATTACKS = {
    "tampered": Attack(tampered, 50, REMOTE, under=(KEY,)),
    "crowd": Attack(crowd, 300, REMOTE, under=(OPEN, KEY)),
}
