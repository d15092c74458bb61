"""``Monitor``, which samples the cluster into one immutable snapshot for all viewers.

The monitor has one thread with one event loop. Every scheduler and worker is a target with one permanent connection. A round asks
all targets at once and waits only briefly, so that a slow target does not delay the snapshot. Rounds are frequent while there are
viewers, and rare otherwise.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import random
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from src.cluster.registry import NameServer, parse_address
from src.dashboard.answers import parsed_load, parsed_stats, scheduler_greeting, worker_greeting
from src.dashboard.details import DetailCache, DetailReader, UnknownError, jobs_to_search, tasks_of_worker
from src.dashboard.documents import Document
from src.dashboard.history import History
from src.dashboard.lineup import Lineup
from src.dashboard.settings import MonitorSettings
from src.dashboard.snapshot import Memory, SampledScheduler, SampledWorker, build
from src.dashboard.target import UP, Connector, Question, Target
from src.dashboard.views import JobView, NameServerView, StatsView, WorkerView
from src.rmi.errors import UnavailableError
from src.sparrow.names import SCHEDULERS, WORKERS
from src.sparrow.reports import SchedulerStats

ASK_STATS = Question("stats", ("[]", False), parsed_stats, scheduler_greeting)
ASK_LOAD = Question("find_load", (), parsed_load, worker_greeting)

DocumentFuture = concurrent.futures.Future[Document]

log = logging.getLogger("sparrow.monitor")


@dataclass(frozen=True)
class Snapshot:
    """The cluster at one time, encoded once for all viewers. Times are seconds of the monotonic clock."""

    data: StatsView
    schedulers: dict[str, SchedulerStats]  # the last answer of each scheduler that is up
    stats: Document  # ``data``
    status: Document  # the load of each worker that is up
    made_at: float
    next_at: float  # when viewers should ask for the next one

    def age_s(self) -> float:
        """Returns the age of the snapshot in seconds."""
        return time.monotonic() - self.made_at

    def seconds_to_next(self) -> float:
        """Returns the number of seconds until viewers should ask again; 0.0 if that time has passed."""
        return max(0.0, self.next_at - time.monotonic())


class Monitor:
    """Samples the cluster of one name server, in a thread of its own from ``start`` to ``stop``.

    Public methods may be called from any thread. ``nameserver`` is HOST[:PORT]; None means the default of the command line. ``key``
    is the cluster's key. Raises AddressError if the address is malformed.
    """

    def __init__(
        self,
        nameserver: str | None,
        key: bytes | None = None,
        settings: MonitorSettings = MonitorSettings(),  # noqa: B008 (it is frozen)
    ) -> None:
        self.names = NameServer(*parse_address(nameserver), key)
        self.settings = settings
        self._key = key
        self._memory = Memory(History(settings.history))
        self._workers: dict[str, Target] = {}  # name in the name server -> target
        self._schedulers: dict[str, Target] = {}
        rng = random.Random()
        self._scheduler_lineup = Lineup(settings.max_schedulers, settings.max_turns, rng)
        self._worker_lineup = Lineup(settings.max_workers, settings.max_turns, rng)
        self._nameserver: NameServerView = {"address": str(self.names), "up": False, "since": None, "error": ""}
        self._viewed_at = float("-inf")
        self._rounds = 0
        self._loop: asyncio.AbstractEventLoop
        self._wake: asyncio.Event  # a target has changed, a viewer is back, or the monitor is to stop
        self._connector: Connector
        self._reader: DetailReader
        self._cache: DetailCache
        self._thread: threading.Thread | None = None
        self._stopped = False
        self.latest = self._make_snapshot(time.monotonic() + settings.answers_s)

    def start(self) -> Monitor:
        """Begins to sample, and returns the monitor once its thread runs. The first snapshot of the cluster follows later."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), name="monitor", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Ends the sampling, and waits up to 2 s for the end of the thread."""
        self._stopped = True
        self._loop.call_soon_threadsafe(self._wake.set)
        if self._thread is not None:
            self._thread.join(2.0)

    def view(self) -> Snapshot:
        """Returns the latest snapshot for a viewer. For the next ``viewed_s`` seconds the cluster is sampled at the full rate."""
        was_idle = self._is_idle()
        self._viewed_at = time.monotonic()
        if was_idle:
            self.latest = replace(self.latest, next_at=self._viewed_at + self.settings.answers_s)
            self._loop.call_soon_threadsafe(self._wake.set)
        return self.latest

    def is_sampling(self) -> bool:
        """Returns whether the latest snapshot is recent, so that the sampling works."""
        return self.latest.age_s() < 3 * self.settings.idle_round_s

    def job(self, id: str) -> DocumentFuture:
        """Returns a future of the details of a job. It raises UnknownError or TryLaterError, with the reason, if there are none."""
        return asyncio.run_coroutine_threadsafe(self._cache.get(("job", id), lambda: self._job(id)), self._loop)

    def worker(self, name: str) -> DocumentFuture:
        """Returns a future of the details of a worker. It raises UnknownError or TryLaterError, with the reason."""
        return asyncio.run_coroutine_threadsafe(self._cache.get(("worker", name), lambda: self._worker(name)), self._loop)

    # The rest runs in the thread of the monitor.

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._connector = Connector(self._key, self.settings.max_connecting, self.settings.target)
        self._reader = DetailReader(self._schedulers, self.settings.details)
        self._cache = DetailCache(self.settings.details)
        ready.set()
        names = self._loop.create_task(self._poll_names())
        try:
            while not self._stopped:
                try:
                    await self._round()
                except Exception as error:  # an unexpected answer of one target must not end the sampling
                    log.error("a round of sampling failed: %r", error)
                    await asyncio.sleep(self.settings.round_s)
        finally:
            names.cancel()
            for target in self._targets():
                target.close()

    def _targets(self) -> list[Target]:
        return [*self._schedulers.values(), *self._workers.values()]

    def _is_idle(self) -> bool:
        return time.monotonic() - self._viewed_at > self.settings.viewed_s

    async def _round(self) -> None:
        """Asks all targets, waits ``answers_s`` for the answers, and makes a snapshot.

        Until the next round is due, it makes another snapshot whenever a target comes up, is gone or has been silent for too long.
        """
        settings = self.settings
        began = time.monotonic()
        targets = self._targets()
        self._ask_targets()
        while time.monotonic() < began + settings.answers_s and any(target.is_busy for target in targets):
            await asyncio.sleep(0.01)
        end = began + (settings.idle_round_s if self._is_idle() else settings.round_s)
        while not self._stopped:
            now = time.monotonic()
            until = min([end, *(at for target in targets if (at := target.silent_at) is not None and at > now)])
            self._wake.clear()
            self.latest = self._make_snapshot(until)
            try:
                await asyncio.wait_for(self._wake.wait(), max(0.02, until - time.monotonic()))
                await asyncio.sleep(settings.settle_s)
            except asyncio.TimeoutError:
                pass
            if time.monotonic() >= end - 0.01 or (not self._is_idle() and end - began > settings.round_s):
                return

    def _ask_targets(self) -> None:
        for scheduler in self._schedulers.values():
            scheduler.ask()
        self._rounds += 1
        turns = 1 if len(self._workers) <= self.settings.max_workers_each_round else 2
        for worker in list(self._workers.values())[self._rounds % turns :: turns]:
            worker.ask()

    def _make_snapshot(self, until: float) -> Snapshot:
        """Returns a snapshot of the present state, and adds it to the history. The next one is due at ``until`` (monotonic)."""
        now = time.time()
        for target in self._targets():
            target.check_deadline()
        self._forget_gone(now)
        awaited = [target.name for target in self._targets() if target.state == "new"]
        workers = {name[len(WORKERS) :]: _sampled(target) for name, target in self._workers.items() if target.state != "new"}
        schedulers = {
            name: SampledScheduler(**_member(t), stats=t.answer) for name, t in self._schedulers.items() if t.state != "new"
        }
        left_out = {"scheduler": self._scheduler_lineup.left_out, "worker": self._worker_lineup.left_out}
        data = build(now, self._nameserver, workers, schedulers, self._memory, awaited, left_out)
        return Snapshot(
            data=data,
            schedulers={name: target.answer for name, target in self._schedulers.items() if target.state == UP},
            stats=Document.of(data, level=3),
            status=Document.of({name: row["load"] for name, row in data["workers"].items() if row["state"] == UP}),
            made_at=time.monotonic(),
            next_at=until + self.settings.margin_s,
        )

    def _forget_gone(self, now: float) -> None:
        for group in (self._workers, self._schedulers):
            for name, target in list(group.items()):
                if not target.registered and target.gone_since is not None and now - target.gone_since > self.settings.forget_s:
                    group.pop(name).close()

    # Names

    async def _poll_names(self) -> None:
        """Keeps the targets equal to the names in the name server, which is asked less often if it is slow. It never returns."""
        settings = self.settings
        while True:
            began = time.monotonic()
            try:
                found = await asyncio.wait_for(self.names.list("sparrow."), settings.names_answer_s)
                self._update_targets(self._schedulers, SCHEDULERS, ASK_STATS, found, self._scheduler_lineup)
                self._update_targets(self._workers, WORKERS, ASK_LOAD, found, self._worker_lineup)
                self._set_nameserver(True, "")
            except (UnavailableError, asyncio.TimeoutError) as error:
                self._set_nameserver(False, str(error) or f"the name server at {self.names} does not answer")
            except Exception as error:  # the process at that address may answer anything
                self._set_nameserver(False, f"what answers at {self.names} is no name server: {error!r:.100}")
            took_s = time.monotonic() - began
            every_s = settings.idle_round_s if self._is_idle() else settings.names_s
            await asyncio.sleep(max(every_s - took_s, settings.names_share * took_s if took_s < 1 else settings.names_s))

    def _set_nameserver(self, up: bool, error: str) -> None:
        if self._nameserver["up"] != up or self._nameserver["since"] is None:
            if up:
                log.info("the name server at %s answers", self.names)
            else:
                log.warning("%s; trying again", error)
            self._nameserver = {"address": str(self.names), "up": up, "since": round(time.time(), 1), "error": error}
            self._wake.set()

    def _update_targets(
        self, group: dict[str, Target], prefix: str, question: Question, found: dict[str, str], lineup: Lineup
    ) -> None:
        """Adds a target for each name with this prefix that is new or has a new uri, and notes which targets are registered.

        If there are too many names, ``lineup`` says which are sampled.
        """
        listed = {name: uri for name, uri in found.items() if name.startswith(prefix)}
        gone = [name for name, target in group.items() if name not in listed and target.gone_since is not None]
        failed = [name for name, target in group.items() if name in listed and target.last_seen is None and target.state != "new"]
        chosen, left = lineup.choose(listed, {name: target.uri for name, target in group.items()}, gone, failed)
        for name in left:
            group.pop(name).close()
        for name in [*(name for name in group if name in listed), *chosen]:
            uri = listed[name]
            if name not in group or group[name].uri != uri:
                former = group.pop(name, None)
                target = group[name] = Target(name, uri, question, self._wake.set, self._connector)
                if former is not None:
                    former.close()
                    target.last_seen = former.last_seen
                target.ask()
        for name, target in group.items():
            target.set_registered(name in found)

    # Details

    async def _job(self, id: str) -> Document:
        owner = next((row["scheduler"] for row in self.latest.data["jobs"] if row["id"] == id), None)
        job = await self._reader.job(id, owner)
        view: JobView = {**job, "now": round(time.time(), 3)}
        return await self._document(view)

    async def _worker(self, name: str) -> Document:
        data = self.latest.data
        row = data["workers"].get(name)
        if row is None:
            raise UnknownError("no worker of that name is known")
        jobs = await self._reader.jobs(jobs_to_search(data["jobs"], self.settings.details.max_tasks))
        target = self._workers.get(WORKERS + name)
        now = time.time()
        view: WorkerView = {
            **row,
            "now": round(now, 3),
            "name": name,
            "address": target.address if target else "",
            "by_scheduler": {
                scheduler: stats["workers"][name] for scheduler, stats in self.latest.schedulers.items() if name in stats["workers"]
            },
            "tasks": tasks_of_worker(name, jobs.values()),
            "history": self._memory.history.worker(name, now),
        }
        return await self._document(view)

    async def _document(self, view: JobView | WorkerView) -> Document:
        """Encodes in a thread: a job of 50,000 tasks takes a while."""
        return await self._loop.run_in_executor(None, Document.of, view)


def _member(target: Target) -> dict[str, Any]:
    """Returns the fields of a ``Member``."""
    fields = ("state", "since", "last_seen", "reason", "registered")
    return {field: getattr(target, field) for field in fields}


def _sampled(target: Target) -> SampledWorker:
    slots = 1 if target.greeting is None else target.greeting["slots"]
    return SampledWorker(**_member(target), load=target.answer or 0, slots=slots)
