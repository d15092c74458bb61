"""Who gives way when there is no room: the rules of ``room``, and the daemon that follows them."""

import asyncio
import random
import time

import pytest

from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.daemon import Daemon, expose
from src.rmi.room import Room, share_of
from src.rmi.serializer import dump
from src.rmi.settings import DaemonSettings
from tests.rmi.lines import Caller, Post, connected, run


class House:
    """A room of ``places`` whose members are texts, with a clock that each event moves on."""

    def __init__(self, places, of_a_name=100):
        self.busy = set()
        self.inside = []
        self.now_s = 0.0
        self.looks = 0
        self.room = Room(places, of_a_name, 1.0, self._is_busy)

    def _is_busy(self, member):
        self.looks += 1
        return member in self.busy

    def _leaves(self, leaving):
        if leaving is not None:
            self.room.left(leaving)
            if leaving in self.inside:
                self.inside.remove(leaving)
        return leaving

    def comes(self, member, ip="10.0.0.1", greets=False, calls=0, busy=False, name=None):
        """Returns who leaves for it."""
        self.now_s += 0.001
        leaving = self.room.enter(member, ip, self.now_s)
        if leaving is not member:
            self.inside.append(member)
        self._leaves(leaving)
        if greets or calls:
            leaving = self._leaves(self.room.known(member, name)) or leaving
        for _ in range(calls):
            self.room.called(member)
        if busy:
            self.busy.add(member)
        return leaving


def test_there_is_room_until_all_places_are_taken():
    house = House(3)
    assert [house.comes(str(n)) for n in range(3)] == [None] * 3
    house.room.left("1")
    house.room.left("1")  # once is enough
    assert house.comes("3") is None
    assert house.comes("4") == "0"


def test_who_has_not_greeted_goes_before_who_has_and_that_before_who_has_called():
    house = House(3)
    house.comes("useful", calls=1)
    house.comes("silent", greets=True)
    house.comes("stranger")
    assert [house.comes(str(n), calls=1) for n in range(3)] == ["stranger", "silent", "useful"]


def test_greeted_and_silent_connections_make_room():
    """4,096 of them locked everybody out."""
    house = House(4096)
    for n in range(4096):
        house.comes(f"silent{n}", greets=True)
    for n in range(100):
        assert house.comes(f"worker{n}", calls=1) == f"silent{n}"


def test_whose_last_call_is_longest_ago_goes_first():
    house = House(4)
    for n in range(4):
        house.comes(str(n), calls=1)
    house.room.called("0")
    house.room.called("2")
    assert [house.comes(f"new{n}", calls=1) for n in range(4)] == ["1", "3", "0", "2"]


def test_who_has_something_outstanding_stays():
    house = House(3)
    for n in range(3):
        house.comes(str(n), calls=1, busy=n != 1)
    assert house.comes("new", calls=1) == "1"
    assert house.comes("newer") == "new"
    house.comes("again", calls=1, busy=True)
    assert house.comes("nobody gives way") == "nobody gives way"
    assert sorted(house.inside) == ["0", "2", "again"]


def test_the_address_with_most_gives_way_first():
    house = House(10)
    for n in range(4):
        house.comes(f"mine{n}", "10.0.0.1", calls=1)
    for n in range(6):
        house.comes(f"theirs{n}", "10.0.0.2", calls=1)
    assert [house.comes(f"new{n}", "10.0.0.3", calls=1) for n in range(2)] == ["theirs0", "theirs1"]


@pytest.mark.parametrize("kind", [{}, {"greets": True}])
def test_of_useless_ones_too_the_address_with_most_gives_way_first(kind):
    house = House(10)
    house.comes("mine", "10.0.0.1", **kind)
    for n in range(9):
        house.comes(f"theirs{n}", "10.0.0.2", **kind)
    assert house.comes("new", "10.0.0.3") == "theirs0"


def test_an_address_whose_connections_are_all_busy_gives_way_to_one_with_fewer():
    house = House(11)
    for n in range(11):
        house.comes(f"hoard{n}", "10.0.0.2", calls=1, busy=True)
    assert house.comes("hoard11", "10.0.0.2") == "hoard11"
    for n in range(5):
        assert house.comes(f"mine{n}", "10.0.0.1", calls=1, busy=True) == f"hoard{n}"
    assert house.comes("mine5", "10.0.0.1") == "mine5"  # six and five: it would have as many


def test_idle_ones_of_any_address_go_before_busy_ones():
    house = House(5)
    for n in range(4):
        house.comes(f"busy{n}", "10.0.0.2", calls=1, busy=True)
    house.comes("idle", "10.0.0.3", calls=1)
    assert house.comes("new", "10.0.0.1", calls=1) == "idle"


def test_a_thousand_workers_on_this_machine_stay_while_somebody_else_here_fills_the_table():
    house = House(4096)
    for n in range(1000):
        house.comes(f"worker{n}", "127.0.0.1", calls=1)
    for n in range(10_000):
        house.comes(f"crowd{n}", f"127.0.{n % 250}.{n % 200 + 1}", greets=bool(n % 2))
    assert sum(member.startswith("worker") for member in house.inside) == 1000
    assert house.comes("worker1000", "127.0.0.1", calls=1).startswith("crowd")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1", "127.9.8.7", True),
        ("127.0.0.1", "::1", True),
        ("::ffff:127.0.0.1", "::1", True),
        ("2001:db8::1", "2001:db8::ffff:1:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("", "10.0.0.2", False),
    ],
)
def test_addresses_that_one_peer_can_have_count_as_one(one, other, same):
    assert (share_of(one) == share_of(other)) == same


