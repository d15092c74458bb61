"""Connections and channels without sockets: what each side writes is kept, and the test hands it on, or does something else."""

import asyncio
import contextlib

import Pyro4

from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.connection import Connection, PendingReply
from src.rmi.daemon import Daemon, expose
from src.rmi.security import Security
from src.rmi.settings import DaemonSettings, TurnSettings, WireLimits

KEY = b"0123456789abcdef" * 4


class Line(asyncio.Transport):
    """Stands where asyncio's transport and its socket are, and keeps what is written."""

    def __init__(self, protocol, peer=("127.0.0.1", 9)):
        super().__init__()
        self.protocol = protocol
        self.peer = peer
        self.written = b""
        self.ended = False
        protocol.connection_made(self)

    def get_extra_info(self, name, default=None):
        return {"peername": self.peer, "socket": self}.get(name, default)

    def setsockopt(self, *option):
        pass

    def get_write_buffer_size(self):
        return 0

    def is_closing(self):
        return self.ended

    def pause_reading(self):
        """Nothing comes but what a test hands over."""

    resume_reading = pause_reading

    def write(self, data):
        assert not self.ended
        self.written += data

    def take(self):
        """What was written since the last time."""
        written, self.written = self.written, b""
        return written

    def close(self):
        if not self.ended:
            self.ended = True
            self.protocol.connection_lost(None)

    abort = close


class Ledger:
    """A remote object that keeps what it was told, and by whom."""

    owed: PendingReply

    def __init__(self):
        self.told: list[object] = []

    @expose
    def put(self, value):
        self.told.append(value)
        return f"had {value}"

    @expose
    def owe(self):
        self.owed = Daemon.defer()

    @expose
    def settle(self):
        """Answers the call of ``owe`` before its own."""
        self.owed.answer("settled")
        return "done"

    @expose
    def at_once(self):
        Daemon.defer().answer("at once")


class Post:
    """A daemon with a ledger, and who it was told has gone."""

    def __init__(self, name="sparrow.worker.host1", key=KEY, settings=None, host="127.0.0.1"):
        self.gone: list[object] = []
        settings = settings or DaemonSettings(turns=TurnSettings(turn_s=60.0))  # by default whatever comes is answered at once
        self.daemon = Daemon(host, security=Security(key), gone=lambda peer, connection: self.gone.append(peer), settings=settings)
        self.ledger = Ledger()
        self.uri = self.daemon.register(self.ledger, name)
        self.daemon.who = {"name": name, "incarnation": "1", "uri": str(self.uri)}

    def accept(self, peer=("127.0.0.1", 9)):
        """A new connection, as a line."""
        return Line(Connection(self.daemon), peer)

    def known(self):
        """What the peers of all connections have said of themselves."""
        return [connection.peer for connection in self.daemon.connections if connection.peer is not None]


class Caller:
    """A channel on a line of its own, to the object at that uri."""

    def __init__(self, uri, key=KEY, who=None):
        self.channel = Channel(Pyro4.URI(str(uri)), key)
        self.line = Line(self.channel)
        self.ended = []  # of each call: its error, its value
        self.lost: list[bool] = []
        self.channel.on_lost = lambda: self.lost.append(True)
        self.greeting = asyncio.ensure_future(self.channel._greet({"name": "sparrow.scheduler.1"} if who is None else who))

    async def greet(self):
        """What it says first."""
        await asyncio.sleep(0)
        return self.line.take()

    def hear(self, data):
        self.channel.data_received(data)

    def call(self, method, *arguments):
        """Begin a call. Returns its bytes."""
        self.channel.begin(method, arguments, lambda *how: self.ended.append(how), None)
        return self.line.take()

    async def greeted(self):
        """Returns what the handshake came to: None, or its error."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(asyncio.shield(self.greeting), 0.2)
        return self.greeting.exception() if self.greeting.done() else "nothing"


async def had_its_turn(line):
    """Wait until the daemon has looked at what it received: on a busy machine others may come first."""
    for _ in range(2_000):
        if line.ended or not line.protocol.account.waits:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("this connection never had its turn")


async def connected(post, caller=None):
    """A caller and the line of its connection to that daemon, after a handshake that nobody disturbed, and the recorded bytes."""
    caller = caller or Caller(post.uri)
    line = post.accept()
    recorded = [await caller.greet()]
    line.protocol.data_received(recorded[0])
    await had_its_turn(line)
    recorded.append(line.take())
    caller.hear(recorded[1])
    recorded.append(caller.line.take())
    line.protocol.data_received(recorded[2])
    await had_its_turn(line)
    assert await caller.greeted() is None
    return caller, line, recorded


def session_of(caller):
    """The session of a caller that has greeted."""
    assert caller.channel._session is not None
    return caller.channel._session


def frames(data):
    """The messages in these bytes."""
    return list(wire.FrameReader(WireLimits.max_payload_bytes).feed(data))


def run(scenario):
    """Run ``scenario()``, and end what it left."""

    async def whole():
        await scenario()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    asyncio.run(whole())
