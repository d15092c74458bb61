"""The host of a node's links, over real connections: what comes of a connection and of a call is told to the link as what it is."""

import asyncio
import contextlib
import logging
import socket
from typing import Any

import pytest

from src.cluster.live_host import LiveHost
from src.cluster.registry import NameServer
from src.rmi.daemon import Daemon, expose
from src.sparrow import messages as m
from src.sparrow.link import LOST, UP, Link
from src.sparrow.messages import Address
from src.sparrow.settings import LinkSettings

SETTINGS = LinkSettings(lost_after_s=1.0)
US = Address("sparrow.scheduler.1", "s")
ASK, DONE = m.Ask("job", 0), m.Done("job", 0, 1, 0.0, 0.5)


class Peer:
    """A remote object that answers as it is told, and notes how it was called."""

    def __init__(self, answer="[]"):
        self.answer = answer
        self.called = []

    def _call(self, *how):
        self.called.append(how)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer

    @expose
    def find_load(self):
        return self._call("find_load")

    @expose
    def add_task(self, *arguments):
        return self._call("add_task", *arguments)

    @expose
    def request_task(self, *arguments):
        return self._call("request_task", *arguments)

    @expose
    def task_completed(self, *arguments):
        return self._call("task_completed", *arguments)


class Owner:
    """The node of a link."""

    def __init__(self):
        self.told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def link_up(self, link, greeting):
        self.told.put_nowait(("up", greeting.get("slots")))

    def link_answered(self, link, batch, answers):
        self.told.put_nowait(("answered", answers))

    def link_refused(self, link, message):
        self.told.put_nowait(("refused", message))

    def link_lost(self, link, reason):
        self.told.put_nowait(("lost", reason))


@contextlib.asynccontextmanager
async def serving(peer, name="peer"):
    daemon = Daemon("127.0.0.1")
    uri = daemon.register(peer, "peer").asString()
    daemon.who = {"name": name, "incarnation": "1", "uri": uri, "slots": 4}
    await daemon.serve()
    try:
        yield daemon, uri
    finally:
        daemon.stop()
        await asyncio.sleep(0)


def link_to(uri, owner, settings=SETTINGS, names=None):
    host = LiveHost(US, names or NameServer("127.0.0.1", 9), lambda: {"name": US.name}, logging.getLogger("sparrow.test"))
    return Link(owner, host, Address("peer", ""), "peer", None, uri, settings)


def told(peer, *messages, times=2, settings=SETTINGS):
    """Tells a peer these messages; returns the first so many things that the node hears of it."""

    async def run():
        async with serving(peer) as (_, uri):
            owner = Owner()
            link = link_to(uri, owner, settings)
            for message in messages:
                link.send(message)
            heard = [await asyncio.wait_for(owner.told.get(), 5) for _ in range(times)]
            link.close()
            return heard

    return asyncio.run(run())


def test_a_batch_goes_by_its_method_with_our_name_and_its_answer_is_told():
    assign = m.Assign("job", 0, 3, 1, 0.5)
    peer = Peer(m.encode([assign]))
    assert told(peer, DONE, ASK) == [("up", 4), ("answered", [assign])]
    assert peer.called == [("request_task", *US, m.encode([DONE, ASK]))]


def test_probes_are_answered_by_the_load_of_the_worker():
    peer = Peer(7)
    assert told(peer, m.Probe("a", 0), m.Probe("b", 2)) == [("up", 4), ("answered", [m.Load("a", 0, 7), m.Load("b", 2, 7)])]
    assert peer.called == [("find_load",)]


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (ASK, None),
        (ASK, 7),
        (ASK, "not JSON"),
        (ASK, m.encode([m.Load("job", 0, 1)])),
        (ASK, m.encode([m.Cancel("job", 0)])),
        (DONE, m.encode([m.NoTask("job", 0)])),
        (m.Probe("a", 0), "7"),
        (m.Probe("a", 0), -1),
        (m.Probe("a", 0), True),
    ],
    ids=str,
)
def test_whoever_answers_with_something_else_is_given_up(message, answer):
    (_, (what, reason)) = told(Peer(answer), message)
    assert what == "lost"
    assert reason.startswith("it sent an answer that cannot be read: ")


@pytest.mark.parametrize(
    "error", [ValueError("no"), LookupError("unknown job"), TypeError("what?"), RuntimeError("it broke")], ids=repr
)
def test_a_message_that_a_peer_will_not_have_is_refused(error):
    assert told(Peer(error), ASK) == [("up", 4), ("refused", ASK)]


