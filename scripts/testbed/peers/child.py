"""The child process that runs one system for the benchmark: ``python -m scripts.testbed.peers.child NAME``.

It does what standard input asks for (``wire.py``), in the interpreter that has the system's packages. Standard output has the
answers alone; what the system prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from scripts.testbed import processes
from scripts.testbed.peers import meter
from scripts.testbed.peers.catalogue import CATALOGUE
from scripts.testbed.peers.peer import Peer, StartError
from scripts.testbed.peers.wire import Held, Idled, Jobs, Ran, Started, Used

JOBS_TIMEOUT_S = 120.0  # from the last submission until all jobs have ended
WARM_UP_JOBS, WARM_UP_TASKS = 5, 10  # of each variant, one at a time: the first ones pay for connections and caches
SETTLE_S = 1.0  # until a cluster counts as idle, and until submitted jobs have reached it


class JobsError(Exception):
    """Raised when jobs do not end in time, or fail."""


class Driver:
    """Runs jobs on one system and measures it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def start(self, workers: int, slots: int) -> Started:
        """Start the system, and run a few jobs."""
        began_s = time.monotonic()
        self._peer.start(workers, slots)
        ready_s = time.monotonic() - began_s
        for variant in self._peer.variants:
            for _ in range(WARM_UP_JOBS):
                self._submit([(0.0, [0.0] * WARM_UP_TASKS)], variant)()
        numbers = {role: len(pids) for role, pids in self._peer.roles().items()}
        return Started(ready_s=ready_s, note=self._peer.note, processes=numbers)

    def run(self, variant: str, jobs: Jobs) -> Ran:
        """Submit each job when it is due, whether the earlier ones have ended or not, and wait for all of them."""
        before = self._reading()
        responses_s = self._submit(jobs, variant)()
        took_s = max(at_s + response_s for (at_s, _), response_s in zip(jobs, responses_s)) - jobs[0][0]
        return Ran(responses_s=responses_s, took_s=took_s, **self._used(before))

    def idle(self, seconds: float) -> Idled:
        """Do nothing, and see what that uses."""
        time.sleep(SETTLE_S)
        before, began_s = self._reading(), time.monotonic()
        time.sleep(seconds)
        used, passed_s = self._used(before), time.monotonic() - began_s
        memory_mb = {role: list(map(processes.memory_mb, pids)) for role, pids in self._peer.roles().items()}
        return Idled(seconds=passed_s, memory_mb=memory_mb, **used)

    def hold(self, variant: str, jobs: Jobs) -> Held:
        """Submit all jobs, and see how the memory has grown before they end."""
        before_kb = self._memory_kb()
        ended: list[int] = []
        wait = self._submit(jobs, variant, ended.append)
        time.sleep(SETTLE_S)
        after_kb, open_jobs = self._memory_kb(), len(jobs) - len(ended)
        wait()
        return Held(grown_kb={role: kb - before_kb[role] for role, kb in after_kb.items()}, open_jobs=open_jobs)

    def _submit(self, jobs: Jobs, variant: str, ended: Callable[[int], None] = lambda index: None) -> Callable[[], list[float]]:
        """Submit the jobs as they fall due. Returns a function that waits for them and returns their responses."""
        responses_s, all_ended = [-1.0] * len(jobs), threading.Event()
        lock, still_open = threading.Lock(), len(jobs)
        failures: list[str] = []
        began_s = time.perf_counter()

        def done(index: int, due_s: float, failure: str) -> None:
            nonlocal still_open
            responses_s[index] = time.perf_counter() - due_s
            ended(index)
            with lock:
                failures.extend(filter(None, [failure]))
                still_open -= 1
                if not still_open:
                    all_ended.set()

        for index, (at_s, durations_s) in enumerate(jobs):
            due_s = began_s + at_s
            time.sleep(max(0.0, due_s - time.perf_counter()))
            self._peer.submit(durations_s, variant, partial(done, index, due_s))

        def wait() -> list[float]:
            if not all_ended.wait(JOBS_TIMEOUT_S):
                raise JobsError(f"{still_open} of {len(jobs)} jobs had not ended {JOBS_TIMEOUT_S:g} s after the last was submitted")
            if failures:
                raise JobsError(f"{len(failures)} of {len(jobs)} jobs failed: {failures[0]}")
            return responses_s

        return wait

    def _reading(self) -> tuple[meter.Reading, dict[str, float]]:
        return meter.reading(self._peer.roles()), self._peer.separate_cpu_s()

    def _used(self, before: tuple[meter.Reading, dict[str, float]]) -> Used:
        after = self._reading()
        used = meter.used(before[0], after[0])
        for role, cpu_s in after[1].items():
            used.cpu_s[role] = used.cpu_s.get(role, 0.0) + cpu_s - before[1][role]
        return Used(cpu_s=used.cpu_s, wakeups=used.wakeups, messages=used.messages)

    def _memory_kb(self) -> dict[str, float]:
        return {role: sum(map(processes.memory_bytes, pids)) / 1024 for role, pids in self._peer.roles().items()}


def answer(driver: Driver, request: dict[str, Any]) -> Any:
    """Returns the answer to a request."""
    kind = request.pop("do")
    actions: dict[str, Callable[..., Any]] = {"start": driver.start, "run": driver.run, "idle": driver.idle, "hold": driver.hold}
    try:
        return actions[kind](**request)
    except (StartError, JobsError) as error:
        return {"error": str(error)}
    except Exception as error:  # whatever a system raises: the benchmark goes on without it
        return {"error": f"{type(error).__name__}: {error}".partition("\n")[0]}


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the system is stopped in order
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        peer = CATALOGUE[sys.argv[1]].make()
        driver = Driver(peer)
        try:
            for line in sys.stdin:
                print(json.dumps(answer(driver, json.loads(line))), file=answers, flush=True)
        finally:
            peer.stop()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
