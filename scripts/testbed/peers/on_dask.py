"""Dask: ``dask scheduler``, one ``dask worker`` for each worker, and ``distributed.Client``."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import distributed

from scripts.testbed.peers.peer import Done, Peer, StartError

START_S = 240.0  # a hundred workers on two cores
STOP_S = 5.0


class Dask(Peer):
    """A scheduler process and a process for each worker, with a thread for each slot. Neither has a dashboard or a nanny."""

    note = "no nannies, no dashboard"

    def __init__(self) -> None:
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._client: Any = None
        self._waiting: set[asyncio.Task[None]] = set()

    def start(self, workers: int, slots: int) -> None:
        """Start the processes, and wait until the scheduler knows all workers."""
        deadline = time.monotonic() + START_S
        address = Path("scheduler.json").resolve()
        options = ("--host", "127.0.0.1", "--no-dashboard")
        self._scheduler = _program("dask_scheduler", *options, "--port", "0", "--scheduler-file", str(address))
        while not address.exists():
            self._must_run(deadline)
            time.sleep(0.02)
        for number in range(1, workers + 1):
            size = ("--no-nanny", "--nworkers", "1", "--nthreads", str(slots))
            where = ("--scheduler-file", str(address), "--name", f"worker{number}", "--local-directory", str(Path.cwd()))
            self._workers.append(_program("dask_worker", *options, *size, *where))
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._connect(str(address)), self._loop).result()
        while len(self._client.scheduler_info(-1)["workers"]) < workers:
            self._must_run(deadline)
            time.sleep(0.1)

    async def _connect(self, scheduler_file: str) -> None:
        self._client = await distributed.Client(scheduler_file=scheduler_file, asynchronous=True)

    def _must_run(self, deadline: float) -> None:
        for process in (self._scheduler, *self._workers):
            if process is not None and process.poll() is not None:
                raise StartError(f"a process of Dask ended with status {process.returncode}")
        if time.monotonic() > deadline:
            raise StartError(f"not all workers were there after {START_S:g} s")

    def submit(self, durations_s: Sequence[float], variant: str, done: Done) -> None:
        """Submit the job with one ``Client.map``; see ``Peer``."""
        self._loop.call_soon_threadsafe(self._submit, durations_s, done)

    def _submit(self, durations_s: Sequence[float], done: Done) -> None:
        futures = self._client.map(time.sleep, durations_s, pure=False)
        task = self._loop.create_task(self._await(futures, done))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _await(self, futures: list[Any], done: Done) -> None:
        await distributed.wait(futures)
        failed = [future.key for future in futures if future.status != "finished"]
        done(f"{failed[0]} has failed" if failed else "")

    def roles(self) -> dict[str, list[int]]:
        """Returns the processes."""
        scheduler = [] if self._scheduler is None else [self._scheduler.pid]
        return {"scheduler": scheduler, "workers": [process.pid for process in self._workers], "client": [os.getpid()]}

    def stop(self) -> None:
        """End the processes, the workers first."""
        for process in (*self._workers, self._scheduler):
            if process is not None:
                process.terminate()
        for process in (*self._workers, self._scheduler):
            if process is not None:
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _program(name: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.{name}", *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
