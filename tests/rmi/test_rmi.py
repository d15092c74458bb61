"""The layer over Pyro4: the wire, channels, and a daemon that no peer can stop."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import Pyro4
import pytest
import serpent
from hypothesis import given
from hypothesis import strategies as st
from Pyro4 import message

from src.cluster.registry import parse_address
from src.Job import Job
from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.daemon import Daemon
from src.rmi.errors import LostError, RefusedError, SilentError, UnreachableError
from src.rmi.receiving import receive_buffer
from src.rmi.serializer import Serpent
from src.rmi.settings import WireLimits
from src.SparrowClient import SparrowClient
from tests.support.live import eventually

quick, stock = Serpent(WireLimits()), Pyro4.util.SerpentSerializer()
texts = st.text() | st.text(alphabet="ab'\"\\\n[]{}é\x00,()") | st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126))
integers = st.integers(-(10**24) + 1, 10**25 - 1)  # a number has at most 25 characters


@given(st.tuples(texts, texts, texts) | st.tuples() | st.tuples(texts) | st.tuples(texts, integers, st.none()))
def test_calls_are_written_and_read_as_serpent_does(arguments):
    data = quick.dumpsCall("sparrow.worker.a", "add_task", arguments, {})
    assert data == stock.dumpsCall("sparrow.worker.a", "add_task", arguments, {})
    obj, method, vargs, kwargs = quick.loadsCall(data)
    assert (obj, method, tuple(vargs), kwargs) == ("sparrow.worker.a", "add_task", arguments, {})
    assert tuple(stock.loadsCall(data)[2]) == arguments


@given(texts | integers | st.booleans() | st.none() | st.lists(texts) | st.dictionaries(st.text(), integers))
def test_answers_are_written_and_read_as_serpent_does(value):
    if isinstance(value, dict) and "__class__" in value:
        return
    data = quick.dumps(value)
    assert data == stock.dumps(value)
    assert quick.loads(data) == stock.loads(data) == serpent.loads(data)


@given(st.binary(max_size=300), st.integers(1, 40))
def test_frames_are_cut_however_the_bytes_arrive(payload, step):
    stream = b"".join(wire.to_bytes(message.MSG_INVOKE, payload, seq) for seq in range(3))
    frames = wire.FrameReader(WireLimits.max_payload_bytes)
    found = [frame for start in range(0, len(stream), step) for frame in frames.feed(stream[start : start + step])]
    assert [(frame.kind, frame.seq, frame.payload) for frame in found] == [(message.MSG_INVOKE, seq, payload) for seq in range(3)]
    assert frames.partial_bytes == 0


# Channels


@Pyro4.expose
class Echo:
    def echo(self, value):
        return value

    def fail(self, name):
        raise {"value": ValueError, "own": OwnError, "broken": ZeroDivisionError}[name]("what went wrong")

    def later(self):
        reply = Daemon.defer()
        asyncio.get_running_loop().call_later(0.05, reply.answer, "later")

    def never(self):
        Daemon.defer()


class OwnError(LookupError):
    pass


async def with_echo(use):
    daemon = Daemon("127.0.0.1")
    uri = daemon.register(Echo(), "echo")
    await daemon.serve()
    try:
        return await use(str(uri), daemon)
    finally:
        daemon.stop()
        await asyncio.sleep(0)


def test_calls_in_flight_together_get_their_own_answers():
    async def use(uri, daemon):
        channel = await Channel.open(uri)
        calls = [channel.call("later"), *(channel.call("echo", number) for number in range(100))]
        assert await asyncio.gather(*calls) == ["later", *range(100)]
        assert await channel.call("echo", [1, "é'\"", {"a": (1.5, None)}]) == [1, "é'\"", {"a": (1.5, None)}]
        channel.close()

    asyncio.run(with_echo(use))


def test_messages_larger_than_the_receive_buffer_arrive_whole_on_every_connection():
    async def use(uri, daemon):
        channels = [await Channel.open(uri) for _ in range(3)]
        sent = [str(number) * (3 * len(receive_buffer())) for number in range(3)]
        assert await asyncio.gather(*(channel.call("echo", text) for channel, text in zip(channels, sent))) == sent
        for channel in channels:
            channel.close()

    asyncio.run(with_echo(use))


def test_of_many_answers_that_have_arrived_only_some_are_taken_before_others_have_their_turn():
    async def use():
        ended = asyncio.Event()

        async def answers_all_at_once(reader, writer):
            await reader.read(2**16)
            writer.write(wire.to_bytes(message.MSG_CONNECTOK, quick.dumps({"handshake": {}}), 0))
            await reader.readuntil(b"last")
            writer.write(b"".join(wire.to_bytes(message.MSG_RESULT, quick.dumps("x" * 400), seq) for seq in range(1, 2_001)))
            await reader.read()  # until the channel is closed
            writer.close()
            await writer.wait_closed()
            ended.set()

        async with await asyncio.start_server(answers_all_at_once, "127.0.0.1", 0, limit=2**20) as server:
            channel = await Channel.open(f"PYRO:echo@127.0.0.1:{server.sockets[0].getsockname()[1]}")
            answered = []
            for number in range(2_000):
                channel.begin("echo", ("last" if number == 1_999 else "",), lambda error, value: answered.append(error))
            most = 0
            while len(answered) < 2_000:
                before = len(answered)
                await asyncio.sleep(0)
                most = max(most, len(answered) - before)
            assert most <= 200
            assert set(answered) == {None}
            channel.close()
            await ended.wait()

    asyncio.run(asyncio.wait_for(use(), 30))


def test_each_thread_has_a_receive_buffer_of_its_own():
    with ThreadPoolExecutor(1) as pool:
        assert receive_buffer() is receive_buffer()
        assert pool.submit(receive_buffer).result().obj is not receive_buffer().obj


def test_what_a_method_raises_is_raised_here_as_a_class_that_everybody_knows(caplog):
    async def use(uri, daemon):
        channel = await Channel.open(uri)
        with pytest.raises(ValueError, match="what went wrong"):
            await channel.call("fail", "value")
        with pytest.raises(LookupError, match="what went wrong"):
            await channel.call("fail", "own")
        with pytest.raises(RuntimeError, match="ZeroDivisionError in the server; its log says more"):
            await channel.call("fail", "broken")
        with pytest.raises(AttributeError):
            await channel.call("__init__")
        with pytest.raises(AttributeError):
            await channel.call("no_such_method")
        assert await channel.call("echo", "still here") == "still here"
        channel.close()

    asyncio.run(with_echo(use))
    assert "what went wrong" in caplog.text


def test_a_call_that_is_not_answered_in_time_ends_the_channel():
    async def use(uri, daemon):
        channel = await Channel.open(uri)
        with pytest.raises(SilentError, match="has not answered in time"):
            await asyncio.wait_for(channel.call("never", timeout_s=0.2), 30)
        with pytest.raises(LostError, match="is closed"):
            await channel.call("echo", 1)

    asyncio.run(with_echo(use))


def test_a_daemon_that_ends_fails_the_calls_in_flight():
    async def use(uri, daemon):
        channel = await Channel.open(uri)
        call = asyncio.ensure_future(channel.call("never", timeout_s=None))
        assert await channel.call("echo", 1) == 1  # calls arrive in order, so the other one is under way
        daemon.stop()
        with pytest.raises(LostError, match="closed the connection"):
            await call

    asyncio.run(with_echo(use))


def test_who_cannot_be_reached_is_told_apart():
    async def use(uri, daemon):
        with pytest.raises(UnreachableError, match="no connection to 127.0.0.1:9"):
            await Channel.open("PYRO:echo@127.0.0.1:9")
        with socket.create_server(("127.0.0.1", 0)) as mute:
            with pytest.raises(LostError, match="has not answered in 0.2 s") as caught:
                await Channel.open(f"PYRO:echo@127.0.0.1:{mute.getsockname()[1]}", timeout_s=0.2)
            assert not isinstance(caught.value, UnreachableError)
        with pytest.raises((RefusedError, LostError)):
            await Channel.open(uri, key=b"a key that the daemon does not have")

    asyncio.run(with_echo(use))


def test_a_connection_that_ends_before_the_greeting_is_noticed_at_once():
    """As with a process that is being killed: its port still takes connections, and drops them."""

    class Slow(Channel):
        async def _connect(self):
            await super()._connect()
            while not self.closed:
                await asyncio.sleep(0)

    async def scenario():
        server = await asyncio.start_server(lambda reader, writer: writer.transport.abort(), "127.0.0.1", 0)
        async with server:
            with pytest.raises(LostError, match="closed the connection"):  # and not: has not answered
                await Slow.open(f"PYRO:echo@127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=30.0)

    asyncio.run(scenario())


def test_a_stock_proxy_and_our_daemon_understand_each_other():
    async def use(uri, daemon):
        def talk():
            with Pyro4.Proxy(uri) as proxy:
                batch = Pyro4.batch(proxy)
                batch.echo(1)
                batch.echo("two")
                with pytest.raises(ValueError, match="what went wrong"):
                    proxy.fail("value")
                return proxy.echo({"a": [1, 2]}), proxy.later(), list(batch())

        return await asyncio.get_running_loop().run_in_executor(None, talk)

    assert asyncio.run(with_echo(use)) == ({"a": [1, 2]}, "later", [1, "two"])


def test_our_channel_and_a_stock_daemon_understand_each_other():
    daemon = Pyro4.Daemon("127.0.0.1")
    uri = str(daemon.register(Echo(), "echo"))
    thread = threading.Thread(target=daemon.requestLoop)
    thread.start()

    async def talk():
        channel = await Channel.open(uri)
        try:
            return [await channel.call("echo", value) for value in (1, "two", [3.5, None])]
        finally:
            channel.close()

    try:
        assert asyncio.run(talk()) == [1, "two", [3.5, None]]
    finally:
        daemon.shutdown()
        thread.join(60.0)


def test_a_key_lets_in_only_who_has_it():
    async def use(uri, daemon):
        daemon._pyroHmacKey = b"the key"
        channel = await Channel.open(uri, key=b"the key")
        assert await channel.call("echo", "in") == "in"
        channel.close()
        for key in (None, b"another key"):
            with pytest.raises((RefusedError, LostError)):
                await Channel.open(uri, key=key)

    asyncio.run(with_echo(use))


# Addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a", ("a", 9090)),
        ("a:1", ("a", 1)),
        ("[::1]:5", ("::1", 5)),
        ("[::1]", ("::1", 9090)),
        ("::1", ("::1", 9090)),
    ],
)
def test_addresses_of_name_servers(monkeypatch, text, address):
    monkeypatch.delenv("PYRO_NS_HOST", raising=False)
    monkeypatch.delenv("PYRO_NS_PORT", raising=False)
    assert parse_address(text) == address


def test_the_environment_says_where_the_name_server_is(monkeypatch):
    monkeypatch.setenv("PYRO_NS_HOST", "there")
    monkeypatch.setenv("PYRO_NS_PORT", "7")
    assert parse_address(None) == ("there", 7)
    assert parse_address("here") == ("here", 7)
    assert parse_address("here:8") == ("here", 8)


def test_a_job_submitted_from_any_thread(clusters):
    with SparrowClient(clusters(3).nameserver) as client:
        futures = []
        threads = [threading.Thread(target=lambda: futures.append(client.submit(Job(None, 3, 0.0), "BATCH"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
        assert eventually(lambda: all(future.done() for future in futures))
        assert {len(future.result().tasks) for future in futures} == {3}


PLAIN = {"name": "a", "n": 1}


@pytest.mark.parametrize(("said", "peer"), [({**PLAIN, "x": [[]] * 1_000}, None), (PLAIN, PLAIN)])
def test_a_channel_keeps_of_a_greeting_what_a_daemon_would(said, peer):
    async def scenario():
        daemon = Daemon("127.0.0.1")
        uri = daemon.register(Echo(), "o")
        daemon.who = said
        await daemon.serve()
        channel = await Channel.open(uri)
        assert channel.peer == peer
        channel.close()
        daemon.stop()
        await asyncio.sleep(0)

    asyncio.run(scenario())
