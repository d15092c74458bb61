"""``LiveClientHost``, the driver of a client's node with asyncio and Pyro4 (its contract: ``sparrow.client_node.ClientHost``)."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

from src.cluster.registry import NameServer, UnknownHostError
from src.cluster.submissions import Answer, Submissions
from src.rmi.channel import Channel
from src.rmi.errors import (
    AccessDeniedError,
    ConfigurationError,
    LostError,
    RefusedError,
    SparrowError,
    UnavailableError,
    WrongCredentialsError,
)
from src.sparrow.client_node import ClientNode
from src.sparrow.jobspec import JobSpec
from src.sparrow.reports import Greeting, SchedulerState
from src.sparrow.schema import UnreadableError, parse_json, reader

log = logging.getLogger("sparrow.client")

GREETING = "a client"  # what the client says of itself in the handshake
PROGRESS_CHARACTERS, PROGRESS_VALUES = 2**20, 10_000  # the most of an answer to the question for the progress of 1,000 jobs

_read_greeting = reader(Greeting)
_read_progress = reader(SchedulerState, without=("name", "incarnation", "method", "uptime_s", "now", "open_jobs"))


class LiveClientHost:
    """The driver of one client's node; it makes no decisions.

    ``submissions`` is told what becomes of each job. ``notice(line)`` shows a line to the user.
    """

    node: ClientNode

    def __init__(
        self,
        names: NameServer,
        submissions: Submissions,
        notice: Callable[[str], None],
    ) -> None:
        self._names = names
        self._loop = asyncio.get_running_loop()
        self._channels: dict[str, Channel] = {}
        self._why_lost: dict[str, str] = {}  # scheduler -> why its calls failed when its connection ended
        self._tasks: set[asyncio.Task[None]] = set()
        self.now = time.monotonic
        self._submissions, self._notice = submissions, notice
        self.finish, self.fail = submissions.finish, submissions.fail
        names.say_slow = self.say

    def say(self, line: str) -> None:
        """Shows a line to the user. An error of the function that does it must not stop the node in the middle of a step."""
        try:
            self._notice(line)
        except Exception:  # it is the user's function, and may raise anything
            log.exception("showing a line: %s", line)

    def later(self, delay_s: float, action: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Has ``action(*args)`` called after ``delay_s`` seconds, and returns the timer."""
        return self._loop.call_later(delay_s, action, *args)

    def list_names(self, prefix: str) -> None:
        """Asks the name server for the names with this prefix, and reports the result to the node."""
        self._begin(self._list(prefix))

    async def _list(self, prefix: str) -> None:
        try:
            found = await self._names.list(prefix)
        except SparrowError as error:
            self.node.names_unavailable(error, isinstance(error, (UnknownHostError, AccessDeniedError, ConfigurationError)))
        except Exception as error:  # a search that does not end would be the last one
            log.exception("looking for schedulers")
            self.node.names_unavailable(UnavailableError(f"the schedulers cannot be listed: {error}"), False)
        else:
            self.node.names_seen(found)

    def connect(self, scheduler: str, uri: str, within_s: float) -> None:
        """Begins a connection to a scheduler, and reports the result to the node."""
        self._begin(self._connect(scheduler, uri, within_s))

    async def _connect(self, scheduler: str, uri: str, within_s: float) -> None:
        try:
            channel = await Channel.open(uri, GREETING, self._names.key, within_s)
        except SparrowError as error:
            self.node.unreachable(scheduler, str(error), isinstance(error, WrongCredentialsError))
            return
        except Exception as error:  # a search waits for every connection that it has begun
            log.exception("connecting to %s", scheduler)
            self.node.unreachable(scheduler, f"{type(error).__name__}: {error}", False)
            return
        try:
            greeting = _read_greeting(channel.peer)
        except UnreadableError as unreadable:
            channel.close()
            self.node.unreachable(scheduler, f"what {channel.address} says of itself cannot be read: {unreadable}", False)
            return
        if greeting["name"] != scheduler:
            channel.close()
            self.node.unreachable(scheduler, f"another process answers at {channel.address}", False)
        elif channel.closed:
            self.node.unreachable(scheduler, f"{channel.address} closed the connection", False)
        else:
            self._channels[scheduler] = channel
            channel.on_lost = partial(self._disconnected, scheduler)
            self.node.connected(scheduler, greeting["incarnation"])

    def _disconnected(self, scheduler: str) -> None:
        channel = self._channels.pop(scheduler)
        self.node.disconnected(scheduler, self._why_lost.pop(scheduler, f"{channel.address} closed the connection"))

    def hang_up(self, scheduler: str) -> None:
        """Ends the connection to a scheduler."""
        self._channels.pop(scheduler).drop()

    def schedule(self, scheduler: str, spec: JobSpec) -> None:
        """Hands a job to a scheduler, and reports the answer to the node.

        A job is not sent, and counts as rejected, if another thread has cancelled it meanwhile, or if it cannot be encoded.
        """
        try:
            if not self._submissions.leave(spec.id):
                raise CancelledError
            text = spec.encode()
        except (CancelledError, TypeError, ValueError) as error:
            self._loop.call_soon(self.node.rejected, scheduler, spec.id, error)
        else:
            self._channels[scheduler].begin("schedule", (text,), partial(self._scheduled, scheduler, spec.id), None)

    def _scheduled(self, scheduler: str, job: str, error: Exception | None, value: Any) -> None:
        if error is None:
            self.node.reported(scheduler, job, Answer(scheduler, value))
        elif isinstance(error, LostError):
            self._why_lost[scheduler] = str(error)
        elif isinstance(error, (BlockingIOError, RefusedError)):
            self.node.refused(scheduler, job, str(error))
        else:
            self.node.rejected(scheduler, job, error)

    def ask_progress(self, scheduler: str, jobs: list[str], within_s: float) -> None:
        """Asks a scheduler for the progress of these jobs. Without an answer in ``within_s`` seconds the connection ends."""
        self._channels[scheduler].begin("stats", (json.dumps(jobs), False, True), partial(self._progress, scheduler), within_s)

    def _progress(self, scheduler: str, error: Exception | None, value: Any) -> None:
        if isinstance(error, LostError):
            self._why_lost[scheduler] = str(error)
        elif error is not None:
            log.debug("asking %s: %s", scheduler, error)
            self.node.progress_unknown(scheduler)
        else:
            try:
                said = _read_progress(parse_json(value, PROGRESS_CHARACTERS, PROGRESS_VALUES))
            except UnreadableError as unreadable:
                log.debug("%s answers something that cannot be read: %s", scheduler, unreadable)
                self.node.progress_unknown(scheduler)
            else:
                self.node.progress(scheduler, said["progress"], said["has_workers"])

    def _begin(self, step: Any) -> None:
        task = self._loop.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