def test_whoever_has_no_room_for_long_is_given_up():
    settings = LinkSettings(no_room_retry_s=0.05, no_room_for_s=0.2)
    peer = Peer(BlockingIOError("try later"))
    assert told(peer, ASK, settings=settings)[1:] == [("lost", "it has had no room for 0 s")]
    assert len(peer.called) > 2


def test_whoever_takes_a_connection_and_says_nothing_is_given_up():
    async def run():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            owner = Owner()
            link_to(f"PYRO:peer@127.0.0.1:{silent.getsockname()[1]}", owner, LinkSettings(lost_after_s=0.3))
            assert await asyncio.wait_for(owner.told.get(), 5) == ("lost", "no connection in 0.3 s")

    asyncio.run(run())


def test_whoever_does_not_answer_a_call_in_time_is_given_up():
    async def run():
        peer = Peer()
        async with serving(peer) as (daemon, uri):

            def never():
                daemon.defer()

            peer.answer = never
            owner = Owner()
            link = link_to(uri, owner, LinkSettings(lost_after_s=0.3))
            link.send(ASK)
            assert await asyncio.wait_for(owner.told.get(), 5) == ("up", 4)
            what, reason = await asyncio.wait_for(owner.told.get(), 5)
            assert (what, link.state) == ("lost", LOST)
            assert reason.endswith("has not answered in time")

    asyncio.run(run())


def test_where_nobody_listens_nobody_is_waited_for():
    async def run():
        async with serving(Peer()) as (_, uri):
            pass
        owner = Owner()
        link = link_to(uri, owner)
        what, reason = await asyncio.wait_for(owner.told.get(), 30)
        assert (what, link.state) == ("lost", LOST)
        assert uri.rpartition("@")[2] in reason
        assert "has not answered" not in reason

    asyncio.run(run())


def test_whoever_is_there_under_another_name_is_not_the_peer():
    async def run():
        async with serving(Peer(), name="other") as (_, uri):
            owner = Owner()
            link_to(uri, owner)
            assert await asyncio.wait_for(owner.told.get(), 5) == ("lost", "another process answers at its address")

    asyncio.run(run())


class Names:
    """A name server that learns of the peer a moment later."""

    key = None

    def __init__(self, uri):
        self._uris = iter([None, None, uri])

    async def lookup(self, name):
        assert name == "peer"
        return next(self._uris)


def test_a_peer_without_an_address_is_looked_up_until_it_is_registered():
    async def run():
        async with serving(Peer()) as (_, uri):
            owner = Owner()
            link = link_to(None, owner, names=Names(uri))
            assert await asyncio.wait_for(owner.told.get(), 5) == ("up", 4)
            link.close()

    asyncio.run(run())


def test_what_fails_while_connecting_ends_the_wait(caplog):
    class Broken:
        key = None

        async def lookup(self, name):
            raise RuntimeError("it broke")

    async def run():
        owner = Owner()
        link_to(None, owner, names=Broken())
        assert await asyncio.wait_for(owner.told.get(), 5) == ("lost", "RuntimeError: it broke")

    asyncio.run(run())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_connection_that_ends_is_made_again_and_what_was_under_way_goes_out_again():
    async def run():
        peer = Peer(m.encode([m.NoTask("job", 0)]))
        async with serving(peer) as (daemon, uri):
            owner = Owner()
            link = link_to(uri, owner)
            assert await asyncio.wait_for(owner.told.get(), 5) == ("up", 4)
            link.send(ASK)
            link.flush()
            for connection in list(daemon.connections):
                connection.close()
            assert [await asyncio.wait_for(owner.told.get(), 5) for _ in range(2)] == [
                ("up", 4),
                ("answered", [m.NoTask("job", 0)]),
            ]
            assert link.state == UP
            link.close()

    asyncio.run(run())


def test_a_link_that_is_closed_hears_nothing_more():
    async def run():
        async with serving(Peer(m.encode([m.NoTask("job", 0)]))) as (daemon, uri):
            owner = Owner()
            trying, asking = link_to(uri, owner), link_to(uri, owner)
            trying.close()
            assert await asyncio.wait_for(owner.told.get(), 5) == ("up", 4)
            asking.send(ASK)
            asking.flush()
            asking.close()
            other = link_to(uri, owner)
            other.send(ASK)
            assert [await asyncio.wait_for(owner.told.get(), 5) for _ in range(2)] == [
                ("up", 4),
                ("answered", [m.NoTask("job", 0)]),
            ]
            assert owner.told.empty()
            other.close()

    asyncio.run(run())
