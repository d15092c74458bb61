"""Ray: one node whose number of CPUs is the number of slots."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from scripts.testbed import processes
from scripts.testbed.peers.peer import Done, Peer, after, use_all_slots

START_S = 240.0  # a hundred workers on two cores
OBJECT_STORE_BYTES = 200_000_000  # nothing is stored; by default it takes a third of the memory


class Ray(Peer):
    """Ray's own processes, and a worker process for each slot. It has no dashboard."""

    note = "one node with a CPU and a process for each slot; no dashboard; messages by local sockets are not counted"

    def __init__(self) -> None:
        self._sleep: Any = None

    def start(self, workers: int, slots: int) -> None:
        """Start Ray, and run tasks until it has started all workers."""
        ray.init(
            num_cpus=workers * slots,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(Path.cwd() / "ray"),
        )

        def sleep(duration_s: float) -> None:
            time.sleep(duration_s)

        self._sleep = ray.remote(sleep)  # it is sent by value, so that workers need not find this file
        use_all_slots(self, workers * slots, START_S, lambda: len(self.roles()["workers"]))

    def submit(self, durations_s: Sequence[float], variant: str, done: Done) -> None:
        """Submit each task; see ``Peer``."""
        ended = after(len(durations_s), done)
        for duration_s in durations_s:
            self._sleep.remote(duration_s).future().add_done_callback(ended)

    def roles(self) -> dict[str, list[int]]:
        """Returns the processes: workers name themselves ``ray::`` and what they do."""
        roles: dict[str, list[int]] = {"scheduler": [], "workers": [], "client": [os.getpid()]}
        for pid in processes.descendants(os.getpid()):
            if command := processes.command(pid):
                roles["workers" if command.startswith("ray::") else "scheduler"].append(pid)
        return roles

    def stop(self) -> None:
        """End Ray."""
        ray.shutdown()
