"""For tests of a scheduler's node: one with its host, its workers and its clients."""

import random

from src.sparrow.jobspec import JobSpec
from src.sparrow.messages import Address, Launch
from src.sparrow.names import WORKERS
from src.sparrow.scheduler_node import SchedulerNode
from src.sparrow.settings import SchedulerSettings
from tests.support.books import at, says_of_itself
from tests.support.fakehost import FakeHost

SETTINGS = SchedulerSettings()


class Call:
    """A call of ``schedule`` that waits for a report."""

    def __init__(self, caller="a client"):
        self.caller = caller
        self.answers = []

    def answer(self, report):
        self.answers.append(report)


class Scheduler:
    """A node with its host, and what its workers do."""

    def __init__(self, *workers, settings=SETTINGS):
        self.host = FakeHost()
        self.node = SchedulerNode(Address("sparrow.scheduler.1", "s"), self.host, random.Random(1), "BATCH", settings)
        self.node.start()
        self.see(*workers)
        for worker in workers:
            self.host.let_in(self.link(worker), slots=2)

    def link(self, worker):
        return self.node.links[worker]

    def see(self, *workers, port=1, took_s=0.0):
        """The name server says, after so much time, that these are there."""
        self.host.now_s += took_s
        self.node.names_seen({WORKERS + worker: f"PYRO:{WORKERS + worker}@127.0.0.1:{port}" for worker in workers})
        self.host.settle()

    def look(self, *workers, **options):
        """The next look at the name server finds these."""
        before = len(self.host.listings)
        self.host.advance(SETTINGS.refresh_s)
        assert len(self.host.listings) == before + 1
        self.see(*workers, **options)

    def tries(self, worker):
        return [at_s for name, at_s in self.host.connects if name == WORKERS + worker]

    def schedule(self, id="job", durations_s=(0.5,), method="RANDOM", wait=True, caller="a client"):
        """-> (what is returned, the call that waits for the report)"""
        calls = []

        def defer():
            calls.append(Call(caller))
            return calls[0]

        returned = self.node.schedule(JobSpec(id, tuple(durations_s), method, wait), defer)
        self.host.settle()
        return returned, calls[0] if calls else None

    def says(self, worker, *batch):
        answers = self.node.received(at(worker), says_of_itself(WORKERS + worker), batch)
        self.host.settle()
        return answers

    def launches(self, worker):
        return [message for message in self.told(worker) if isinstance(message, Launch)]

    def told(self, worker):
        """All that a worker was told so far."""
        return [message for called in self.host.calls if called.name == WORKERS + worker for message in called.batch]
