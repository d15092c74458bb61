"""A stranger, who speaks for schedulers and workers on connections that did not greet as these: nothing may come of it.

The same holds for a scheduler that has a successor already.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from src.simulation.scheduler import SimulatedScheduler
from src.simulation.worker import SimulatedWorker
from src.sparrow import messages as m
from src.sparrow.messages import Address
from src.sparrow.names import WORKERS
from src.sparrow.queues import QueuedTask

REFUSED = (ValueError, BlockingIOError)  # what a node raises to refuse a call and to change nothing
EARLIER, LATER = "0" * 8, "f" * 8  # before the incarnations of all processes, and after them


def to_worker(rng: random.Random, worker: SimulatedWorker, schedulers: Iterable[SimulatedScheduler]) -> str | None:
    """Speaks for a scheduler to a worker. Returns a sentence if anything came of it."""
    queue = worker.node.queue
    claimed = rng.choice([scheduler.address for scheduler in schedulers])
    runs = [running.run for running in queue.running.values()]
    runs += [entry.run for entry in queue.queue if isinstance(entry, QueuedTask)]
    batches: list[list[m.Message]] = [[], [m.Launch("forged", 0, 1, 1.0), m.Reconcile([], [])], [m.Reserve("forged", 0)]]
    batches += [[m.Drop(*run)] for run in runs]
    forgery = _forgery(rng, claimed, claimed.name)
    if claimed in worker.node.links and rng.random() < 0.2:  # no stranger, but a predecessor that had been suspended
        forgery = claimed._replace(incarnation=EARLIER), {"name": claimed.name, "incarnation": EARLIER}

    def state() -> Any:
        return [*worker.node.links], [*queue.running], [*queue.asking], [entry.key for entry in queue.queue]

    return _try(f"{worker.name} heeds", lambda: worker.node.received(*forgery, rng.choice(batches)), state)


def to_scheduler(rng: random.Random, scheduler: SimulatedScheduler) -> str | None:
    """Speaks for a worker to a scheduler. Returns a sentence if anything came of it."""
    table = scheduler.node.table
    if not table.workers:
        return None
    entry = rng.choice(list(table.workers.values()))
    batches: list[list[m.Message]] = [[m.Leave([])]]
    batches += [[m.Done(job, task, table.jobs[job].tasks[task].attempt, 0.0, 0.0)] for job, task in entry.runs]
    batches += [[m.Ask(*reservation)] for reservation in entry.reservations]
    claimed, greeting = _forgery(rng, entry.address, WORKERS + entry.address.name)

    def state() -> Any:
        return {name: ([*one.runs], [*one.reservations], one.leaving) for name, one in table.workers.items()}

    return _try(f"{scheduler.name} heeds", lambda: scheduler.node.received(claimed, greeting, rng.choice(batches)), state)


def _forgery(rng: random.Random, claimed: Address, full_name: str) -> tuple[Address, Mapping[str, Any]]:
    """Returns whom the stranger claims to be, and what its connection said of itself."""
    greetings: list[Mapping[str, Any]] = [
        {},
        {"name": "a client"},
        {"name": full_name},
        {"name": full_name, "incarnation": EARLIER},
        {"name": f"{full_name}0", "incarnation": claimed.incarnation},
    ]
    if rng.random() < 0.5:  # a message of the process itself, said again by somebody else
        return claimed, rng.choice(greetings)
    other = claimed._replace(incarnation=rng.choice((EARLIER, LATER)))
    return other, rng.choice([*greetings[:3], {"name": full_name, "incarnation": claimed.incarnation}])


def _try(who: str, call: Callable[[], object], state: Callable[[], Any]) -> str | None:
    before = state()
    try:
        call()
    except REFUSED:
        return None if state() == before else f"{who} a stranger that it refuses"
    return f"{who} a stranger"
