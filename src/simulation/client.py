"""``SimulatedClient``, the simulated driver of a client's node (its contract: ``sparrow.client_node.ClientHost``)."""

from __future__ import annotations

import random
from typing import Any

from src.simulation.cluster import Cluster
from src.simulation.nameserver import names_with
from src.simulation.world import Connection, Process, Timer
from src.sparrow.client_node import ClientNode
from src.sparrow.errors import AccessDeniedError, UnavailableError
from src.sparrow.jobspec import JobSpec
from src.sparrow.reports import Progress, Report
from src.sparrow.settings import ClientSettings


class SimulatedClient(Process):
    """A client. It has no faults itself."""

    def __init__(self, world: Cluster, name: str, seed: int, node_class: type[ClientNode], settings: ClientSettings) -> None:
        super().__init__(world, name)
        self.world: Cluster = world
        self.up = True
        self.node = node_class(self, random.Random(f"{name} {seed}"), "the simulated one", settings)
        self.reports: list[Report] = []
        self.handed_over: dict[str, int] = {}  # of each reported job: the schedulers that were lost with it
        self.failures: dict[str, Exception] = {}
        self.denied_by: set[str] = set()  # of "name server" and "schedulers": who does not accept the client's key
        self._connected: dict[str, Connection] = {}
        self._deadlines: dict[str, Timer] = {}

    def submit(self, spec: JobSpec) -> None:
        """Submits a job."""
        if self.world.witness:
            self.world.witness.submitted(spec)
        self.node.submit(spec)

    # Requests of the node

    def now(self) -> float:
        """Returns the virtual time in seconds."""
        return self.world.now

    def list_names(self, prefix: str) -> None:
        """Asks the name server for the names with this prefix, and reports the result to the node."""
        world = self.world
        if "name server" in self.denied_by:
            self.later(world.network.delay_s, self.node.names_unavailable, AccessDeniedError("another key"), True)
        elif not world.faultless:
            world.nameserver.ask(self, names_with(prefix), self._names_listed)
        elif not self._connected:  # nobody comes or goes after the start
            self.node.names_seen(names_with(prefix)(world.nameserver.names))
        else:
            self.node.names_unavailable(UnavailableError("nothing new"), False)

    def _names_listed(self, found: Any) -> None:
        if isinstance(found, UnavailableError):
            self.node.names_unavailable(found, False)
        else:
            self.node.names_seen(found)

    def connect(self, scheduler: str, uri: str, within_s: float) -> None:
        """Begins a connection to a scheduler."""
        done: list[bool] = []
        if "schedulers" in self.denied_by:
            self.later(self.world.network.delay_s, self.node.unreachable, scheduler, "another key", True)
            return

        def connected(connection: Connection) -> None:
            done.append(True)
            greeting = connection.callee.who()
            if greeting["name"] != scheduler:
                connection.close()
                self.node.unreachable(scheduler, "another process answers at its address", False)
            else:
                self._connected[scheduler] = connection
                self.node.connected(scheduler, greeting["incarnation"])

        def unreachable(reason: str) -> None:
            done.append(True)
            self.node.unreachable(scheduler, reason, False)

        def too_late() -> None:
            if not done:
                unreachable("no answer")

        if not self.world.faultless:
            self.later(within_s, too_late)
        self.world.connect(self, uri, lambda: not done, connected, unreachable, lambda: self._lost(scheduler))

    def _lost(self, scheduler: str) -> None:
        del self._connected[scheduler]
        self._answered_in_time(scheduler)
        self.world.counts["job: handed over again"] += sum(job.scheduler == scheduler for job in self.node.jobs.values())
        self.node.disconnected(scheduler, "it closed the connection")

    def hang_up(self, scheduler: str) -> None:
        """Ends the connection to a scheduler."""
        self._answered_in_time(scheduler)
        self._connected.pop(scheduler).close()

    def schedule(self, scheduler: str, spec: JobSpec) -> None:
        """Hands a job to a scheduler."""
        connection = self._connected[scheduler]
        callee: Any = connection.callee
        connection.occupy(self, spec.wire_bytes)
        connection.transmit(self, callee.schedule_arrives, connection, self, spec)

    def ask_progress(self, scheduler: str, jobs: list[str], within_s: float) -> None:
        """Asks a scheduler for the progress of these jobs. Without an answer in ``within_s`` seconds the connection ends."""
        connection = self._connected[scheduler]
        callee: Any = connection.callee
        connection.transmit(self, callee.question_arrives, connection, self, jobs)
        if not self.world.faultless:
            self._deadlines[scheduler] = self.later(within_s, self._silent, scheduler, connection)

    def _silent(self, scheduler: str, connection: Connection) -> None:
        connection.close()
        self._lost(scheduler)

    def _answered_in_time(self, scheduler: str) -> None:
        deadline = self._deadlines.pop(scheduler, None)
        if deadline is not None:
            deadline.cancel()

    def finish(self, job: str, report: Report, handed_over: int) -> None:
        """Takes the report of a job that has ended."""
        self.reports.append(report)
        self.handed_over[job] = handed_over
        self.world.reported(report)

    def fail(self, job: str, error: Exception) -> None:
        """Takes the error of a job that will have no report, and submits the job again if no scheduler was available."""
        self.failures[job] = error
        if isinstance(error, UnavailableError) and not isinstance(error, AccessDeniedError):  # a user would do the same
            self.later(0.0, self.node.submit, self.world.specs[job])

    def say(self, line: str) -> None:
        """Drops the line."""

    # Packets from schedulers

    def _scheduler_of(self, connection: Connection) -> str | None:
        return next((name for name, one in self._connected.items() if one is connection), None)

    def report_arrives(self, connection: Connection, job: str, report: Report) -> None:
        """A scheduler has sent the report of a job."""
        scheduler = self._scheduler_of(connection)
        if scheduler is not None:
            self.node.reported(scheduler, job, report)

    def refusal_arrives(self, connection: Connection, job: str, reason: str) -> None:
        """A scheduler cannot take a job at present."""
        scheduler = self._scheduler_of(connection)
        if scheduler is not None:
            self.node.refused(scheduler, job, reason)

    def rejection_arrives(self, connection: Connection, job: str, error: Exception) -> None:
        """A scheduler has rejected a job for good."""
        scheduler = self._scheduler_of(connection)
        if scheduler is not None:
            self.node.rejected(scheduler, job, error)

    def progress_arrives(self, connection: Connection, jobs: dict[str, Progress] | None, has_workers: bool) -> None:
        """A scheduler has answered with the progress of jobs; None stands for an answer that cannot be decoded."""
        scheduler = self._scheduler_of(connection)
        if scheduler is not None:
            self._answered_in_time(scheduler)
            if jobs is None:
                self.node.progress_unknown(scheduler)
            else:
                self.node.progress(scheduler, jobs, has_workers)
