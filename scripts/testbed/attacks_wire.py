"""Attacks with valid messages that cost much to read, to answer or to keep: for the list in ``attacks``.

Each is what one stranger may send to a remote object: what takes quadratic time to read, thousands of questions at once, batched
calls whose results would take gigabytes, arguments of megabytes, and answers that nobody has asked for.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from functools import partial

from Pyro4 import message

from scripts.testbed import mutations
from scripts.testbed.attacks_base import (
    REMOTE,
    Attack,
    GotThroughError,
    Steps,
    called_by_scheduler,
    fresh,
    listening,
    names_of,
    results,
)
from scripts.testbed.protection import TLS
from scripts.testbed.proxy import proxy_of
from scripts.testbed.target import GREETING, OBJECTS, PATIENCE_S, Target, held, next_frame, one_more, reset, send
from src.rmi import wire
from src.rmi.serializer import dump_call
from src.rmi.session import NAME_SERVER, Session
from src.rmi.settings import WireLimits
from src.sparrow import messages as m
from src.sparrow.names import WORKERS
from src.sparrow.settings import SchedulerSettings

QUESTIONS = 2_000  # in one segment
READ_S = 0.4  # for which their answers are read
MODULUS = 2**61 - 1  # whole numbers that differ by multiples of it hash alike
ENTRIES = 20_000  # numbers that hash alike: 400 KB, which take Python 6 s
MEGABYTE = 2**20
NAME = "sparrow.worker.unasked"
GREETINGS = SchedulerSettings().max_greetings + 500
TLS_PEERS = 2_000
HELLO = b"\x16\x03\x01\x10\x00"  # the beginning of TLS's first message, which claims 4 KB
BEGINNERS = 40
PROBING_JOB = {"durations_s": [0.0] * 200, "method": "CHOOSE_TWO", "wait": False}  # each of them is asked for its load


def alike(target: Target, rng: random.Random) -> Steps:
    """Sets and dicts of numbers that all hash alike, as arguments and as the greeting."""
    numbers = [b"%d" % (MODULUS * factor) for factor in range(ENTRIES)]
    few = b",".join(numbers[:180])
    while True:
        body = rng.choice((b"{%b}" % b",".join(numbers), b"{%b:0}" % b":0,".join(numbers), b"{(%b,):0}" % b",):0,(".join(numbers)))
        call = b"# serpent utf-8 python3.2\n('%b','stats',(%b,),{})" % (target.object_id.encode(), body)
        greeting = b"# serpent utf-8 python3.2\n{'handshake':{%b}}" % few
        send(target, mutations.opened((message.MSG_CONNECT, greeting), target.key))
        send(target, GREETING, partial(mutations.sealed, (message.MSG_INVOKE, call), 1))
        yield


def questions(target: Target, rng: random.Random) -> Steps:
    """Two thousand questions in one segment; the answers are read for a while. TimeoutError if there is none."""
    method = {"scheduler": "stats", "worker": "find_load"}.get(target.kind, "list")
    call = message.MSG_INVOKE, dump_call(target.object_id, method, (), {})
    while True:
        with target.connect() as peer:
            session = target.greet(peer)
            peer.sendall(b"".join(mutations.sealed(call, 1, session) for _ in range(QUESTIONS)))
            peer.shutdown(socket.SHUT_WR)  # so that the target closes the connection after the last answer
            until = time.monotonic() + READ_S
            while peer.recv(65536) and time.monotonic() < until:
                pass
        yield


def batches(target: Target, rng: random.Random) -> Steps:
    """Thousands of calls in one message, whose results would take gigabytes together; and one that fails."""
    method = {"scheduler": "stats", "worker": "get_name"}.get(target.kind, "list")
    nothing: dict[str, object] = {}
    while True:
        calls = [(method, (), nothing)] * rng.choice((50, QUESTIONS)) + [("no_such_method", (), nothing)]
        data = dump_call(target.object_id, "<batch>", calls, {})
        flags = message.FLAGS_BATCH | rng.choice((0, 0, message.FLAGS_ONEWAY, message.FLAGS_META_ON_CONNECT))

        def batch(session: Session | None, data: bytes = data, flags: int = flags) -> bytes:
            if session is None:
                return wire.to_bytes(message.MSG_INVOKE, data, 1, flags=flags)
            return session.seal(message.MSG_INVOKE, data, 1, flags)

        answer = send(target, GREETING, batch)
        if b"Traceback (most" in answer or b", line " in answer:
            raise TimeoutError("the answer to a batch shows source")
        yield


def large(target: Target, rng: random.Random) -> Steps:
    """Arguments of megabytes, as texts, lists and metadata, for methods that keep something and for those that do not."""
    name = NAME_SERVER
    while True:
        words = ["x" * 1_000] * rng.choice((1_000, 4_000))
        method, arguments = rng.choice(
            (
                ("set_metadata", (name, words)),
                ("register", (name + rng.choice("abc"), "PYRO:x@127.0.0.1:9", False, words)),
                ("register", ("x" * MEGABYTE, "PYRO:x@127.0.0.1:9")),
                ("list", (None, None, words)),
                ("schedule", ({"id": words, "durations_s": words},)),
                ("add_task", (words, words, words)),
            )
        )
        call = dump_call(target.object_id, method, arguments, {})
        send(target, GREETING, partial(mutations.sealed, (message.MSG_INVOKE, call), 1))
        yield


def oneway(target: Target, rng: random.Random) -> Steps:
    """A worker says 1,500 times that it is there and wants no answer: others who say so are still answered, not sent away."""
    while True:
        first, second = (fresh("oneway") for _ in range(2))
        said = [mutations.sealed(_greeting(first))]
        said += [wire.to_bytes(*_there(first), 1, flags=message.FLAGS_ONEWAY)] * GREETINGS
        with target.connect() as peer, target.connect() as another, contextlib.suppress(ConnectionError):
            peer.sendall(b"".join(said))
            another.sendall(mutations.sealed(_greeting(second)))
            next_frame(another)
            another.sendall(mutations.sealed(_there(second), 1))
            if b"try later" in next_frame(another).payload:
                raise GotThroughError("a worker that says that it is there is sent away")
        yield


def _greeting(worker: str) -> mutations.Part:
    return mutations.greeting({"name": WORKERS + worker, "incarnation": "a", "uri": "PYRO:a@127.0.0.1:9", "slots": 1})


def _there(worker: str) -> mutations.Part:
    return mutations.call(OBJECTS["scheduler"], "request_task", worker, "a", "[]")


def bulk(target: Target, rng: random.Random) -> Steps:
    """Batches as large as are accepted, of messages about what does not exist: small questions do not wait for long."""
    scheduler = target.kind == "scheduler"
    who = f"{WORKERS}bulk" if scheduler else "sparrow.scheduler.9999"
    greeting = mutations.greeting({"name": who, "incarnation": "a", "uri": "PYRO:a@127.0.0.1:9", "slots": 1})
    speaker = who[len(WORKERS) :] if scheduler else who
    batches = mutations.batches(m.SCHEDULER if scheduler else m.WORKER)
    while True:
        method = rng.choice(sorted(batches))
        one = rng.choice([one for one in batches[method] if not one.needs_room])
        lists = m.encode([one]).count("[") - 1
        batch = m.encode([one] * min(m.MAX_ROWS, (m.MAX_LISTS - 1) // lists))
        call = mutations.call(target.object_id, method, speaker, "a", batch)
        answer = send(target, mutations.sealed(greeting), mutations.sealed(call, 1))
        if b"at most" in answer or b"more than" in answer:
            raise ValueError("this batch was too large to be looked at")
        if not results(answer):
            raise GotThroughError("a large batch is not answered")
        yield


def silent_tls(target: Target, rng: random.Random) -> Steps:
    """2,000 connections that begin TLS and say no more: they take little memory, since few are let begin at once."""
    with held() as peers:
        while True:
            peer = one_more(peers, target, TLS_PEERS)
            with contextlib.suppress(OSError):
                peer.sendall(HELLO)
            yield


def unasked(target: Target, rng: random.Random) -> Steps:
    """A registered worker that welcomes the scheduler and begins at once with answers of megabytes, to no question."""
    begun = mutations.header(message.MSG_RESULT, WireLimits.max_payload_bytes) + bytes(MEGABYTE)
    with names_of(target) as names, listening(names, NAME) as server:
        uri = f"PYRO:{NAME}@127.0.0.1:{server.getsockname()[1]}"
        welcome = mutations.sealed(mutations.welcome({"name": NAME, "incarnation": "a", "uri": uri, "slots": 1}))
        server.settimeout(0.05)
        while True:
            with contextlib.suppress(OSError):  # nobody called, or hung up meanwhile
                peer, _ = server.accept()
                peer.settimeout(1.0)
                with contextlib.suppress(OSError):
                    peer.recv(65536)
                    peer.sendall(welcome + begun)
                reset(peer)
            yield


def begun(target: Target, rng: random.Random) -> Steps:
    """40 workers that begin an answer of 16 MB each and do not end it: the scheduler keeps 64 MB of it, and ends the rest."""
    with names_of(target) as names, proxy_of(target.nameserver, target.object_id, target.key) as scheduler:
        while True:
            with contextlib.ExitStack() as stack:
                welcomed, asked = (threading.Semaphore(0) for _ in range(2))
                for _ in range(BEGINNERS):
                    name = WORKERS + fresh("begun")
                    server = stack.enter_context(listening(names, name))
                    threading.Thread(target=_begin, args=(server, name, welcomed, asked), daemon=True).start()
                _all_of(welcomed)
                scheduler.schedule(json.dumps({"id": fresh("probe"), **PROBING_JOB}))
                _all_of(asked)
                yield


def _all_of(beginners: threading.Semaphore) -> None:
    """Wait until all beginners are so far. Raises TimeoutError if they are not in time."""
    until_s = time.monotonic() + PATIENCE_S
    for _ in range(BEGINNERS):
        if not beginners.acquire(timeout=max(0.0, until_s - time.monotonic())):
            raise TimeoutError("workers are not asked")


def _begin(server: socket.socket, name: str, welcomed: threading.Semaphore, asked: threading.Semaphore) -> None:
    """Welcome a scheduler as the worker of that name, and begin a large answer to its first question."""
    said = {"name": name, "incarnation": "a", "uri": f"PYRO:{name}@127.0.0.1:{server.getsockname()[1]}", "slots": 1}
    size = WireLimits.max_payload_bytes
    with called_by_scheduler(server) as (peer, _):
        peer.sendall(mutations.sealed(mutations.welcome(said)))
        welcomed.release()
        seq = next_frame(peer).seq
        asked.release()
        with contextlib.suppress(OSError):  # most of them are cut off
            peer.sendall(wire.header_of(message.MSG_RESULT, 0, seq, size, 0))
            for _ in range(size // MEGABYTE - 1):
                peer.sendall(bytes(MEGABYTE))
            peer.recv(1)


WIRE_ATTACKS = {
    "alike": Attack(alike, 2, REMOTE),
    "questions": Attack(questions, 2, REMOTE),
    "batches": Attack(batches, 10, REMOTE),
    "large": Attack(large, 5, REMOTE),
    "oneway": Attack(oneway, 5, ("scheduler",)),
    "unasked": Attack(unasked, 20, ("scheduler",)),
    "bulk": Attack(bulk, 2, ("scheduler", "worker"), occupies=True),
    "begun": Attack(begun, 0.3, ("scheduler",), occupies=True),
    "silent-tls": Attack(silent_tls, 500, ("scheduler",), under=(TLS,)),
}
