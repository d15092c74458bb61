"""A cluster in virtual time: the schedulers' and the workers' real books over a simulated network, with all that can go wrong.

    sim = Simulation(workers=10_000, slots=4, seed=1)
    sim.submit(0.0, JobSpec("a", (0.1,) * 100, "BATCH+LATE_BINDING", True))
    reports = sim.run()

Nothing here decides anything about scheduling. The same arguments give the same run, event for event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapreplace
from typing import Any

from src.simulation import audit
from src.simulation.network import CRASH, CUT, DEAF, LEAVE, MUTE, PAUSE, SILENT_CRASH, Faults, Network
from src.simulation.nodes import LEAVING_S, LOST_AFTER_S, Client, Node, SimulatedScheduler, SimulatedWorker, World
from src.sparrow.jobtable import JobTable
from src.sparrow.messages import JobSpec
from src.sparrow.queues import QueuedReservation
from src.sparrow.workqueue import WorkQueue

LOOK_S = 1.0  # how often an audited run looks at the books
GRACE_S = 6.0  # from the end of a job, or of a fault, until no trace of the job is left: giving up, finding again, repair
SETTLE_S = 2000.0  # from the last report until every book must be empty; it is over as soon as they are


class Simulation(World):
    """``workers`` machines of ``slots`` slots each, and schedulers and clients, client c with scheduler c at first.

    ``audited``: hear all that is said and look at the books every second, for ``check``. It costs time and memory.
    """

    def __init__(
        self,
        workers: int,
        slots: int = 1,
        schedulers: int = 1,
        clients: int = 1,
        seed: int = 0,
        network: Network | None = None,
        faults: Faults | None = None,
        audited: bool = False,
        table_class: type[JobTable] = JobTable,
        queue_class: type[WorkQueue] = WorkQueue,
    ) -> None:
        network = network or Network()
        super().__init__(seed, network, network.reliable and faults is None, audit.Witness() if audited else None)
        self.faults = faults
        self.specs: dict[str, JobSpec] = {}
        self._seen: dict[str, None] = {}  # violations, in the order in which they were seen
        self.workers = [SimulatedWorker(self, f"worker.{i}", slots, queue_class) for i in range(workers)]
        self.schedulers = [SimulatedScheduler(self, f"scheduler.{i}", table_class) for i in range(schedulers)]
        self.clients = [Client(self, f"client.{i}", i % schedulers) for i in range(clients)]
        self.nodes = {node.name: node for node in (*self.workers, *self.schedulers)}
        for scheduler in self.schedulers:
            scheduler.discover()
        if faults is not None:
            for node in self.nodes.values():
                self._fault_later(node, faults)
        if audited:
            self.later(LOOK_S, self.clients[0], self._look)

    def submit(self, at_s: float, spec: JobSpec, client: int = 0) -> None:
        """That client submits this job at that time. ValueError for an id that another job has."""
        if spec.id in self.specs:
            raise ValueError(f"two jobs with the id {spec.id!r}")
        self.specs[spec.id] = spec
        self.later(at_s - self.now, self.clients[client], self.clients[client].submit, spec)

    def run(self, until_s: float = float("inf")) -> list[dict[str, Any]]:
        """Run until every job is reported, or to that time. Returns the reports in the order in which they came."""
        while len(self.reports) < len(self.specs) and self.step(until_s):
            pass
        return self.reports

    def check(self) -> list[str]:
        """To be called after ``run``: let the cluster come to rest, then tell all that was or is not as it must be."""
        until_s = self.now + SETTLE_S
        while self._left() and self.step(until_s):
            second = self.now + LOOK_S
            while self.step(min(second, until_s)):
                pass
        self._look()
        found = list(self._seen)
        reported = [report["id"] for report in self.reports]
        found += [f"{id}: reported {reported.count(id)} times" for id in self.specs if reported.count(id) != 1]
        workers = {worker.name for worker in self.workers}
        for report in self.reports:
            found += audit.of_report(self.specs[report["id"]], report, workers)
        return found + [f"at the end: {rest}" for rest in self._left()]

    def _look(self) -> None:
        """Look at all books as they are now."""
        found = []
        for scheduler in self.schedulers:
            if scheduler.up:
                found += [f"{scheduler.name}: {violation}" for violation in audit.of_table(scheduler.book)]
        for worker in self.workers:
            if worker.up:
                found += [f"{worker.name}: {violation}" for violation in audit.of_queue(worker.book)]
                found += [f"{worker.name}: {entry} left, of an ended job" for entry in self._forgotten(worker)]
                if worker.ends.keys() != worker.book.running.keys():
                    found.append(f"{worker.name}: books {list(worker.book.running)} as running, and runs {list(worker.ends)}")
        self._seen.update(dict.fromkeys(found))
        if self.witness:
            self._seen.update(dict.fromkeys(self.witness.violations))
            self.later(LOOK_S, self.clients[0], self._look)

    def _forgotten(self, worker: SimulatedWorker) -> Iterable[QueuedReservation]:
        """Reservations on this worker whose job its scheduler has reported long ago, both being well and in touch since."""
        for entry in worker.book.queue:
            scheduler = self.nodes[entry.owner.scheduler]
            assert isinstance(scheduler, SimulatedScheduler)
            if isinstance(entry, QueuedReservation) and scheduler.up and scheduler.address == entry.owner:
                report = scheduler.reports.get(entry.reservation[0])
                met_s = self.upset.get(frozenset((worker.name, scheduler.name)), 0.0)
                if (
                    report
                    and self.now - max(report["finished_s"], entry.since_s, met_s, worker.upset_s, scheduler.upset_s) > GRACE_S
                ):
                    yield entry

    def _left(self) -> list[str]:
        """What is still there and should not be once all jobs are reported."""
        left = [f"{node.name} is down" for node in self.nodes.values() if not node.up]
        for scheduler in self.schedulers:
            left += [f"{scheduler.name}: {job} is open" for job in scheduler.book.jobs]
            left += [f"{scheduler.name}: {n} holds something" for n, e in scheduler.book.workers.items() if e.holds_anything()]
        for worker in self.workers:
            for what in worker.book.queue, worker.book.running, worker.book.asking:
                left += [f"{worker.name}: {entry} is left" for entry in what]
        for node in self.nodes.values():
            left += [f"{node.name}: {len(c.outbox)} messages for {p}" for p, c in node.channels.items() if len(c.outbox)]
        return left

    def _fault_later(self, node: Node, faults: Faults) -> None:
        self.later(self.rng.expovariate(1 / faults.every_s), self.clients[0], self._fault, node, faults)

    def _fault(self, node: Node, faults: Faults) -> None:
        if self.now >= faults.until_s or len(self.reports) == len(self.specs):
            return
        self._fault_later(node, faults)
        if not node.up:
            return
        kind = self.rng.choice(faults.kinds)
        over_s = self.now + self.rng.expovariate(1 / faults.lasting_s)
        node.upset_s = max(node.upset_s, over_s)
        if kind == PAUSE:
            node.paused_until_s = over_s
        if kind in (CUT, DEAF):
            node.deaf_until_s = over_s
        if kind in (CUT, MUTE):
            node.mute_until_s = over_s
        if kind == LEAVE and isinstance(node, SimulatedWorker):
            node.leave()
            self.later(2 * LEAVING_S, node, self._crash, node, over_s, False)
        elif kind in (CRASH, SILENT_CRASH, LEAVE):
            self._crash(node, over_s, kind == SILENT_CRASH)

    def _crash(self, node: Node, over_s: float, silent: bool) -> None:
        """The process dies. Whoever is in touch with it notices: by a closed connection at once, by silence after a while."""
        gone = node.address
        node.crash(silent)
        for peer in self.nodes.values():
            if gone in peer.channels:
                self.later(LOST_AFTER_S if silent else self.network.delay_s, peer, peer.give_up, gone)
        self.later(max(0.0, over_s - self.now), node, self._restart, node)

    def _restart(self, node: Node) -> None:
        node.start()
        if isinstance(node, SimulatedScheduler):
            node.discover()


def omniscient(jobs: Sequence[tuple[float, Sequence[float]]], workers: int, slots: int = 1) -> list[float]:
    """The response of each job, in seconds, under a scheduler that knows everything and queues all tasks first in, first out.

    ``jobs``: when each arrives and how long its tasks are, in seconds. What sampling is compared with in the paper (section 4).
    """
    free_s = [0.0] * (workers * slots)  # a heap: when each slot is free
    responses = [0.0] * len(jobs)
    for index in sorted(range(len(jobs)), key=lambda index: jobs[index][0]):
        arrival_s, durations_s = jobs[index]
        for duration_s in durations_s:
            end_s = max(arrival_s, free_s[0]) + duration_s
            heapreplace(free_s, end_s)
            responses[index] = max(responses[index], end_s - arrival_s)
    return responses
