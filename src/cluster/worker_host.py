"""``WorkerHost``, the live driver of a worker's node (its contract: ``sparrow.worker_node.WorkerHost``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from src.cluster.live_host import LiveHost
from src.cluster.registry import NameServer
from src.execution.sleeping import Sleeping
from src.rmi.channel import Channel
from src.rmi.errors import SparrowError
from src.sparrow import messages as m
from src.sparrow.messages import Address
from src.sparrow.worker_node import WorkerNode

log = logging.getLogger("sparrow.worker")


class WorkerHost(LiveHost):
    """The driver of a worker's node: it also runs the tasks. ``has_left`` is set when the node has left."""

    node: WorkerNode

    def __init__(self, address: Address, names: NameServer, who: Callable[[], dict[str, Any]]) -> None:
        super().__init__(address, names, who, log)
        self._slots = Sleeping(self._loop)
        self._greetings: set[asyncio.Task[None]] = set()
        self.has_left = asyncio.Event()

    def start_run(self, owner: Address, run: m.Run, duration_s: float) -> None:
        """Starts a task, and reports its end to the node."""
        self._slots.start((owner, run), duration_s, self.node.run_ended, owner, run)

    def stop_run(self, owner: Address, run: m.Run) -> None:
        """Ends a run before its time."""
        self._slots.stop((owner, run))

    def empty_run(self, owner: Address, run: m.Run) -> None:
        """Does nothing: a task that sleeps for 0 s needs no timer."""

    def left(self) -> None:
        """Says that the process may end."""
        self.has_left.set()

    def greet(self, scheduler: str, uri: str) -> None:
        """Begins to greet a scheduler, with an empty batch of ``request_task``."""
        self._greetings.add(self._loop.create_task(self._greet(uri)))

    async def _greet(self, uri: str) -> None:
        try:
            channel = await Channel.open(uri, self._who(), self._names.key)
            try:
                await channel.call("request_task", *self._address, m.encode([]))
            finally:
                channel.close()
        except (SparrowError, LookupError, TypeError, ValueError, BlockingIOError) as error:
            log.debug("%s: greeting the scheduler at %s: %s", self._address.name, uri, error)

    async def greeted(self, within_s: float) -> None:
        """Returns when all schedulers have answered the greeting, or after ``within_s`` seconds."""
        try:
            if self._greetings:
                await asyncio.wait(self._greetings, timeout=within_s)
        finally:
            for greeting in self._greetings:
                greeting.cancel()
            self._greetings.clear()
