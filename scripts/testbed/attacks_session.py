"""Attacks without the key on conversations of those who have it: said back, relayed, repeated, turned round and changed.

The key is used for what the programs say that the stranger listens to, or stands between; he himself has none.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time

from Pyro4 import message

from scripts.testbed.attacks_base import (
    REMOTE,
    Attack,
    GotThroughError,
    Steps,
    called_by_scheduler,
    frames,
    fresh,
    listening,
    names_of,
    other,
)
from scripts.testbed.mutations import Part, call, sealed
from scripts.testbed.protection import KEY
from scripts.testbed.proxy import proxy_of
from scripts.testbed.target import OBJECTS, Target, next_frame, send
from src.rmi import wire
from src.rmi.serializer import dump
from src.rmi.session import Session, answer_greeting
from src.rmi.settings import WireLimits
from src.sparrow import messages as m
from src.sparrow.names import WORKERS

ENDS_S = 1.5  # for the other side to end a connection: a peer that only says nothing has 2.5 s
LOAD, LESS = 12, 1  # what a worker answers to a probe, and what is made of that
PROBING_JOB = {"durations_s": [0.0] * 8, "method": "CHOOSE_TWO", "wait": False}


def rewritten(data: bytes, **fields: int) -> bytes:
    """Returns a message with other fields in its header (kind, flags, seq), and the right checksum; all else as it was."""
    _, _, kind, flags, seq, size, _, annotations, _, _ = wire.HEADER.unpack_from(data)
    header = {"kind": kind, "flags": flags, "seq": seq, "size": size, "annotations": annotations, **fields}
    return wire.header_of(**header) + data[wire.HEADER.size :]


def question(target: Target) -> Part:
    """Returns a call that is answered and changes nothing."""
    return call(target.object_id, {"scheduler": "stats", "worker": "find_load", "nameserver": "ping"}[target.kind])


def echo(target: Target, rng: random.Random) -> Steps:
    """What is heard on the ports of two dead workers is said back, and to each other and the living: nobody is taken in by it."""
    with names_of(target) as names:
        living = [target, other(target, OBJECTS["worker"])]
        while True:
            dead = [WORKERS + fresh("dead") for _ in range(2)]
            with (
                listening(names, dead[0]) as here,
                listening(names, dead[1]) as there,
                called_by_scheduler(here) as (first, greeting),
                called_by_scheduler(there) as (second, other_greeting),
            ):
                ways = [greeting, *(rewritten(one, kind=message.MSG_CONNECTOK) for one in (greeting, other_greeting))]
                relayed = send(rng.choice(living), *rng.sample((greeting, other_greeting), rng.choice((1, 2))))
                if any(frame.kind != message.MSG_CONNECTFAIL for frame in frames(relayed)):
                    raise GotThroughError("what was said to the dead is accepted by the living")
                first.sendall(rng.choice([*ways, relayed]))
                second.sendall(rewritten(greeting, kind=message.MSG_CONNECTOK))
                if _rest(first) or _rest(second):
                    raise GotThroughError("a scheduler believes that a stranger is its worker")
            yield


def _rest(peer: socket.socket) -> bytes:
    """Returns what is still said until the other side ends the connection. Raises TimeoutError if it does not in ``ENDS_S``."""
    until_s = time.monotonic() + ENDS_S
    said = b""
    with contextlib.suppress(ConnectionError):
        while True:
            peer.settimeout(max(0.001, until_s - time.monotonic()))
            part = peer.recv(65536)
            if not part:
                break
            said += part
    return said


def interfered(target: Target, rng: random.Random) -> Steps:
    """A call is repeated, made to overtake one, turned round, brought from elsewhere or changed on its way: it is not answered."""
    assert target.key is not None
    part = question(target)
    while True:
        with target.connect() as peer, target.connect() as another:
            session, elsewhere = target.greet(peer), target.greet(another)
            if session is None or elsewhere is None:
                raise ConnectionError("the target refuses its own key")
            first = sealed(part, 1, session)
            peer.sendall(first)
            answer = next_frame(peer).data
            honest = sealed(part, 2, session)
            sealed(part, 1, elsewhere)  # so that the next one has the same number as ``honest``
            ways = [
                first,
                sealed(part, 3, session),  # in the place of ``honest``, which is held back
                answer,
                rewritten(answer, kind=message.MSG_INVOKE),
                sealed(part, 2, elsewhere),
                _flipped(honest, rng.randrange(len(honest) - len(part[1]), len(honest)), rng),
                _flipped(honest, rng.randrange(wire.HEADER.size, len(honest)), rng),
                rewritten(honest, seq=7),
                rewritten(honest, flags=message.FLAGS_ONEWAY),
                rewritten(honest, kind=message.MSG_PING),
                wire.to_bytes(*part, 2),
                wire.to_bytes(*part, 2, target.key),  # as stock Pyro4 signs, which is not accepted unless one asks for it
            ]
            with contextlib.suppress(ConnectionError):
                peer.sendall(rng.choice(ways))
                peer.shutdown(socket.SHUT_WR)
            if _rest(peer):
                raise GotThroughError("a message is answered that was interfered with")
        yield


def _flipped(data: bytes, at: int, rng: random.Random) -> bytes:
    """Returns these bytes with one of them changed."""
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def altered(target: Target, rng: random.Random) -> Steps:
    """What a worker answers is changed on its way, as a load of 12 to one of 1: the scheduler ends the connection."""
    assert target.key is not None
    former: Session | None = None
    with names_of(target) as names, proxy_of(target.nameserver, target.object_id, target.key) as scheduler:
        while True:
            name = WORKERS + fresh("altered")
            with listening(names, name) as server, called_by_scheduler(server) as (peer, greeting):
                session = _welcomed(target.key, peer, greeting, name)
                scheduler.schedule(json.dumps({"id": fresh("probe"), **PROBING_JOB}))
                asked = next_frame(peer)
                session.check(asked)
                answer = dump(LOAD if b"find_load" in asked.payload else m.encode([]))
                less = dump(LESS if b"find_load" in asked.payload else 0)
                honest = session.seal(message.MSG_RESULT, answer, asked.seq)
                seal = honest[wire.HEADER.size : len(honest) - len(answer)]
                ways = [
                    wire.header_of(message.MSG_RESULT, 0, asked.seq, len(less), len(seal)) + seal + less,
                    rewritten(honest, flags=message.FLAGS_EXCEPTION),
                    wire.to_bytes(message.MSG_RESULT, less, asked.seq),
                    rewritten(asked.data, kind=message.MSG_RESULT),
                ]
                if former is not None:
                    ways.append(former.seal(message.MSG_RESULT, answer, asked.seq))
                former = session
                peer.sendall(rng.choice(ways))
                _rest(peer)
            yield


def _welcomed(key: bytes, peer: socket.socket, greeting: bytes, name: str) -> Session:
    """Answers the greeting of a scheduler as the worker of that name does, who has the key. Returns the session."""
    who = {"name": name, "incarnation": "a", "uri": f"PYRO:{name}@127.0.0.1:{peer.getsockname()[1]}", "slots": 1}
    load = wire.configure_pyro4(WireLimits()).loads
    greeted = answer_greeting(key, wire.Frame(greeting), who, "", load, lambda target: True)
    if greeted.session is None:
        raise ConnectionError(f"not the greeting of a scheduler: {greeted.why}")
    peer.sendall(greeted.answer)
    greeted.session.check(next_frame(peer))
    return greeted.session


SESSION_ATTACKS = {
    "echo": Attack(echo, 1, ("scheduler",), under=(KEY,)),
    "interfered": Attack(interfered, 50, REMOTE, under=(KEY,)),
    "altered": Attack(altered, 1, ("scheduler",), under=(KEY,)),
}
