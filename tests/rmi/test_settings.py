"""Every limit and time that is handed in is kept, and each failure at one has a type of its own."""

import asyncio
import re
import socket
import struct
import threading
import time

import Pyro4
import pytest
from Pyro4 import message

from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.daemon import Daemon, expose
from src.rmi.errors import (
    LostError,
    MalformedError,
    NameStorageError,
    NamingError,
    RefusedError,
    ServerFullError,
    SilentError,
    SparrowError,
)
from src.rmi.keepalive import enable_keepalive
from src.rmi.security import read_key
from src.rmi.serializer import Serpent, dump, dump_call
from src.rmi.settings import (
    ChannelSettings,
    DaemonSettings,
    KeepaliveSettings,
    KeyFileLimits,
    ParsingLimits,
    WireLimits,
)

GREETING = wire.to_bytes(message.MSG_CONNECT, dump({"handshake": "x"}), 0)


def request(method, *arguments):
    return wire.to_bytes(message.MSG_INVOKE, dump_call("echo", method, arguments, {}), 1)


class Echo:
    @expose
    def repeat(self, size):
        return "x" * size

    @expose
    def never(self):
        Daemon.defer()

    @expose
    def raise_naming_error(self, text):
        raise NamingError(text)


def served(use, settings=DaemonSettings()):
    """Run ``use(uri, daemon)`` against a daemon with these settings."""

    async def run():
        daemon = Daemon("127.0.0.1", settings=settings)
        uri = str(daemon.register(Echo(), "echo"))
        await daemon.serve()
        try:
            return await use(uri, daemon)
        finally:
            daemon.stop()
            await asyncio.sleep(0)

    return asyncio.run(run())


async def closed_after_s(daemon, *messages):
    """Connect, send these bytes and read until the daemon closes the connection; returns the seconds that it took."""
    reader, writer = await asyncio.open_connection(*daemon.sock.getsockname())
    began = time.monotonic()
    for data in messages:
        writer.write(data)
    try:
        await asyncio.wait_for(reader.read(-1), 30)
    except ConnectionResetError:
        pass
    finally:
        writer.close()
    return time.monotonic() - began


# Daemons


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        (DaemonSettings(greeting_timeout_s=0.2, message_timeout_s=60.0), []),
        (DaemonSettings(greeting_timeout_s=0.2, message_timeout_s=60.0), [GREETING[:10]]),
        (DaemonSettings(greeting_timeout_s=60.0, message_timeout_s=0.2), [GREETING, request("repeat", 1)[:30]]),
    ],
    ids=["no greeting", "part of a greeting", "part of a request"],
)
def test_a_connection_closes_when_a_message_takes_too_long(settings, messages):
    assert 0.15 < served(lambda uri, daemon: closed_after_s(daemon, *messages), settings) < 30  # and not the other limit, 60 s


def test_a_connection_without_an_unfinished_message_stays():
    async def use(uri, daemon):
        channel = await Channel.open(uri)
        await asyncio.sleep(0.3)
        assert await channel.call("repeat", 2) == "xx"
        channel.close()

    served(use, DaemonSettings(greeting_timeout_s=0.1, message_timeout_s=0.1))


def test_each_message_has_its_own_time_though_the_next_has_begun():
    """A peer that sends one message after the other is never without an unfinished one."""

    async def use(uri, daemon):
        reader, writer = await asyncio.open_connection(*daemon.sock.getsockname())
        whole = request("repeat", 1)
        writer.write(GREETING + whole[:30])
        for _ in range(11):
            await asyncio.sleep(0.2)
            writer.write(whole[30:] + whole[:30])
        assert not reader.at_eof()
        assert len(daemon.connections) == 1
        writer.close()

    served(use, DaemonSettings(message_timeout_s=2.0))


def test_a_peer_that_does_not_read_its_replies_is_disconnected():
    async def use(uri, daemon):
        _, writer = await asyncio.open_connection(*daemon.sock.getsockname(), limit=2**16)
        writer.write(GREETING + request("repeat", 8 * 2**20) * 3)
        await writer.drain()
        while not daemon.connections:
            await asyncio.sleep(0.01)
        deadline = time.monotonic() + 30
        while daemon.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert not daemon.connections
        writer.close()

    served(use, DaemonSettings(max_unsent_bytes=2**20))


def test_unfinished_messages_are_bounded_over_all_connections():
    async def use(uri, daemon):
        begun = GREETING + wire.to_bytes(message.MSG_INVOKE, bytes(3_000), 1)[:-1]
        writers = []
        for number in range(1, 5):
            _, writer = await asyncio.open_connection(*daemon.sock.getsockname())
            writers.append(writer)
            writer.write(begun)
            while sum(one.partial_bytes > 0 for one in daemon.connections) < min(number, 3):
                await asyncio.sleep(0.01)
        deadline = time.monotonic() + 30
        while len(daemon.connections) == 4 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert len(daemon.connections) == 3
        for writer in writers:
            writer.close()

    served(use, DaemonSettings(max_total_partial_bytes=10_000))


