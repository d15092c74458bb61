"""Attacks with valid messages that cost much to read, to answer or to keep: rows of ``attacks.ATTACKS``.

Each is what one stranger may send to a remote object: what takes quadratic time to read, thousands of questions at once, batched
calls whose results would take gigabytes, arguments of megabytes, and answers that nobody has asked for.
"""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Generator
from functools import partial
from typing import Any, Callable

import Pyro4
from Pyro4 import message

from scripts.testbed import mutations
from scripts.testbed.proxy import KeyedProxy
from scripts.testbed.target import GREETING, Target, reset, send
from src.rmi import wire
from src.rmi.serializer import dump_call
from src.rmi.session import NAME_SERVER, Session
from src.rmi.settings import WireLimits

Steps = Generator[None, None, None]

QUESTIONS = 2_000  # in one segment
READ_S = 0.4  # for which their answers are read
MODULUS = 2**61 - 1  # whole numbers that differ by multiples of it hash alike
ENTRIES = 20_000  # numbers that hash alike: 400 KB, which take Python 6 s
MEGABYTE = 2**20
NAME = "sparrow.worker.unasked"


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


def unasked(target: Target, rng: random.Random) -> Steps:
    """A registered worker that welcomes the scheduler and begins at once with answers of megabytes, to no question."""
    nameserver = Pyro4.URI(f"PYRO:{NAME_SERVER}@{target.nameserver}")
    names: Any = Pyro4.Proxy(nameserver) if target.key is None else KeyedProxy(nameserver, target.key)
    begun = mutations.header(message.MSG_RESULT, WireLimits.max_payload_bytes) + bytes(MEGABYTE)
    with names, socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"PYRO:{NAME}@127.0.0.1:{server.getsockname()[1]}"
        said = {"name": NAME, "incarnation": "a", "uri": uri, "slots": 1}
        welcome = mutations.sealed(mutations.welcome(said))
        server.settimeout(0.05)
        names.register(NAME, uri)
        try:
            while True:
                with contextlib.suppress(OSError):  # nobody called, or hung up meanwhile
                    peer, _ = server.accept()
                    peer.settimeout(1.0)
                    with contextlib.suppress(OSError):
                        peer.recv(65536)
                        peer.sendall(welcome + begun)
                    reset(peer)
                yield
        finally:
            names.remove(NAME)


Row = tuple[Callable[[Target, random.Random], Steps], float, bool]  # the act, acts a second, whether at workers too

ROWS: dict[str, Row] = {
    "alike": (alike, 2, True),
    "questions": (questions, 2, True),
    "batches": (batches, 10, True),
    "large": (large, 5, True),
    "unasked": (unasked, 20, False),
}
