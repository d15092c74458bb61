"""Valid messages of our protocol, and mutants of them, for the attacks and the fuzz tests."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Callable

import Pyro4
from Pyro4 import message

from src.rmi import session, wire
from src.rmi.serializer import dump, dump_call
from src.rmi.session import Session
from src.sparrow import messages as m

Part = tuple[int, bytes]  # kind, payload: one message before it gets its header

NOTHING_S = 1e-99  # a task's duration; with any one byte changed it is still next to nothing, or refused
FLAGS: tuple[int, ...] = (
    message.FLAGS_EXCEPTION,
    message.FLAGS_COMPRESSED,
    message.FLAGS_ONEWAY,
    message.FLAGS_BATCH,
    message.FLAGS_META_ON_CONNECT,
)
FLAGS += (message.FLAGS_ITEMSTREAMRESULT, message.FLAGS_KEEPSERIALIZED)
NASTY = [
    *(b"nan", b"1e999", b"-1", b"9" * 5000, b"None", b"True", b"''", b"'", b'"', b"\\", b"\0", b"\xff\xfe", b"(", b"]" * 40),
    *(b"[" * 300, b"-" * 3000 + b"1", b"1+" * 3000 + b"1", b"a" + b".b" * 3000, b"x" * 200_000),
    b"{'__class__':'Pyro4.core.Proxy','state':('PYRO:a@127.0.0.1:9',[],[],[],0,None,None,0)}",
    b"{'__class__':'Pyro4.core.Proxy','state':()}",
    b"{'__class__':'Pyro4.core.Daemon','state':(1,)}",
    b"{'__class__':'Pyro4.core.URI','state':5}",
    b"{'__class__':'Pyro4.errors.__doc__'}",
    b"{'__class__':'builtins.SystemExit','__exception__':True,'args':()}",
    b"{'__class__':'builtins.ValueError','__exception__':True,'args':(),'attributes':{'__traceback__':1}}",
    b"{'__class__':['a']}",
]


def greeting(who: object = "a client") -> Part:
    """Returns the first message of a connection."""
    return message.MSG_CONNECT, dump({"handshake": who, "object": "Pyro.Daemon"})


def welcome(who: object) -> Part:
    """Returns the answer to a greeting."""
    return message.MSG_CONNECTOK, dump(who)


def call(object_id: str, method: str, *arguments: object) -> Part:
    """Returns a call of a remote method."""
    return message.MSG_INVOKE, dump_call(object_id, method, arguments, {})


def batches(to: str) -> dict[str, list[m.Message]]:
    """Returns for each remote method of a scheduler or a worker that takes a batch an example of each message that it takes.

    They are about a job that does not exist, and no task of theirs takes any time.
    """
    found: dict[str, list[m.Message]] = {}
    for kind in m.KINDS.values():
        if kind.to == to and not kind.is_answer and kind is not m.Probe:
            known = {"job": "mutant", "duration_s": NOTHING_S}
            example = kind.example().replace(**{name: value for name, value in known.items() if name in kind.fields})
            found.setdefault(kind.method, []).append(example)
    return found


def to_scheduler(object_id: str, ours: bool = False) -> list[Part]:
    """Returns calls that a scheduler takes, none of which gives it any work to speak of; ``ours`` only as our programs do."""
    job = {"id": "mutant", "durations_s": [NOTHING_S, NOTHING_S], "method": "BATCH", "wait": False}
    said = [
        greeting({"name": "sparrow.worker.mutant", "incarnation": "a", "uri": "PYRO:a@127.0.0.1:9", "slots": 1}),
        call(object_id, "stats", '["mutant"]', True, False),
        call(object_id, "schedule", json.dumps(job)),
        *(call(object_id, method, "mutant", "a", m.encode(batch)) for method, batch in batches(m.SCHEDULER).items()),
    ]
    if ours:
        return said
    others = [call(object_id, method, "mutant", "a", as_lists(batch)) for method, batch in batches(m.SCHEDULER).items()]
    return [*said, call(object_id, "stats"), call(object_id, "schedule", job), *others, *_to_any_daemon(object_id)]


def to_worker(object_id: str, ours: bool = False) -> list[Part]:
    """Returns calls that a worker takes, in the name of a scheduler that does not exist; ``ours`` only as our programs do."""
    scheduler = "sparrow.scheduler.9999"
    said = [
        greeting({"name": scheduler, "incarnation": "a", "uri": "PYRO:a@127.0.0.1:9"}),
        call(object_id, "find_load"),
        *(call(object_id, method, scheduler, "a", m.encode(batch)) for method, batch in batches(m.WORKER).items()),
    ]
    if ours:
        return said
    others = [call(object_id, method, scheduler, "a", as_lists(batch)) for method, batch in batches(m.WORKER).items()]
    return [*said, call(object_id, "get_name"), *others, *_to_any_daemon(object_id)]


def as_lists(batch: list[m.Message]) -> list[list[object]]:
    """Returns a batch as another program may send it: not as text, but as lists."""
    rows: list[list[object]] = json.loads(m.encode(batch))
    return rows


def _to_any_daemon(object_id: str) -> list[Part]:
    return [
        call("Pyro.Daemon", "ping"),
        call("Pyro.Daemon", "get_metadata", object_id),
        call("Pyro.Daemon", "get_next_stream_item", "a"),
        (message.MSG_PING, b"ping"),
    ]


def to_client(answer: str) -> list[Part]:
    """Returns answers of a daemon: to a greeting, and to calls."""
    return [
        (message.MSG_CONNECTOK, dump({"name": "sparrow.worker.host1", "incarnation": "a", "uri": "", "slots": 1})),
        (message.MSG_CONNECTFAIL, dump("go away")),
        (message.MSG_RESULT, dump(answer)),
        (message.MSG_RESULT, dump(5)),
        (message.MSG_RESULT, dump(ValueError("no"))),
        (message.MSG_RESULT, dump({"a": [1, None, (2.5, "b")]})),
        (message.MSG_PING, b"pong"),
    ]


def sealed(part: Part, seq: int = 0, within: Session | None = None) -> bytes:
    """Returns the bytes of a message with the right checksum, and with the right seal if it is said within a session."""
    kind, payload = part
    return wire.to_bytes(kind, payload, seq) if within is None else within.seal(kind, payload, seq)


def opened(part: Part, key: bytes | None) -> bytes:
    """Returns the bytes of a greeting of a client, with the right tag if there is a key, whatever its kind and payload."""
    kind, payload = part
    return (
        wire.to_bytes(kind, payload, 0) if key is None else session.signed_greeting(key, kind, payload, 0, session.CLIENT_GREETS)[0]
    )


class Mutator:
    """Makes mutants of valid messages."""

    def __init__(self, parts: Sequence[Part], rng: random.Random) -> None:
        self._parts = parts
        self.rng = rng
        self._within: Session | None = None

    def mutant(self, within: Session | None = None) -> bytes:
        """Returns a message with something wrong in it, ready to be sent. Within a session many carry the right seal."""
        self._within = within
        return self.rng.choice((self._inside, self._inside, self._of_the_header, self._outside, self._without_a_key))()

    def _part(self) -> Part:
        return self.rng.choice(self._parts)

    def _seq(self) -> int:
        return self.rng.choice((0, 1, 2, 0xFFFF, self.rng.randrange(0x10000)))

    def _inside(self) -> bytes:
        """The payload is mutated; checksum and seal are right."""
        kind, payload = self._part()
        return sealed((kind, self.mutated(payload)), self._seq(), self._within)

    def _of_the_header(self) -> bytes:
        """The header's fields are anything at all, with the right checksum."""
        rng = self.rng
        kind, payload = self._part()
        kind = rng.choice((kind, rng.randrange(8), rng.randrange(0x10000)))
        flags = rng.choice((0, rng.choice(FLAGS), rng.choice(FLAGS) | rng.choice(FLAGS), rng.randrange(0x10000)))
        if self._within is not None:
            return self._within.seal(kind, payload, self._seq(), flags)
        serializer = rng.choice((wire.SERPENT_ID, rng.randrange(8), rng.randrange(0x10000)))
        annotations = rng.choice((None, {"CORR": b"x" * rng.choice((16, 3))}, {"ABCD": rng.randbytes(rng.randrange(5000))}))
        return bytes(message.Message(kind, payload, serializer, flags, self._seq(), annotations).to_bytes())

    def _outside(self) -> bytes:
        """The whole message is mutated, so that checksum and seal are mostly wrong."""
        return self.mutated(sealed(self._part(), self._seq(), self._within))

    def _without_a_key(self) -> bytes:
        """A valid message of somebody who has no key, or another one: without a signature, or with that of stock Pyro4."""
        kind, payload = self._part()
        return wire.to_bytes(kind, payload, self._seq(), self.rng.choice((None, b"another key")))

    def mutated(self, data: bytes) -> bytes:
        """Returns these bytes with one to five changes."""
        for _ in range(self.rng.choice((1, 1, 1, 2, 5))):
            data = self.rng.choice(self._WAYS)(self, data)
        return data

    def _flipped(self, data: bytes) -> bytes:
        changed = bytearray(data or b"\0")
        for _ in range(self.rng.choice((1, 1, 3, 20))):
            changed[self.rng.randrange(len(changed))] = self.rng.randrange(256)
        return bytes(changed)

    def _truncated(self, data: bytes) -> bytes:
        return data[: self.rng.randrange(len(data) + 1)]

    def _doubled(self, data: bytes) -> bytes:
        start, end = self._cut(data)
        return data[:end] + data[start:end] * self.rng.choice((1, 1, 2, 30)) + data[end:]

    def _spliced(self, data: bytes) -> bytes:
        other = self._part()[1]
        return data[: self._cut(data)[0]] + other[self._cut(other)[0] :]

    def _shortened(self, data: bytes) -> bytes:
        start, end = self._cut(data)
        return data[:start] + data[end:]

    def _poisoned(self, data: bytes) -> bytes:
        """A piece, best a whole value, is replaced by something nasty."""
        places = [place for place, byte in enumerate(data) if byte in b",:()[]{}'\""]
        start = self.rng.choice(places) + 1 if places else 0
        end = self.rng.choice([place for place in places if place >= start] or [start])
        return data[:start] + self.rng.choice(NASTY) + data[end:]

    def _cut(self, data: bytes) -> tuple[int, int]:
        start = self.rng.randrange(len(data) + 1)
        return start, min(len(data), start + self.rng.choice((1, 4, 20, len(data))))

    _WAYS: tuple[Callable[[Mutator, bytes], bytes], ...] = (
        _flipped,
        _flipped,
        _truncated,
        _doubled,
        _spliced,
        _shortened,
        _poisoned,
        _poisoned,
    )


def header(kind: int, size: int = 0, flags: int = 0, tag: bytes = b"PYRO", checksum: int | None = None) -> bytes:
    """Returns a header alone, with any claim in it; its checksum is right unless one is given."""
    version = Pyro4.constants.PROTOCOL_VERSION
    total = kind + version + size + wire.SERPENT_ID + flags + message.Message.checksum_magic
    fields = (tag, version, kind, flags, 0, size, wire.SERPENT_ID, 0, 0)
    return wire.HEADER.pack(*fields, total & 0xFFFF if checksum is None else checksum)