def test_a_daemon_reads_no_message_above_its_limits():
    limits = WireLimits(max_payload_bytes=1_000, max_greeting_bytes=200)

    async def use(uri, daemon):
        channel = await Channel.open(uri)
        assert await channel.call("repeat", 500) == "x" * 500
        with pytest.raises(LostError, match="closed the connection"):
            await channel.call("repeat", "x" * 2_000)
        with pytest.raises(LostError, match="closed the connection"):
            await Channel.open(uri, "x" * 300)

    served(use, DaemonSettings(wire=limits))


def test_a_reply_above_the_limits_is_an_error_of_the_call():
    async def use(uri, daemon):
        channel = await Channel.open(uri)
        with pytest.raises(Pyro4.errors.MessageTooLargeError, match="where max=1000"):
            await channel.call("repeat", 5_000)
        assert await channel.call("repeat", 1) == "x"
        channel.close()

    served(use, DaemonSettings(wire=WireLimits(max_payload_bytes=1_000)))


def test_the_total_of_unread_replies_counts_from_the_size_that_the_settings_say():
    async def use(uri, daemon):
        channel = await Channel.open(uri)
        try:
            return len(await channel.call("repeat", 8 * 2**20))
        finally:
            channel.close()

    assert served(use, DaemonSettings(max_total_unsent_bytes=2**10, unsent_check_bytes=2**30)) == 8 * 2**20
    with pytest.raises(LostError, match="closed the connection"):
        served(use, DaemonSettings(max_total_unsent_bytes=2**10, unsent_check_bytes=2**10))


@pytest.mark.parametrize(("interval_s", "lines"), [(0.0, 3), (60.0, 1)])
def test_rejections_are_logged_as_often_as_the_settings_say(caplog, interval_s, lines):
    async def use(uri, daemon):
        for _ in range(3):
            with pytest.raises(SparrowError):
                await Channel.open(uri, key=b"a key that the daemon has not")

    served(use, DaemonSettings(warning_interval_s=interval_s))
    assert caplog.text.count("turned away") == lines


def test_annotations_are_bounded_by_the_settings():
    annotated = message.Message(message.MSG_CONNECT, dump({"handshake": "x"}), 1, 0, 0, {"ABCD": b"x" * 60}).to_bytes()

    async def use(uri, daemon):
        reader, writer = await asyncio.open_connection(*daemon.sock.getsockname())
        writer.write(annotated)
        try:
            return bool(await asyncio.wait_for(reader.read(1), 5))
        except ConnectionResetError:
            return False
        finally:
            writer.close()

    assert served(use)
    assert not served(use, DaemonSettings(wire=WireLimits(max_annotations_bytes=65)))


# Channels


def test_a_channel_waits_as_long_as_its_settings_say():
    async def use(uri, daemon):
        settings = ChannelSettings(answer_timeout_s=0.1, deadline_check_interval_s=0.05)
        channel = await Channel.open(uri, settings=settings)
        began = time.monotonic()
        with pytest.raises(SilentError):
            await asyncio.wait_for(channel.call("never"), 30)
        assert time.monotonic() - began > 0.05
        patient = await Channel.open(uri, settings=settings)
        call = asyncio.ensure_future(patient.call("never", timeout_s=None))
        await asyncio.sleep(0.3)
        assert not call.done()
        patient.close()
        with pytest.raises(LostError):
            await call

    served(use)


def test_a_channel_connects_within_the_time_of_its_settings():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        uri = f"PYRO:echo@127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(LostError, match=r"not answered in 0\.1 s"):
            asyncio.run(Channel.open(uri, settings=ChannelSettings(connect_timeout_s=0.1)))


