"""``JobSpec``: a job as a client submits it with ``schedule``, and its encoding."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from src.sparrow.checks import MAX_DURATION_S, identifier, seconds, shown
from src.sparrow.messages import parsed
from src.sparrow.packing import SECONDS, pack, unpack

MAX_TASKS = 100_000  # in one job
FIELDS = ("id", "durations_s", "method", "wait")
DIGEST_BYTES = 16  # nobody finds two jobs with the same digest of this size
JOB_BYTES, TASK_BYTES = 300, 11  # of an encoded job: those that every job takes, and those for each task


class JobSpec(NamedTuple):
    """A job to be scheduled.

    If ``method`` is None, the scheduler uses its default. If ``wait`` is False, the call is answered at once, not with the report.
    ``packed`` says that the durations crossed the wire packed (``packing``), so that the report does too (``taskcolumns``).
    """

    id: str
    durations_s: tuple[float, ...]
    method: str | None = None
    wait: bool = True
    packed: bool = False

    @property
    def wire_bytes(self) -> int:
        """About how many bytes the job takes on the wire."""
        return JOB_BYTES + TASK_BYTES * len(self.durations_s)

    def encode(self) -> str:
        """Returns the job as the text that crosses the wire."""
        return json.dumps({"id": self.id, "durations_s": pack(SECONDS, self.durations_s), "method": self.method, "wait": self.wait})

    def digest(self) -> bytes:
        """Returns a digest of what is to be run: two jobs have the same only if their durations and their methods are equal.

        Python's own ``hash`` is no such digest: whoever chooses the durations can make it what he likes.
        """
        durations = array("d", [duration + 0.0 for duration in self.durations_s])  # -0.0 and 0.0 are the same duration
        digest = blake2b(f"{len(durations)} ".encode(), digest_size=DIGEST_BYTES)
        digest.update(durations)
        digest.update((self.method or "").encode())
        return digest.digest()

    @classmethod
    def decode(cls, job: object) -> JobSpec:
        """Returns a job from its JSON text, or from a dict of its fields. ``durations_s`` is a list, or packed.

        Raises TypeError or ValueError, naming the field, if it is malformed or a value is out of range.
        """
        fields = parsed(job) if isinstance(job, str) else job
        if not isinstance(fields, dict):
            raise TypeError(f"a job must be a dict with id and durations_s, not {shown(fields)}")
        unknown = [key for key in fields if key not in FIELDS]
        if unknown:
            raise ValueError(f"unknown field {shown(unknown[0])} in a job: it has {', '.join(FIELDS)}")
        durations = fields.get("durations_s")
        packed = isinstance(durations, str)
        if packed:
            durations = unpack(SECONDS, durations, "durations_s of a job")
        elif not isinstance(durations, (list, tuple)):
            raise TypeError(f"durations_s of a job must be a list of seconds, not {shown(durations)}")
        if not 1 <= len(durations) <= MAX_TASKS:
            raise ValueError(f"a job has 1 to {MAX_TASKS} tasks, not {len(durations)}")
        method, wait = fields.get("method"), fields.get("wait", True)
        if method is not None and type(method) is not str:
            raise TypeError(f"method of a job must be a string, not {shown(method)}")
        if type(wait) is not bool:
            raise TypeError(f"wait of a job must be true or false, not {shown(wait)}")
        return cls(identifier(fields.get("id"), "id of a job"), _checked(durations, packed), method, wait, packed)


def _checked(durations: Sequence[float], packed: bool) -> tuple[float, ...]:
    """Returns the durations. Raises TypeError or ValueError if one is none; floats, as packed ones are, are checked all at once."""
    if packed or set(map(type, durations)) == {float}:
        checked = tuple(durations)  # an array makes a new float of each item whenever it is looked at
        total = sum(checked)
        if min(checked) >= 0 and max(checked) <= MAX_DURATION_S and total == total:  # it is nan if one is
            return checked
    return tuple(seconds(duration, "durations_s") for duration in durations)
