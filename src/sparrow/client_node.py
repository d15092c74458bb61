"""The state machine of a client, without I/O: it keeps each job until it has the report, whatever happens to schedulers meanwhile.

A scheduler keeps nothing on disk. If the scheduler of a job is lost, the client hands the job, under the same id, to another
scheduler, or to the same one when it is back. A scheduler is lost when its connection ends, or when it does not answer in time when
it is asked for the progress of its jobs, which happens about once a second. Jobs that a scheduler has no room for wait here;
``handover`` decides how many are sent at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from src.sparrow.dialing import some_of
from src.sparrow.errors import AccessDeniedError, SparrowError, UnavailableError
from src.sparrow.handover import Backlog, Pace, size_class
from src.sparrow.jobspec import JobSpec
from src.sparrow.link import Timer
from src.sparrow.names import SCHEDULERS
from src.sparrow.reports import Progress
from src.sparrow.settings import ClientSettings

NO_WORKER = "waiting: no worker yet; start one on each machine with: python Worker.py"


class ClientHost(Protocol):
    """What a client's node asks of its driver, live or simulated. No method blocks: the driver reports results later."""

    def now(self) -> float:
        """Returns the time in seconds, from a clock that never goes back."""

    def later(self, delay_s: float, action: Callable[..., None], *args: Any) -> Timer:
        """Has ``action(*args)`` called after ``delay_s`` seconds, and returns the timer."""

    def list_names(self, prefix: str) -> None:
        """Asks the name server for the names with this prefix. ``names_seen`` or ``names_unavailable`` is called later."""

    def connect(self, scheduler: str, uri: str, within_s: float) -> None:
        """Begins a connection. ``connected`` or ``unreachable`` is called later; ``disconnected`` when an open connection ends."""

    def hang_up(self, scheduler: str) -> None:
        """Ends a connection. No method of the node is called for it after that."""

    def schedule(self, scheduler: str, spec: JobSpec) -> None:
        """Hands a job over. Later ``reported``, ``refused`` or ``rejected`` is called, unless the connection ends."""

    def ask_progress(self, scheduler: str, jobs: list[str], within_s: float) -> None:
        """Asks a scheduler for the progress of these jobs, maybe of none. ``progress`` or ``progress_unknown`` is called later.

        If the scheduler does not answer within ``within_s`` seconds, the driver ends its connection.
        """

    def finish(self, job: str, report: Any, handed_over: int) -> None:
        """Delivers the report of a job that has ended, as it was given to ``reported``.

        ``handed_over`` says how many schedulers were lost with the job, of those that have not reported it.
        """

    def fail(self, job: str, error: Exception) -> None:
        """Delivers the reason why a job will have no report."""

    def say(self, line: str) -> None:
        """Shows a line to the user who waits for the jobs."""


class SchedulerProcess(NamedTuple):
    """One process of a scheduler: when it starts again, it is another one, which knows nothing of its predecessor's jobs."""

    name: str
    incarnation: str


class HeldJob:
    """A job that has no report yet."""

    __slots__ = ("spec", "scheduler", "ended", "lost_with")

    def __init__(self, spec: JobSpec) -> None:
        self.spec = spec
        self.scheduler: str | None = None  # the scheduler that has the job
        self.ended = 0  # tasks that had ended when the scheduler last reported the job's progress
        self.lost_with: tuple[SchedulerProcess, ...] = ()  # those that it was handed to, before their connections ended


