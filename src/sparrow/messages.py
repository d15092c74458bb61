"""The messages between schedulers and workers, and their encoding. This module is the only definition of the wire format.

    scheduler -> worker
        find_load()              Probe                            answered by Load
        add_task(...)            Launch, Reconcile, Offer         answered by Holdings
        set_late_binding(...)    Reserve, Cancel, Subscribe, Drop
    worker -> scheduler
        request_task(...)        Ask, Idle                        answered by Assign, NoTask, Offer, Noted
        task_completed(...)      Bounce, Done, Leave              or with request_task(...)

A client calls ``schedule(job)``, and the answer is the job's report (``sparrow.jobspec``, ``sparrow.reports``).

A call carries a batch: the name and the incarnation of the caller, and one JSON text. The text is a list of rows; a row is the kind
of a message followed by its fields in order, for example ``["Launch", "a1b2-0", 7, 1, 0.25]``. (The batch is text because serpent
takes twenty times as long for nested lists.) ``find_load()`` is the exception: it takes no argument and returns a number, as in the
original project. ``decode`` checks every field of a batch before the receiver changes anything.

A *run* is one attempt at one task: (job id, task, attempt). A *reservation* is (job id, number). Both are compared by value.

A new message needs a class here, a method of the receiver's state machine (``JobTable`` or ``WorkQueue``) that is named after it
(``_on_launch`` for ``Launch``), and a test.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, NamedTuple

from src.sparrow.checks import elapsed, identifier, number, seconds, shown
from src.sparrow.jsontext import read_json
from src.sparrow.records import Record

MAX_ROWS = 5_000  # messages in one batch: more than twice what a link sends; more would block the event loop for too long
MAX_LISTS = 2 * MAX_ROWS  # lists and objects in one JSON text: a parsed list takes a hundred bytes for each byte of "[],"
MAX_VALUES = 250_000  # values and keys in one JSON text, about: a job of 100,000 tasks whose durations are not packed has as many

SCHEDULER = "scheduler"
WORKER = "worker"

Run = tuple[str, int, int]  # job, task, attempt
Reservation = tuple[str, int]  # job, number


class Address(NamedTuple):
    """The address of a process: its name and its incarnation. A process that was restarted has another incarnation."""

    name: str
    incarnation: str


def _keys(value: object, name: str, width: int) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, not {shown(value)}")
    keys = []
    for key in value:
        if type(key) not in (list, tuple) or len(key) != width:
            raise TypeError(f"each of {name} must be a list of {width}, not {shown(key)}")
        keys.append((identifier(key[0], "job"), *(number(part, name) for part in key[1:])))
    return keys


def runs(value: object, name: str) -> list[Run]:
    """Returns ``value`` as a list of runs. Raises TypeError or ValueError, naming the field ``name``, if it is anything else."""
    return _keys(value, name, 3)


def reservations(value: object, name: str) -> list[Reservation]:
    """Returns ``value`` as a list of reservations. Raises TypeError or ValueError, naming the field, if it is anything else."""
    return _keys(value, name, 2)


def ages(value: object, name: str) -> list[tuple[Run, float]]:
    """Returns ``value`` as a list of pairs: a run, and the seconds since it started.

    Raises TypeError or ValueError, naming the field, if it is anything else.
    """
    if not isinstance(value, list) or not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in value):
        raise TypeError(f"{name} must be a list of pairs, not {shown(value)}")
    return [(run, elapsed(age_s, name)) for run, (_, age_s) in zip(runs([pair[0] for pair in value], name), value)]


# The kinds of fields: the type, the check, and an example, from which the fuzzers start.
JobId = Annotated[str, identifier, "job"]
Number = Annotated[int, number, 1]
Duration = Annotated[float, seconds, 0.25]
Elapsed = Annotated[float, elapsed, 0.5]
Runs = Annotated[list[Run], runs, [("job", 0, 1)]]
Reservations = Annotated[list[Reservation], reservations, [("job", 0)]]
Ages = Annotated[list[tuple[Run, float]], ages, [(("job", 0, 1), 0.5)]]

KINDS: dict[str, type[Message]] = {}

_compact = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make an encoder for each batch


class Message(Record):
    """The base class of all messages.

    A message is declared with its receiver and the remote method that takes it, ``(to=WORKER, method="add_task")``, or with the
    message that it answers, ``(answers=Probe)``; it is then sent to the sender of that message. An answer that has a method too may
    also be sent by itself. ``rides`` names another method of
    the receiver: the message may share a call with the messages of that method. ``needs_room`` says that the receiver keeps
    something for it, so that it may be refused for lack of room. The annotation of a field has its check and an example.
    """

    to: ClassVar[str]  # SCHEDULER or WORKER
    method: ClassVar[str]  # the remote method that takes it; "" for an answer
    lane: ClassVar[str]  # messages of the same lane may share a call
    answered_by: ClassVar[tuple[type[Message], ...]]
    is_answer: ClassVar[bool]
    needs_room: ClassVar[bool]
    handler: ClassVar[str]  # the method of JobTable or WorkQueue that takes it
    checks: ClassVar[tuple[tuple[str, Any], ...]]  # for each field its name and the function that checks a value
    examples: ClassVar[tuple[Any, ...]]  # for each field a value

    def __init_subclass__(
        cls,
        to: str = "",
        method: str = "",
        rides: str = "",
        answers: type[Message] | tuple[type[Message], ...] = (),
        needs_room: bool = False,
    ) -> None:
        super().__init_subclass__()
        answered = answers if isinstance(answers, tuple) else (answers,)
        cls.is_answer, cls.needs_room = bool(answered), needs_room
        cls.to = to if not answered else SCHEDULER if answered[0].to == WORKER else WORKER
        cls.method, cls.lane = method, rides or method
        cls.answered_by = ()
        for one in answered:
            one.answered_by = (*one.answered_by, cls)
        cls.handler = "_on" + re.sub("([A-Z])", r"_\1", cls.__name__).lower()
        known = vars(sys.modules[cls.__module__])
        hints = [eval(cls.__annotations__[field], known) for field in cls.fields]  # get_type_hints would keep what it makes of them
        cls.checks = tuple((field, hint.__metadata__[0]) for field, hint in zip(cls.fields, hints))
        cls.examples = tuple(hint.__metadata__[1] for hint in hints)
        KINDS[cls.kind] = cls

    @classmethod
    def example(cls) -> Message:
        """Returns a message of this kind in which each field has its example."""
        return cls.make(list(cls.examples))


class Probe(Message, to=WORKER, method="find_load"):
    """The scheduler asks for the worker's load, for one round of placing some tasks of a job."""

    job: JobId
    round: Number


