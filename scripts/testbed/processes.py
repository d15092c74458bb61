"""What the system says of a process: memory, processor time, descriptors, threads. It needs /proc (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def memory_bytes(pid: int | str) -> int:
    """Returns the resident memory of a process. Raises OSError if it is gone. ``self`` is this process, here and below."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_mb(pid: int | str) -> float:
    """Returns the resident memory of a process in MB (2**20 bytes). Raises OSError if it is gone."""
    return memory_bytes(pid) / 2**20


def cpu_s(pids: Iterable[int]) -> float:
    """Returns the processor time in seconds that these processes have used so far, together. Raises OSError if one is gone."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def descriptors(pid: int | str) -> int:
    """Returns the number of open file descriptors. Raises OSError if the process is gone."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int | str) -> int:
    """Returns the number of threads. Raises OSError if the process is gone."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def descendants(pid: int) -> list[int]:
    """Returns the ids of a process's children, of theirs, and so on."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = list(children.get(pid, ()))
    for each in found:  # it grows meanwhile
        found += children.get(each, ())
    return found


def command(pid: int) -> str:
    """Returns the command line of a process; "" if it is gone, or has none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
