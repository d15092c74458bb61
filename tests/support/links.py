"""For tests of links: a node that has one, and what goes over it."""

from src.sparrow import messages as m
from src.sparrow.link import LOST, Link
from src.sparrow.messages import Address
from src.sparrow.settings import LinkSettings

SETTINGS = LinkSettings()


class Owner:
    """The node of a link, which notes what it is told; ``then`` has what it does about it."""

    def __init__(self):
        self.told = []
        self.then = {}

    def _hear(self, what, link, *said):
        self.told.append((what, *said))
        self.then.get(what, lambda link: None)(link)

    def link_up(self, link, greeting):
        self._hear("up", link, greeting)

    def link_down(self, link):
        self._hear("down", link)

    def link_answered(self, link, batch, answers):
        self._hear("answered", link, list(batch), list(answers))

    def link_refused(self, link, message):
        self._hear("refused", link, message)

    def link_lost(self, link, reason):
        self._hear("lost", link, reason)

    def of(self, what):
        return [said[0] if len(said) == 1 else said for heard, *said in self.told if heard == what]


def new_link(owner, host, incarnation="1", uri="PYRO:peer@127.0.0.1:1", settings=SETTINGS):
    return Link(owner, host, Address("peer", incarnation or ""), "peer", incarnation, uri, settings)


def launch(number):
    return m.Launch("job", number, 1, 0.5)


def reserve(number):
    return m.Reserve("job", number)


def send(host, link, *messages):
    for message in messages:
        link.send(message)
    host.settle()


def batches(host):
    return [called.batch for called in host.calls]


def assert_over(host, link):
    """Nothing is left of it: no connection, no call, no timer, and nothing that comes later brings it back."""
    assert link.state == LOST
    assert link not in host.connections
    assert link not in host.under_way
    assert host.timers == []
    before = len(host.calls), len(host.connects)
    send(host, link, launch(99))
    host.advance(100.0)
    assert (len(host.calls), len(host.connects)) == before
