"""What somebody without the key may do to the messages of a session: each change ends the connection, and none counts."""

import Pyro4
import pytest
from Pyro4 import message

from src.rmi import wire
from src.rmi.errors import LostError
from src.rmi.serializer import dump, dump_call
from tests.rmi.lines import KEY, Caller, Post, connected, frames, run, session_of

SCHEDULER, WORKER = "sparrow.scheduler.1", "sparrow.worker.host1"


def _spliced(call):
    """The call with its payload's last character in its annotations, as stock Pyro4's signature allows: 12 becomes 1."""
    payload = frames(call)[0].payload
    at = payload.index(b"12") + 1
    moved = payload[:at] + payload[at + 1 :]
    annotations = {"AAAA": payload[at : at + 1], "SEAL": call[30:62]}
    return bytes(message.Message(message.MSG_INVOKE, moved, wire.SERPENT_ID, 0, 1, annotations).to_bytes())


def _with_payload(call):
    return call.replace(b"(12,)", b"(21,)")


def _with_sequence_number(call):
    """The header's field and its checksum are changed together."""
    header = list(wire.HEADER.unpack_from(call))
    header[4] += 1
    header[9] += 1
    return wire.HEADER.pack(*header) + call[24:]


def _as_another_kind(call):
    header = list(wire.HEADER.unpack_from(call))
    header[2] += 1
    header[9] += 1
    return wire.HEADER.pack(*header) + call[24:]


def _oneway(call):
    header = list(wire.HEADER.unpack_from(call))
    header[3] |= message.FLAGS_ONEWAY
    header[9] += message.FLAGS_ONEWAY
    return wire.HEADER.pack(*header) + call[24:]


def _under_another_annotation(call):
    return call.replace(b"SEAL", b"SEAM")


def _without_a_seal(call):
    (frame,) = frames(call)
    return wire.to_bytes(frame.kind, frame.payload, frame.seq)


def _signed_as_stock(call):
    (frame,) = frames(call)
    return wire.to_bytes(frame.kind, frame.payload, frame.seq, KEY)


TAMPERINGS = [_spliced, _with_payload, _with_sequence_number, _as_another_kind, _oneway, _under_another_annotation]
TAMPERINGS += [_without_a_seal, _signed_as_stock]


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_a_call_that_was_changed_on_the_way_ends_the_connection(tamper):
    async def scenario():
        post = Post()
        caller, line, _ = await connected(post)
        call = caller.call("put", 12)
        changed = tamper(call)
        assert len(frames(changed)) == 1
        assert changed != call
        line.protocol.data_received(changed)
        assert line.ended
        assert post.ledger.told == []
        post.daemon.stop()

    run(scenario)


@pytest.mark.parametrize(
    ("order", "counted"),
    [((0, 0), [0]), ((1, 0), []), ((0, 2), [0]), ((1,), []), ((0, 1, 0), [0, 1]), ((0, 1, 2), [0, 1, 2])],
    ids=["repeated", "swapped", "one left out", "the first left out", "repeated later", "as sent"],
)
def test_messages_count_once_and_in_the_order_in_which_they_were_sent(order, counted):
    async def scenario():
        post = Post()
        caller, line, _ = await connected(post)
        calls = [caller.call("put", value) for value in range(3)]
        line.protocol.data_received(b"".join(calls[number] for number in order))
        assert post.ledger.told == counted
        assert line.ended == (len(counted) < len(order))
        post.daemon.stop()

    run(scenario)


def test_a_message_of_one_connection_counts_on_no_other():
    async def scenario():
        post = Post()
        (one, _, _), (_, line, _) = await connected(post), await connected(post)
        line.protocol.data_received(one.call("put", 1))
        assert line.ended
        assert post.ledger.told == []
        post.daemon.stop()

    run(scenario)


def test_a_message_said_back_to_its_sender_ends_the_connection():
    """Also when its number is the next one that the sender expects."""

    async def scenario():
        post = Post()
        caller, line, _ = await connected(post)
        call = caller.call("put", 1)  # its message 1, after the one that completes the handshake
        line.protocol.data_received(call)
        caller.hear(line.take())  # the daemon's message 0
        caller.hear(call)
        assert caller.line.ended
        for value in range(2):
            caller, line, _ = await connected(post)
            calls = b"".join(caller.call("put", value) for _ in range(3))
            line.protocol.data_received(calls)
            answers = [frame.data for frame in frames(line.take())]
            line.protocol.data_received(answers[value])
            assert line.ended
        post.daemon.stop()

    run(scenario)


@pytest.mark.parametrize(
    "say", [_with_payload, lambda answer: answer * 2, _without_a_seal, _signed_as_stock, lambda answer: b"x" * 30]
)
def test_a_false_answer_ends_calls_with_the_loss_of_the_connection_not_with_a_refusal(say):
    """A refusal would have the link drop the message that was under way."""

    async def scenario():
        post = Post()
        caller, line, _ = await connected(post)
        line.protocol.data_received(caller.call("put", (12,)))
        caller.call("put", "later")
        answer = say(line.take())
        caller.hear(answer)
        assert caller.lost == [True]
        errors = [error for error, _ in caller.ended]
        assert errors[-1] is not None
        assert all(error is None or isinstance(error, LostError) for error in errors)
        post.daemon.stop()

    run(scenario)


def test_a_call_that_is_answered_with_a_signature_where_there_is_no_key_is_lost_not_refused():
    async def scenario():
        post = Post(key=None)
        caller, line = Caller(post.uri, None), post.accept()
        line.protocol.data_received(await caller.greet())
        caller.hear(line.take())
        line.protocol.data_received(caller.call("put", 1))
        caller.hear(_signed_as_stock(line.take()))
        ((error, _),) = caller.ended
        assert isinstance(error, LostError)
        assert "asks for a key" in str(error)
        assert caller.lost == [True]
        post.daemon.stop()

    run(scenario)


def test_in_a_session_there_are_only_plain_calls():
    async def scenario():
        post = Post()
        for flags in (message.FLAGS_BATCH, message.FLAGS_ONEWAY, message.FLAGS_META_ON_CONNECT):
            caller, line, _ = await connected(post)
            data = dump_call(WORKER, "put", (1,), {})
            line.protocol.data_received(session_of(caller).seal(message.MSG_INVOKE, data, 1, flags))
            assert line.ended
        assert post.ledger.told == []
        post.daemon.stop()

    run(scenario)


def test_what_a_stock_proxy_of_this_thread_has_received_is_in_no_answer_of_a_daemon():
    """A signature, for example: Pyro4 keeps the annotations of the last answer, and adds them to the next message."""

    async def scenario():
        post = Post(key=None)
        line = post.accept()
        Pyro4.current_context.response_annotations = {"HMAC": bytes(20)}
        line.protocol.data_received(wire.to_bytes(message.MSG_CONNECT, dump({"handshake": "hello", "object": WORKER}), 0))
        (answer,) = frames(line.take())
        assert answer.kind == message.MSG_CONNECTOK
        assert b"HMAC" not in answer.data
        post.daemon.stop()

    run(scenario)
