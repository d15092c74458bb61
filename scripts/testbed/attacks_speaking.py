"""Attacks of those who speak for others: for a process that runs, for other incarnations of it, or all under one name."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

from Pyro4 import message

from scripts.testbed import mutations
from scripts.testbed.attacks_base import REMOTE, Attack, GotThroughError, Steps, other, results
from scripts.testbed.protection import KEY, OPEN
from scripts.testbed.target import OBJECTS, PATIENCE_S, Target, held, next_frame, send, was_closed
from src.rmi.channel import Channel
from src.rmi.settings import DaemonSettings
from src.sparrow import messages as m
from src.sparrow.identity import TIME_DIGITS
from src.sparrow.names import WORKERS

OLDER, NEWER = "0" * TIME_DIGITS, "f" * TIME_DIGITS  # incarnations
MOST_NAMESAKES = DaemonSettings().max_connections_of_a_name
NAMESAKES = 3 * MOST_NAMESAKES


def posed(target: Target, rng: random.Random) -> Steps:
    """Calls in the name of a peer that runs, and of other incarnations of it, by whoever has not greeted so: they are refused."""
    scheduler = target.kind == "scheduler"
    real = asyncio.run(_said_by(other(target, OBJECTS["worker" if scheduler else "scheduler"])))
    name = real["name"]
    spoken = name[len(WORKERS) :] if scheduler else name
    batches = mutations.batches(m.SCHEDULER if scheduler else m.WORKER)
    stranger = {**real, "name": name.rpartition(".")[0] + ".9999", "incarnation": NEWER}
    speakers: list[tuple[object, tuple[str, ...]]] = [
        ("a client", (real["incarnation"], OLDER, NEWER)),
        (stranger, (real["incarnation"], OLDER, NEWER)),
        ({**real, "incarnation": OLDER}, (real["incarnation"], NEWER)),
    ]
    if not scheduler:
        speakers.append(({**real, "incarnation": OLDER}, (OLDER,)))
    while True:
        who, incarnations = rng.choice(speakers)
        method = rng.choice(sorted(batches))
        batch = m.encode(rng.choice((batches[method], [])))
        part = mutations.call(target.object_id, method, spoken, rng.choice(incarnations), batch)
        answer = _said(target, who, part)
        if not results(answer) or not all(frame.flags & message.FLAGS_EXCEPTION for frame in results(answer)):
            raise GotThroughError(f"{name} was spoken for by {who}")
        if target.key is not None:  # who repeats a greeting that was never answered has no session to go on with
            greeting = target.handshake(target.key).greeting({**real, "incarnation": NEWER})
            if results(send(target, greeting, mutations.sealed((message.MSG_PING, b"")), mutations.sealed(part, 1))):
                raise GotThroughError("a recorded greeting is believed")
        yield


async def _said_by(target: Target) -> dict[str, Any]:
    """Returns what the target says of itself to whoever greets it."""
    channel = await Channel.open(f"PYRO:{target.object_id}@{target.host}:{target.port}", key=target.key)
    channel.close()
    said: dict[str, Any] = channel.peer
    return said


def _said(target: Target, who: object, part: mutations.Part) -> bytes:
    """Greet as ``who`` and make a call. Returns what is answered."""
    if target.key is None:
        return send(target, mutations.sealed(mutations.greeting(who)), mutations.sealed(part, 1))
    with target.connect() as peer:
        handshake = target.handshake(target.key)
        session = target.complete(peer, handshake, handshake.greeting(who))
        if session is None:
            raise ConnectionError("the target refuses its own key")
        peer.sendall(session.seal(message.MSG_PING, b"", 0) + mutations.sealed(part, 1, session))
        return next_frame(peer).data


def namesakes(target: Target, rng: random.Random) -> Steps:
    """48 connections that greet with the same name and call once: no more than 16 of them stay."""
    who = {"name": "sparrow.worker.mutant", "incarnation": "a", "uri": "PYRO:a@127.0.0.1:9", "slots": 1}
    said = mutations.sealed(mutations.greeting(who)) + mutations.sealed(mutations.call(target.object_id, "get_name"), 1)
    while True:
        with held() as peers:
            for _ in range(NAMESAKES):
                peers.append(target.connect())
                with contextlib.suppress(ConnectionError):
                    peers[-1].sendall(said)
            until_s = time.monotonic() + PATIENCE_S
            while sum(not was_closed(peer) for peer in peers) > MOST_NAMESAKES:
                if time.monotonic() > until_s:
                    raise GotThroughError("one name has more connections than it may")
                time.sleep(0.01)
        yield


SPEAKING_ATTACKS = {
    "posed": Attack(posed, 50, ("scheduler", "worker"), under=(OPEN, KEY)),
    "namesakes": Attack(namesakes, 1, REMOTE),
}
