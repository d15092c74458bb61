"""What the benchmark says to the child process that runs a system, and what it hears: a JSON object a line, each way.

    {"do": "start", "workers": 10, "slots": 1}         Started
    {"do": "run", "variant": "BATCH", "jobs": [...]}   Ran: each job is submitted when it is due
    {"do": "idle", "seconds": 10}                      Idled
    {"do": "hold", "variant": "BATCH", "jobs": [...]}  Held: all jobs are submitted at once

A job is [due, [duration, ...]], in seconds. An answer is ``{"error": text}`` if it could not be done; after that nothing more may
be asked. The end of standard input ends the process.
"""

from __future__ import annotations

from typing import TypedDict

Jobs = list[tuple[float, list[float]]]
ByRole = dict[str, float]  # "scheduler", "workers", "client"


class Started(TypedDict):
    """A cluster is there."""

    ready_s: float  # from the start until all workers could run tasks
    note: str
    processes: dict[str, int]  # role -> their number


class Used(TypedDict):
    """What was used for the answer."""

    cpu_s: ByRole
    wakeups: ByRole
    messages: ByRole | None


class Ran(Used):
    """All jobs have ended."""

    responses_s: list[float]  # of each job, from when it was due until the client knew that it had ended
    took_s: float  # from when the first job was due until the last had ended


class Idled(Used):
    """Nothing was done for some time."""

    seconds: float
    memory_mb: dict[str, list[float]]  # role -> of each process


class Held(TypedDict):
    """What memory grew by role while many jobs were open."""

    grown_kb: ByRole
    open_jobs: int
