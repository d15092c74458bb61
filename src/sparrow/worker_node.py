"""The state machine of a worker, without I/O: its queue and slots, its links to schedulers, its admission limit, and how it leaves.

Each public method is an event; the node asks its host for everything that is to be done. ``Worker.py`` and the simulation drive the
same class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from src.sparrow import messages as m
from src.sparrow.commands import Send, Stop
from src.sparrow.commands import WorkerCommand as Command
from src.sparrow.identity import check_speaker
from src.sparrow.link import Host, Link
from src.sparrow.messages import Address
from src.sparrow.names import SCHEDULERS
from src.sparrow.settings import WorkerSettings
from src.sparrow.workqueue import WorkQueue


class WorkerHost(Host, Protocol):
    """What a worker's node asks of its driver, in addition to what every node asks."""

    def start_run(self, owner: Address, run: m.Run, duration_s: float) -> None:
        """Starts a task that takes ``duration_s`` seconds. ``run_ended`` is called when it has ended."""

    def stop_run(self, owner: Address, run: m.Run) -> None:
        """Ends a run before its time. ``run_ended`` is not called for it."""

    def empty_run(self, owner: Address, run: m.Run) -> None:
        """Notes that a task of 0 s has run. The node counts it as ended, so ``run_ended`` is not called for it."""

    def left(self) -> None:
        """Ends the process: the node has told it to leave and has closed all links."""

    def greet(self, scheduler: str, uri: str) -> None:
        """Greets a scheduler. The greeting may be lost: the scheduler finds the worker in the name server a little later."""


