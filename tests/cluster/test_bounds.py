"""What others may use up of a process, and how they are kept from more: time, memory, connections, descriptors."""

import asyncio
import logging
import os
import random
import subprocess
import sys
import time

import Pyro4
import pytest

from scripts.testbed.local_cluster import ROOT
from src.cli.logs import PrintableFormatter
from src.cluster.live_host import LiveHost
from src.cluster.registry import LiveNaming, NameServer
from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.daemon import Daemon, expose
from src.rmi.errors import ConfigurationError, MalformedError, UnavailableError, UnreachableError
from src.rmi.nameserver import BoundedNameServer
from src.rmi.security import read_key
from src.rmi.serializer import Serpent, dump, dump_call
from src.rmi.settings import DaemonSettings, WireLimits
from src.sparrow import messages as m
from src.sparrow.link import Link
from src.sparrow.messages import Address
from src.sparrow.names import HeldName
from src.sparrow.settings import LinkSettings, NamingSettings
from src.SparrowClient import SparrowClient

LONGEST_S = 60.0  # for what is done with one daemon


class Sick:
    """A name server whose disk is full."""

    def __init__(self, error):
        self._error = error

    @expose
    def lookup(self, *arguments):
        raise self._error

    register = list = remove = ping = lookup


class Stubborn:
    """A worker that never has room."""

    @expose
    def add_task(self, *arguments):
        raise BlockingIOError("try later")

    @expose
    def echo(self, size):
        return "x" * size


def served(made, name, use, settings=DaemonSettings()):
    """Run ``use(daemon, uri)`` against that object, in one event loop."""

    async def run():
        daemon = Daemon("127.0.0.1", settings=settings)
        uri = daemon.register(made, name).asString()
        daemon.who = {"name": name, "incarnation": "1", "uri": uri}
        await daemon.serve()
        try:
            return await asyncio.wait_for(use(daemon, uri), LONGEST_S)
        finally:
            daemon.stop()
            await asyncio.sleep(0)

    return asyncio.run(run())


# Time


@pytest.mark.parametrize("quote", [b"'", b'"'])
def test_a_text_that_nobody_closed_is_refused_at_once(quote):
    data = b"# serpent utf-8 python3.2\n[" + quote + b"\\'" * 1_000_000
    began_s = time.process_time()  # its own work, whatever else the machine does
    with pytest.raises(ValueError, match="not a message in serpent|more than .* backslashes"):
        Serpent(WireLimits()).loads(data)
    assert time.process_time() - began_s < 3


def test_a_question_names_a_bounded_number_of_jobs_each_once(clusters):
    with clusters(1).proxy("sparrow.scheduler.1") as proxy:
        proxy.schedule({"id": "asked-for", "durations_s": [0.0]})
        assert set(proxy.stats(["asked-for"] * 5_000, True)["details"]) == {"asked-for"}
        with pytest.raises(ValueError, match="at most 1000 job ids"):
            proxy.stats([str(n) for n in range(1_001)])


def test_a_name_server_runs_nobodys_regular_expressions():
    names = BoundedNameServer()
    names.register("a" * 40 + "!", "PYRO:x@127.0.0.1:1")
    for call in (names.list, names.remove):
        with pytest.raises(ValueError, match="by prefix"):
            call(regex="(a+)+$")
    assert len(names.list(prefix="a")) == 1


# Connections and memory


def test_an_unauthenticated_connection_makes_room_for_others():
    async def use(daemon, uri):
        friend = await Channel.open(uri)
        silent = [await asyncio.open_connection(daemon.sock.getsockname()[0], daemon.sock.getsockname()[1]) for _ in range(50)]
        late = await Channel.open(uri)
        assert len(daemon.connections) <= 10
        assert await friend.call("echo", 1) == await late.call("echo", 1) == "x"
        for channel in (friend, late):
            channel.close()
        for _, writer in silent:
            writer.close()

    served(Stubborn(), "echo", use, DaemonSettings(max_connections=10))


def test_annotations_are_short_before_anybody_is_known():
    header = wire.HEADER.pack(b"PYRO", Pyro4.constants.PROTOCOL_VERSION, 1, 0, 0, 10, 1, 60_000, 0, 0)
    fields = wire.HEADER.unpack(header)
    total = (sum(fields[1:8]) + Pyro4.message.Message.checksum_magic) & 0xFFFF
    with pytest.raises(MalformedError, match="annotations of 60000 bytes"):
        list(wire.FrameReader(WireLimits.max_greeting_bytes).feed(wire.HEADER.pack(*fields[:9], total)))


