"""``Cluster``, what the processes of a simulated cluster share: the name server, connecting to each other, and the witness."""

from __future__ import annotations

from collections.abc import Callable

from src.simulation.audit import Witness
from src.simulation.nameserver import SimulatedNameServer
from src.simulation.network import Network
from src.simulation.world import Connection, Process, World
from src.sparrow.jobspec import JobSpec
from src.sparrow.names import HeldName
from src.sparrow.reports import Report


class Cluster(World):
    """A world with a name server, in which jobs are submitted and reported."""

    held_class: type[HeldName] = HeldName

    def __init__(self, seed: int, network: Network, faultless: bool, audited: bool, atomic_names: bool) -> None:
        super().__init__(seed, network, faultless)
        self.nameserver = SimulatedNameServer(atomic_names)
        self.witness = Witness() if audited else None
        self.upset: dict[frozenset[str], float] = {}  # two processes -> when they were last connected or disconnected
        self.specs: dict[str, JobSpec] = {}
        self.reports: list[Report] = []
        self.control = Process(self, "control")  # the process of events that belong to no other process

    def reported(self, report: Report) -> None:
        """A client has received this report. The last report ends ``run``."""
        self.reports.append(report)
        if len(self.reports) == len(self.specs):
            self.stop()

    def connect(
        self,
        caller: Process,
        uri: str,
        wanted: Callable[[], bool],
        connected: Callable[[Connection], None],
        unreachable: Callable[[str], None],
        ended: Callable[[], None],
    ) -> None:
        """Begins a connection from ``caller`` to a uri, which counts only as long as ``wanted()`` returns true.

        Later ``connected`` is called if a process listens there, ``unreachable`` with a reason if none does, and nothing if the
        machine is gone. ``ended`` is called when the open connection breaks.
        """
        callee, life = self.process_at(uri), caller.life

        def accepted(connection: Connection) -> None:
            if wanted():
                connection.ended = ended
                connected(connection)
            else:
                connection.close()

        def refused() -> None:
            if caller.life == life and wanted():
                unreachable("connection refused")

        if self.faultless and callee is not None:
            accepted(Connection(caller, callee))
            return

        def arrive() -> None:
            if callee is None or not (callee.up or callee.silent) or callee.uri != uri:
                self.push(self.now + self.network.takes_s(self.rng_of_faults), caller, refused)
            elif not callee.silent and caller.life == life:
                connection = Connection(caller, callee)
                connection.transmit(callee, accepted, connection)

        reaches_s = max(self.now, caller.mute_until_s) + self.network.takes_s(self.rng_of_faults)
        self.push(reaches_s, callee or self.control, arrive)

    def met(self, one: Process, other: Process) -> None:
        """Notes that two processes were connected or disconnected at this time."""
        if self.witness:
            self.upset[frozenset((one.name, other.name))] = self.now

    def crash(self, process: Process, over_s: float, silent: bool) -> None:
        """Ends the life of a process, and starts it again at ``over_s``."""
        process.crash(silent)
        process.upset_s = max(process.upset_s, over_s)
        self.control.later(max(0.0, over_s - self.now), self._restart, process)

    def _restart(self, process: Process) -> None:
        if not process.up:
            process.start()
