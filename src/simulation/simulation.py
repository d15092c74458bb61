"""``Simulation``, a cluster in virtual time: it runs the same nodes as the live cluster, over a simulated network and with faults.

    sim = Simulation(workers=10_000, slots=4, seed=1)
    sim.submit(0.0, JobSpec("a", (0.1,) * 100, "BATCH+LATE_BINDING"))
    reports = sim.run()

This package makes no scheduling decisions. The same arguments give the same run, event for event.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable

from src.simulation import audit
from src.simulation.client import SimulatedClient
from src.simulation.cluster import Cluster
from src.simulation.forger import to_scheduler, to_worker
from src.simulation.member import Member
from src.simulation.network import (
    CRASH,
    CUT,
    DEAF,
    FORGERY,
    GARBLE,
    LEAVE,
    MUTE,
    NAMES_AWAY,
    NAMES_LOST,
    NAMES_SLOW,
    PAUSE,
    PORT_MUTE,
    PORT_TAKEN,
    RACK_CRASH,
    RACK_CUT,
    RACK_DIES_IN_S,
    SILENT_CRASH,
    Faults,
    Network,
)
from src.simulation.scheduler import SimulatedScheduler
from src.simulation.stranger import Stranger
from src.simulation.worker import SimulatedWorker
from src.sparrow.client_node import ClientNode
from src.sparrow.jobspec import JobSpec
from src.sparrow.names import WORKERS, HeldName
from src.sparrow.queues import QueuedReservation
from src.sparrow.reports import Report
from src.sparrow.scheduler_node import SchedulerNode
from src.sparrow.settings import ClientSettings, SchedulerSettings, WorkerSettings
from src.sparrow.worker_node import WorkerNode

LOOK_S = 1.0  # between two checks of an audited run
GRACE_S = 6.0  # from the end of a job, or of a fault, until no worker may have a reservation of the job any more
SETTLE_S = 2000.0  # the longest time from the last report until all state machines are empty


class Simulation(Cluster):
    """A cluster of ``workers`` workers with ``slots`` slots each, and of schedulers and clients.

    If ``audited`` is true, all messages are recorded and all state machines checked every second, for ``check``; this costs time
    and memory. ``workers_per_host`` workers share a host, so that they compete for its name. ``atomic_names`` says whether the name
    server claims names in one step.
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
        workers_per_host: int = 1,
        atomic_names: bool = False,
        scheduler_class: type[SchedulerNode] = SchedulerNode,
        worker_class: type[WorkerNode] = WorkerNode,
        client_class: type[ClientNode] = ClientNode,
        held_class: type[HeldName] = HeldName,
        scheduler_settings: SchedulerSettings = SchedulerSettings(),
        worker_settings: WorkerSettings = WorkerSettings(),
        client_settings: ClientSettings = ClientSettings(),
    ) -> None:
        network = network or Network()
        super().__init__(seed, network, network.constant and faults is None, audited, atomic_names)
        self.faults, self.held_class = faults, held_class
        self._seen: dict[str, None] = {}  # violations, in the order in which they were seen
        self.workers = [
            SimulatedWorker(self, f"worker.{i}", _candidates(i, workers_per_host), slots, worker_class, worker_settings)
            for i in range(workers)
        ]
        self.schedulers = [SimulatedScheduler(self, f"{i + 1}", scheduler_class, scheduler_settings) for i in range(schedulers)]
        self.clients = [SimulatedClient(self, f"client.{i}", seed, client_class, client_settings) for i in range(clients)]
        self.members: list[Member] = [*self.workers, *self.schedulers]
        for member in self.members:
            member.start()
        if faults is not None:
            for member in self.members:
                self._fault_later(member, faults)
        if audited:
            self.control.later(LOOK_S, self._look)

    def submit(self, at_s: float, spec: JobSpec, client: int = 0) -> None:
        """Has a client submit this job at ``at_s`` seconds. Raises ValueError if another job has the same id."""
        if spec.id in self.specs:
            raise ValueError(f"two jobs with the id {spec.id!r}")
        self.specs[spec.id] = spec
        self.push(at_s, self.clients[client], self.clients[client].submit, spec)

    def run(self, until_s: float = float("inf")) -> list[Report]:
        """Runs until every job has a report, or to that time. Returns the reports in the order of their arrival."""
        collecting = gc.isenabled()
        gc.disable()  # the simulation makes no cyclic garbage, and the search for it would double the time
        try:
            if len(self.reports) < len(self.specs):
                self.run_until(until_s)
        finally:
            if collecting:
                gc.enable()
        return self.reports

    def check(self) -> list[str]:
        """Runs until the cluster is at rest, and returns the violations of the whole run. It is to be called after ``run``."""
        for client in self.clients:
            client.node.close()
        until_s = self.now + SETTLE_S
        while self._left() and (self.events or self.packets) and self.now < until_s:
            next_s = min(queue[0][0] for queue in (self.events, self.packets) if queue)
            self.run_until(max(next_s, self.now + LOOK_S))
        self._look()
        found = list(self._seen)
        reported = Counter(report["id"] for report in self.reports)
        found += [f"{id}: reported {reported[id]} times" for id in self.specs if reported[id] != 1]
        workers = {name for worker in self.workers for name in worker.names}
        for report in self.reports:
            found += audit.of_report(self.specs[report["id"]], report, workers)
        return found + [f"at the end: {rest}" for rest in self._left()]

    # Checks

    def _look(self) -> None:
        """Checks all state machines and the messages so far, and remembers the violations."""
        found = []
        for scheduler in self.schedulers:
            if scheduler.up:
                found += [f"{scheduler.name}: {violation}" for violation in audit.of_table(scheduler.node.table)]
        for worker in self.workers:
            if worker.up:
                queue = worker.node.queue
                found += [f"{worker.name}: {violation}" for violation in audit.of_queue(queue)]
                found += [f"{worker.name}: {entry} left, of an ended job" for entry in self._forgotten(worker)]
                if worker.runs.keys() != queue.running.keys():
                    found.append(f"{worker.name}: books {list(queue.running)} as running, and runs {list(worker.runs)}")
        self._seen.update(dict.fromkeys(found))
        if self.witness:
            self._seen.update(dict.fromkeys(self.witness.violations))
            self.control.later(LOOK_S, self._look)

    def _forgotten(self, worker: SimulatedWorker) -> Iterable[QueuedReservation]:
        """Yields the reservations on this worker whose job ended long ago, while its scheduler and the worker had no faults."""
        for entry in worker.node.queue.queue:
            scheduler = next((s for s in self.schedulers if s.up and s.address == entry.owner), None)
            if isinstance(entry, QueuedReservation) and scheduler is not None:
                report = scheduler.reports.get(entry.reservation[0])
                met_s = self.upset.get(frozenset((worker.name, scheduler.name)), 0.0)
                since_s = max(entry.since_s, met_s, worker.upset_s, scheduler.upset_s, self.nameserver.upset_s)
                if report and self.now - max(report["finished"], since_s) > GRACE_S:
                    yield entry

    def _left(self) -> list[str]:
        """Returns what must not be left once all jobs have a report, as sentences."""
        left = [f"{member.name} is down" for member in self.members if not member.up]
        bound = self.nameserver.names
        left += [f"{one.name} has lost its name" for one in self.members if bound.get(one.full_name) != one.uri]
        for scheduler in self.schedulers:
            left += [f"{scheduler.name}: {job} is open" for job in scheduler.node.table.jobs]
            entries = scheduler.node.table.workers.items()
            left += [f"{scheduler.name}: {name} holds something" for name, entry in entries if entry.holds_anything]
        for worker in self.workers:
            for what in worker.node.queue.queue, worker.node.queue.running, worker.node.queue.asking:
                left += [f"{worker.name}: {entry} is left" for entry in what]
        if not self.faultless:  # a faultless simulation leaves out acknowledgements, so its links keep messages
            for member in self.members:
                left += [f"{member.name}: {len(link)} messages for {link.name}" for link in member.node.links.values() if len(link)]
        return left

    # Faults

    def _fault_later(self, member: Member, faults: Faults) -> None:
        self.control.later(self.rng_of_faults.expovariate(1 / faults.every_s), self._fault, member, faults)

    def _fault(self, member: Member, faults: Faults) -> None:
        if self.now >= faults.until_s or len(self.reports) == len(self.specs):
            return
        self._fault_later(member, faults)
        if not member.up:
            return
        kind = self.rng_of_faults.choice(faults.kinds)
        over_s = self.now + self.rng_of_faults.expovariate(1 / faults.lasting_s)
        if kind == FORGERY:
            self.forge(member)
        elif kind in (RACK_CRASH, RACK_CUT):
            self._fault_of_rack(kind, over_s)
        elif kind == PAUSE:
            member.hinder(paused_until_s=over_s)
        elif kind in (CUT, DEAF, MUTE):
            member.hinder(deaf_until_s=over_s if kind != MUTE else 0.0, mute_until_s=over_s if kind != DEAF else 0.0)
        elif kind == GARBLE:
            member.garbled_until_s = member.upset_s = max(over_s, member.upset_s)
        elif kind == NAMES_SLOW:
            self.nameserver.hinder(slow_until_s=over_s)
        elif kind in (NAMES_AWAY, NAMES_LOST):
            self.nameserver.hinder(away_until_s=over_s, lost=kind == NAMES_LOST)
        elif kind == LEAVE:
            member.leave(over_s)
        elif kind in (CRASH, SILENT_CRASH, PORT_TAKEN, PORT_MUTE):
            self.crash(member, over_s, kind == SILENT_CRASH)
            if kind in (PORT_TAKEN, PORT_MUTE):
                Stranger(self, member.uri, mute=kind == PORT_MUTE)

    def forge(self, member: Member) -> None:
        """Has a stranger speak to this process for another one."""
        if isinstance(member, SimulatedWorker):
            wrong = to_worker(self.rng_of_faults, member, self.schedulers)
        else:
            assert isinstance(member, SimulatedScheduler)
            wrong = to_scheduler(self.rng_of_faults, member)
        member.settle()
        if wrong is not None:
            self._seen[wrong] = None

    def _fault_of_rack(self, kind: str, over_s: float) -> None:
        silent = self.rng_of_faults.random() < 0.5
        for worker in self.workers:
            if kind == RACK_CUT:
                worker.hinder(deaf_until_s=over_s, mute_until_s=over_s)
            else:
                self.control.later(self.rng_of_faults.uniform(0.0, RACK_DIES_IN_S), self._crash_with_rack, worker, over_s, silent)

    def _crash_with_rack(self, worker: SimulatedWorker, over_s: float, silent: bool) -> None:
        if worker.up:
            self.crash(worker, over_s, silent)


def _candidates(worker: int, per_host: int) -> list[str]:
    if per_host == 1:
        return [f"{WORKERS}worker.{worker}"]
    host = f"{WORKERS}host{worker // per_host}"
    return [host, *(f"{host}.{number}" for number in range(2, 2 * per_host + 2))]
