"""For tests of the books: how to fill one, and what it says."""

import random

from src.simulation import audit
from src.sparrow.commands import Finish, Send
from src.sparrow.jobspec import JobSpec
from src.sparrow.jobtable import JobTable
from src.sparrow.messages import Address
from src.sparrow.settings import ReconcileSettings, SchedulerSettings

LATE = "BATCH+LATE_BINDING"
S1, S2 = Address("sparrow.scheduler.1", "a"), Address("sparrow.scheduler.2", "b")
SETTINGS = SchedulerSettings()
RECONCILE = ReconcileSettings()
TRANSIENT = ("_rng", "budget")  # what changes though nothing has happened to jobs or workers


def says_of_itself(name, life="1", uri=None):
    """What a process says of itself when it greets."""
    return {"name": name, "incarnation": life, "uri": uri}


def at(worker, life="1"):
    """The address of a worker in one of its lives."""
    return Address(worker, life)


def table_with(*workers, now=0.0, settings=SETTINGS):
    table = JobTable(random.Random(1), settings=settings)
    for worker in workers:
        table.joined(at(worker), 1, now)
    return table


def spec(method, *durations_s, id="job"):
    return JobSpec(id, durations_s or (0.5,), method, True)


def of(kind, commands):
    """The messages of that kind among these commands, each with the name of its receiver."""
    return [
        (command.to.name, command.message)
        for command in commands
        if isinstance(command, Send) and isinstance(command.message, kind)
    ]


def finishes(commands):
    """(job, report) of each job that these commands end."""
    return [(command.job, command.report) for command in commands if isinstance(command, Finish)]


def says(table, worker, *messages, now=1.0, life="1"):
    commands = table.received(at(worker, life), messages, now)
    assert audit.of_table(table) == []
    return commands


def hears(queue, *messages, now=0.0, owner=S1):
    commands = queue.received(owner, messages, now)
    assert audit.of_queue(queue) == []
    return commands


def state_of(book):
    """All that a book remembers, to be compared with a later state of it."""
    return repr(sorted((name, _plain(value)) for name, value in vars(book).items() if name not in TRANSIENT))


def _plain(value):
    if isinstance(value, dict):
        return [(key, _plain(each)) for key, each in value.items() if key not in TRANSIENT]
    if isinstance(value, (list, tuple)) or type(value).__name__ == "deque":
        return [_plain(each) for each in value]
    if hasattr(value, "__slots__") and not isinstance(value, (str, tuple)):
        return [_plain(getattr(value, name, None)) for name in value.__slots__]
    if type(value).__module__.startswith("src.sparrow") and hasattr(value, "__dict__"):
        return _plain(vars(value))
    return sorted(value) if isinstance(value, set) else value
