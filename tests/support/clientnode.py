"""For tests of a client's node: one that knows schedulers, and jobs for it."""

import random
from typing import Any

from src.sparrow.client_node import ClientNode
from src.sparrow.jobspec import JobSpec
from src.sparrow.settings import ClientSettings

SETTINGS = ClientSettings()
A, B, C = "sparrow.scheduler.1", "sparrow.scheduler.2", "sparrow.scheduler.3"
REPORT: Any = {"id": "the report"}


def new_client(host, settings=SETTINGS):
    return ClientNode(host, random.Random(1), "ns:9090", settings)


def submit(node, *jobs):
    for job in jobs:
        node.submit(JobSpec(job, (0.1, 0.1), None, True))


def find(host, node, *schedulers, incarnation="1"):
    """A look for schedulers finds these, which can be reached."""
    node.names_seen({name: f"PYRO:{name}@127.0.0.1:1" for name in schedulers})
    for name in list(host.connecting):
        del host.connecting[name]
        node.connected(name, incarnation)


def client_with(host, *schedulers, settings=SETTINGS):
    """A client that these schedulers have taken a job of, which has ended."""
    node = new_client(host, settings)
    submit(node, "first")
    find(host, node, *schedulers)
    ((scheduler, _),) = host.handed
    node.reported(scheduler, "first", REPORT)
    host.handed.clear()
    host.advance(SETTINGS.ask_s)  # it asks no more, for it has no jobs
    assert host.timers == []
    return node


def scheduler_of(host, job):
    """Who got that job last."""
    return [scheduler for scheduler, handed in host.handed if handed == job][-1]


def other_than(scheduler):
    return B if scheduler == A else A
