"""How a client's jobs reach schedulers and are not forgotten: it holds each until it is reported.

A scheduler keeps nothing on disk. When the one that has a job goes away, the client hands the job, under the same id, to the next
scheduler or to the same one when it is back. A scheduler is gone when its connection ends, or when it does not answer the question
how far it is, which is asked about once a second.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from rmi.channel import Channel
from rmi.errors import LostError, RefusedError, SparrowError, UnavailableError
from rmi.naming import SCHEDULERS, NameServer, UnknownHostError
from sparrow.messages import JobSpec

ASK_S = 1.0  # between two questions how far the jobs are
RETRY_S = 0.1  # between two looks for a scheduler, while there is none
AT_ONCE = 16_000  # jobs handed over and not yet reported: more wait here
_NAMED = 1_000  # open jobs named in one question


class Handover:
    """The jobs of one client and its connections to schedulers. For one event loop only.

    ``notice`` gets a line when something is waited for. ``patience_s`` is how long the first scheduler may take to be found; after
    that, the jobs wait for one as long as it takes.
    """

    def __init__(self, names: NameServer, notice: Callable[[str], None], patience_s: float) -> None:
        self._names = names
        self._notice = notice
        self._patience_s = patience_s
        self._channels: dict[str, Channel] = {}
        self._turn = random.randrange(1000)
        self._finding: asyncio.Future | None = None
        self._open: dict[str, JobSpec] = {}
        self._ended: dict[str, int] = {}  # open job -> tasks that had ended when the scheduler was last asked
        self._asking: asyncio.Task | None = None
        self.unmet: str | None = "no scheduler has been looked for"  # why none has been found so far
        self._noticed = ""
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._loop = asyncio.get_running_loop()

    async def run(self, spec: JobSpec) -> dict[str, Any]:
        """Have a job run, whatever happens to schedulers meanwhile. Returns its report as it came over the wire.

        UnavailableError if no scheduler is found in time; ValueError, TypeError if the scheduler will not have such a job.
        """
        if self._asking is None:
            self._asking = self._loop.create_task(self._keep_asking())
        self._open[spec.id] = spec
        text = spec.encode()
        try:
            async with self._at_once:
                while True:
                    channel = await self._channel()
                    try:
                        return json.loads(await channel.call("schedule", text, timeout_s=None))
                    except LostError as error:
                        self._say(f"lost the scheduler: {error}; handing its jobs over")
                    except RefusedError as error:
                        self._say(f"{error}; trying again")
                        await asyncio.sleep(ASK_S)
        finally:
            del self._open[spec.id]
            self._ended.pop(spec.id, None)

    def tasks_ended(self) -> int:
        """Of the jobs that are not reported yet."""
        return sum(self._ended.values())

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        for channel in self._channels.values():
            channel.on_lost = None
            channel.close()

    # Schedulers

    async def _channel(self) -> Channel:
        """A connection to a scheduler, each in turn; waits until there is one."""
        while not self._channels:
            if self._finding is None or self._finding.done():
                self._finding = self._loop.create_task(self._find())
            await asyncio.shield(self._finding)
        self._turn += 1
        return list(self._channels.values())[self._turn % len(self._channels)]

    async def _find(self) -> None:
        """Connect to all schedulers that are there. Returns when there is at least one."""
        until = self._loop.time() + self._patience_s
        while True:
            try:
                found = await self._names.list(SCHEDULERS)
                why = f"no scheduler is registered with the name server at {self._names}; start one with: python Scheduler.py"
                results = await asyncio.gather(*(self._connect(name, uri) for name, uri in found.items()), return_exceptions=True)
                for name, result in zip(found, results):
                    if isinstance(result, SparrowError):
                        why = f"{name} is registered but cannot be reached: {result}; start it again with: python Scheduler.py"
            except UnknownHostError:
                raise
            except UnavailableError as error:
                why = str(error)
            if self._channels:
                self.unmet = None
                return
            if self.unmet is not None:
                self.unmet = why
                if self._loop.time() >= until:
                    raise UnavailableError(why)
            self._say(f"waiting: {why}")
            await asyncio.sleep(RETRY_S)

    async def _connect(self, name: str, uri: str) -> None:
        channel = await Channel.open(uri, "a client", self._names.key)
        channel.on_lost = partial(self._disconnected, name)
        self._channels[name] = channel

    def _disconnected(self, name: str) -> None:
        del self._channels[name]

    async def _keep_asking(self) -> None:
        """Ask how far the jobs are. A scheduler that does not answer loses its connection, and so the jobs."""
        while True:
            await asyncio.sleep(ASK_S)
            ids = list(self._open)[:_NAMED]
            without_workers = False
            for channel in list(self._channels.values()):
                try:
                    stats = json.loads(await channel.call("stats", json.dumps(ids)))
                except (SparrowError, LookupError, TypeError, ValueError):
                    continue
                self._ended.update({id: ended for id, (ended, _) in stats["progress"].items() if id in self._open})
                without_workers |= not stats["workers"] and bool(stats["progress"])
            if without_workers:
                self._say("waiting: no worker yet; start one on each machine with: python Worker.py")

    def _say(self, line: str) -> None:
        if line != self._noticed:
            self._noticed = line
            self._notice(line)
