"""What a peer that we call may send: an answer to what we have asked, within a time, and no more than all may hold together."""

import asyncio
import contextlib
import struct
import time

import pytest
from Pyro4 import message

from src.rmi import accounts, wire
from src.rmi.channel import Channel
from src.rmi.errors import LostError, RefusedError
from src.rmi.serializer import dump
from src.rmi.settings import ChannelSettings

WELCOME = wire.to_bytes(message.MSG_CONNECTOK, dump({"name": "x"}), 0)
MB = 2**20


def result(value, seq):
    return wire.to_bytes(message.MSG_RESULT, dump(value), seq)


def with_peer(peer, use):
    """Run ``use(uri)`` while ``peer(reader, writer)`` answers each connection."""

    async def run():
        held = []

        async def serve(reader, writer):
            held.append(writer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await peer(reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            return await use(f"PYRO:x@127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            server.close()
            for writer in held:
                writer.transport.abort()
            await asyncio.sleep(0)

    return asyncio.run(run())


async def read_message(reader):
    """The next message: its header's kind and number, and its payload."""
    header = await reader.readexactly(wire.HEADER.size)
    _, _, kind, _, seq, size, _, annotations, _, _ = struct.unpack(wire.HEADER.format, header)
    return kind, seq, (await reader.readexactly(size + annotations))[annotations:]


async def welcomed(reader, writer):
    await read_message(reader)
    writer.write(WELCOME)


@pytest.mark.parametrize(
    "unasked",
    [result(1, 1), result(1, 2), result("x" * MB, 9)[:100], WELCOME, wire.to_bytes(message.MSG_PING, b"pong", 0)],
    ids=["twice the same", "another number", "the beginning of a large one", "a second welcome", "a ping"],
)
def test_what_nobody_has_asked_for_ends_the_connection(unasked):
    async def peer(reader, writer):
        await welcomed(reader, writer)
        _, seq, _ = await read_message(reader)
        writer.write(result("first", seq) + unasked)
        await reader.read(-1)

    async def use(uri):
        channel = await Channel.open(uri)
        lost = asyncio.Event()
        channel.on_lost = lost.set
        assert await channel.call("a") == "first"
        await asyncio.wait_for(lost.wait(), 5)
        assert channel.closed

    with_peer(peer, use)


def test_answers_in_any_order_are_what_was_asked_for():
    async def peer(reader, writer):
        await welcomed(reader, writer)
        asked = [(await read_message(reader))[1] for _ in range(20)]
        writer.write(b"".join(result(seq, seq) for seq in reversed(asked)))
        await reader.read(-1)

    async def use(uri):
        channel = await Channel.open(uri)
        assert await asyncio.gather(*(channel.call("a") for _ in range(20))) == list(range(1, 21))
        channel.close()

    with_peer(peer, use)


def test_the_answer_to_a_greeting_is_as_small_as_a_greeting():
    async def peer(reader, writer):
        await read_message(reader)
        writer.write(wire.to_bytes(message.MSG_CONNECTOK, dump("x" * 5_000), 0)[:1_000])
        await reader.read(-1)

    async def use(uri):
        with pytest.raises(LostError, match="a message of .* bytes, where 4096 are allowed"):
            await Channel.open(uri)

    with_peer(peer, use)


def test_an_answer_that_does_not_come_to_its_end_ends_the_connection():
    async def peer(reader, writer):
        await welcomed(reader, writer)
        _, seq, _ = await read_message(reader)
        for byte in result("x" * 1_000, seq):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    async def use(uri):
        channel = await Channel.open(uri, settings=ChannelSettings(message_timeout_s=0.3))
        with pytest.raises(LostError, match=r"no whole message in 0\.3 s"):
            await asyncio.wait_for(channel.call("a", timeout_s=None), 5)

    with_peer(peer, use)


def test_a_closed_channel_keeps_nothing_of_an_answer_that_had_begun():
    async def peer(reader, writer):
        await welcomed(reader, writer)
        _, seq, _ = await read_message(reader)
        writer.write(result("x" * 4 * MB, seq)[: 2 * MB])
        await writer.drain()
        writer.close()

    async def use(uri):
        channel = await Channel.open(uri, ChannelSettings(message_timeout_s=30))
        with pytest.raises(LostError):
            await channel.call("ask")
        assert channel._frames.partial_bytes == 0

    with_peer(peer, use)


def test_a_slow_answer_that_ends_in_time_is_taken():
    async def peer(reader, writer):
        await welcomed(reader, writer)
        _, seq, _ = await read_message(reader)
        data = result("x" * 100, seq)
        writer.write(data[:50])
        await asyncio.sleep(0.1)
        writer.write(data[50:])
        await reader.read(-1)

    async def use(uri):
        channel = await Channel.open(uri, settings=ChannelSettings(message_timeout_s=0.3))
        assert await channel.call("a") == "x" * 100
        await asyncio.sleep(0.4)
        assert not channel.closed
        assert accounts._per_thread.channels.total_bytes == 0
        channel.close()

    with_peer(peer, use)


def test_each_answer_has_its_own_time_though_the_next_has_begun():
    async def peer(reader, writer):
        await welcomed(reader, writer)
        answers = b""
        for _ in range(8):
            _, seq, _ = await read_message(reader)
            answers += result("x" * 100, seq)
        size = len(answers) // 8
        writer.write(answers[:50])
        for n in range(8):
            await asyncio.sleep(0.1)
            writer.write(answers[50 + n * size : 50 + (n + 1) * size])
        await reader.read(-1)

    async def use(uri):
        channel = await Channel.open(uri, settings=ChannelSettings(message_timeout_s=0.5))
        assert await asyncio.gather(*(channel.call("a") for _ in range(8))) == ["x" * 100] * 8
        channel.close()

    with_peer(peer, use)


def test_what_all_peers_together_have_begun_to_send_is_bounded():
    most, each = 20 * MB, 6 * MB

    async def begun(reader, writer):
        await welcomed(reader, writer)
        _, seq, _ = await read_message(reader)
        writer.write(wire.to_bytes(message.MSG_RESULT, bytes(10 * MB), seq)[:each])
        await reader.read(-1)

    async def use(uri):
        settings = ChannelSettings(max_total_partial_bytes=most)
        channels = [await Channel.open(uri, settings=settings) for _ in range(10)]
        calls = [asyncio.ensure_future(channel.call("a", timeout_s=None)) for channel in channels]
        account = accounts._per_thread.channels
        deadline = time.monotonic() + 20
        while sum(call.done() for call in calls) < 7 and time.monotonic() < deadline:
            assert account.total_bytes <= most
            await asyncio.sleep(0.001)
        assert sum(call.done() for call in calls) == 7
        for call in calls:
            if call.done():
                with pytest.raises(LostError, match="too much memory together"):
                    call.result()
        for channel in channels:
            channel.close()
        await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0)
        assert account.total_bytes == 0

    with_peer(begun, use)


@pytest.mark.parametrize("kind", ["StopIteration", "StopAsyncIteration", "SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_an_error_that_would_end_more_than_the_call_is_a_refusal(kind):
    async def peer(reader, writer):
        await welcomed(reader, writer)
        _, seq, _ = await read_message(reader)
        data = b"# serpent utf-8 python3.2\n{'__class__':'builtins.%b','__exception__':True,'args':('x',)}" % kind.encode()
        writer.write(bytes(message.Message(message.MSG_RESULT, data, 1, message.FLAGS_EXCEPTION, seq).to_bytes()))
        await reader.read(-1)

    async def use(uri):
        channel = await Channel.open(uri)
        with pytest.raises(RefusedError, match="x"):
            await channel.call("a")
        channel.close()

    with_peer(peer, use)