class Load(Message, answers=Probe):
    """The worker's load: the number of its tasks and reservations, queued and running."""

    job: JobId
    round: Number
    load: Number


class Launch(Message, to=WORKER, method="add_task", needs_room=True):
    """The worker is to queue this task and to run it for ``duration_s`` seconds."""

    job: JobId
    task: Number
    attempt: Number
    duration_s: Duration


class Reserve(Message, to=WORKER, method="set_late_binding", needs_room=True):
    """The worker is to queue this reservation, and to ask for a task of the job when it is at the front and a slot is free."""

    job: JobId
    reservation: Number


class Cancel(Message, to=WORKER, method="set_late_binding"):
    """The worker is to drop this reservation, because all tasks of the job have been launched."""

    job: JobId
    reservation: Number


class Subscribe(Message, to=WORKER, method="set_late_binding"):
    """The worker is to tell the scheduler of free slots, now and for the next ``for_s`` seconds."""

    for_s: Duration


class Drop(Message, to=WORKER, method="set_late_binding"):
    """The worker is to drop this run, or to stop it, because the task has been placed again."""

    job: JobId
    task: Number
    attempt: Number


class Reconcile(Message, to=WORKER, method="add_task"):
    """The scheduler names what it believes the worker to hold since a while, and asks for the differences.

    If this is too much for one message, each message names another part of it.
    """

    runs: Runs
    reservations: Reservations


class Holdings(Message, answers=Reconcile):
    """The differences that the worker sees: what was named but is not here, and what has been here for a while but was not named.

    If the queue is long, each message considers another part of it. ``running`` has those of the named runs that are in a slot,
    each with the seconds since it started.
    """

    missing_runs: Runs
    missing_reservations: Reservations
    extra_runs: Runs
    extra_reservations: Reservations
    running: Ages


class Ask(Message, to=SCHEDULER, method="request_task"):
    """The worker asks for a task: its reservation is at the front of the queue and holds a free slot."""

    job: JobId
    reservation: Number


class Assign(Message, answers=Ask):
    """The task that a reservation gets. The slot that the reservation holds runs it at once."""

    job: JobId
    reservation: Number
    task: Number
    attempt: Number
    duration_s: Duration


class NoTask(Message, answers=Ask):
    """The no-op that a reservation gets if all tasks of the job have been launched."""

    job: JobId
    reservation: Number


class Idle(Message, to=SCHEDULER, method="request_task"):
    """The worker has ``slots`` free slots and nothing queued. This replaces what it has said with a smaller ``epoch``.

    It has told ``told`` other schedulers before. ``schedulers`` is the number of those that want to be told.
    """

    epoch: Number
    slots: Number
    told: Number
    schedulers: Number


class Noted(Message, answers=Idle):
    """The scheduler has no task for the worker now, and will remember that it is idle. The worker may tell another scheduler."""

    epoch: Number


