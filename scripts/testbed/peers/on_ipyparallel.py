"""ipyparallel: a controller, an engine for each slot, and a load-balanced view."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import Any

import ipyparallel

from scripts.testbed import processes
from scripts.testbed.peers.peer import Done, Peer, after

START_S = 240.0  # a hundred engines on two cores


class IPyParallel(Peer):
    """A cluster with the default scheduler, which is of its own process, and keeps to the least loaded engines."""

    note = "one engine for each slot, with a nanny each, which counts as the scheduler's"

    def __init__(self) -> None:
        self._cluster: Any = None
        self._client: Any = None
        self._view: Any = None

    def start(self, workers: int, slots: int) -> None:
        """Start the cluster, and wait for all engines."""
        self._cluster = ipyparallel.Cluster(
            n=workers * slots, controller_ip="127.0.0.1", controller_location="127.0.0.1", log_level=logging.ERROR
        )
        self._client = self._cluster.start_and_connect_sync(activate=False)
        self._client.wait_for_engines(workers * slots, timeout=START_S)
        self._view = self._client.load_balanced_view()

    def submit(self, durations_s: Sequence[float], variant: str, done: Done) -> None:
        """Submit each task; see ``Peer``."""
        ended = after(len(durations_s), done)
        for duration_s in durations_s:
            self._view.apply_async(time.sleep, duration_s).add_done_callback(ended)

    def roles(self) -> dict[str, list[int]]:
        """Returns the processes."""
        roles: dict[str, list[int]] = {"scheduler": [], "workers": [], "client": [os.getpid()]}
        for pid in processes.descendants(os.getpid()):
            if command := processes.command(pid):
                roles["workers" if "ipyparallel.engine" in command else "scheduler"].append(pid)
        return roles

    def stop(self) -> None:
        """End the cluster."""
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.stop_cluster_sync()
