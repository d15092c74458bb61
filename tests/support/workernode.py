"""For tests of a worker's node: one with its host, and what schedulers say to it."""

from src.simulation import audit
from src.sparrow import messages as m
from src.sparrow.messages import Address
from src.sparrow.settings import WorkerSettings
from src.sparrow.worker_node import WorkerNode
from tests.support.books import S1, says_of_itself
from tests.support.fakehost import FakeHost

SETTINGS = WorkerSettings()
URI = "PYRO:scheduler@127.0.0.1:1"


class Worker:
    """A node with its host, and what schedulers do."""

    def __init__(self, slots=1, settings=SETTINGS):
        self.host = FakeHost()
        self.node = WorkerNode(Address("w1", "w"), self.host, slots, settings)

    def hears(self, *batch, scheduler=S1, uri=URI):
        """A scheduler calls; it can be connected at once. Returns the answers."""
        new = scheduler not in self.node.links
        answers = self.node.received(scheduler, says_of_itself(scheduler.name, scheduler.incarnation, uri), batch)
        self.host.settle()
        assert audit.of_queue(self.node.queue) == []
        if new:
            self.host.let_in(self.node.links[scheduler], incarnation=scheduler.incarnation)
        return answers

    def told(self, scheduler=S1):
        """All that a scheduler was told so far; what is under way is answered with nothing."""
        link = self.node.links.get(scheduler)
        while link in self.host.under_way:
            self.host.answer(link)
        return [message for called in self.host.calls if called.name == scheduler.name for message in called.batch]

    def end(self, run, scheduler=S1):
        self.host.stop_run(scheduler, run)
        self.node.run_ended(scheduler, run)
        self.host.settle()

    def in_slots(self):
        return [run for _, run, _ in self.host.runs]


def launch(task, duration_s=0.5, job="job"):
    return m.Launch(job, task, 1, duration_s)
