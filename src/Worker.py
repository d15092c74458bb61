"""A worker: runs the tasks that schedulers give it, each in a slot. A task is to sleep for a while.

    python Worker.py [--slots N] [--name NAME]

The class below only carries: a remote call becomes an event of the book (sparrow.workqueue), and the commands that come back go to
the slots and to the schedulers. It learns of a scheduler when that first sends it something.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

if not __package__:
    import _root  # noqa: F401

from src.cli import command
from src.cluster.peer import Peer
from src.cluster.registry import SCHEDULERS, WORKERS
from src.cluster.service import Service
from src.rmi.channel import Channel
from src.rmi.daemon import current_caller, expose
from src.rmi.errors import SparrowError, UnavailableError
from src.rmi.security import Security
from src.sparrow import messages as m
from src.sparrow.queues import Owner
from src.sparrow.workqueue import Command, Start, Stop, WorkQueue

MAX_SLOTS = 1024
FINISH_S = 0.5  # a worker that is told to stop still ends the tasks that need no longer
GOODBYE_S = 0.3  # for telling the schedulers
GREET_S = 1.0  # for telling schedulers that we are there, at the start
MAX_HELD = 1_000_000  # tasks and reservations: about 400 MB
MAX_SCHEDULERS = 100
AT_ONCE = 100  # empty tasks that run in one go, before others get their turn

log = logging.getLogger("sparrow.worker")


class Worker(Service):
    """The remote object ``sparrow.worker.<name>``.

    ``name`` None: the name of this host, or with .2, .3 ... when that is taken; ``nameserver_hostname`` is HOST[:PORT], or None as
    on the command line. It serves in this thread with ``run()``, or in one of its own with ``start()`` and ``stop()`` or as a
    context manager. ``key_file`` and ``insecure`` are as on the command line: ConfigurationError if the key cannot be used.
    """

    def __init__(
        self,
        name: str | None = None,
        nameserver_hostname: str | None = None,
        *,
        slots: int = 1,
        host: str | None = None,
        port: int = 0,
        key_file: str | None = None,
        insecure: bool = False,
    ) -> None:
        names = names_of_this_host() if name is None else [worker_name(name)]
        super().__init__((WORKERS + name for name in names), nameserver_hostname, host, port, Security.of(key_file, insecure))
        self._book = WorkQueue(m.number(slots, "slots", least=1, most=MAX_SLOTS))
        self._peers: dict[Owner, Peer] = {}
        self._sleeping: dict[tuple, asyncio.TimerHandle] = {}

    # Remote methods

    @expose
    def get_name(self) -> str:
        """The worker's name, without the prefix that it has in the name server."""
        return self.name[len(WORKERS) :]

    @expose
    def find_load(self) -> int:
        """Tasks and reservations queued and running. The answer to a probe."""
        return self._book.load

    @expose
    def add_task(self, scheduler: Any, incarnation: Any, batch: Any) -> str:
        """That scheduler has tasks to run: [Launch, ..., Heartbeat]. Answer: [Held, ...]"""
        return self._from_scheduler(scheduler, incarnation, m.decode(batch, (m.Launch, m.Heartbeat)))

    @expose
    def set_late_binding(self, scheduler: Any, incarnation: Any, batch: Any) -> str:
        """That scheduler makes reservations or takes them back: [Reserve, ..., Cancel, ..., Drop, ...]"""
        return self._from_scheduler(scheduler, incarnation, m.decode(batch, (m.Reserve, m.Cancel, m.Drop)))

    # From events to commands to slots and schedulers

    def _from_scheduler(self, scheduler: Any, incarnation: Any, messages: list) -> str:
        owner = Owner(m.identifier(scheduler, "scheduler"), m.identifier(incarnation, "incarnation"))
        if not owner.scheduler.startswith(SCHEDULERS):
            raise ValueError(f"not the name of a scheduler: {owner.scheduler!r} (they begin with {SCHEDULERS})")
        new = sum(isinstance(message, (m.Launch, m.Reserve)) for message in messages)
        held = self._book.load + sum(peer.unsent for peer in self._peers.values())
        is_full = new and held and held + new > MAX_HELD  # with nothing to do, any batch is taken
        if is_full or (owner not in self._peers and len(self._peers) >= MAX_SCHEDULERS):
            raise BlockingIOError(f"try later: {self.name} holds {held:,} tasks of {len(self._peers)} schedulers")
        self._know(owner, current_caller())
        return m.encode(self._perform(self._book.received(owner, messages, time.monotonic()), answering=owner))

    def _perform(self, commands: Iterable[Command], answering: Owner | None = None) -> list[m.Message]:
        """Do what the book says. Returns what belongs into the answer to the scheduler that is being answered."""
        answer: list[m.Message] = []
        todo = deque(commands)
        at_once = AT_ONCE
        while todo:
            one = todo.popleft()
            if isinstance(one, Start):
                if one.duration_s == 0 and at_once > 0:
                    at_once -= 1
                    todo.extend(self._book.ended(one.owner, one.run, time.monotonic()))
                else:
                    loop = asyncio.get_running_loop()
                    self._sleeping[one.owner, one.run] = loop.call_later(one.duration_s, self._awake, one.owner, one.run)
            elif isinstance(one, Stop):
                self._sleeping.pop((one.owner, one.run)).cancel()
            elif one.owner == answering and isinstance(one.message, m.ANSWERS):
                answer.append(one.message)
            elif one.owner in self._peers:
                self._peers[one.owner].send(one.message)
        return answer

    def _awake(self, owner: Owner, run: m.Run) -> None:
        del self._sleeping[owner, run]
        self._perform(self._book.ended(owner, run, time.monotonic()))

    # Schedulers come and go

    def _know(self, owner: Owner, greeting: dict[str, Any]) -> None:
        """Have a way to that scheduler. One of the same name that was there before is gone: there is one of each name."""
        if owner in self._peers:
            return
        for former in [former for former in self._peers if former.scheduler == owner.scheduler]:
            self._lost(former, "it was restarted")
        log.debug("%s: first contact with %s", self.name, owner.scheduler)
        told = greeting.get("uri") if greeting.get("incarnation") == owner.incarnation else None

        async def locate() -> str | None:
            return told if isinstance(told, str) else await self.names.lookup(owner.scheduler)

        self._peers[owner] = Peer(
            owner.scheduler,
            incarnation=owner.incarnation,
            locate=locate,
            who=self._who(),
            key=self.key,
            door=lambda message: "",
            route=self._route,
            answered=partial(self._answered, owner),
            lost=partial(self._lost, owner),
            refused=partial(self._refused, owner),
        )

    def _route(self, batch: list[m.Message]) -> tuple:
        asks = any(isinstance(message, m.Ask) for message in batch)
        return "request_task" if asks else "task_completed", self.get_name(), self.incarnation, m.encode(batch)

    def _answered(self, owner: Owner, batch: list[m.Message], answer: Any) -> None:
        self._perform(self._book.received(owner, m.decode(answer, (m.Assign, m.NoTask)), time.monotonic()))

    def _refused(self, owner: Owner, message: m.Message) -> None:
        if isinstance(message, m.Ask):  # no answer will come: the slot must not wait for one
            self._perform(self._book.received(owner, [m.NoTask(message.job, message.reservation)], time.monotonic()))

    def _lost(self, owner: Owner, reason: str) -> None:
        self._peers.pop(owner).close()
        log.warning("%s: %s is lost: %s; what it gave is dropped", self.name, owner.scheduler, reason)
        self._perform(self._book.lost(owner, time.monotonic()))

    # The life of a worker

    def _who(self) -> dict[str, Any]:
        return {**super()._who(), "slots": self._book.slots}

    async def _opened(self) -> None:
        """Tell the schedulers that are there, so that the next job already finds us; others will see our name."""
        try:
            schedulers = await self.names.list(SCHEDULERS)
        except UnavailableError as error:
            log.debug("%s: no scheduler was told: %s", self.name, error)
            return
        greetings = [asyncio.ensure_future(self._greet(uri)) for uri in schedulers.values()]
        try:
            if greetings:
                await asyncio.wait(greetings, timeout=GREET_S)
        finally:
            for greeting in greetings:
                greeting.cancel()

    async def _greet(self, uri: str) -> None:
        try:
            channel = await Channel.open(uri, self._who(), self.key)
            try:
                await channel.call("request_task", self.get_name(), self.incarnation, m.encode([]))
            finally:
                channel.close()
        except (SparrowError, LookupError, TypeError, ValueError, BlockingIOError) as error:
            log.debug("%s: greeting the scheduler at %s: %s", self.name, uri, error)

    async def _closing(self) -> None:
        for connection in list(self._daemon.connections):  # those too that have never given us anything
            greeting = connection.peer if isinstance(connection.peer, dict) else {}
            name, incarnation = greeting.get("name"), greeting.get("incarnation")
            if isinstance(name, str) and name.startswith(SCHEDULERS) and isinstance(incarnation, str):
                self._know(Owner(name, incarnation), greeting)
        commands = self._book.leave(list(self._peers), time.monotonic(), FINISH_S)
        handed_back = sum(isinstance(one, Stop) for one in commands)
        log.info("%s: hands back %d running tasks, ends %d", self.name, handed_back, len(self._book.running))
        self._perform(commands)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FINISH_S + GOODBYE_S
        while loop.time() < deadline and (self._book.running or any(peer.unsent for peer in self._peers.values())):
            await asyncio.sleep(0.005)
        for peer in self._peers.values():
            peer.close()


