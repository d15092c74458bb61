"""A worker that lies: it registers under a name of its own, runs nothing, and sends false messages of every kind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Coroutine, Generator
from typing import Any

from src.cluster.service import Service
from src.rmi.channel import Channel
from src.rmi.daemon import expose
from src.rmi.errors import SparrowError
from src.rmi.security import Security
from src.sparrow import messages as m
from src.sparrow.checks import MAX_ELAPSED_S, MAX_NUMBER
from src.sparrow.names import WORKERS
from src.sparrow.settings import NamingSettings

NAME = "liar"
STAY = 100  # lies between coming and leaving
LIE_S = 5.0  # for the victim to answer one
REPEATED = 50  # asks in one call that asks for ever

ABSURD = ["nan", "-1", "1e999", "1e300", "true", "null", '"a"', "[]", str(2**60), "1.5"]


class Liar(Service):
    """A worker of 1,000 slots whose load is always 0. It reports each task as done at once, with times of years."""

    def __init__(self, nameserver: str, scheduler: str, key: bytes | None, rng: random.Random, name: str = NAME) -> None:
        super().__init__([WORKERS + name], nameserver, None, 0, Security(key), NamingSettings())
        self._scheduler = scheduler
        self._rng = rng
        self._channel: Channel | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def _who(self) -> dict[str, Any]:
        return {**super()._who(), "slots": 1000}

    @expose
    def get_name(self) -> str:
        """Returns its name."""
        return NAME

    @expose
    def find_load(self) -> int:
        """Returns 0, so that probes choose it."""
        return 0

    @expose
    def add_task(self, scheduler: str, incarnation: str, batch: str) -> str:
        """Report all tasks as done."""
        told = m.decode(batch, m.taken_by("add_task"))
        self._report(
            [m.Done(one.job, one.task, one.attempt, MAX_ELAPSED_S, MAX_ELAPSED_S) for one in told if isinstance(one, m.Launch)]
        )
        return m.encode([])

    @expose
    def set_late_binding(self, scheduler: str, incarnation: str, batch: str) -> str:
        """Ask for the tasks of all reservations at once."""
        told = m.decode(batch, m.taken_by("set_late_binding"))
        self._report([m.Ask(one.job, one.reservation) for one in told if isinstance(one, m.Reserve)])
        return m.encode([])

    def _report(self, messages: list[m.Message]) -> None:
        if messages:
            task = asyncio.get_running_loop().create_task(self._tell_if_we_can(m.encode(messages)))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, batch: str) -> None:
        """Send this to the scheduler, and report as done whatever it assigns. It may refuse the message."""
        if self._channel is None or self._channel.closed:
            self._channel = await Channel.open(await self.names.lookup(self._scheduler) or "", self._who(), self.key)
        with contextlib.suppress(LookupError, TypeError, ValueError):
            answer = await self._channel.call("request_task", NAME, self.incarnation, batch, timeout_s=LIE_S)
            given = [one for one in m.decode(answer, m.answers_of([m.Ask.example()])) if isinstance(one, m.Assign)]
            if given:
                done = [m.Done(one.job, one.task, one.attempt, MAX_ELAPSED_S, MAX_ELAPSED_S) for one in given]
                await self._channel.call("task_completed", NAME, self.incarnation, m.encode(done), timeout_s=LIE_S)

    async def _tell_if_we_can(self, batch: str) -> None:
        with contextlib.suppress(SparrowError):
            await self._tell(batch)

    async def _jobs(self) -> list[str]:
        """Returns the ids of the newest jobs that the scheduler knows; anybody may ask for them."""
        assert self._channel is not None
        stats = json.loads(await self._channel.call("stats", "[]", False, False, timeout_s=LIE_S))
        return [job["id"] for job in stats["jobs"]] or ["none"]

    async def lie(self) -> None:
        """Send one false message. Raises TimeoutError if the scheduler does not answer in time."""
        rng = self._rng
        try:
            await self._tell("[]")
            job = rng.choice(await self._jobs())
            number = rng.choice((0, 1, 2, 5, rng.randrange(1000), MAX_NUMBER))
            lies: list[list[m.Message]] = [
                [m.Done(job, number, 1, 0.0, 0.0)],  # a task of another worker
                [m.Done(job, number, attempt, MAX_ELAPSED_S, 0.0) for attempt in range(5)],
                [m.Done("no-such-job", 0, 1, 0.0, 0.0)],
                [m.Ask(job, reservation) for reservation in range(REPEATED)],  # reservations of other workers
                [m.Ask(job, number)] * REPEATED,
                [m.Ask("no-such-job", number)],
                [m.Holdings([(job, number, 1)], [(job, number)], [(job, task, 1) for task in range(9)], [(job, number)], [])],
                [m.Load(job, 0, 0)],
            ]
            absurd = rng.choice(ABSURD)
            text = rng.choice((f'[["Done","{job}",0,1,{absurd},{absurd}]]', f'[["Ask","{job}",{absurd}]]', f"[{absurd}]"))
            await self._tell(rng.choice([*(m.encode(lie) for lie in lies), text]))
        except SparrowError as error:
            raise TimeoutError(f"a lie was not taken: {error}") from error

    async def leave(self) -> None:
        """Send that this worker leaves, and stay."""
        await self._tell(m.encode([m.Leave([])]))

    async def _closing(self) -> None:
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        if self._channel is not None:
            self._channel.close()
        await asyncio.sleep(0)  # what was cancelled or closed ends now, before the loop does

    def do(self, what: Coroutine[Any, Any, None]) -> None:
        """Run one of the coroutines above in this service's thread, and wait for its end."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(what, self._loop).result(2 * LIE_S)


def lies(nameserver: str, scheduler: str, key: bytes | None, rng: random.Random) -> Generator[None, None, None]:
    """Each step is a false message. Every so often the worker leaves, announced or not, and comes back as another incarnation."""
    logging.getLogger("sparrow.service").setLevel(logging.ERROR)
    while True:
        with Liar(nameserver, scheduler, key, rng) as liar:
            for _ in range(STAY):
                liar.do(liar.lie())
                yield
            if rng.random() < 0.5:
                liar.do(liar.leave())
