"""This project: its schedulers and workers as real processes, and ``SparrowClient``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from scripts.testbed.local_cluster import ROOT, START_S, LocalCluster
from scripts.testbed.peers.peer import Done, Peer, StartError
from src.Job import Job
from src.sparrow.placement import METHODS
from src.SparrowClient import SparrowClient

MOST_PROCESSES = 100  # workers that get a process each if one process could host many


class Sparrow(Peer):
    """A name server, a scheduler and the workers: a process each, or all workers in one process if there are many."""

    variants = tuple(METHODS)

    def __init__(self) -> None:
        self._cluster: LocalCluster | None = None
        self._client: SparrowClient | None = None

    def start(self, workers: int, slots: int) -> None:
        """Start the processes, and wait until the scheduler knows all workers."""
        hosted = workers >= MOST_PROCESSES and _can_host_many()
        if workers > MOST_PROCESSES and not hosted:
            raise StartError(f"{workers:,} workers need a Worker.py that hosts many in one process (--count)")
        self._cluster = LocalCluster(0 if hosted else workers, slots, log_level="warning")
        self._cluster.__enter__()
        if hosted:
            self.note = f"{workers:,} workers in one process"
            self._cluster.start_worker("host", slots, "--count", str(workers))
            deadline = time.monotonic() + START_S
            while len(self._cluster.stats().get("workers", ())) < workers:
                if time.monotonic() > deadline:
                    raise StartError(f"the scheduler has not found all of {workers:,} workers in {START_S:g} s")
                time.sleep(0.05)
        self._client = SparrowClient(self._cluster.nameserver)

    def submit(self, durations_s: Sequence[float], variant: str, done: Done) -> None:
        """Submit the job by the method ``variant``; see ``Peer``."""
        assert self._client is not None

        def ended(future: Future[Any]) -> None:
            error = future.exception()
            failed = {0: str(error)} if error is not None else future.result().failed
            done(next(iter(failed.values()), ""))

        self._client.submit(Job.from_durations(durations_s), variant or None).add_done_callback(ended)

    def roles(self) -> dict[str, list[int]]:
        """Returns the processes. The name server counts as one of the scheduler's."""
        roles: dict[str, list[int]] = {"scheduler": [], "workers": [], "client": [os.getpid()]}
        for name, process in self._cluster.processes.items() if self._cluster is not None else ():
            roles["workers" if name.startswith("host") else "scheduler"].append(process.pid)
        return roles

    def stop(self) -> None:
        """End the processes."""
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.stop()


def _can_host_many() -> bool:
    command = [sys.executable, str(ROOT / "src" / "Worker.py"), "--help"]
    return "--count" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
