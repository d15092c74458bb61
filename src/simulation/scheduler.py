"""A simulated scheduler: it drives a scheduler's node over simulated connections."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from src.simulation.cluster import Cluster
from src.simulation.member import REFUSALS, Member
from src.simulation.nameserver import names_with
from src.simulation.world import Connection
from src.sparrow import messages as m
from src.sparrow.messages import Address
from src.sparrow.names import SCHEDULERS
from src.sparrow.reports import Report
from src.sparrow.scheduler_node import SchedulerNode
from src.sparrow.settings import SchedulerSettings


class SimulatedScheduler(Member):
    """A scheduler of the simulated cluster."""

    node: SchedulerNode

    def __init__(self, world: Cluster, name: str, node_class: type[SchedulerNode], settings: SchedulerSettings) -> None:
        if world.faultless:  # all workers are there from the first moment
            settings = replace(settings, dialing=replace(settings.dialing, new_per_s=1e9))
        super().__init__(world, name, [f"{SCHEDULERS}{name}"], settings.naming)
        self.node_class, self.settings = node_class, settings
        self.reports: dict[str, Report] = {}  # the reports of the jobs that have ended in this life

    def make_node(self) -> None:
        """Makes the node of this life."""
        self.reports = {}
        self.node = self.node_class(self.address, self, self.world.rng, settings=self.settings)

    def serve(self) -> None:
        """Has the node list the workers."""
        self.node.start()

    def answer(self, connection: Connection, address: Address, batch: list[m.Message]) -> list[m.Message]:
        """Returns the node's answers to a worker."""
        return self.node.received(address, connection.greeting, batch)

    def list_names(self, prefix: str) -> None:
        """Asks the name server for the names with this prefix, and reports the result to the node."""
        if self.world.faultless:
            if not self.node.links:  # without faults the names never change after the start
                self.node.names_seen(names_with(prefix)(self.world.nameserver.names))
            return
        self.world.nameserver.ask(self, names_with(prefix), self._names_listed)

    def _names_listed(self, found: object) -> None:
        if isinstance(found, dict):
            self.node.names_seen(found)
        else:
            self.node.names_unavailable()

    def forget_name(self, name: str, uri: str) -> None:
        """Has the name server remove a name if it is still bound to this uri."""

        def forget(names: dict[str, str]) -> None:
            if names.get(name) == uri:
                self.world.counts["name: forgotten"] += 1
                del names[name]

        self.world.nameserver.ask(self, forget, lambda result: None)

    def job_ended(self, report: Report) -> Report:
        """Records the report and returns it unchanged: all simulated processes have the same clock."""
        if self.world.witness:
            self.world.witness.finished(self.address, report, self.settings)
        self.reports[report["id"]] = report
        return report

    def leave(self, over_s: float) -> None:
        """Stops the scheduler as SIGTERM does: it closes its node, gives its name back and ends. It starts again at ``over_s``."""
        self.node.close()
        self.settle()
        self.end_when_released(over_s)

    # Packets from clients, and from workers that have no link yet

    def schedule_arrives(self, connection: Connection, client: Any, spec: Any) -> None:
        """A client has submitted a job."""
        call = PendingReport(connection, self, client, spec.id)
        try:
            report = self.node.schedule(spec, lambda: call)
        except BlockingIOError as error:
            self.settle()
            self.world.counts["job: no room"] += 1
            connection.transmit(self, client.refusal_arrives, connection, spec.id, str(error))
        except REFUSALS as error:
            connection.transmit(self, client.rejection_arrives, connection, spec.id, error)
        else:
            self.settle()
            if report is not None:
                self.world.counts["job: answered twice"] += 1
                call.answer(report)

    def question_arrives(self, connection: Connection, client: Any, jobs: list[str]) -> None:
        """A client has asked for the progress of its jobs."""
        if self.garbled_until_s > self.world.now:
            connection.transmit(self, client.progress_arrives, connection, None, False)
        else:
            stats = self.node.stats(jobs, details=False, brief=True, wall_s=self.world.now)
            connection.transmit(self, client.progress_arrives, connection, stats["progress"], stats["has_workers"])

    def greeting_arrives(self, connection: Connection, worker: Address) -> None:
        """A worker has greeted."""

        def welcome() -> None:
            self.world.counts["worker welcomed"] += 1
            connection.transmit(self, connection.close)

        try:
            self.node.greeted(worker, connection.greeting, connection, welcome)
        except BlockingIOError:
            connection.transmit(self, connection.close)

    def caller_gone(self, connection: Connection) -> None:
        """A connection from a caller has ended."""
        self.node.caller_gone(connection)


class PendingReport:
    """A call of ``schedule`` that is answered when its job has ended."""

    def __init__(self, connection: Connection, scheduler: SimulatedScheduler, client: Any, job: str) -> None:
        self.caller, self._scheduler, self._client, self._job = connection, scheduler, client, job

    def answer(self, report: Report) -> None:
        """Answers the call with this report."""
        self.caller.transmit(self._scheduler, self._client.report_arrives, self.caller, self._job, report)