def test_a_name_has_a_bounded_number_of_connections_and_the_newest_stay():
    house = House(100, of_a_name=3)
    for n in range(3):
        house.comes(str(n), calls=n != 1, greets=True, name="host1")
    assert house.comes("other", greets=True, name="host2") is None
    assert house.comes("3", calls=1, name="host1") == "1"  # it has never called
    house.busy.add("0")
    assert house.comes("4", calls=1, name="host1") == "2"  # the oldest that has nothing outstanding
    house.busy |= {"3", "4"}
    assert house.comes("5", greets=True, name="host1") == "5"
    assert house.comes("6", greets=True, name=None) is None


def test_all_busy_costs_one_look_for_a_while():
    house = House(1000)
    for n in range(1000):
        house.comes(f"{n}", calls=1, busy=True)
    for n in range(100):
        assert house.comes(f"new{n}") == f"new{n}"
    assert house.looks == 1000
    house.busy.discard("500")
    house.now_s += 1.0
    assert house.comes("new", calls=1) == "500"


def test_a_newcomer_costs_next_to_nothing_however_many_there_are():
    house = House(4096)
    rng = random.Random(1)
    for n in range(4096):
        house.comes(f"{n}", f"10.{n % 200}.{n // 200}.1", calls=1, busy=n % 2 == 0)
    house.looks = 0
    began = time.process_time()
    for n in range(2000):
        house.comes(f"new{n}", f"10.200.{rng.randrange(99)}.1", calls=1)
    assert house.looks < 2 * 4096 + 2000
    assert time.process_time() - began < 2.0


# The daemon


class Answering:
    @expose
    def echo(self, value):
        return value

    @expose
    def owe(self):
        Daemon.defer()


def served(use, settings):
    async def all_of_it():
        daemon = Daemon("127.0.0.1", settings=settings)
        uri = str(daemon.register(Answering(), "echo"))
        await daemon.serve()
        try:
            await use(daemon, uri)
        finally:
            daemon.stop()
            await asyncio.sleep(0)

    asyncio.run(all_of_it())


def test_somebody_new_is_served_though_all_places_are_taken_by_greeted_and_silent_connections():
    async def use(daemon, uri):
        greeting = wire.to_bytes(1, dump({"handshake": "x"}), 0)
        held = []
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*daemon.sock.getsockname())
            writer.write(greeting)
            await reader.readexactly(24)
            held.append(writer)
        friend = await Channel.open(uri)
        assert await friend.call("echo", 1) == 1
        others = [await Channel.open(uri) for _ in range(30)]
        assert await friend.call("echo", 2) == 2
        assert len(daemon.connections) == len(daemon.room) == 10
        for channel in (friend, *others):
            channel.close()
        for writer in held:
            writer.close()

    served(use, DaemonSettings(max_connections=10))


def test_who_waits_for_a_reply_is_not_closed_for_a_newcomer():
    async def use(daemon, uri):
        waiting = [await Channel.open(uri) for _ in range(5)]
        calls = [asyncio.ensure_future(channel.call("owe", timeout_s=None)) for channel in waiting]
        while sum(len(connection.pending) for connection in daemon.connections) < 5:
            await asyncio.sleep(0.01)
        for _ in range(3):
            channel = await Channel.open(uri)
            assert await channel.call("echo", 1) == 1
        assert not any(call.done() for call in calls)
        for one in (*waiting, channel):
            one.close()
        await asyncio.gather(*calls, return_exceptions=True)

    served(use, DaemonSettings(max_connections=6))


def test_a_connection_is_busy_while_a_reply_is_due_or_a_message_has_begun():
    async def scenario():
        post = Post(key=None)
        line = post.accept()
        caller = Caller(post.uri, None)
        line.protocol.data_received(await caller.greet())
        caller.hear(line.take())
        line.protocol.data_received(caller.call("owe"))
        assert line.protocol.busy
        line.protocol.data_received(caller.call("owe")[:-1])  # a message that has begun
        post.ledger.owed.answer("paid")
        assert not line.protocol.pending
        assert line.protocol.busy
        post.daemon.stop()

    run(scenario)


def test_peers_that_can_be_reached_are_bounded_by_name_and_others_are_not():
    async def scenario():
        settings = DaemonSettings(max_connections_of_a_name=2)
        post = Post(settings=settings)
        me = {"name": "sparrow.scheduler.1", "uri": "PYRO:a@127.0.0.1:1"}
        lines = [(await connected(post, Caller(post.uri, who=me)))[1] for _ in range(4)]
        assert [line.ended for line in lines] == [True, True, False, False]
        viewers = [(await connected(post, Caller(post.uri, who={"name": "dashboard"})))[1] for _ in range(4)]
        assert not any(line.ended for line in viewers)
        assert len(post.daemon.connections) == len(post.daemon.room) == 6
        post.daemon.stop()

    run(scenario)