def test_a_channel_has_no_more_calls_in_flight_than_its_settings_say():
    async def use(uri, daemon):
        channel = await Channel.open(uri, settings=ChannelSettings(max_calls_in_flight=2))
        waiting = [asyncio.ensure_future(channel.call("never")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="2 calls to .* are in flight"):
            await channel.call("repeat", 1)
        channel.close()
        assert all(isinstance(error, LostError) for error in await asyncio.gather(*waiting, return_exceptions=True))

    served(use)


def test_a_channel_reads_no_reply_above_its_limits():
    async def use(uri, daemon):
        channel = await Channel.open(uri, settings=ChannelSettings(wire=WireLimits(max_payload_bytes=1_000)))
        with pytest.raises(LostError, match="a message of .* bytes, where 1000 are allowed"):
            await channel.call("repeat", 5_000)

    served(use)


def test_arguments_that_cannot_be_sent_leave_no_call_behind():
    async def use(uri, daemon):
        settings = ChannelSettings(WireLimits(max_payload_bytes=1_000), answer_timeout_s=0.1, deadline_check_interval_s=0.05)
        channel = await Channel.open(uri, settings=settings)
        for arguments, error in ((("x" * 2_000,), Pyro4.errors.MessageTooLargeError), (({None: 1},), TypeError)):
            with pytest.raises(error):
                channel.begin("repeat", arguments, lambda *how: None)
        assert not channel._calls
        assert await channel.call("repeat", 1) == "x"
        channel.close()

    served(use)


# What only Pyro4's text says has a type here


def test_a_stock_daemon_without_a_free_thread_is_told_apart(monkeypatch):
    monkeypatch.setattr(Pyro4.config, "THREADPOOL_SIZE", 1)
    monkeypatch.setattr(Pyro4.config, "THREADPOOL_SIZE_MIN", 1)
    monkeypatch.setattr(Pyro4.config, "SERVERTYPE", "thread")
    daemon = Pyro4.Daemon("127.0.0.1")
    uri = str(daemon.register(Echo(), "echo"))
    thread = threading.Thread(target=daemon.requestLoop)
    thread.start()

    async def talk():
        first = await Channel.open(uri)
        try:
            with pytest.raises(ServerFullError, match="no free workers"):
                await Channel.open(uri)
        finally:
            first.close()
            await asyncio.sleep(0)

    try:
        asyncio.run(talk())
    finally:
        daemon.shutdown()
        thread.join()


def test_a_name_server_whose_file_fails_is_told_from_one_that_does_not_know_a_name():
    async def use(uri, daemon):
        channel = await Channel.open(uri)
        with pytest.raises(NameStorageError, match="disk is full"):
            await channel.call("raise_naming_error", "sqlite error in setitem: database or disk is full")
        with pytest.raises(NamingError, match="unknown name: sqlite"):
            await channel.call("raise_naming_error", "unknown name: sqlite")
        channel.close()

    served(use)


@pytest.mark.parametrize("kind", [ServerFullError, SilentError, NameStorageError, MalformedError])
def test_every_error_has_one_base(kind):
    assert issubclass(kind, SparrowError)


# The other settings


def test_a_serializer_counts_the_values_of_a_payload():
    data = b"# serpent utf-8 python3.2\n[" + b"1," * 200 + b"]"
    assert Serpent(WireLimits(ParsingLimits(max_numbers=300))).loads(data) == [1] * 200
    with pytest.raises(ValueError, match="too many values"):
        Serpent(WireLimits(ParsingLimits(max_numbers=100))).loads(data)


def test_a_key_file_keeps_its_limits(tmp_path):
    path = tmp_path / "key"
    path.write_text("12345678\n")
    path.chmod(0o600)
    assert read_key(str(path), KeyFileLimits(min_key_bytes=8)) == b"12345678"
    for limits in (KeyFileLimits(min_key_bytes=9), KeyFileLimits(min_key_bytes=1, max_file_bytes=7)):
        with pytest.raises(SparrowError, match="a key has at least"):
            read_key(str(path), limits)


def test_the_kernel_is_told_when_a_host_has_vanished():
    class Socket:
        options = {}

        def setsockopt(self, level, option, value):
            self.options[level, option] = value

    enable_keepalive(Socket(), KeepaliveSettings(idle_s=7, interval_s=2, probes=4))
    names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    found = {name: Socket.options[socket.IPPROTO_TCP, getattr(socket, name)] for name in names if hasattr(socket, name)}
    assert found == {name: value for name, value in zip(names, (7, 2, 4, 15_000)) if name in found}
    assert Socket.options[socket.SOL_SOCKET, socket.SO_KEEPALIVE] == 1


def test_the_drawing_of_the_message_format_is_true():
    header, _, annotation = wire.__doc__.partition("One annotation:")
    rows = re.findall(r"^ +(\d+) +(\d+)  \S", header, re.M)
    sizes = [struct.calcsize("!" + code) for code in re.findall(r"\d*[a-zA-Z]", wire.HEADER.format.lstrip("!"))]
    assert [int(size) for _, size in rows] == sizes
    assert [int(offset) for offset, _ in rows] == [sum(sizes[:n]) for n in range(len(sizes))]
    assert f"{wire.HEADER.size}      .  annotations" in header
    assert re.findall(r"^ +(\d+) +(\d+)  \S", annotation, re.M) == [("0", "4"), ("4", "2")]
    assert f"version {Pyro4.constants.PROTOCOL_VERSION} of the protocol" in header
    assert f"{message.Message.checksum_magic:X}" in header
