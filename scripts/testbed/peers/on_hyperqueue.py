"""HyperQueue, through its Python package: the server and its workers are threads of the client's process."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Sequence
from typing import Any

import hyperqueue
from hyperqueue.cluster import WorkerConfig

from scripts.testbed.peers.peer import Done, Peer

POLL_S = 0.002


class _LookedError(Exception):
    """Ends the package's own wait after its first look, since the next one would be a second later."""


class HyperQueue(Peer):
    """A local cluster. A task is a program, ``sleep``: HyperQueue runs nothing else, and starts an interpreter for a function."""

    note = (
        "a task is a process (sleep), started for it; server, workers and client are threads of one process, told apart by thread"
    )

    def __init__(self) -> None:
        self._cluster: Any = None
        self._client: Any = None
        self._lock = threading.Lock()  # for what follows, and for the client, which serves one thread at a time
        self._open: dict[int, Done] = {}
        self._client_s: dict[int, float] = {}  # thread -> what it has used
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll)

    def start(self, workers: int, slots: int) -> None:
        """Start the server, and then the workers."""
        self._cluster = hyperqueue.LocalCluster(os.getcwd())
        for _ in range(workers):
            self._cluster.start_worker(WorkerConfig(cores=slots))
        self._client = self._cluster.client()
        self._poller.start()

    def submit(self, durations_s: Sequence[float], variant: str, done: Done) -> None:
        """Submit the job; see ``Peer``."""
        job = hyperqueue.Job()
        for duration_s in durations_s:
            job.program(["/bin/sleep", f"{duration_s:g}"], stdout=None, stderr=None)
        with self._lock:
            self._open[self._client.submit(job).id] = done
            self._client_s[threading.get_ident()] = time.thread_time()

    def _poll(self) -> None:
        while not self._stopping.wait(POLL_S):
            with self._lock:
                for id, state in (self._look() if self._open else {}).items():
                    if state["completed"]:
                        self._open.pop(id)("a task has failed" if state["failed"] else "")
                self._client_s[threading.get_ident()] = time.thread_time()

    def _look(self) -> dict[int, Any]:
        """Returns the state of the open jobs."""
        seen: dict[int, Any] = {}

        def look(jobs: dict[int, Any]) -> None:
            seen.update(jobs)
            raise _LookedError

        with contextlib.suppress(_LookedError):
            self._client.connection.wait_for_jobs(tuple(self._open), look)
        return seen

    def roles(self) -> dict[str, list[int]]:
        """Returns this process, with all that is in it, as the workers'."""
        return {"workers": [os.getpid()]}

    def separate_cpu_s(self) -> dict[str, float]:
        """Returns the client's threads, and for the workers the programs that have ended less the client's threads."""
        programs = resource.getrusage(resource.RUSAGE_CHILDREN)
        with self._lock:
            client_s = sum(self._client_s.values())
        return {"workers": programs.ru_utime + programs.ru_stime - client_s, "client": client_s}

    def stop(self) -> None:
        """End the server and the workers."""
        self._stopping.set()
        if self._poller.is_alive():
            self._poller.join()
        if self._cluster is not None:
            self._cluster.stop()
