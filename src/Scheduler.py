"""A scheduler: takes jobs from clients, samples workers for their tasks, and answers with the reports.

    python Scheduler.py [--number N] [--method METHOD]

The class below only carries: a remote call becomes an event of the book (sparrow.jobtable), and the commands that come back go to
the peers. Several schedulers may run; they share no state.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

if not __package__:
    import _root  # noqa: F401

from src.cli import command
from src.cluster.admission import Reception, reply
from src.cluster.peer import Peer
from src.cluster.registry import SCHEDULERS, WORKERS
from src.cluster.service import Service
from src.rmi.connection import Connection, Later
from src.rmi.daemon import expose
from src.rmi.errors import UnavailableError
from src.rmi.security import Security
from src.sparrow import messages as m
from src.sparrow.jobtable import Command, Finish, JobTable
from src.sparrow.placement import METHODS, method_named

TICK_S = 0.1  # between two looks of the book at the clock, while jobs are open
REFRESH_S = 1.0  # between two looks at who is in the name server
SHUN_S = (1.0, 10.0)  # a worker that could not be reached is tried again after this long: at first, and at most

MAX_GREETED = 1_000  # workers that wait for a welcome at a time
MAX_ASKED = 1_000  # jobs in one question
DETAILED_TASKS = 200_000  # that are told of in one answer

log = logging.getLogger("sparrow.scheduler")


class Scheduler(Service):
    """The remote object ``sparrow.scheduler.<n>``.

    ``scheduling_method`` is for jobs that name none; ``nameserver_hostname`` is HOST[:PORT], or None as on the command line. It
    serves in this thread with ``run()``, or in one of its own with ``start()`` and ``stop()`` or as a context manager. ``key_file``
    and ``insecure`` are as on the command line: ConfigurationError if the key cannot be used.
    """

    def __init__(
        self,
        scheduling_method: str = "RANDOM",
        nameserver_hostname: str | None = None,
        scheduler_number: int = 1,
        *,
        host: str | None = None,
        port: int = 0,
        seed: int | None = None,
        key_file: str | None = None,
        insecure: bool = False,
    ) -> None:
        names = [f"{SCHEDULERS}{m.number(scheduler_number, 'scheduler_number', least=1)}"]
        super().__init__(names, nameserver_hostname, host, port, Security.of(key_file, insecure))
        self._book = JobTable(random.Random(seed), scheduling_method)
        self._peers: dict[str, Peer] = {}  # workers that are being connected, or are
        self._shunned: dict[str, tuple[str, float, float]] = {}  # worker -> its uri, not to be tried before, seconds of shunning
        self._reception = Reception()
        self._submitted: deque[m.JobSpec] = deque()  # not placed yet
        self._greeted = 0  # workers that wait for a welcome
        self._one_refresh: asyncio.Lock
        self._refreshed_s = float("-inf")  # when the last look into the name server began
        self._ticking: asyncio.TimerHandle | None = None
        self._refreshing: asyncio.Task | None = None
        self._started_s = time.monotonic()

    # Remote methods

    @expose
    def schedule(self, job: Any) -> Any:
        """Run a job: ``{"id": ..., "durations_s": [...], "method": ..., "wait": true}``, or the same as JSON text.

        The answer comes when the job has ended: its report, as a dict or as text, as the job was. With ``wait`` false it comes at
        once. The same job may be handed over again under its id: it is then waited for, or its report repeated, and not run twice.
        ValueError for an id that another job has; BlockingIOError ("try later") while there is no room for it.
        """
        spec = m.JobSpec.decode(job)
        method_named(spec.method or self._book.default_method)
        as_text = isinstance(job, str)
        report = self._reception.reports.get(spec.id) if spec.wait else {"id": spec.id, "accepted": True}
        later = self._daemon.defer() if report is None else None
        if self._reception.admit(spec):
            self._submitted.append(spec)
            if len(self._submitted) == 1:
                self._place_next()
        if later is not None:
            self._reception.wait(spec.id, later, as_text)
        return reply(as_text, report or {})

    @expose
    def set_method(self, method: Any) -> None:
        """The method for jobs that name none. ValueError, naming the four, for any other."""
        self._book.default_method = method_named(method).name
        log.info("%s: jobs that name no method get %s from now on", self.name, self._book.default_method)

    @expose
    def request_task(self, worker: Any, incarnation: Any, batch: Any) -> str | None:
        """A worker has reservations at the front and slots free for them: [Ask, ..., Done, ...]. Answer: [Assign or NoTask, ...]

        With no messages it only says that the worker is there; the answer comes when this scheduler knows it.
        """
        worker, incarnation = m.identifier(worker, "worker"), m.identifier(incarnation, "incarnation")
        messages = m.decode(batch, m.TO_SCHEDULER)
        if not messages:
            if self._greeted >= MAX_GREETED:
                raise BlockingIOError(f"try later: {self._greeted} workers have just said that they are there")
            self._greeted += 1
            asyncio.get_running_loop().create_task(self._welcome(worker, self._daemon.defer()))
            return None
        return self._from_worker(worker, incarnation, messages)

    @expose
    def task_completed(self, worker: Any, incarnation: Any, batch: Any) -> str:
        """A worker has ended runs, or is about to stop: [Done, ..., Leave]."""
        worker, incarnation = m.identifier(worker, "worker"), m.identifier(incarnation, "incarnation")
        return self._from_worker(worker, incarnation, m.decode(batch, m.TO_SCHEDULER))

    @expose
    def stats(self, job_ids: Any = (), details: Any = False, brief: Any = False) -> Any:
        """How this scheduler is doing: its workers, the newest jobs, and counts and percentiles for each method seen so far.

        ``progress`` holds, of the jobs asked for, those that are open: id -> [tasks ended, tasks]; with ``details`` there is also
        all that is known of them, but for what would be more than 200,000 tasks; ``brief`` leaves out what takes long to work out.
        The answer is a dict, or JSON text if ``job_ids`` is: '["a1", "a2"]'. ValueError for more than 1,000 ids.
        """
        ids = m.parsed(job_ids) if isinstance(job_ids, str) else job_ids
        if not isinstance(ids, (list, tuple)) or not all(isinstance(id, str) for id in ids):
            raise TypeError("job_ids must be a list of job ids, or that as JSON text")
        ids = list(dict.fromkeys(ids))
        if len(ids) > MAX_ASKED:
            raise ValueError(f"at most {MAX_ASKED} job ids at a time, not {len(ids)}")
        book, now = self._book, time.monotonic()
        to_wall_s = time.time() - now
        running = sum(len(entry.runs) for entry in book.workers.values())
        answer: dict[str, Any] = {
            "name": self.name,
            "incarnation": self.incarnation,
            "method": book.default_method,
            "uptime_s": now - self._started_s,
            "now": now + to_wall_s,
            "workers": {
                name: {"slots": entry.slots, "runs": len(entry.runs), "reservations": len(entry.reservations), "done": entry.done}
                for name, entry in book.workers.items()
            },
            "open_jobs": len(book.jobs),
            "open_tasks": {"running": running, "waiting": sum(job.open for job in book.jobs.values()) - running},
            "progress": book.progress(ids),
        }
        if not brief:
            answer["methods"] = book.tally.methods(book.jobs.values())
            answer["jobs"] = book.tally.newest(book.jobs.values(), now, to_wall_s)
        if details:
            answer["details"] = told = {}
            tasks = 0
            for id in ids:
                known = book.tally.details(id, book.jobs.get(id), now, to_wall_s) if tasks < DETAILED_TASKS else None
                if known is not None:
                    told[id] = known
                    tasks += known["tasks"] if isinstance(known["tasks"], int) else len(known["tasks"])
        return reply(isinstance(job_ids, str), answer)

    # From events to commands to peers

    def _place_next(self) -> None:
        """Place one of the submitted jobs. Large ones take a while: between two, others have their turn."""
        spec = self._submitted[0]
        try:
            self._perform(self._book.submitted(spec, time.monotonic()))
            self._tick_soon()
        finally:
            self._submitted.popleft()
            if self._submitted:
                asyncio.get_running_loop().call_soon(self._place_next)

    def _from_worker(self, worker: str, incarnation: str, messages: Sequence[m.Message]) -> str:
        commands = self._book.received(worker, incarnation, messages, time.monotonic())
        return m.encode(self._perform(commands, answering=worker))

    def _perform(self, commands: Iterable[Command], answering: str | None = None) -> list[m.Message]:
        """Do what the book says. Returns what belongs into the answer to the worker that is being answered."""
        answer: list[m.Message] = []
        for todo in commands:
            if isinstance(todo, Finish):
                self._finished(todo)
            elif todo.worker == answering and isinstance(todo.message, m.ANSWERS):
                answer.append(todo.message)
            elif todo.worker in self._peers:
                self._peers[todo.worker].send(todo.message)
        return answer

    def _finished(self, finish: Finish) -> None:
        report = finish.report
        offset = time.time() - time.monotonic()
        report["submitted"] = report.pop("submitted_s") + offset
        report["finished"] = report.pop("finished_s") + offset
        log.debug("%s: job %s ended after %.3f s", self.name, finish.job, report["response_s"])
        for reason, tasks in report["failed"]:
            log.warning("%s: job %s: %d tasks failed: %s", self.name, finish.job, len(tasks), reason)
        self._reception.ended(finish.job, report)

    def _tick_soon(self) -> None:
        if self._ticking is None and self._book.busy:
            self._ticking = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        self._perform(self._book.tick(time.monotonic()))
        self._tick_soon()

    # Workers come and go

    def _connect(self, worker: str, uri: str) -> None:
        async def locate() -> str:
            return uri

        self._peers[worker] = Peer(
            WORKERS + worker,
            locate=locate,
            who=self._who(),
            key=self.key,
            door=_door,
            route=self._route,
            answered=partial(self._answered, worker),
            up=partial(self._up, worker),
            lost=partial(self._lost, worker, uri),
            refused=lambda message: None,
        )

    def _up(self, worker: str, greeting: dict) -> None:
        slots = greeting.get("slots")
        slots = slots if isinstance(slots, int) and slots > 0 else 1
        self._shunned.pop(worker, None)
        if worker not in self._book.workers:
            log.info("%s: worker %s joined (%d slot%s)", self.name, worker, slots, "" if slots == 1 else "s")
        self._perform(self._book.joined(worker, str(greeting["incarnation"]), slots, time.monotonic()))

    def _lost(self, worker: str, uri: str, reason: str) -> None:
        del self._peers[worker]
        first, most = SHUN_S
        shunned_s = min(most, 2 * self._shunned[worker][2]) if worker in self._shunned else first
        self._shunned[worker] = (uri, time.monotonic() + shunned_s, shunned_s)
        entry = self._book.workers.get(worker)
        if entry is None:
            if shunned_s == first:
                log.warning("%s: worker %s is registered but cannot be used: %s", self.name, worker, reason)
        elif entry.leaving and not entry.runs:
            log.info("%s: worker %s has left", self.name, worker)
        else:
            log.warning("%s: worker %s is lost, with %d tasks: %s", self.name, worker, len(entry.runs), reason)
        self._perform(self._book.lost(worker, time.monotonic()))

    def _route(self, batch: list[m.Message]) -> tuple:
        door = _door(batch[0])
        return (door,) if door == "find_load" else (door, self.name, self.incarnation, m.encode(batch))

    def _answered(self, worker: str, batch: list[m.Message], answer: Any) -> None:
        """The answer to a delivery: the load, for all probes in it, or what the worker has to say."""
        entry = self._book.workers.get(worker)
        if entry is None:
            return
        if isinstance(batch[0], m.Probe):
            messages: list = [m.Load(probe.job, probe.round, m.number(answer, "load")) for probe in batch]  # type: ignore[union-attr]
        else:
            messages = m.decode(answer, m.TO_SCHEDULER)
        if messages:
            known = [message for message in messages if not isinstance(message, m.Load) or message.job in self._book.jobs]
            self._perform(self._book.received(worker, entry.incarnation, known, time.monotonic()))

    async def _opened(self) -> None:
        self._one_refresh = asyncio.Lock()
        await self._refresh()
        self._refreshing = asyncio.get_running_loop().create_task(self._keep_refreshing())

    async def _keep_refreshing(self) -> None:
        while True:
            took_s = 0.0
            try:
                took_s = await self._refresh()
            except Exception:  # or no worker would ever join again
                log.exception("%s: looking for workers", self.name)
            await asyncio.sleep(max(REFRESH_S, 50 * took_s))  # a cluster so large that this takes long is looked at less often

    async def _refresh(self) -> float:
        """Connect to the workers of the name server that are not connected. Returns the seconds that it took."""
        self._refreshed_s = began = time.monotonic()
        try:
            found = await self.names.list(WORKERS)
        except UnavailableError:
            return 0.0  # the one who holds our name says so
        now = time.monotonic()
        for name, uri in found.items():
            worker = name[len(WORKERS) :]
            shunned_uri, until, _ = self._shunned.get(worker, ("", 0.0, 0.0))
            if worker not in self._peers and (uri != shunned_uri or now >= until):
                self._connect(worker, uri)
        for worker in [worker for worker in self._shunned if WORKERS + worker not in found]:
            del self._shunned[worker]
        return time.monotonic() - began

    async def _welcome(self, worker: str, later: Later) -> None:
        """A worker says that it is there: answer when it has joined, or could not be reached."""
        try:
            self._shunned.pop(worker, None)
            came_s = time.monotonic()
            async with self._one_refresh:
                if self._refreshed_s < came_s:  # else one that began since has seen it
                    await self._refresh()
            peer = self._peers.get(worker)
            while peer is not None and not peer.connected and self._peers.get(worker) is peer:
                await asyncio.sleep(0.005)
        finally:
            self._greeted -= 1
            later.answer(m.encode([]))

    def _gone(self, peer: Any, connection: Connection) -> None:
        self._reception.gone(connection)

    async def _closing(self) -> None:
        for task in (self._refreshing, self._ticking):
            if task is not None:
                task.cancel()
        for peer in self._peers.values():
            peer.close()
        if self._book.jobs:
            log.warning("%s: stops with %d jobs open; their clients hand them over elsewhere", self.name, len(self._book.jobs))


def _door(message: m.Message) -> str:
    """The remote method of a worker that takes this message."""
    if isinstance(message, m.Probe):
        return "find_load"
    return "add_task" if isinstance(message, (m.Launch, m.Heartbeat)) else "set_late_binding"


def main() -> None:
    parser = command.parser(
        "Run a scheduler: it takes jobs from clients, samples workers for their tasks and reports how it went.",
        "It waits for the name server (pyro4-ns) and finds the workers there; start and stop any of them in any order.\n"
        "Several schedulers may run, on any machines: each needs a number of its own.",
    )
    command.add_service_options(parser)
    parser.add_argument(
        "--number", type=lambda text: command.whole_number(text, 1, 9999), default=1, metavar="N", help="its number (default: 1)"
    )
    parser.add_argument("--method", choices=list(METHODS), default="RANDOM", help="for jobs that name none (default: RANDOM)")
    arguments = parser.parse_args()
    command.log_to_stderr(arguments.log_level)
    command.serve(lambda: Scheduler(arguments.method, arguments.nameserver, arguments.number, **command.service(arguments)).run())


if __name__ == "__main__":
    main()
