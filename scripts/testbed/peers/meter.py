"""What a cluster uses: processor time, wake-ups and messages sent, read from the system for any program alike. It needs Linux.

    before = reading({"scheduler": [12], "workers": [13, 14]})
    ...
    used(before, reading(...))       # Use(cpu_s={"scheduler": 0.12, "workers": 0.4}, ...)

A message is a TCP segment with data: on loopback one for each time that a program writes less than 64 KB to a connection. Pipes and
local sockets are not counted. A wake-up is a voluntary context switch: a thread had waited, and something arrived or fell due.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from scripts.testbed.peers import sockets

Roles = Mapping[str, Iterable[int]]  # scheduler, workers, client -> ids of processes


class Use(NamedTuple):
    """What was used between two readings, by role. ``messages`` is None if the system does not count them."""

    cpu_s: dict[str, float]
    wakeups: dict[str, float]
    messages: dict[str, float] | None


class Reading(NamedTuple):
    """Counters that only grow, each with its role and what it belongs to: a process, a thread, a connection."""

    cpu_s: dict[tuple[str, int], float]
    wakeups: dict[tuple[str, int], float]
    messages: dict[tuple[str, int], float] | None


def reading(roles: Roles) -> Reading:
    """Returns the counters of these processes now. Processes that have ended meanwhile are left out."""
    cpu_s: dict[tuple[str, int], float] = {}
    wakeups: dict[tuple[str, int], float] = {}
    sent = sockets.sent()
    messages: dict[tuple[str, int], float] = {}
    for role, pids in roles.items():
        for pid in pids:
            with contextlib.suppress(OSError):
                cpu_s[role, pid] = process_cpu_s(pid)
                wakeups.update({(role, thread): count for thread, count in _switches(pid).items()})
                if sent is not None:
                    messages.update({(role, inode): sent[inode] for inode in sockets.inodes(pid) if inode in sent})
    return Reading(cpu_s, wakeups, None if sent is None else messages)


def used(before: Reading, after: Reading) -> Use:
    """Returns the differences, by role. What has ended between the readings is not counted, what began is counted whole."""
    messages = None
    if before.messages is not None and after.messages is not None:
        messages = _difference(before.messages, after.messages)
    return Use(_difference(before.cpu_s, after.cpu_s), _difference(before.wakeups, after.wakeups), messages)


def _difference(before: dict[tuple[str, int], float], after: dict[tuple[str, int], float]) -> dict[str, float]:
    sums: Counter[str] = Counter()
    for (role, what), value in after.items():
        sums[role] += value - before.get((role, what), 0)  # type: ignore[assignment]
    return dict(sums)


def process_cpu_s(pid: int) -> float:
    """Returns the processor time of a process in seconds, with threads that have ended. Raises OSError if it is gone."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid of the C library returns on Linux


def _switches(pid: int) -> dict[int, int]:
    """Returns the voluntary context switches of each thread. Raises OSError if the process is gone."""
    counts = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            for line in (thread / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    counts[int(thread.name)] = int(line.partition(":")[2])
    return counts
