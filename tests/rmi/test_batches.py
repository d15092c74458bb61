"""Batched and oneway calls are bounded, nobody is told a line of source, and little is kept of what strangers say."""

import asyncio
import contextlib

import Pyro4
import pytest
from Pyro4 import message

from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.serializer import Serpent, dump, dump_call
from src.rmi.settings import BatchLimits, DaemonSettings, WireLimits
from tests.rmi.costly import GREETING, request, served


def batch(*calls, flags=message.FLAGS_BATCH):
    data = dump_call("costly", "<batch>", [(method, arguments, {}) for method, arguments in calls], {})
    return bytes(message.Message(message.MSG_INVOKE, data, 1, flags, 1).to_bytes())


async def answers(daemon, *messages):
    """What the daemon sends until it closes the connection; each as its bytes and its value."""
    reader, writer = await asyncio.open_connection(*daemon.sock.getsockname())
    writer.write(GREETING + b"".join(messages))
    writer.write_eof()
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := await asyncio.wait_for(reader.read(65536), 10):
            data += part
    writer.close()
    frames = list(wire.FrameReader(WireLimits.max_payload_bytes).feed(data))
    return [(frame.flags, frame.payload) for frame in frames[1:]]


def test_a_small_batch_works_and_ends_with_the_first_error():
    def talk(uri):
        with Pyro4.Proxy(uri) as proxy:
            calls = Pyro4.batch(proxy)
            calls.text(2)
            calls.text(3)
            first = list(calls())
            calls.text(1)
            calls.fail()
            calls.text(9)
            results = calls()
            found = [next(results)]
            with pytest.raises(LookupError, match="no such thing") as caught:
                next(results)
            return first, found, getattr(caught.value, "_pyroTraceback", None)

    async def use(uri, daemon, costly):
        found = await asyncio.get_running_loop().run_in_executor(None, talk, uri)
        assert found == (["xx", "xxx"], ["x"], None)
        assert costly.calls == 3

    served(use)


@pytest.mark.parametrize(
    ("limits", "calls", "made", "said"),
    [
        (BatchLimits(max_calls=5), [("text", (1,))] * 6, 0, "at most 5 calls"),
        (BatchLimits(max_result_bytes=10_000), [("text", (3_000,))] * 6, 4, "more than 10000 bytes"),
        (BatchLimits(max_time_s=0.03), [("think", (0.02,))] * 6, 2, r"more than 0\.03 s"),
    ],
)
def test_a_batch_is_bounded(limits, calls, made, said):
    async def use(uri, daemon, costly):
        ((_, payload),) = await answers(daemon, batch(*calls))
        found = Serpent(WireLimits()).loads(payload)
        error = found if isinstance(found, Exception) else found[-1].exception
        assert isinstance(error, ValueError)
        with pytest.raises(ValueError, match=said):
            raise error
        assert costly.calls == made
        assert len(payload) < 2 * limits.max_result_bytes

    served(use, DaemonSettings(batch=limits))


def test_a_hundred_thousand_calls_in_one_message_are_refused():
    data = batch(*[("text", (10**6,))] * 2_000)
    assert len(data) < 100_000

    async def use(uri, daemon, costly):
        ((flags, payload),) = await answers(daemon, data)
        assert flags & message.FLAGS_EXCEPTION
        assert costly.calls == 0
        assert len(payload) < 1000

    served(use)


@pytest.mark.parametrize("flags", [0, message.FLAGS_BATCH, message.FLAGS_META_ON_CONNECT, message.FLAGS_ITEMSTREAMRESULT, 0xFFBB])
@pytest.mark.parametrize("annotations", [None, {"CORR": b"x" * 16}, {"ABCD": b""}])
def test_no_reply_has_a_line_of_our_source(caplog, flags, annotations):
    calls = [
        dump_call("costly", "<batch>", [("broken", (), {})], {}),
        dump_call("costly", "<batch>", [("no_such_method", (), {})], {}),
        dump_call("costly", "broken", (), {}),
        dump_call("costly", "fail", (), {}),
        dump_call("nothing", "fail", (), {}),
        b"# serpent utf-8 python3.2\n'\xff'",
        b"# serpent utf-8 python3.2\n(((",
        b"",
    ]

    async def use(uri, daemon, costly):
        for data in calls:
            sent = bytes(message.Message(message.MSG_INVOKE, data, 1, flags, 1, annotations).to_bytes())
            for _, payload in await answers(daemon, sent):
                for ours in (b"File", b", line ", b"src/", b"def ", b"Traceback (", b"what only we may know"):
                    assert ours not in payload

    served(use)


def test_a_oneway_call_is_made_and_never_answered():
    async def use(uri, daemon, costly):
        sent = [request("text", 1, flags=message.FLAGS_ONEWAY), request("broken", flags=message.FLAGS_ONEWAY)]
        sent += [batch(("text", (1,)), flags=message.FLAGS_BATCH | message.FLAGS_ONEWAY), request("text", 1, seq=9)]
        assert [payload for _, payload in await answers(daemon, *sent)] == [dump("x")]
        assert costly.calls == 3

    served(use)


def test_annotations_are_few_and_none_is_kept():
    async def use(uri, daemon, costly):
        data = dump_call("costly", "text", (1,), {})
        for count, answered in ((8, 1), (9, 0)):
            annotations = {f"AB{number:02}": b"x" for number in range(count)}
            sent = bytes(message.Message(message.MSG_INVOKE, data, 1, 0, 1, annotations).to_bytes())
            assert len(await answers(daemon, sent)) == answered
        assert not Pyro4.current_context.annotations

    served(use)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("a client", "a client"),
        ({"name": "a", "slots": 2, "uri": None}, {"name": "a", "slots": 2, "uri": None}),
        ([[]] * 1_000, None),
        ({"name": [[]] * 1_000}, None),
        ({str(number): 1 for number in range(17)}, None),
        (None, None),
    ],
)
def test_of_a_greeting_only_what_is_small_is_kept(said, expected):
    async def use(uri, daemon, costly):
        channel = await Channel.open(uri, said)
        (connection,) = daemon.connections
        assert connection.peer == expected
        channel.close()

    served(use)