def names_of_this_host() -> Iterator[str]:
    """Names for the workers on it, the first for the first."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[: m.MAX_NAME // 2] or "worker"
    yield host
    yield from (f"{host}.{number}" for number in range(2, 1000))


def worker_name(text: str) -> str:
    """``text`` if it can be the name of a worker; ValueError otherwise."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", text):
        raise ValueError(f"a worker's name is 1 to 100 letters, digits, dots, hyphens and underscores, not {text!r:.60}")
    return text


def _name(text: str) -> str:
    """For argparse."""
    try:
        return worker_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> None:
    parser = command.parser(
        "Run a worker: it takes tasks from schedulers and runs each in a slot. Start one on each machine.",
        "It waits for the name server (pyro4-ns) and registers as sparrow.worker.NAME; schedulers find it there.\n"
        "Start and stop any of them in any order. On SIGINT or SIGTERM it hands back what it holds; a second one ends it at once.",
    )
    command.add_service_options(parser)
    parser.add_argument("--name", type=_name, help="its name (default: the host's name, with .2, .3 ... when that is taken)")
    parser.add_argument(
        "--slots",
        type=lambda text: command.whole_number(text, 1, MAX_SLOTS),
        default=1,
        metavar="N",
        help="tasks that it runs at a time (default: 1)",
    )
    arguments = parser.parse_args()
    command.log_to_stderr(arguments.log_level)
    command.serve(lambda: Worker(arguments.name, arguments.nameserver, slots=arguments.slots, **command.service(arguments)).run())


if __name__ == "__main__":
    main()