class WorkerNode:
    """One incarnation of one worker. ``address`` has the worker's name without the prefix that it has in the name server."""

    queue_class: type[WorkQueue] = WorkQueue
    link_class: type[Link] = Link

    def __init__(self, address: Address, host: WorkerHost, slots: int = 1, settings: WorkerSettings = WorkerSettings()) -> None:
        self.address, self.settings = address, settings
        self._host = host
        self.queue = self.queue_class(slots, settings)
        self.links: dict[Address, Link] = {}  # the links to the schedulers that have called
        self._working = False  # whether a step is due
        self._closed = False
        self._room = settings.max_held  # messages that can be taken before the worker must count again what it holds

    # From schedulers

    def received(self, scheduler: Address, greeting: Mapping[str, Any], batch: Sequence[m.Message]) -> list[m.Message]:
        """A scheduler has called with this batch. Returns the answers. ``greeting`` is what its connection said in the handshake.

        Raises ValueError, and changes nothing, if the caller's name is not that of a scheduler or not that of its connection.
        Raises BlockingIOError ("try later") if the worker has no room, or if it knows a newer incarnation of the scheduler.
        """
        if not scheduler.name.startswith(SCHEDULERS):
            raise ValueError(f"not the name of a scheduler: {scheduler.name!r} (they begin with {SCHEDULERS})")
        check_speaker(greeting, scheduler.name, scheduler.incarnation)
        is_new = scheduler not in self.links
        if is_new and self._is_outdated(scheduler):
            raise BlockingIOError(f"try later: {self.address.name} still knows a newer incarnation of {scheduler.name}")
        self._room -= len(batch)
        if self._room < 0:
            self._check_room(batch)
        if is_new:
            others = sum(known.name != scheduler.name for known in self.links)
            if others >= self.settings.max_schedulers:
                raise BlockingIOError(f"try later: {self.address.name} serves {others} schedulers already")
            uri = greeting.get("uri")
            self._ensure_link(scheduler, uri if isinstance(uri, str) else None)
        return self._perform(self.queue.received(scheduler, batch, self._host.now()), answering=scheduler)

    def _check_room(self, batch: Sequence[m.Message]) -> None:
        """Counts what is held. Raises BlockingIOError if this batch is too much; a worker that holds nothing takes any batch."""
        held, most = self.queue.load + sum(map(len, self.links.values())), self.settings.max_held
        new = sum(message.needs_room for message in batch)
        self._room = max(0, most - held - len(batch))
        if new and held and held + new > most:
            raise BlockingIOError(f"try later: {self.address.name} holds {held:,} tasks of {len(self.links)} schedulers")

    def _is_outdated(self, scheduler: Address) -> bool:
        """Returns whether the worker knows a newer incarnation of this scheduler."""
        return any(known.name == scheduler.name and known.incarnation > scheduler.incarnation for known in self.links)

    def _ensure_link(self, scheduler: Address, uri: str | None) -> None:
        """Makes a link to that scheduler if there is none. An older incarnation of the same name is given up."""
        if scheduler not in self.links:
            for former in [former for former in self.links if former.name == scheduler.name]:
                self.links[former].give_up("it was restarted")
            self._host.note("debug", f"first contact with {scheduler.name}")
            name, incarnation = scheduler
            self.links[scheduler] = self.link_class(self, self._host, scheduler, name, incarnation, uri, self.settings.link)

    # From the slots

    def run_ended(self, owner: Address, run: m.Run) -> None:
        """A run that was started has ended."""
        self._perform(self.queue.ended(owner, run, self._host.now()))

    # From the name server

    def names_seen(self, schedulers: Mapping[str, str]) -> None:
        """The name server lists these schedulers (name -> uri). The worker greets them, so that the next job can use it.

        It greets a bounded number: anybody may register names, and the other schedulers find the worker in the name server.
        """
        for name, uri in islice(schedulers.items(), self.settings.max_schedulers):
            self._host.greet(name, uri)

    # From links to schedulers

    def link_up(self, link: Link, greeting: Mapping[str, Any]) -> None:
        """A scheduler is connected. There is nothing to do."""

    def link_down(self, link: Link) -> None:
        """The connection to a scheduler has ended. There is nothing to do unless it is lost."""

    def link_answered(self, link: Link, batch: Sequence[m.Message], answers: Sequence[m.Message]) -> None:
        """A scheduler has answered a batch, with tasks for reservations or no-ops."""
        self._perform(self.queue.received(link.peer, answers, self._host.now()))

    def link_refused(self, link: Link, message: m.Message) -> None:
        """A scheduler has refused this message. An Ask counts as answered with a no-op, so that its slot becomes free."""
        if isinstance(message, m.Ask):
            no_task = m.NoTask(message.job, message.reservation)
            self._perform(self.queue.received(link.peer, [no_task], self._host.now()))

    def link_lost(self, link: Link, reason: str) -> None:
        """A scheduler is lost. Its runs and reservations are dropped."""
        scheduler = link.peer
        del self.links[scheduler]
        self._host.note("warning", f"{scheduler.name} is lost: {reason}; what it gave is dropped")
        self._perform(self.queue.lost(scheduler, self._host.now()))
        self._go_on()

    def _go_on(self) -> None:
        """Has the rest of what was too much for one event done. Other events take place between two steps."""
        if self.queue.has_work and not self._working:
            self._working = True
            self._host.later(0.0, self._work)

    def _work(self) -> None:
        self._working = False
        if not self._closed:
            self._perform(self.queue.work(self._host.now()))
            self._go_on()

    # Leaving

    def leave(self, connected: Iterable[tuple[Address, str | None]]) -> None:
        """The worker is to stop. It tells the schedulers to take back everything but the runs that end soon.

        When no run is left and the schedulers have taken all messages, or when the time for that is over, the host's ``left`` is
        called.
        ``connected`` has the address and the uri of each scheduler that is connected to the worker; some may have sent it nothing
        yet.
        """
        for scheduler, uri in connected:
            if not self._is_outdated(scheduler):
                self._ensure_link(scheduler, uri)
        commands = self.queue.leave(list(self.links), self._host.now(), self.settings.finish_s)
        handed_back = sum(isinstance(command, Stop) for command in commands)
        self._host.note("info", f"hands back {handed_back} running tasks, ends {len(self.queue.running)}")
        self._perform(commands)
        until_s = self._host.now() + self.settings.finish_s + self.settings.goodbye_s
        self._host.later(0.0, self._look_whether_left, until_s)

    def _look_whether_left(self, until_s: float) -> None:
        holds = self.queue.running or any(map(len, self.links.values()))
        if holds and self._host.now() < until_s:
            self._host.later(self.settings.leaving_look_s, self._look_whether_left, until_s)
        else:
            self.close()
            self._host.left()

    def close(self) -> None:
        """Closes all links, and begins nothing more."""
        self._closed = True
        for link in self.links.values():
            link.close()

    # Commands

    def _perform(self, commands: list[Command], answering: Address | None = None) -> list[m.Message]:
        """Performs the commands of the queue. Returns the messages that go into the answer to the scheduler ``answering``.

        A task of 0 s ends as soon as it starts. At most ``max_at_once`` of them are run in one call, so that other events are not
        delayed.
        """
        answers: list[m.Message] = []
        at_once = self.settings.max_at_once
        for command in commands:
            if isinstance(command, Send):
                if command.message.is_answer and command.to == answering:
                    answers.append(command.message)
                else:
                    link = self.links.get(command.to)
                    if link is not None:
                        link.send(command.message)
            elif isinstance(command, Stop):
                self._host.stop_run(command.owner, command.run)
            elif command.duration_s == 0 and at_once > 0:
                at_once -= 1
                self._host.empty_run(command.owner, command.run)
                commands.extend(self.queue.ended(command.owner, command.run, self._host.now()))  # this loop performs them too
            else:
                self._host.start_run(command.owner, command.run, command.duration_s)
        return answers
