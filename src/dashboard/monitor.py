"""Samples the cluster into one immutable snapshot, whatever the number of viewers.

One thread, one event loop. Every scheduler and worker has one connection that stays; each round asks all of them at once and waits
only briefly: who has not answered by then is late and keeps nobody else. The full rate is for when somebody looks.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gzip
import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from src.cluster.registry import SCHEDULERS, WORKERS, NameServer, parse_address
from src.dashboard import snapshot
from src.dashboard.snapshot import History, WorkerView, parsed_load, parsed_stats
from src.dashboard.target import Watched
from src.rmi.errors import UnavailableError

ROUND_S = 1.0  # between two rounds while somebody looks
IDLE_ROUND_S = 5.0  # and while nobody does
WATCHED_S = 12.0  # somebody looks for so long after a request
ALL_AT_ONCE = 50  # workers are all asked in every round; when there are more, each in every second one
GATHER_S = 0.3  # that a round waits for answers
SETTLE_S = 0.15  # after somebody came or went: others come and go with him
NAMES_S = 1.0  # between two looks into the name server, while it answers quickly
FORGET_S = 600.0  # a worker that is gone stays in the list for so long, and while its name is in the name server
DETAIL_S = 1.0  # a job's or worker's details are asked for again after this long
DETAIL_APART_S = 0.04  # between two such questions to the schedulers
MAX_DETAILS = 32  # jobs and workers whose details are remembered
MAX_TASKS_LOOKED_AT = 5_000  # for what a worker runs and has done
MAX_CONNECTING = 64  # connections that are being made at once

log = logging.getLogger("sparrow.monitor")


class Snapshot(NamedTuple):
    """What the web server hands out: bytes, made once, and when the next will be there (monotonic)."""

    data: dict[str, Any]
    schedulers: dict[str, dict]
    stats: bytes
    stats_gzip: bytes
    status: bytes
    etag: str
    made: float
    next: float

    def age_s(self) -> float:
        return time.monotonic() - self.made

    def seconds_to_next(self) -> float:
        return max(0.0, self.next - time.monotonic())


class Monitor:
    """Runs in a thread of its own from ``start`` to ``stop``. Safe to use from any thread."""

    def __init__(self, nameserver: str | None, key: bytes | None = None) -> None:
        self.names = NameServer(*parse_address(nameserver), key)
        self._key = key
        self._history = History()
        self._workers: dict[str, Watched] = {}
        self._schedulers: dict[str, Watched] = {}
        self._nameserver: dict[str, Any] = {"address": str(self.names), "up": False, "since": None, "error": ""}
        self._wanted_at = 0.0
        self._rounds = 0
        self._details: OrderedDict[tuple, tuple[float, asyncio.Task]] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop
        self._wake: asyncio.Event
        self._gate: asyncio.Semaphore
        self._asking: asyncio.Lock
        self._thread: threading.Thread | None = None
        self._stopped = False
        self.latest = self._frozen(time.monotonic() + GATHER_S)

    def start(self) -> Monitor:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(ready)), name="monitor", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        self._stopped = True
        self._loop.call_soon_threadsafe(self._wake.set)
        if self._thread is not None:
            self._thread.join(2.0)

    def looked_at(self) -> Snapshot:
        """The latest snapshot, for somebody who looks: from now on they come at the full rate."""
        was_idle = self._is_idle()
        self._wanted_at = time.monotonic()
        if was_idle:
            self.latest = self.latest._replace(next=self._wanted_at + GATHER_S)
            self._loop.call_soon_threadsafe(self._wake.set)
        return self.latest

    def is_sampling(self) -> bool:
        return self.latest.age_s() < 3 * IDLE_ROUND_S

    def job(self, id: str) -> concurrent.futures.Future:
        """-> everything known of that job, or None."""
        return asyncio.run_coroutine_threadsafe(self._cached(("job", id), lambda: self._job(id)), self._loop)

    def worker(self, name: str) -> concurrent.futures.Future:
        """-> everything known of that worker, or None."""
        return asyncio.run_coroutine_threadsafe(self._cached(("worker", name), lambda: self._worker(name)), self._loop)

    # In the thread of the monitor

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._gate, self._asking = asyncio.Semaphore(MAX_CONNECTING), asyncio.Lock()
        ready.set()
        watching = self._loop.create_task(self._keep_looking_for_names())
        try:
            while not self._stopped:
                try:
                    await self._round()
                except Exception as error:  # whatever somebody answered, the next round goes on with the others
                    log.error("a round of sampling failed: %r", error)
                    await asyncio.sleep(ROUND_S)
        finally:
            watching.cancel()
            for watched in [*self._workers.values(), *self._schedulers.values()]:
                watched.close()

    def _is_idle(self) -> bool:
        return time.monotonic() - self._wanted_at > WATCHED_S

    async def _round(self) -> None:
        """Ask everybody, wait a little for the answers, publish; publish again when somebody falls silent or goes."""
        began = time.monotonic()
        everybody = [*self._schedulers.values(), *self._workers.values()]
        for scheduler in self._schedulers.values():
            scheduler.ask()
        self._rounds += 1
        turns = 1 if len(self._workers) <= ALL_AT_ONCE else 2
        for worker in list(self._workers.values())[self._rounds % turns :: turns]:
            worker.ask()
        while time.monotonic() < began + GATHER_S and any(watched.is_busy for watched in everybody):
            await asyncio.sleep(0.01)
        end = began + (IDLE_ROUND_S if self._is_idle() else ROUND_S)
        while not self._stopped:
            now = time.monotonic()
            silent = [at for at in (watched.silent_at for watched in everybody) if at is not None and at > now]
            until = min([end, *silent])
            self._wake.clear()
            self.latest = self._frozen(until)
            try:
                await asyncio.wait_for(self._wake.wait(), max(0.02, until - time.monotonic()))
                await asyncio.sleep(SETTLE_S)
            except asyncio.TimeoutError:
                pass
            if time.monotonic() >= end - 0.01 or (not self._is_idle() and end - began > ROUND_S):
                return

    def _frozen(self, until: float) -> Snapshot:
        now = time.time()
        self._forget(now)
        for watched in (*self._workers.values(), *self._schedulers.values()):
            watched.look_at_the_clock()
        views = {name[len(WORKERS) :]: _view(watched) for name, watched in self._workers.items() if watched.state != "new"}
        answers = {name: watched.answer for name, watched in self._schedulers.items() if watched.state == "up"}
        gone = {name: watched.last_seen for name, watched in self._schedulers.items() if watched.state == "gone"}
        data = snapshot.build(now, dict(self._nameserver), views, answers, gone, self._history)
        text = json.dumps(data, separators=(",", ":")).encode()
        status = json.dumps({name: row["load"] for name, row in data["workers"].items() if row["state"] == "up"}).encode()
        etag = hashlib.sha256(text).hexdigest()[:20]
        return Snapshot(data, answers, text, gzip.compress(text, 3, mtime=0), status, etag, time.monotonic(), until + GATHER_S / 6)

    def _forget(self, now: float) -> None:
        for group in (self._workers, self._schedulers):
            for name in [
                name for name, one in group.items() if one.gone_since and now - one.gone_since > FORGET_S and not one.listed
            ]:
                group.pop(name).close()

    async def _keep_looking_for_names(self) -> None:
        while True:
            began = time.monotonic()
            try:
                found = await asyncio.wait_for(self.names.list("sparrow."), 3.0)
                self._names_found(found)
                self._nameserver_is(True, "")
            except (UnavailableError, asyncio.TimeoutError) as error:
                self._nameserver_is(False, str(error) or f"the name server at {self.names} does not answer")
            except Exception as error:  # whatever answers at that address may say anything
                self._nameserver_is(False, f"what answers at {self.names} is no name server: {error!r:.100}")
            took = time.monotonic() - began
            await asyncio.sleep(max((IDLE_ROUND_S if self._is_idle() else NAMES_S) - took, 50 * took if took < 1 else NAMES_S))

    def _nameserver_is(self, up: bool, error: str) -> None:
        if self._nameserver["up"] != up or self._nameserver["since"] is None:
            (log.info if up else log.warning)("%s", f"the name server at {self.names} answers" if up else f"{error}; trying again")
            self._nameserver = {"address": str(self.names), "up": up, "since": round(time.time(), 1), "error": error}
            self._wake.set()

    def _names_found(self, found: dict[str, str]) -> None:
        for prefix, group, call, parse in (
            (SCHEDULERS, self._schedulers, ("stats", "[]", False), parsed_stats),
            (WORKERS, self._workers, ("find_load",), parsed_load),
        ):
            for name, uri in found.items():
                if name.startswith(prefix) and (name not in group or group[name].uri != uri):
                    former = group.pop(name, None)
                    if former is not None:
                        former.close()
                    group[name] = Watched(name, uri, call, parse, self._wake.set, self._key, self._gate)
                    if former is not None:
                        group[name].last_seen = former.last_seen
                    group[name].ask()
            for name, watched in group.items():
                watched.is_listed(name in found)

    # Details, for whoever opens a job or a worker

    async def _cached(self, key: tuple, make: Callable[[], Coroutine]) -> Any:
        now = time.monotonic()
        for old in [old for old, (at, made) in self._details.items() if made.done() and now - at > DETAIL_S]:
            del self._details[old]
        if key not in self._details:
            self._details[key] = now, self._loop.create_task(make())
            if len(self._details) > MAX_DETAILS:
                self._details.popitem(last=False)
        return await asyncio.shield(self._details[key][1])

    async def _known(self, ids: list[str]) -> dict[str, dict]:
        """What the schedulers know of these jobs."""
        text = json.dumps(ids)

        async def told_by(watched: Watched) -> dict[str, dict]:
            try:
                told = json.loads(await watched.fetch("stats", text, True))["details"]
            except (LookupError, ValueError, TypeError):
                return {}
            return {id: {**job, "scheduler": watched.name} for id, job in told.items()}

        async with self._asking:  # one at a time and not too often, however many different jobs are asked for
            answers = await asyncio.gather(*(told_by(watched) for watched in self._schedulers.values()))
            await asyncio.sleep(DETAIL_APART_S)
        return {id: job for answer in answers for id, job in answer.items()}

    async def _job(self, id: str) -> dict[str, Any] | None:
        job = (await self._known([id])).get(id)
        return None if job is None else {"now": round(time.time(), 3), **job}

    async def _worker(self, name: str) -> dict[str, Any] | None:
        row = self.latest.data["workers"].get(name)
        if row is None:
            return None
        jobs = sorted(self.latest.data["jobs"], key=lambda job: job["state"] != "running")
        ids, budget = [], MAX_TASKS_LOOKED_AT
        for job in jobs:
            budget -= job["tasks"]
            if budget >= 0:
                ids.append(job["id"])
        known = await self._known(ids) if ids else {}
        tasks = [
            {
                "job": job["id"],
                "method": job["method"],
                "task": number,
                "state": task[4],
                "lost_here": name in task[5],
                "submitted": job["submitted"],
                "started_s": task[6],
                "wait_s": task[1],
                "service_s": task[2],
            }
            for job in known.values()
            for number, task in enumerate(job["tasks"])
            if task[0] == name or name in task[5]
        ]
        watched = self._workers.get(WORKERS + name)
        now = time.time()
        return {
            "now": round(now, 3),
            "name": name,
            **row,
            "address": watched.address if watched else "",
            "by_scheduler": {
                scheduler: stats["workers"][name] for scheduler, stats in self.latest.schedulers.items() if name in stats["workers"]
            },
            "tasks": tasks,
            "history": self._history.worker(name, now),
        }


def _view(watched: Watched) -> WorkerView:
    slots = watched.greeting.get("slots")
    return WorkerView(
        watched.answer or 0,
        slots if isinstance(slots, int) and slots > 0 else 1,
        watched.state == "up",
        watched.last_seen,
        watched.gone_since,
        watched.reason,
    )
