"""A worker that lies: it speaks the protocol under a name of its own, runs nothing, and tells whatever does most harm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Generator
from typing import Any

from src.cluster.registry import WORKERS
from src.cluster.service import Service
from src.rmi.channel import Channel
from src.rmi.daemon import expose
from src.rmi.errors import SparrowError
from src.rmi.security import Security
from src.sparrow import messages as m

NAME = "liar"
STAY = 100  # lies between coming and leaving
LIE_S = 5.0  # for the victim to answer one
REPEATED = 50  # asks in one call that asks for ever

ABSURD = ["nan", "-1", "1e999", "1e300", "true", "null", '"a"', "[]", str(2**60), "1.5"]


class Liar(Service):
    """Registered as a worker of 1,000 slots whose load is always 0. What it is given it reports as done at once, after years."""

    def __init__(self, nameserver: str, scheduler: str, key: bytes | None, rng: random.Random) -> None:
        super().__init__([WORKERS + NAME], nameserver, None, 0, Security(key))
        self._scheduler = scheduler
        self._rng = rng
        self._channel: Channel | None = None
        self._telling: set[asyncio.Task] = set()

    def _who(self) -> dict[str, Any]:
        return {**super()._who(), "slots": 1000}

    @expose
    def get_name(self) -> str:
        return NAME

    @expose
    def find_load(self) -> int:
        return 0

    @expose
    def add_task(self, scheduler: str, incarnation: str, batch: str) -> str:
        told = m.decode(batch, (m.Launch, m.Heartbeat))
        self._report(
            [m.Done(one.job, one.task, one.attempt, m.MAX_ELAPSED_S, m.MAX_ELAPSED_S) for one in told if isinstance(one, m.Launch)]
        )
        return m.encode([])

    @expose
    def set_late_binding(self, scheduler: str, incarnation: str, batch: str) -> str:
        told = m.decode(batch, (m.Reserve, m.Cancel, m.Drop))
        self._report([m.Ask(one.job, one.reservation) for one in told if isinstance(one, m.Reserve)])
        return m.encode([])

    def _report(self, messages: list) -> None:
        if messages:
            task = asyncio.get_running_loop().create_task(self._tell_if_we_can(m.encode(messages)))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, batch: str) -> None:
        """Say this to the scheduler, and report as done whatever it assigns. It may refuse us."""
        if self._channel is None or self._channel.closed:
            self._channel = await Channel.open(await self.names.lookup(self._scheduler) or "", self._who(), self.key)
        with contextlib.suppress(LookupError, TypeError, ValueError):
            answer = await self._channel.call("request_task", NAME, self.incarnation, batch, timeout_s=LIE_S)
            given = [one for one in m.decode(answer, m.ANSWERS) if isinstance(one, m.Assign)]
            if given:
                done = [m.Done(one.job, one.task, one.attempt, m.MAX_ELAPSED_S, m.MAX_ELAPSED_S) for one in given]
                await self._channel.call("task_completed", NAME, self.incarnation, m.encode(done), timeout_s=LIE_S)

    async def _tell_if_we_can(self, batch: str) -> None:
        with contextlib.suppress(SparrowError):
            await self._tell(batch)

    async def _jobs(self) -> list[str]:
        """The newest jobs that the scheduler knows: not ours to speak of, but anybody may ask for them."""
        assert self._channel is not None
        stats = json.loads(await self._channel.call("stats", "[]", False, False, timeout_s=LIE_S))
        return [job["id"] for job in stats["jobs"]] or ["none"]

    async def lie(self) -> None:
        """Tell one lie. TimeoutError if the scheduler does not take it in time."""
        rng = self._rng
        try:
            await self._tell("[]")
            job = rng.choice(await self._jobs())
            number = rng.choice((0, 1, 2, 5, rng.randrange(1000), m.MAX_NUMBER))
            lies = [
                [m.Done(job, number, 1, 0.0, 0.0)],  # a task of somebody else's
                [m.Done(job, number, attempt, m.MAX_ELAPSED_S, 0.0) for attempt in range(5)],
                [m.Done("no-such-job", 0, 1, 0.0, 0.0)],
                [m.Ask(job, reservation) for reservation in range(REPEATED)],  # reservations of somebody else's
                [m.Ask(job, number)] * REPEATED,
                [m.Ask("no-such-job", number)],
                [m.Held([(job, number, 1)], [(job, number)], [(job, task, 1) for task in range(9)], [(job, number)])],
                [m.Load(job, 0, 0)],
            ]
            absurd = rng.choice(ABSURD)
            text = rng.choice((f'[["Done","{job}",0,1,{absurd},{absurd}]]', f'[["Ask","{job}",{absurd}]]', f"[{absurd}]"))
            await self._tell(rng.choice([*map(m.encode, lies), text]))
        except SparrowError as error:
            raise TimeoutError(f"a lie was not taken: {error}") from error

    async def leave(self) -> None:
        """Take leave, and go on all the same."""
        await self._tell(m.encode([m.Leave([])]))

    async def _closing(self) -> None:
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        if self._channel is not None:
            self._channel.close()

    def do(self, what: Any) -> None:
        """Run one of the coroutines above in the thread of the liar."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(what, self._loop).result(2 * LIE_S)


def lies(nameserver: str, scheduler: str, key: bytes | None, rng: random.Random) -> Generator[None, None, None]:
    """Each step is a lie. Now and then the liar leaves, with a word or without one, and comes back as another incarnation."""
    logging.getLogger("sparrow.service").setLevel(logging.ERROR)
    while True:
        with Liar(nameserver, scheduler, key, rng) as liar:
            for _ in range(STAY):
                liar.do(liar.lie())
                yield
            if rng.random() < 0.5:
                liar.do(liar.leave())