class Offer(Message, answers=(Idle, Ask), method="add_task"):
    """A task for a slot that is free, as far as the scheduler knows. The worker runs it at once, or sends it back."""

    job: JobId
    task: Number
    attempt: Number
    duration_s: Duration


class Bounce(Message, to=SCHEDULER, method="task_completed", rides="request_task"):
    """The worker sends back a task that it was offered: all its slots are taken meanwhile."""

    job: JobId
    task: Number
    attempt: Number


class Done(Message, to=SCHEDULER, method="task_completed", rides="request_task"):
    """A run has ended. ``queued_s`` is its time in the worker's queue, ``service_s`` its time in a slot."""

    job: JobId
    task: Number
    attempt: Number
    queued_s: Elapsed
    service_s: Elapsed


class Leave(Message, to=SCHEDULER, method="task_completed", rides="request_task"):
    """The worker is about to stop: it still finishes ``runs``, and the scheduler takes back everything else."""

    runs: Runs


@cache  # the results are few, one for each remote method, and every call from a peer needs one
def taken_by(method: str) -> frozenset[str]:
    """Returns the kinds of the messages that a remote method takes."""
    return frozenset(kind for kind, message in KINDS.items() if method in (message.method, message.lane))


def answers_of(batch: Iterable[Message]) -> frozenset[str]:
    """Returns the kinds of the messages that may answer this batch."""
    return frozenset(answer.kind for message in batch for answer in message.answered_by)


def loads(probes: Iterable[Message], load: int) -> list[Message]:
    """Returns the answers to these probes of one worker: ``find_load()`` returns one number for all."""
    return [Load(probe.job, probe.round, load) for probe in probes if isinstance(probe, Probe)]


def method_of(batch: Sequence[Message]) -> str:
    """Returns the remote method that takes this batch, whose messages are all of one lane."""
    for message in batch:
        if message.method == message.lane:
            return message.method
    return batch[0].method


def drawing() -> str:
    """Returns the table of senders, remote methods and messages that stands at the top of this module."""
    lines = []
    for to, caller in ((WORKER, SCHEDULER), (SCHEDULER, WORKER)):
        lines.append(f"    {caller} -> {to}")
        methods = dict.fromkeys(message.method for message in KINDS.values() if message.to == to and not message.is_answer)
        for method in methods:
            taken = [message for message in KINDS.values() if message.method == method]
            answers = dict.fromkeys(answer.kind for message in taken for answer in message.answered_by)
            note = f"answered by {', '.join(answers)}" if answers else ""
            if taken[0].lane != method:
                note = f"or with {taken[0].lane}(...)"
            call = f"{method}{'()' if method == 'find_load' else '(...)'}"
            lines.append(f"        {call:<25}{', '.join(message.kind for message in taken):<33}{note}".rstrip())
    return "\n".join(lines)


def encode(messages: Iterable[Message]) -> str:
    """Returns a batch as the text that crosses the wire."""
    return _compact(messages if isinstance(messages, list) else list(messages))


def decode(batch: object, allowed: Collection[str]) -> list[Any]:
    """Returns the messages of a batch, given as its text or as the list of rows.

    Raises TypeError or ValueError, naming the row or the field, if any row is not a message of one of the ``allowed`` kinds, or if
    there are more than ``MAX_ROWS``.
    """
    rows = parsed(batch) if isinstance(batch, str) else batch
    if not isinstance(rows, (list, tuple)):
        raise TypeError(f"a batch must be a list of messages, not {shown(rows)}")
    if len(rows) > MAX_ROWS:
        raise ValueError(f"a batch holds at most {MAX_ROWS} messages, not {len(rows)}")
    messages = []
    for row in rows:
        if not isinstance(row, (list, tuple)) or not row or type(row[0]) is not str:
            raise TypeError(f"a message must be a list that begins with its kind, not {shown(row)}")
        if row[0] not in allowed:
            raise ValueError(f"unexpected message {shown(row[0])}: expected one of {', '.join(sorted(allowed))}")
        kind = KINDS[row[0]]
        if len(row) != len(kind.checks) + 1:
            raise TypeError(f"{row[0]} takes {len(kind.checks)} fields, not {len(row) - 1}")
        fields = [check(value, field) for value, (field, check) in zip(row[1:], kind.checks)]
        messages.append(tuple.__new__(kind, (kind.kind, *fields)))
    return messages


def parsed(text: str) -> object:
    """Returns the value of a JSON text. Raises ValueError if it is not JSON, too deep, too large, or has too long a number."""
    if text.count("[") + text.count("{") > MAX_LISTS:
        raise ValueError(f"JSON of more than {MAX_LISTS} lists")
    if text.count(",") + text.count(":") > MAX_VALUES:
        raise ValueError(f"JSON of more than {MAX_VALUES} values")
    try:
        return read_json(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