class ClientNode:
    """One client. ``nameserver`` is the address of the name server, for texts only."""

    def __init__(
        self, host: ClientHost, rng: random.Random, nameserver: str = "", settings: ClientSettings = ClientSettings()
    ) -> None:
        self._host, self._rng, self._nameserver, self._settings = host, rng, nameserver, settings
        self.jobs: dict[str, HeldJob] = {}
        self.unmet: str | None = f"no answer yet from a name server at {nameserver}"  # why no scheduler has been found so far
        self.schedulers: dict[str, Pace] = {}  # the connected schedulers
        self._waiting = Backlog()  # jobs that no scheduler has
        self.tasks_ended = 0  # tasks, known to have ended, of the jobs that have no report yet
        self._handed = 0  # jobs that a scheduler has
        self._turn = rng.randrange(1000)  # which scheduler gets the next job; it starts at random, so that clients differ
        self._looking = False  # whether a search for schedulers is under way
        self._retry: Timer | None = None  # until the next search
        self._gathering = False  # whether the first scheduler is connected, and others may be in a moment
        self._met: dict[str, SchedulerProcess] = {}  # schedulers that have been connected, and what they were the last time
        self._connecting: set[str] = set()  # schedulers that this search has found and that are being connected
        self._why = ""  # why the last search or connection has failed
        self._search_until_s: float | None = None  # without a scheduler: when the jobs that wait for the first one fail
        self._asked: set[str] = set()  # schedulers that have a question that they have not answered yet
        self._due: set[str] = set()  # those of them that are to be asked for progress next
        self._ticking = False
        self._said: set[str] = set()  # the lines that were shown since a scheduler was connected: none is shown twice
        self._closed = False

    def submit(self, spec: JobSpec) -> None:
        """Submits a job. The host gets its report later, by ``finish``, or the reason why there is none, by ``fail``."""
        self.jobs[spec.id] = HeldJob(spec)
        self._waiting.add(spec)
        if not self._ticking:
            self._ticking = True
            self._host.later(self._settings.ask_s, self._tick)
        self._hand_over()

    def withdraw(self, job: str) -> None:
        """Nobody wants the report of this job any more. A scheduler that has the job already goes on with it."""
        held = self.jobs.pop(job, None)
        if held is not None:
            self.tasks_ended -= held.ended
            self._handed -= held.scheduler is not None
            self._waiting.forget(job)
            self._hand_over()

    def close(self) -> None:
        """Ends the connections to all schedulers. Jobs that were handed over go on running."""
        self._closed, self._gathering = True, False
        self._cancel_retry()
        for scheduler, pace in self.schedulers.items():
            pace.resume()
            self._host.hang_up(scheduler)
        self.schedulers.clear()

    # Handing over

    def _hand_over(self) -> None:
        """Hands waiting jobs to the connected schedulers in turn, as fast as they take them. Without one it begins a search."""
        if self._gathering:
            return
        while self._handed < self._settings.max_at_once and (found := self._next()) is not None:
            scheduler, job = found
            self._waiting.take(job.spec.id)
            job.scheduler = scheduler
            self._handed += 1
            pace = self.schedulers[scheduler]
            pace.sent(job.spec.id, job.spec.wire_bytes)
            self._host.schedule(scheduler, job.spec)
            if pace.wants_answer and scheduler not in self._asked:
                self._ask(scheduler, [])
        if self._waiting and not self.schedulers and not self._closed:
            if self._search_until_s is None:
                self._search_until_s = self._host.now() + self._settings.patience_s
            if self._retry is None:
                self._look()

    def _next(self) -> tuple[str, HeldJob] | None:
        """Returns the next scheduler that can be sent a job, and that job; None if there is none."""
        names = list(self.schedulers) if self._waiting else []
        for turn in range(self._turn + 1, self._turn + 1 + len(names)):
            scheduler = names[turn % len(names)]
            pace = self.schedulers[scheduler]
            id = self._waiting.first(pace.below)
            if id is not None and pace.has_room(self.jobs[id].spec.wire_bytes):
                self._turn = turn
                return scheduler, self.jobs[id]
        return None

    def _held_by(self, scheduler: str, job: str) -> HeldJob | None:
        """Returns the job if that scheduler has it, else None."""
        held = self.jobs.get(job)
        return held if held is not None and held.scheduler == scheduler else None

    def reported(self, scheduler: str, job: str, report: Any) -> None:
        """A scheduler has sent the report of a job, or has accepted a job that the client does not wait for.

        The node does not look into the report: its driver may have it in any form.
        """
        held = self._held_by(scheduler, job)
        if held is not None:
            self._forget(scheduler, job)
            self._host.finish(job, report, sum(process != self._met[scheduler] for process in held.lost_with))
            self._hand_over()

    def rejected(self, scheduler: str, job: str, error: Exception) -> None:
        """A scheduler has rejected a job for good: the job is malformed, or its id belongs to another job."""
        if self._held_by(scheduler, job) is not None:
            self._forget(scheduler, job)
            self._host.fail(job, error)
            self._hand_over()

    def refused(self, scheduler: str, job: str, reason: str) -> None:
        """A scheduler cannot take this job at present, because it has no room. The job waits here, and is handed over again."""
        held = self._held_by(scheduler, job)
        if held is not None:
            self._say(f"waiting: {reason}")
            held.scheduler = None
            self._handed -= 1
            self._waiting.add(held.spec)
            pace = self.schedulers[scheduler]
            pause_s = pace.refused(job, size_class(held.spec))
            if pause_s is not None:
                pace.resuming = self._host.later(pause_s, self._resume, pace)
            self._hand_over()  # another scheduler may have room for it

    def _resume(self, pace: Pace) -> None:
        pace.resume()
        self._hand_over()

    def _forget(self, scheduler: str, job: str) -> None:
        self.tasks_ended -= self.jobs.pop(job).ended
        self._handed -= 1
        self._waiting.forget(job)
        pace = self.schedulers[scheduler]
        pace.reported(job)
        if not pace.held:  # the scheduler has room now
            pace.resume()

    # Schedulers

    def _look(self) -> None:
        """Begins a search: it connects to all schedulers that the name server lists and that are not connected."""
        self._cancel_retry()
        if not self._looking and not self._closed:
            self._looking = True
            self._host.list_names(SCHEDULERS)

    def names_seen(self, found: Mapping[str, str]) -> None:
        """The name server lists these schedulers (name -> uri)."""
        self._why = f"no scheduler is registered with the name server at {self._nameserver}; start one with: python Scheduler.py"
        missing = {name: uri for name, uri in found.items() if name not in self.schedulers and not self._closed}
        missing = some_of(missing, self._settings.max_connecting, self._met, self._rng)
        self._connecting = set(missing)
        for name, uri in missing.items():
            self._host.connect(name, uri, self._settings.connect_s)
        if not missing:
            self._looked()

    def names_unavailable(self, error: SparrowError, hopeless: bool) -> None:
        """The name server is not available. ``hopeless`` says that a retry with the same settings cannot help."""
        self._why = str(error)
        if hopeless and self.unmet is not None:
            self._give_up(error)
        self._looked()

    def connected(self, scheduler: str, incarnation: str) -> None:
        """A scheduler is connected. ``incarnation`` says which of its processes, of all that have had its name."""
        self._connecting.discard(scheduler)
        self._met[scheduler] = SchedulerProcess(scheduler, incarnation)
        if self._closed:
            self._host.hang_up(scheduler)
            return
        self.schedulers[scheduler] = Pace(self._rng, self._settings)
        self.unmet = self._search_until_s = None
        self._said.clear()
        if not self._connecting:
            self._looked()
        elif len(self.schedulers) == 1:  # others may follow at once, and are to have their share
            self._gathering = True
            self._host.later(self._settings.gather_s, self._gathered)

    def _gathered(self) -> None:
        self._gathering = False
        self._hand_over()

    def unreachable(self, scheduler: str, reason: str, hopeless: bool) -> None:
        """A scheduler cannot be connected. ``hopeless`` says that it does not accept the client's key or certificate."""
        self._connecting.discard(scheduler)
        if hopeless and not self.schedulers and self.unmet is not None:
            self._give_up(AccessDeniedError(f"{scheduler} at {reason}"))
        self._why = f"{scheduler} is registered but cannot be reached: {reason}; start it again with: python Scheduler.py"
        if not self._connecting:
            self._looked()

    def disconnected(self, scheduler: str, reason: str) -> None:
        """A scheduler is lost. Its jobs are handed to another scheduler, or to the same one when it is back.

        If only the connection has ended, the same process may get them again: it knows them, and goes on with them.
        """
        self.schedulers.pop(scheduler).resume()
        self._asked.discard(scheduler)
        self._due.discard(scheduler)
        lost = [job for job in self.jobs.values() if job.scheduler == scheduler]
        for job in lost:
            job.scheduler = None
            if self._met[scheduler] not in job.lost_with:
                job.lost_with += (self._met[scheduler],)
            self._handed -= 1
            self._waiting.add(job.spec)
        if lost:
            if self.schedulers:
                self._say(f"lost the scheduler: {reason}; handing its jobs over")
            else:
                self._say(f"lost the connection to {scheduler}: {reason}; its jobs go to the next scheduler that is found")
        self._hand_over()

    def _looked(self) -> None:
        """A search has ended: the waiting jobs go to the schedulers. If there is none, the search is repeated until time is up."""
        self._looking = self._gathering = False
        if self.schedulers or not self._waiting or self._closed:
            self._hand_over()
            return
        if self.unmet is not None:
            self.unmet = self._why
            if self._search_until_s is not None and self._host.now() >= self._search_until_s:
                self._give_up(UnavailableError(self._why))
                return
        self._say(f"waiting: {self._why}")
        self._cancel_retry()
        self._retry = self._host.later(self._settings.retry_s, self._look)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = None

    def _give_up(self, error: SparrowError) -> None:
        """The search for the first scheduler is given up. All waiting jobs fail with this error."""
        self._search_until_s = None
        self.unmet = str(error)
        while (id := self._waiting.first(Pace.ANY)) is not None:
            self._waiting.forget(id)
            self.tasks_ended -= self.jobs.pop(id).ended
            self._host.fail(id, error)

    # Progress of the jobs

    def _tick(self) -> None:
        self._ticking = bool(self.jobs) and not self._closed
        if not self._ticking:
            return
        self._host.later(self._settings.ask_s, self._tick)
        if self.schedulers:  # another scheduler may have been started since the last search
            self._look()
        self._due.update(self.schedulers)
        for scheduler in list(self.schedulers):
            if scheduler not in self._asked:
                self._ask_progress(scheduler)

    def _ask_progress(self, scheduler: str) -> None:
        self._due.discard(scheduler)
        self._ask(scheduler, list(self.jobs)[: self._settings.max_asked_jobs])

    def _ask(self, scheduler: str, jobs: list[str]) -> None:
        self._asked.add(scheduler)
        self.schedulers[scheduler].asked(self._host.now())
        within_s = self._settings.answer_s if len(self.schedulers) > 1 else self._settings.alone_answer_s
        self._host.ask_progress(scheduler, jobs, within_s)

    def _answered(self, scheduler: str) -> None:
        """A scheduler has answered a question, so it has taken or refused all jobs that were sent before it."""
        self._asked.discard(scheduler)
        pace = self.schedulers[scheduler]
        pace.answered(self._host.now())
        if scheduler in self._due:
            self._ask_progress(scheduler)
        elif pace.wants_answer:
            self._ask(scheduler, [])
        self._hand_over()

    def progress(self, scheduler: str, jobs: Mapping[str, Progress], has_workers: bool) -> None:
        """A scheduler has answered with the progress of those jobs that are open, and whether it knows any worker.

        What it says of a job that has another number of tasks is not believed.
        """
        for id, progress in jobs.items():
            job = self._held_by(scheduler, id)
            if job is not None and progress["ended"] <= progress["tasks"] == len(job.spec.durations_s):
                self.tasks_ended += progress["ended"] - job.ended
                job.ended = progress["ended"]
        if jobs and not has_workers:
            self._say(NO_WORKER)
        self._answered(scheduler)

    def progress_unknown(self, scheduler: str) -> None:
        """A scheduler's answer to the question for progress cannot be used."""
        self._answered(scheduler)

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._host.say(line)
