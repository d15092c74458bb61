"""``SchedulerHost``, the live driver of a scheduler's node (its contract: ``sparrow.scheduler_node.SchedulerHost``)."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from src.cluster.live_host import LiveHost
from src.cluster.registry import NameServer
from src.rmi.connection import PendingReply
from src.rmi.errors import UnavailableError
from src.rmi.serializer import dump
from src.sparrow.messages import Address
from src.sparrow.reports import Report
from src.sparrow.scheduler_node import SchedulerNode
from src.sparrow.taskcolumns import plain

Form = Callable[[Report], object]  # one of a few functions, which returns the report as its caller wants it

LARGE_REPORT_TASKS = 10_000

log = logging.getLogger("sparrow.scheduler")


class SchedulerHost(LiveHost):
    """The driver of a scheduler's node. ``first_look`` is set after the first listing of the workers."""

    node: SchedulerNode

    def __init__(self, address: Address, names: NameServer, who: Callable[[], dict[str, Any]]) -> None:
        super().__init__(address, names, who, log)
        self.first_look = asyncio.Event()
        self._listing: asyncio.Task[None] | None = None
        self._forgetting: set[asyncio.Task[None]] = set()

    def list_names(self, prefix: str) -> None:
        """Asks the name server for the names with this prefix, and reports the result to the node."""
        self._listing = self._loop.create_task(self._list(prefix))

    async def _list(self, prefix: str) -> None:
        try:
            found = await self._names.list(prefix)
        except UnavailableError:  # HeldName.hold logs it
            self.node.names_unavailable()
        except Exception:  # the node must hear of every result, else it never lists again and no worker joins
            log.exception("%s: looking for workers", self._address.name)
            self.node.names_unavailable()
        else:
            self.node.names_seen(found)
        self.first_look.set()

    def forget_name(self, name: str, uri: str) -> None:
        """Has the name server remove a name if it is still bound to this uri."""
        forgetting = self._loop.create_task(self._forget_name(name, uri))
        self._forgetting.add(forgetting)
        forgetting.add_done_callback(self._forgetting.discard)

    async def _forget_name(self, name: str, uri: str) -> None:
        try:
            await self._names.unregister(name, uri)
        except UnavailableError as error:  # it is tried again after the next attempt to connect
            log.debug("%s: removing %s: %s", self._address.name, name, error)

    def job_ended(self, report: Report) -> Report:
        """Returns the report with ``submitted`` and ``finished`` in seconds since 1970. It changes the report itself."""
        to_wall_s = time.time() - time.monotonic()
        report["submitted"] += to_wall_s
        report["finished"] += to_wall_s
        log.debug("%s: job %s ended after %.3f s", self._address.name, report["id"], report["response_s"])
        return report


def as_text(report: Report) -> str:
    """Returns a report as JSON text that is not packed."""
    return json.dumps(plain(report), separators=(",", ":"))


class WrittenReport:
    """A report, and the replies to those who wait for it: one for each form that somebody wants, and written once."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._values: dict[Form, object] = {}  # of large reports, until they are serialized
        self._payloads: dict[Form, bytes] = {}

    def payload(self, form: Form) -> bytes | None:
        """Returns the payload of a reply in this form. A large one is made in two steps, each of which returns None."""
        if form in self._payloads:
            return self._payloads[form]
        if len(self.report["tasks"]) <= LARGE_REPORT_TASKS:
            payload = self._payloads[form] = dump(form(self.report))
            return payload
        if form in self._values:
            self._payloads[form] = dump(self._values.pop(form))
        else:
            self._values[form] = form(self.report)
        return None


class PendingReport:
    """A call of ``schedule`` that is answered when its job has ended, with its report in the form that it wants."""

    _written: WeakValueDictionary[str, WrittenReport] = WeakValueDictionary()  # job -> its report, while an answer is due

    def __init__(self, call: PendingReply, form: Form) -> None:
        self._call, self._form = call, form

    @property
    def caller(self) -> Hashable:
        """The connection that the call came by."""
        return self._call.connection

    def answer(self, report: Report) -> None:
        """Answers the call with this report when it is the turn of its connection."""
        written = self._written.get(report["id"])
        if written is None or written.report is not report:
            written = self._written[report["id"]] = WrittenReport(report)
        self._call.answer_in_turn(partial(written.payload, self._form))
