"""A simulated worker: it drives a worker's node over simulated connections."""

from __future__ import annotations

from heapq import heappush
from typing import Any

from src.simulation.cluster import Cluster
from src.simulation.member import Member
from src.simulation.nameserver import names_with, run
from src.simulation.scheduler import SimulatedScheduler
from src.simulation.world import Connection, Timer
from src.sparrow import messages as m
from src.sparrow.messages import Address
from src.sparrow.names import SCHEDULERS, WORKERS
from src.sparrow.settings import WorkerSettings
from src.sparrow.worker_node import WorkerNode


class SimulatedWorker(Member):
    """A worker. ``candidates`` are the names that the workers of its host may have."""

    __slots__ = ("slots", "node_class", "settings", "runs", "_unfinished", "_over_s")

    node: WorkerNode

    def __init__(
        self,
        world: Cluster,
        name: str,
        candidates: list[str],
        slots: int,
        node_class: type[WorkerNode],
        settings: WorkerSettings,
    ) -> None:
        super().__init__(world, name, candidates, settings.naming)
        self.slots, self.node_class, self.settings = slots, node_class, settings
        self.runs: dict[tuple[Address, m.Run], Timer | None] = {}  # the runs in the slots
        self._unfinished = 0  # what is left to do before the process ends
        self._over_s = 0.0  # when the worker starts again once it has left

    @property
    def names(self) -> set[str]:
        """All names that the worker may have in any of its lives, without the prefix."""
        return {candidate[len(WORKERS) :] for candidate in self._candidates}

    @property
    def worker_name(self) -> str:
        """The worker's name, without the prefix that it has in the name server."""
        return self.full_name[len(WORKERS) :]

    def who(self) -> dict[str, Any]:
        """What it says of itself to whoever connects."""
        return {**super().who(), "slots": self.slots}

    def make_node(self) -> None:
        """Makes the node of this life."""
        for timer in self.runs.values():
            if timer is not None:
                timer.cancel()
        self.runs = {}
        self.caller_address = Address(self.worker_name, self.address.incarnation)
        self.node = self.node_class(self.caller_address, self, self.slots, self.settings)

    def serve(self) -> None:
        """Lists the schedulers, so that the node greets them."""
        if not self.world.faultless:
            self.world.nameserver.ask(self, names_with(SCHEDULERS), self._schedulers_seen)

    def _schedulers_seen(self, found: object) -> None:
        if isinstance(found, dict):
            self.node.names_seen(found)

    def greet(self, scheduler: str, uri: str) -> None:
        """Begins to greet a scheduler."""

        def connected(connection: Connection) -> None:
            callee: Any = connection.callee
            connection.transmit(self, callee.greeting_arrives, connection, self.caller_address)

        self.world.connect(self, uri, lambda: True, connected, lambda reason: None, lambda: None)

    def answer(self, connection: Connection, address: Address, batch: list[m.Message]) -> list[m.Message]:
        """Returns the node's answers to a scheduler."""
        if isinstance(batch[0], m.Probe):  # find_load() takes nothing, so that a worker does not know who asks
            return m.loads(batch, self.node.queue.load)
        return self.node.received(address, connection.greeting, batch)

    def start_run(self, owner: Address, run: m.Run, duration_s: float) -> None:
        """Starts a task, and reports its end to the node."""
        if self.world.faultless:  # runs are hardly ever stopped then, so an event without a timer is enough: see _run_ended
            self.runs[owner, run] = None
            heappush(
                self.world.events,
                (self.world.now + duration_s, next(self.world.serial), self, self.life, self._run_ended, (owner, run)),
            )
        else:
            self.runs[owner, run] = self.later(duration_s, self._run_ended, owner, run)

    def _run_ended(self, owner: Address, run: m.Run) -> None:
        if self.runs.pop((owner, run), self) is not self:
            if self.world.witness:
                self.empty_run(owner, run)
            self.node.run_ended(owner, run)

    def empty_run(self, owner: Address, run: m.Run) -> None:
        """Records that a task has run to its end."""
        if self.world.witness:
            self.world.witness.ran(self.worker_name, owner, run)

    def stop_run(self, owner: Address, run: m.Run) -> None:
        """Ends a run before its time."""
        timer = self.runs.pop((owner, run))
        if timer is not None:
            timer.cancel()

    def leave(self, over_s: float) -> None:
        """Begins to stop the worker as SIGTERM does: it hands back what it holds. It starts again at ``over_s``."""
        self._over_s = over_s
        self._unfinished = 2  # the goodbye and the return of the name
        callers = [(c.caller.address, c.caller.uri) for c in self.connections if isinstance(c.caller, SimulatedScheduler)]
        self.node.leave(callers)
        self.settle()
        life = self.life
        self.later(self.settings.finish_s + self.settings.goodbye_s + self._naming.retry_s, self._end, life)
        if self.held is not None:
            run(self.held.release(), lambda result: self._finished_one(life))

    def left(self) -> None:
        """The node has said goodbye."""
        self._finished_one(self.life)

    def _finished_one(self, life: int) -> None:
        self._unfinished -= 1
        if not self._unfinished:
            self._end(life)

    def _end(self, life: int) -> None:
        if life == self.life:
            self.world.crash(self, self._over_s, silent=False)
