"""The state machine of a scheduler, without I/O: its job table, links to workers, admission of jobs, and search for workers.

Each public method is an event; the node asks its host for everything that is to be done. ``Scheduler.py`` and the simulation drive
the same class.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from src.sparrow import messages as m
from src.sparrow.admission import Admission, PendingReport
from src.sparrow.commands import Finish
from src.sparrow.commands import SchedulerCommand as Command
from src.sparrow.dialing import Dialing, Rate
from src.sparrow.identity import check_speaker
from src.sparrow.jobspec import JobSpec
from src.sparrow.jobtable import JobTable
from src.sparrow.link import UP, Host, Link, Timer
from src.sparrow.messages import Address
from src.sparrow.names import WORKERS
from src.sparrow.placement import METHODS, method_named
from src.sparrow.reports import JobDetails, NextDetails, Report, SchedulerStats
from src.sparrow.settings import SchedulerSettings, WorkerSettings


class SchedulerHost(Host, Protocol):
    """What a scheduler's node asks of its driver, in addition to what every node asks."""

    def list_names(self, prefix: str) -> None:
        """Asks the name server for the names with this prefix. ``names_seen`` or ``names_unavailable`` is called later."""

    def forget_name(self, name: str, uri: str) -> None:
        """Has the name server remove a name if it is still bound to this uri. Nothing is told later."""

    def job_ended(self, report: Report) -> Report:
        """Notes that a job has ended. Returns its report with ``submitted`` and ``finished`` in seconds since 1970."""