def test_replies_that_nobody_reads_are_bounded_over_all_connections():
    async def use(daemon, uri):
        greeting = wire.to_bytes(Pyro4.message.MSG_CONNECT, dump({"handshake": "x"}), 0)
        call = wire.to_bytes(Pyro4.message.MSG_INVOKE, dump_call("echo", "echo", (4 * 2**20,), {}), 1)
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*daemon.sock.getsockname(), limit=2**16)
            readers.append((reader, writer))
            writer.write(greeting + call + call)
            await writer.drain()
            await asyncio.sleep(0.02)
            assert sum(connection.unsent_bytes for connection in daemon.connections) <= 24 * 2**20
        for _, writer in readers:
            writer.close()

    readers = []
    served(Stubborn(), "echo", use, DaemonSettings(max_total_unsent_bytes=20 * 2**20))


def test_workers_that_say_that_they_are_there_cost_a_scheduler_next_to_nothing(cluster):
    async def flood():
        with cluster.proxy("sparrow.scheduler.1") as proxy:
            uri = str(proxy._pyroUri)
        answers, most = [], 0
        channel = await Channel.open(uri, {"name": "sparrow.worker.w", "incarnation": "1"})
        for _ in range(3_000):
            channel.begin("request_task", ("w", "1", "[]"), lambda error, value: answers.append(error), 30.0)
        deadline = time.monotonic() + 60.0
        while len(answers) < 3_000:
            assert time.monotonic() < deadline, f"{len(answers)} answers in a minute"
            await asyncio.sleep(0.02)
            most = max(most, len(os.listdir(f"/proc/{cluster.processes['scheduler1'].pid}/fd")))
        channel.close()
        return answers, most

    answers, descriptors = asyncio.run(flood())
    assert descriptors < 60
    assert {type(error) for error in answers} <= {type(None), BlockingIOError}


class Owner:
    """The node of a link, of which only the end is of interest."""

    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()

    def link_up(self, link, greeting):
        pass

    def link_lost(self, link, reason):
        self.lost.set_result(reason)


def test_a_peer_that_never_has_room_is_given_up():
    async def use(daemon, uri):
        owner = Owner()
        host = LiveHost(Address("us", "1"), NameServer("127.0.0.1", 9), dict, logging.getLogger("sparrow.test"))
        settings = LinkSettings(no_room_retry_s=0.05, no_room_for_s=0.3)
        link = Link(owner, host, Address("stubborn", ""), "stubborn", None, uri, settings)
        link.send(m.Launch("a", 0, 1, 0.0))
        return await asyncio.wait_for(owner.lost, 5)

    assert served(Stubborn(), "stubborn", use) == "it has had no room for 0 s"


# What others say


@pytest.mark.parametrize(
    "error", [Pyro4.errors.NamingError("sqlite error in setitem: disk full"), ValueError("20000 names already"), RuntimeError("?")]
)
def test_a_name_server_that_fails_is_waited_for_and_ends_nobody(error):
    async def use(daemon, uri):
        names = NameServer(*daemon.sock.getsockname())
        held = HeldName(LiveNaming(names), "a", "PYRO:a@127.0.0.1:1", random.Random(1), NamingSettings())
        for call in (names.list("a"), names.lookup("a"), held.claim()):
            with pytest.raises(UnavailableError, match="cannot serve as a name server"):
                await call

    served(Sick(error), Pyro4.constants.NAMESERVER_NAME, use)


@pytest.mark.parametrize(
    "uri", [f"PYRO:x@{'a' * 70}:1", "PYRO:x@127.0.0.1:99999", "PYRO:x@127.0.0.1:0", "nonsense", "", "PYRO:x@a..b:1"]
)
def test_an_address_that_is_none_is_nobody_there(uri):
    with pytest.raises(UnreachableError):
        asyncio.run(Channel.open(uri))


def test_a_traceback_moves_no_cursor_either():
    try:
        raise ValueError("\x1b[2J forged\n12:00:00 ERROR")
    except ValueError:
        record = logging.LogRecord("sparrow", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    text = PrintableFormatter("%(message)s").format(record)
    assert "\x1b" not in text
    assert r"\x1b[2J forged" in text


def test_a_pipe_is_no_key_file(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigurationError, match="not a file"):
        read_key(str(tmp_path / "pipe"))


@pytest.mark.parametrize("program", ["NameServer.py", "Scheduler.py", "Worker.py", "SparrowClient.py BATCH 1 1 0"])
@pytest.mark.parametrize("port", ["70000", "abc"])
def test_a_port_that_is_none_in_the_environment_is_one_line(program, port):
    name, *arguments = program.split()
    command_line = [sys.executable, str(ROOT / "src" / name), *arguments]
    done = subprocess.run(
        command_line, env={**os.environ, "PYRO_NS_PORT": port}, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_closes_though_something_in_it_swallows_a_cancellation(clusters):
    async def stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    one = SparrowClient(clusters(1).nameserver)
    future = asyncio.run_coroutine_threadsafe(stubborn(), one._loop)
    one.run("RANDOM", 1, 1, 0.0)
    began = time.monotonic()
    one.close()
    assert time.monotonic() - began < 30  # and not 60 s
    assert future.cancelled()
