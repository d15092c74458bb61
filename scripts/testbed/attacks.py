"""Attacks on one port, each at a bounded rate, for scripts and tests. As a program: one attack, in a process of its own.

An attack is a generator: each step is one hostile act, and closing the generator closes its connections. An act that waits for the
target to answer or to close the connection raises TimeoutError when the target does neither.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path

from Pyro4 import message

from scripts.testbed import mutations
from scripts.testbed.attacks_base import REMOTE, Attack, Steps
from scripts.testbed.attacks_dashboard import DASHBOARD_ATTACKS
from scripts.testbed.attacks_jobs import JOB_ATTACKS
from scripts.testbed.attacks_key import KEY_ATTACKS, recorded_conversation
from scripts.testbed.attacks_naming import NAMING_ATTACKS
from scripts.testbed.attacks_session import SESSION_ATTACKS
from scripts.testbed.attacks_speaking import SPEAKING_ATTACKS
from scripts.testbed.attacks_wire import WIRE_ATTACKS
from scripts.testbed.target import GREETING, Piece, Target, held, one_more, reset, send, was_closed
from src.rmi import wire
from src.rmi.serializer import dump_call
from src.rmi.settings import WireLimits
from src.sparrow.jobspec import MAX_TASKS

SILENT = 200  # connections that say nothing
SLOW = 50  # connections that say a byte a second each
TAKEN_MB = 400  # as many tasks as a scheduler accepts, with the messages about them
READY = "ready"  # the line that says that an attack is prepared


def silent(target: Target, rng: random.Random) -> Steps:
    """200 connections that say nothing; those that the target closes are made again."""
    with held() as peers:
        while True:
            if len(peers) < SILENT:
                peers.append(target.connect())
            else:
                peer = peers.pop(0)
                if was_closed(peer):
                    peer.close()
                else:
                    peers.append(peer)
            yield


def slow(target: Target, rng: random.Random) -> Steps:
    """50 connections that say a byte a second each."""
    said: dict[socket.socket, int] = {}
    opening = target.opening()[:-1]
    with held() as peers:
        while True:
            peer = target.connect() if len(peers) < SLOW else peers.pop(0)
            place = said.setdefault(peer, 0)
            try:
                peer.send(opening[place % len(opening) :][:1])
                said[peer] += 1
                peers.append(peer)
            except OSError:  # the target has closed it: the next one takes its place
                del said[peer]
                peer.close()
            yield


def resets(target: Target, rng: random.Random) -> Steps:
    """Connections that end with a reset in the middle of a greeting."""
    opening = target.opening()
    while True:
        peer = target.connect()
        with contextlib.suppress(ConnectionError):
            peer.sendall(opening[: rng.randrange(len(opening))])
        reset(peer)
        yield


def noise(target: Target, rng: random.Random) -> Steps:
    """Random bytes, some of them after a good beginning."""
    while True:
        start = rng.choice((b"", b"PYRO", target.opening(), b"GET /"))
        send(target, start + rng.randbytes(rng.choice((1, 24, 200, 20_000))))
        yield


def http(target: Target, rng: random.Random) -> Steps:
    """Requests as a browser or a scanner makes them; at the dashboard, those that it refuses."""
    requests: tuple[bytes, ...] = (
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /sparrow HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    requests += (b"GET / HTTP/1.0\r\nX: " + b"a" * 60_000 + b"\r\n\r\n", b"GET /sparrow HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n")
    while True:
        send(target, rng.choice(requests))
        yield


def claims(target: Target, rng: random.Random) -> Steps:
    """A header that claims 2 GB, or less than nothing, as the greeting or after it; and a part of what it claims."""
    while True:
        claimed = mutations.header(
            rng.choice((message.MSG_CONNECT, message.MSG_INVOKE)), rng.choice((2**31 - 1, -5, WireLimits.max_payload_bytes + 1))
        )
        if not target.object_id:
            claimed = b"GET /sparrow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2147483647\r\n\r\n"
        send(target, rng.choice((b"", GREETING)), claimed, b"\0" * 100_000)
        yield


def bomb(target: Target, rng: random.Random) -> Steps:
    """100 MB of nothing in 100 KB, as the greeting or after it."""
    squeezed = zlib.compress(b"# serpent utf-8 python3.2\n" + b" " * 100_000_000)
    while True:
        kind = rng.choice((message.MSG_CONNECT, message.MSG_INVOKE))
        bombed = message.Message(kind, squeezed, wire.SERPENT_ID, message.FLAGS_COMPRESSED, 0).to_bytes()
        send(target, rng.choice((b"", GREETING)), bytes(bombed))
        yield


def nested(target: Target, rng: random.Random) -> Steps:
    """Serpent that is deep, or wide enough to take gigabytes once it is read; and JSON of the same kind."""
    head, call = b"# serpent utf-8 python3.2\n", b"('" + target.object_id.encode() + b"','stats',(%b,),{})"
    deep = [b"(" * 9000, b"[" * 150 + b"]" * 150, b"-" * 90_000 + b"1", b"{1:" * 150, b"1+" * 90_000 + b"1", b"a" + b".b" * 90_000]
    wide = [b"[" + one * (4_000_000 // len(one)) + b"]" for one in (b"[],", b"1,", b"1<", b"-1-", b"f'{1}' ")]
    texts = [b"'[" + b"[]," * 1_300_000 + b"[]]'", b"'" + b"[" * 90_000 + b"'"]
    while True:
        for payload in [one for some in zip_longest(wide, texts, deep) for one in some if one is not None]:
            if len(payload) < WireLimits.max_greeting_bytes and rng.random() < 0.5:
                send(target, mutations.opened((message.MSG_CONNECT, head + payload), target.key))
            else:
                send(target, GREETING, partial(mutations.sealed, (message.MSG_INVOKE, head + call % payload), 1))
            yield


def hoard(target: Target, rng: random.Random) -> Steps:
    """Connections that each send nearly all of a message as large as is allowed, and then wait."""
    with held() as peers:
        while True:
            peer = one_more(peers, target, SILENT)
            begun = (
                mutations.header(message.MSG_INVOKE, WireLimits.max_payload_bytes) if target.object_id else b"GET /" + b"a" * 16_000
            )
            with contextlib.suppress(OSError):
                target.greet(peer)
                peer.sendall(begun + bytes(WireLimits.max_payload_bytes - 1 if target.object_id else 1))
            yield


def mutated(target: Target, rng: random.Random) -> Steps:
    """Valid messages with something wrong in them, mostly after a greeting as it should be."""
    mutator = mutations.Mutator(target.parts(), rng)
    while True:
        pieces: list[Piece] = [GREETING] if rng.random() < 0.8 else []
        pieces += [mutator.mutant] * rng.choice((1, 1, 1, 4))
        if not target.object_id:
            pieces = [mutator.mutated(target.opening())]
        send(target, *pieces)
        yield


def replayed(target: Target, rng: random.Random) -> Steps:
    """A conversation of our programs that was recorded, again and again, whole or from its middle."""
    if target.object_id:
        recorded = recorded_conversation(target)
    else:
        recorded = [target.opening()] * 5
    while True:
        start = rng.choice((0, 0, 0, 1, 3))
        send(target, *recorded[start:], *recorded[: rng.randrange(len(recorded))])
        yield


def greedy(target: Target, rng: random.Random) -> Steps:
    """The largest job that is permitted, again and again, each under an id of its own. TimeoutError if one is not answered."""
    while True:
        job = json.dumps(
            {"id": f"greedy{rng.getrandbits(64):x}", "durations_s": [0.0] * MAX_TASKS, "method": "RANDOM", "wait": False}
        )
        call = dump_call(target.object_id, "schedule", (job,), {})
        answer = send(target, GREETING, partial(mutations.sealed, (message.MSG_INVOKE, call), 1))
        if b"accepted" not in answer and b"try later" not in answer:
            raise TimeoutError("neither accepted nor told to try later")
        yield


def lying(target: Target, rng: random.Random) -> Steps:
    """A worker that tells the scheduler whatever the protocol permits and is not true."""
    from scripts.testbed.liar import lies

    return lies(target.nameserver, target.object_id, target.key, rng)


ATTACKS = {
    "silent": Attack(silent, 200),
    "slow": Attack(slow, SLOW),
    "resets": Attack(resets, 500),
    "noise": Attack(noise, 100),
    "http": Attack(http, 100),
    "claims": Attack(claims, 50),
    "bomb": Attack(bomb, 20, REMOTE),
    "nested": Attack(nested, 2, REMOTE),
    "hoard": Attack(hoard, 5),
    "mutated": Attack(mutated, 300),
    "replayed": Attack(replayed, 50),
    "greedy": Attack(greedy, 20, ("scheduler",), occupies=True, growth_mb=TAKEN_MB),
    "lying": Attack(lying, 50, ("scheduler",)),
}
for more in (NAMING_ATTACKS, DASHBOARD_ATTACKS, KEY_ATTACKS, SESSION_ATTACKS, SPEAKING_ATTACKS, WIRE_ATTACKS, JOB_ATTACKS):
    if twice := ATTACKS.keys() & more.keys():
        raise ValueError(f"two attacks have the same name: {', '.join(twice)}")
    ATTACKS.update(more)


def attack(
    name: str,
    target: Target,
    for_s: float,
    most: int | None = None,
    per_s: float | None = None,
    seed: int = 1,
    prepared: Callable[[], None] = lambda: None,
) -> int:
    """Attack for so long, or until ``most`` acts are done, at the attack's own rate or another. Returns the number of acts.

    The time begins after the first act, when ``prepared()`` is called.
    """
    rate = per_s or ATTACKS[name].per_s
    with contextlib.closing(ATTACKS[name].act(target, random.Random(seed))) as steps:
        next(steps)
        prepared()
        began, acts = time.monotonic(), 1
        while acts != most and (passed_s := time.monotonic() - began) < for_s:
            ahead_s = acts / rate - passed_s
            if ahead_s > 0:
                time.sleep(min(ahead_s, for_s - passed_s))
            else:
                next(steps)
                acts += 1
    return acts


def main() -> int:
    """Run one attack. READY is printed once it is prepared, and the number of its acts at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=ATTACKS)
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--object", default="", metavar="ID", help="the remote object there (default: none, it speaks HTTP)")
    parser.add_argument("--nameserver", default="", metavar="HOST:PORT", help="for the lying worker")
    parser.add_argument("--key-file", type=Path, help="attack with the key that is in this file")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    key = options.key_file.read_bytes().strip() if options.key_file else None
    target = Target(host, int(port), options.object, options.nameserver, key)
    print(attack(options.name, target, options.seconds, seed=options.seed, prepared=lambda: print(READY, flush=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
