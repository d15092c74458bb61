"""The commands that ``JobTable`` and ``WorkQueue`` return to their nodes. Two commands of different kinds are never equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from src.sparrow.messages import Address, Message, Run
from src.sparrow.records import Record

if TYPE_CHECKING:  # a worker has no reports, and does without their module
    from src.sparrow.reports import Report


class Send(Record):
    """The node is to deliver this message to that peer. An answer may go into the reply to the peer's call."""

    to: Address
    message: Message


class Finish(Record):
    """A job has ended, and this is its report."""

    job: str
    report: Report


class Start(Record):
    """The node is to run this task in a slot, for ``duration_s`` seconds."""

    owner: Address  # the scheduler that has launched it
    run: Run
    duration_s: float


class Stop(Record):
    """The node is to end this run before its time."""

    owner: Address
    run: Run


SchedulerCommand = Union[Send, Finish]
WorkerCommand = Union[Send, Start, Stop]
