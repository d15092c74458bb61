"""What schedulers, workers and clients say to each other. This page is the one source of truth for the wire.

    client --- schedule(job) -----------------------------> scheduler      answer: the report, when the job has ended
                                                             |     ^
               Probe -------------- find_load() ------------>|     |      answer: Load
               Launch, Heartbeat -- add_task(...) ---------->|     |      answer: Held
               Reserve, Cancel, Drop -- set_late_binding() ->|     |
                                                             v     |
                                                             worker
               Done --------------- task_completed(...) ----> scheduler
               Ask, with any Done - request_task(...) ------> scheduler   answer: Assign or NoTask for each Ask
               Leave -------------- task_completed(...) ----> scheduler

A batch crosses the wire as one JSON text: a list of rows, each row the message's kind and then its fields in the order of the
class, for example ``["Launch", "a1b2-0", 7, 1, 0.25]``. (Text, because serpent takes twenty times as long over nested lists.)
Numbers of seconds end in ``_s``. Whatever comes in is checked by ``decode`` before anything is changed.

A *run* is one attempt at one task: (job id, task, attempt). A *reservation* is (job id, number). Both are compared by value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Callable, NamedTuple, Union

MAX_TASKS = 100_000  # tasks in one job
MAX_DURATION_S = 7 * 86_400.0  # of one task: a week
MAX_ELAPSED_S = 100 * MAX_DURATION_S  # that a worker may report to have waited or run
MAX_NAME = 128  # characters in a job id or a name
MAX_ROWS = 250_000  # messages in one batch
MAX_LISTS = 2 * MAX_ROWS  # lists and the like in one JSON text: a hundred bytes of memory for each byte of "[],"
SETTLED_S = 1.0  # what was given longer ago than this has arrived, or is lost
MAX_CONFIRMED = 500  # runs, and as many reservations, in one heartbeat: the rest have their turn in the next
MAX_NUMBER = 2**53  # the largest whole number that every JSON reader holds exactly

Run = tuple  # (job: str, task: int, attempt: int)
Reservation = tuple  # (job: str, reservation: int)


class Probe(NamedTuple):
    """How loaded are you? Asked for one round of placing some tasks of a job."""

    job: str
    round: int


class Load(NamedTuple):
    """The answer: so many queued and running."""

    job: str
    round: int
    load: int


class Launch(NamedTuple):
    """Run this task, after what you have queued."""

    job: str
    task: int
    attempt: int
    duration_s: float


class Reserve(NamedTuple):
    """Queue this, and ask me for a task of the job when it reaches the front and a slot is free."""

    job: str
    reservation: int


class Cancel(NamedTuple):
    """Forget this reservation: the job has no task left for it."""

    job: str
    reservation: int


class Drop(NamedTuple):
    """Forget this run, or stop it: it counts elsewhere."""

    job: str
    task: int
    attempt: int


class Heartbeat(NamedTuple):
    """I believe that you hold these, which I gave you a while ago: all of them, or some each time in turn. Tell me what differs."""

    runs: list
    reservations: list


class Held(NamedTuple):
    """What may differ: named by the heartbeat but not here; and here for a while but not named (some each time, in turn)."""

    missing_runs: list
    missing_reservations: list
    extra_runs: list
    extra_reservations: list


class Ask(NamedTuple):
    """My reservation is at the front and a slot is free: a task, please."""

    job: str
    reservation: int


class Assign(NamedTuple):
    """The task for that reservation. The slot that asked runs it at once."""

    job: str
    reservation: int
    task: int
    attempt: int
    duration_s: float


class NoTask(NamedTuple):
    """A no-op: all tasks of the job have been launched."""

    job: str
    reservation: int


class Done(NamedTuple):
    """That run has ended, after so long in my queue and so long in a slot."""

    job: str
    task: int
    attempt: int
    queued_s: float
    service_s: float


class Leave(NamedTuple):
    """I am about to stop: take back all but these runs, which I still finish."""

    runs: list


Message = Union[Probe, Load, Launch, Reserve, Cancel, Drop, Heartbeat, Held, Ask, Assign, NoTask, Done, Leave]

TO_WORKER = (Launch, Heartbeat, Reserve, Cancel, Drop)
TO_SCHEDULER = (Done, Ask, Held, Load, Leave)
ANSWERS = (Assign, NoTask, Held)


def number(value: object, name: str, least: int = 0, most: int = MAX_NUMBER) -> int:
    """``value`` if it is a whole number in range; TypeError or ValueError otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r:.60}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value!r:.60}")
    return value


