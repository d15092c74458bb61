"""Runs a program of src/ and notes its longest steps: ``python longest_step.py FILE PROGRAM ARGUMENT...``.

A step is one callback of the event loop. What counts is its CPU time, since other programs may have the processor meanwhile. At the
end FILE has the longest steps as JSON: [seconds, what it was], the longest first.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import runpy
import sys
import time
from heapq import heappush, heappushpop
from pathlib import Path

KEPT = 20  # steps

longest: list[tuple[float, str]] = []


def measure_steps() -> None:
    """Has the CPU time of each callback measured from now on."""
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        began_s = time.thread_time()
        run(handle)
        took_s = time.thread_time() - began_s
        if len(longest) < KEPT:
            heappush(longest, (took_s, repr(handle)[:300]))
        elif took_s > longest[0][0]:
            heappushpop(longest, (took_s, repr(handle)[:300]))

    asyncio.Handle._run = measured  # type: ignore[assignment, method-assign]


def main() -> None:
    """Runs the program."""
    file, program = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    sys.path[0] = str(Path(program).parent)
    measure_steps()
    atexit.register(lambda: file.write_text(json.dumps(sorted(longest, reverse=True)), encoding="utf-8"))
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