class SchedulerNode:
    """One incarnation of one scheduler. ``address`` is its name and its incarnation."""

    table_class: type[JobTable] = JobTable
    link_class: type[Link] = Link
    dialing_class: type[Dialing] = Dialing

    def __init__(
        self,
        address: Address,
        host: SchedulerHost,
        rng: random.Random,
        default_method: str = "RANDOM",
        settings: SchedulerSettings = SchedulerSettings(),
    ) -> None:
        self.address, self.settings = address, settings
        self._host = host
        self.table = self.table_class(rng, default_method, settings)
        self.admission = Admission(settings)
        self.links: dict[str, Link] = {}  # the links to workers that are connected or being connected
        self.dialing = self.dialing_class(settings.dialing)
        self._is_dialing = False
        self._dialing_later = False  # whether a timer runs that looks at the queued names again
        self._complaints = Rate(settings.dialing.said_per_s, 10.0)
        self._welcomes: dict[str, dict[Hashable, Callable[[], None]]] = {}  # worker -> caller -> what to call when it has joined
        self._greeters: dict[Hashable, str] = {}  # callers that wait for their welcome -> worker
        self._unlisted: dict[str, None] = {}  # workers whose greeting came after the begin of the last listing
        self._looked_for: dict[str, None] = {}  # workers whose greeting came before it
        self._listing = False  # whether a listing of the workers in the name server is under way
        self._asked_names_s = 0.0  # when it began
        self._next_listing: Timer | None = None
        self._ticking = False
        self._working = False  # whether a step is due
        self._closed = False
        self._began_s = host.now()

    # From clients

    def schedule(self, spec: JobSpec, defer: Callable[[], PendingReport]) -> Report | None:
        """A client has submitted a job, or submits it again. Returns its report if that is known already.

        Otherwise, if the client waits, the call that ``defer()`` returns is answered when the job has ended. Raises ValueError if
        the method is unknown or the id belongs to another job, and BlockingIOError ("try later") if there is no room.
        """
        if spec.method is not None:
            spec = spec._replace(method=method_named(spec.method).name)
        report = self.admission.reports.get(spec.id) if spec.wait else None
        call = defer() if spec.wait and report is None else None
        if self.admission.admit(spec):
            self._perform(self.table.submitted(spec, self._host.now()))
        if call is not None:
            self.admission.wait(spec.id, call)
        return report

    def caller_gone(self, caller: Hashable) -> None:
        """A connection from a caller has ended, so its calls need no answers any more."""
        self.admission.caller_gone(caller)
        self._go_on()
        worker = self._greeters.pop(caller, None)
        if worker is not None:
            del self._welcomes[worker][caller]

    def stats(self, jobs: list[str], details: bool, brief: bool, wall_s: float, first: int = 0) -> SchedulerStats:
        """Returns the state of this scheduler, as ``Scheduler.stats`` describes it; ``wall_s`` is now, in seconds since 1970."""
        if len(jobs) > self.settings.max_asked_jobs:
            raise ValueError(f"at most {self.settings.max_asked_jobs} job ids at a time, not {len(jobs)}")
        table, now = self.table, self._host.now()
        to_wall_s = wall_s - now
        answer: SchedulerStats = {
            "name": self.address.name,
            "incarnation": self.address.incarnation,
            "method": table.default_method,
            "uptime_s": now - self._began_s,
            "now": wall_s,
            "open_jobs": len(table.jobs),
            "has_workers": bool(table.workers),
            "progress": table.progress(jobs),
        }
        if not brief:
            placed = sum(len(worker.runs) for worker in table.workers.values())
            answer["workers"] = {name: worker.stats() for name, worker in table.workers.items()}
            answer["open_tasks"] = {"running": placed, "waiting": sum(job.open for job in table.jobs.values()) - placed}
            answer["registry"] = METHODS.to_dicts()
            answer["methods"] = table.tally.methods(table.jobs.values())
            answer["jobs"] = table.tally.newest(table.jobs.values(), now, to_wall_s)
        if details:
            answer["details"], answer["next"] = self._details(jobs, first, now, to_wall_s)
        return answer

    def _details(
        self, jobs: list[str], first: int, now: float, to_wall_s: float
    ) -> tuple[dict[str, JobDetails], NextDetails | None]:
        """Returns the details of these jobs, of the first from position ``first`` on, and what is to be asked for next."""
        table, found = self.table, dict[str, JobDetails]()
        left = table.tally.limits.shown_at_once
        for id in jobs:
            if left <= 0:
                return found, {"job": id, "first": 0}
            job = table.jobs.get(id)
            known = table.tally.details(id, job, now, to_wall_s, first, left)
            if known is not None:
                found[id] = known
                positions = table.tally.extent(id if job is None else job) - first
                if positions > left:
                    return found, {"job": id, "first": first + left}
                left -= max(positions, 1)
            first = 0
        return found, None

    # From workers

    def received(self, worker: Address, greeting: Mapping[str, Any], batch: Sequence[m.Message]) -> list[m.Message]:
        """A worker has called with this batch. Returns the answers. ``greeting`` is what its connection said in the handshake.

        Raises ValueError, and changes nothing, if the caller is not who its connection says, and UnknownIdError if a message names
        a job, task or reservation that is unknown.
        """
        check_speaker(greeting, WORKERS + worker.name, worker.incarnation)
        return self._perform(self.table.received(worker, batch, self._host.now()), answering=worker)

    def greeted(self, worker: Address, greeting: Mapping[str, Any], caller: Hashable, welcome: Callable[[], None]) -> None:
        """A worker has greeted, on the connection ``caller``. ``welcome()`` is called when it has joined, or could not be reached.

        Raises ValueError if the caller is not who its connection says, and BlockingIOError ("try later") if too many wait.
        """
        check_speaker(greeting, WORKERS + worker.name, worker.incarnation)
        if len(self._greeters) >= self.settings.max_greetings and caller not in self._greeters:
            raise BlockingIOError(f"try later: {self.settings.max_greetings} workers have just said that they are there")
        if self._closed:
            return
        name = self._greeters[caller] = worker.name
        former = self._welcomes.setdefault(name, {}).pop(caller, None)
        if former is not None:  # a connection has one greeting; the former call is answered after this one has returned
            self._host.later(0.0, former)
        self._welcomes[name][caller] = welcome
        self._unlisted[name] = None
        if not self._listing:
            self._list_names()

    # From the name server

    def start(self) -> None:
        """Begins to list the workers in the name server, and goes on with that until ``close``."""
        if not self._listing:
            self._list_names()

    def _list_names(self) -> None:
        if self._next_listing is not None:
            self._next_listing.cancel()
        self._listing, self._next_listing = True, None
        self._asked_names_s = self._host.now()
        self._looked_for.update(self._unlisted)
        self._unlisted = {}
        self._host.list_names(WORKERS)

    def names_seen(self, found: Mapping[str, str]) -> None:
        """The name server lists these names (name -> uri)."""
        if not self._closed:
            workers = {name[len(WORKERS) :]: uri for name, uri in found.items()}
            self.dialing.seen(workers, self._looked_for)
            self._dial()
        self._listed(self._host.now() - self._asked_names_s)

    def _dial(self) -> None:
        """Connects the workers whose turn it is."""
        if self._closed or self._is_dialing:
            return
        self._is_dialing = True
        while (found := self.dialing.next(self._host.now())) is not None:
            worker, uri = found
            peer = Address(worker, "")  # the handshake tells the incarnation
            self.links[worker] = self.link_class(self, self._host, peer, WORKERS + worker, None, uri, self.settings.link)
        self._is_dialing = False
        if self.dialing.has_queued and not self._dialing_later:
            self._dialing_later = True
            self._host.later(self.settings.dialing.look_again_s, self._dial_later)

    def _dial_later(self) -> None:
        self._dialing_later = False
        self._dial()

    def names_unavailable(self) -> None:
        """The name server is not available at present."""
        self._listed(0.0)

    def _listed(self, took_s: float) -> None:
        self._listing = False
        if self._closed:
            return
        for worker in self._looked_for:
            link = self.links.get(worker)
            if not self.dialing.is_queued(worker) and (link is None or link.state == UP):
                self._welcome(worker)
        self._looked_for = {}
        if self._unlisted:
            self._list_names()
        else:  # in a large cluster a listing takes long, so it is repeated less often
            settings = self.settings
            pause_s = max(settings.refresh_s, min(settings.refresh_share * took_s, settings.refresh_most_s))
            self._next_listing = self._host.later(pause_s, self._list_names)

    def _welcome(self, worker: str) -> None:
        for caller, welcome in self._welcomes.pop(worker, {}).items():
            del self._greeters[caller]
            welcome()

    # From links to workers

    def link_up(self, link: Link, greeting: Mapping[str, Any]) -> None:
        """A worker is connected: it joins, and its greetings are answered."""
        worker = link.peer.name
        link.peer = Address(worker, str(link.incarnation))
        slots = greeting.get("slots")
        slots = slots if type(slots) is int and 0 < slots <= WorkerSettings.max_slots else 1
        self.dialing.up(worker)
        if worker not in self.table.workers:
            self._host.note("info", f"worker {worker} joined ({slots} slot{'' if slots == 1 else 's'})")
        self._perform(self.table.joined(link.peer, slots, self._host.now()))
        self._welcome(worker)
        self._dial()

    def link_down(self, link: Link) -> None:
        """The connection to a worker has ended: nothing new is placed there before it is back."""
        self.table.disconnected(link.peer.name)

    def link_answered(self, link: Link, batch: Sequence[m.Message], answers: Sequence[m.Message]) -> None:
        """A worker has answered a batch, with its load or what it holds."""
        self._perform(self.table.answered(link.peer, answers, self._host.now()))

    def link_refused(self, link: Link, message: m.Message) -> None:
        """A worker has refused this message. There is nothing to do: the next Reconcile shows the difference."""

    def link_lost(self, link: Link, reason: str) -> None:
        """A worker is lost: its tasks are placed again, and it is connected again after a backoff."""
        worker = link.peer.name
        del self.links[worker]
        now = self._host.now()
        if self.dialing.failed(worker, now, link.nobody_there):
            self._host.note("info", f"{link.name} is removed: nobody has listened at {link.uri} for long")
            self._host.forget_name(link.name, str(link.uri))
        entry = self.table.workers.get(worker)
        if entry is None:
            if not self.dialing.has_failed_before(worker) and self._complaints.allows(now):
                self._complaints.take()
                self._host.note("warning", f"worker {worker} is registered but cannot be used: {reason}")
        elif entry.leaving and not entry.runs:
            self._host.note("info", f"worker {worker} has left")
        else:
            self._host.note("warning", f"worker {worker} is lost, with {len(entry.runs)} tasks: {reason}")
        self._perform(self.table.lost(worker, now, link.untaken()))
        if entry is not None and self.table.jobs and not self.table.workers:
            self._host.note("warning", f"no worker is left: {len(self.table.jobs)} jobs wait for one")
        self._welcome(worker)
        self._dial()

    # Commands

    def _perform(self, commands: Iterable[Command], answering: Address | None = None) -> list[m.Message]:
        """Performs the commands of the job table. Returns the messages that go into the answer to the worker ``answering``."""
        answers: list[m.Message] = []
        for command in commands:
            if isinstance(command, Finish):
                self._finish(command)
            elif command.message.is_answer and command.to == answering:
                answers.append(command.message)
            else:
                link = self.links.get(command.to.name)
                if link is not None:
                    link.send(command.message)
        if not self._ticking and self.table.busy:
            self._ticking = True
            self._host.later(self.settings.tick_s, self._tick)
        self._go_on()
        return answers

    def _go_on(self) -> None:
        """Has the rest of what was too much for one event done. Other events take place between two steps."""
        if not self._working and (self.table.has_work or self.admission.has_work):
            self._working = True
            self._host.later(0.0, self._work)

    def _finish(self, command: Finish) -> None:
        report = self._host.job_ended(command.report)
        for failure in report["failed"]:
            self._host.note("warning", f"job {command.job}: {len(failure['tasks'])} tasks failed: {failure['reason']}")
        self.admission.ended(command.job, report)

    def _tick(self) -> None:
        self._ticking = False
        if not self._closed:
            self._perform(self.table.tick(self._host.now()))

    def _work(self) -> None:
        self._working = False
        if not self._closed:
            self.admission.work()
            self._perform(self.table.work(self._host.now()))

    def close(self) -> None:
        """Closes all links, and ends the listings and ticks."""
        self._closed = True
        if self._next_listing is not None:
            self._next_listing.cancel()
        for link in self.links.values():
            link.close()
        if self.table.jobs:
            self._host.note("warning", f"stops with {len(self.table.jobs)} jobs open; their clients hand them over elsewhere")