def seconds(value: object, name: str, most: float = MAX_DURATION_S) -> float:
    """``value`` as seconds if it is a number from 0 to ``most``; TypeError or ValueError otherwise."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds, not {value!r:.60}")
    if not 0 <= value <= most:  # false for nan as well
        raise ValueError(f"{name} must be from 0 to {most:.0f} seconds, not {value!r:.60}")
    return float(value)


def identifier(value: object, name: str) -> str:
    """``value`` if it is 1 to 128 printable ASCII characters without spaces; TypeError or ValueError otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {value!r:.60}")
    if not (0 < len(value) <= MAX_NAME and value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(f"{name} must be 1 to {MAX_NAME} printable ASCII characters without spaces, not {value!r:.60}")
    return value


def _elapsed(value: object, name: str) -> float:
    return seconds(value, name, most=MAX_ELAPSED_S)


def _keys(value: object, name: str) -> list:
    """A list of runs or of reservations, as tuples."""
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, not {value!r:.60}")
    keys = []
    width = 3 if "runs" in name else 2
    for key in value:
        if type(key) not in (list, tuple) or len(key) != width:
            raise TypeError(f"each of {name} must be a list of {width}, not {key!r:.60}")
        keys.append((identifier(key[0], "job"), *(number(part, name) for part in key[1:])))
    return keys


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "job": identifier,
    "duration_s": seconds,
    "queued_s": _elapsed,
    "service_s": _elapsed,
}


def _check_of(field: str) -> Callable[[Any, str], Any]:
    return _keys if field.endswith(("runs", "reservations")) else _CHECKS.get(field, number)


_KINDS: dict[str, tuple] = {
    kind.__name__: (kind, tuple((field, _check_of(field)) for field in kind._fields))  # type: ignore[attr-defined]
    for kind in {*TO_WORKER, *TO_SCHEDULER, *ANSWERS, Probe}
}


def encode(messages: Iterable[Message]) -> str:
    """A batch as the text that crosses the wire."""
    return json.dumps([(type(message).__name__, *message) for message in messages], separators=(",", ":"))


def decode(batch: object, allowed: Sequence[type]) -> list:
    """The messages of a batch, given as its text or as the list of rows.

    TypeError or ValueError, naming the row and the field, for anything that is not a whole batch of ``allowed`` messages.
    """
    rows = parsed(batch) if isinstance(batch, str) else batch
    if not isinstance(rows, (list, tuple)):
        raise TypeError(f"a batch must be a list of messages, not {rows!r:.60}")
    if len(rows) > MAX_ROWS:
        raise ValueError(f"a batch holds at most {MAX_ROWS} messages, not {len(rows)}")
    messages = []
    for row in rows:
        if not isinstance(row, (list, tuple)) or not row or type(row[0]) is not str:
            raise TypeError(f"a message must be a list that begins with its kind, not {row!r:.60}")
        kind, checks = _KINDS.get(row[0], (None, ()))
        if kind not in allowed:
            raise ValueError(f"unexpected message {row[0]!r:.60}: expected one of {', '.join(k.__name__ for k in allowed)}")
        if len(row) != len(checks) + 1:
            raise TypeError(f"{row[0]} takes {len(checks)} fields, not {len(row) - 1}")
        messages.append(kind(*[check(value, field) for value, (field, check) in zip(row[1:], checks)]))
    return messages


def parsed(text: str) -> object:
    """``text`` read as JSON; ValueError for anything else, however deep it is nested, and for more lists than any message has."""
    if text.count("[") + text.count("{") > MAX_LISTS:
        raise ValueError(f"JSON of more than {MAX_LISTS} lists")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None


class JobSpec(NamedTuple):
    """A job as it is submitted. ``method`` None: the scheduler's default. ``wait`` False: answer at once, not with the report."""

    id: str
    durations_s: tuple
    method: str | None
    wait: bool

    def encode(self) -> str:
        return json.dumps({"id": self.id, "durations_s": self.durations_s, "method": self.method, "wait": self.wait})

    @classmethod
    def decode(cls, job: object) -> JobSpec:
        """A job from its text, or from the dict that the text holds. TypeError or ValueError, naming what is wrong."""
        fields = parsed(job) if isinstance(job, str) else job
        if not isinstance(fields, dict):
            raise TypeError(f"a job must be a dict with id and durations_s, not {fields!r:.60}")
        unknown = [key for key in fields if key not in cls._fields]
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r:.60} in a job: it has {', '.join(cls._fields)}")
        durations = fields.get("durations_s")
        if not isinstance(durations, (list, tuple)):
            raise TypeError(f"durations_s of a job must be a list of seconds, not {durations!r:.60}")
        if not 1 <= len(durations) <= MAX_TASKS:
            raise ValueError(f"a job has 1 to {MAX_TASKS} tasks, not {len(durations)}")
        method, wait = fields.get("method"), fields.get("wait", True)
        if method is not None and type(method) is not str:
            raise TypeError(f"method of a job must be a string, not {method!r:.60}")
        if type(wait) is not bool:
            raise TypeError(f"wait of a job must be true or false, not {wait!r:.60}")
        return cls(identifier(fields.get("id"), "id of a job"), tuple(seconds(d, "durations_s") for d in durations), method, wait)
