"""How a client's jobs reach schedulers and are not forgotten: it holds each until it is reported.

A scheduler keeps nothing on disk. When the one that has a job goes away, the client hands the job, under the same id, to the next
scheduler or to the same one when it is back. A scheduler is gone when its connection ends, or when it does not answer the question
how far it is, which is asked about once a second.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from src.cluster.registry import SCHEDULERS, NameServer, UnknownHostError
from src.rmi.channel import ANSWER_S, Channel
from src.rmi.errors import LostError, RefusedError, SparrowError, TurnedAwayError, UnavailableError, WrongCredentialsError
from src.sparrow.messages import JobSpec

ASK_S = 1.0  # between two questions how far the jobs are
ALONE_ANSWER_S = 15.0  # for a slow scheduler to say how far it is, when there is no other to hand its jobs to
RETRY_S = 0.1  # between two looks for a scheduler, while there is none
AT_ONCE = 16_000  # jobs handed over and not yet reported: more wait here
_NAMED = 1_000  # open jobs named in one question

log = logging.getLogger("sparrow.handover")


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
        self.unmet: str | None = f"no answer yet from a name server at {names}"  # why no scheduler has been found so far
        self._noticed: set[str] = set()  # lines, since a scheduler was found
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._loop = asyncio.get_running_loop()

    async def run(self, spec: JobSpec) -> dict[str, Any]:
        """Have a job run, whatever happens to schedulers meanwhile. Returns its report as it came over the wire.

        UnavailableError if no scheduler is found in time; ValueError, TypeError and the like if a scheduler will not have it.
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
                    except BlockingIOError as error:
                        self._say(f"waiting: {error}")
                        await asyncio.sleep(ASK_S * random.uniform(0.5, 1.5))
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
            channel.drop()

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
                why = await self._connect_all()
            except UnavailableError as error:
                if isinstance(error, (UnknownHostError, TurnedAwayError)) and self.unmet is not None:
                    raise
                why = str(error)
            if self._channels:
                self.unmet = None
                self._noticed.clear()
                return
            if self.unmet is not None:
                self.unmet = why
                if self._loop.time() >= until:
                    raise UnavailableError(why)
            self._say(f"waiting: {why}")
            await asyncio.sleep(RETRY_S)

    async def _connect_all(self) -> str:
        """Connect to the schedulers that are not connected. Returns why there may be none."""
        found = await self._names.list(SCHEDULERS)
        missing = [name for name in found if name not in self._channels]
        results = await asyncio.gather(*(self._connect(name, found[name]) for name in missing), return_exceptions=True)
        for name, result in zip(missing, results):
            if isinstance(result, WrongCredentialsError) and not self._channels:
                raise TurnedAwayError(f"{name} at {result}")
            if isinstance(result, Exception):
                return f"{name} is registered but cannot be reached: {result}; start it again with: python Scheduler.py"
        return f"no scheduler is registered with the name server at {self._names}; start one with: python Scheduler.py"

    async def _connect(self, name: str, uri: str) -> None:
        channel = await Channel.open(uri, "a client", self._names.key)
        if not isinstance(channel.peer, dict) or channel.peer.get("name") != name:
            channel.close()
            raise UnavailableError(f"somebody else answers at {channel.address}")
        if name in self._channels:  # somebody else of us was faster
            channel.close()
        elif not channel.closed:
            channel.on_lost = partial(self._disconnected, name)
            self._channels[name] = channel

    def _disconnected(self, name: str) -> None:
        del self._channels[name]

    async def _keep_asking(self) -> None:
        """Ask how far the jobs are. A scheduler that does not answer loses its connection, and so the jobs."""
        while True:
            await asyncio.sleep(ASK_S)
            if self._channels:
                try:  # schedulers may have been added, or have come back
                    await self._connect_all()
                except SparrowError as error:
                    log.debug("looking for more schedulers: %s", error)
            ids = json.dumps(list(self._open)[:_NAMED])
            patience_s = ANSWER_S if len(self._channels) > 1 else ALONE_ANSWER_S
            without_workers = False
            for channel in list(self._channels.values()):
                try:
                    stats = json.loads(await channel.call("stats", ids, False, True, timeout_s=patience_s))
                    ended = {id: ended for id, (ended, _) in stats["progress"].items()}
                    without_workers |= not stats["workers"] and bool(ended)
                except (SparrowError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
                    log.debug("asking the scheduler at %s: %s", channel.address, error)
                else:
                    self._ended.update({id: tasks for id, tasks in ended.items() if id in self._open})
            if without_workers:
                self._say("waiting: no worker yet; start one on each machine with: python Worker.py")

    def _say(self, line: str) -> None:
        if line not in self._noticed:
            self._noticed.add(line)
            self._notice(line)
