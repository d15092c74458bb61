"""``JobSpec``: a job as a client submits it with ``schedule``, and its encoding."""

from __future__ import annotations

import json
from array import array
from hashlib import blake2b
from typing import NamedTuple

from src.sparrow.checks import identifier, seconds
from src.sparrow.messages import parsed

MAX_TASKS = 100_000  # in one job
DIGEST_BYTES = 16  # nobody finds two jobs with the same digest of this size


class JobSpec(NamedTuple):
    """A job to be scheduled.

    If ``method`` is None, the scheduler uses its default. If ``wait`` is False, the call is answered at once, not with the report.
    """

    id: str
    durations_s: tuple[float, ...]
    method: str | None = None
    wait: bool = True

    def encode(self) -> str:
        """Returns the job as the text that crosses the wire."""
        return json.dumps(self._asdict())

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
        """Returns a job from its JSON text, or from a dict of its fields.

        Raises TypeError or ValueError, naming the field, if it is malformed or a value is out of range.
        """
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
