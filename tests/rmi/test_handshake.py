"""The handshake of those who have the key, and what somebody without it may try with it: nothing comes of any of it."""

import asyncio
import hashlib
import hmac

import pytest
from Pyro4 import message

from src.rmi import session, wire
from src.rmi.channel import Channel
from src.rmi.errors import LostError, NotHereError, RefusedError, StockPeerError, WrongCredentialsError
from src.rmi.security import StockKey
from src.rmi.serializer import dump, dump_call
from src.rmi.settings import DaemonSettings
from tests.rmi.lines import KEY, Caller, Line, Post, connected, frames, run, session_of

SCHEDULER, WORKER = "sparrow.scheduler.1", "sparrow.worker.host1"


def test_who_has_the_key_is_known_after_the_handshake_and_its_calls_are_answered():
    async def scenario():
        post = Post()
        caller, line, recorded = await connected(post)
        assert caller.channel.peer == post.daemon.who
        assert post.known() == [{"name": SCHEDULER}]
        for value in range(3):
            line.protocol.data_received(caller.call("put", value))
            caller.hear(line.take())
        assert post.ledger.told == [0, 1, 2]
        assert caller.ended == [(None, "had 0"), (None, "had 1"), (None, "had 2")]
        line.protocol.data_received(caller.call("no_such_method"))
        caller.hear(line.take())
        assert isinstance(caller.ended[-1][0], AttributeError)
        line.close()
        assert post.gone == [{"name": SCHEDULER}]
        post.daemon.stop()

    run(scenario)


def test_tags_are_the_hmac_that_the_protocol_names():
    for key in (b"k", KEY[:64]):
        assert session._Mac(key).tag(b"first", b"rest") == hmac.new(key, b"firstrest", hashlib.sha256).digest()


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_each_call_has_one_answer_whenever_that_is_given(key):
    """A method may give the deferred answer before it returns, or another one that is due on the same connection."""

    async def scenario():
        post = Post(key=key)
        caller, line = Caller(post.uri, key), post.accept()
        line.protocol.data_received(await caller.greet())
        caller.hear(line.take())
        line.protocol.data_received(caller.line.take())
        for method in ("at_once", "owe", "settle"):
            line.protocol.data_received(caller.call(method))
        caller.hear(line.take())
        assert caller.ended == [(None, "at once"), (None, "settled"), (None, "done")]
        assert not line.protocol.busy
        post.daemon.stop()

    run(scenario)


# Without the key


def test_a_recorded_conversation_counts_on_no_other_connection():
    async def scenario():
        post = Post()
        caller, line, recorded = await connected(post)
        call = caller.call("put", "once")
        line.protocol.data_received(call)
        again = post.accept()
        for data in (recorded[0], recorded[2], call):
            if not again.ended:
                again.protocol.data_received(data)
        assert again.ended
        assert post.ledger.told == ["once"]
        assert len(post.known()) == 1
        assert post.gone == []  # the owner never heard of who repeated it
        post.daemon.stop()

    run(scenario)


def test_a_greeting_alone_is_believed_in_nothing():
    """Whoever repeats a greeting is not known: not as a peer, and its connection is the first to make room."""

    async def scenario():
        post = Post(settings=DaemonSettings(max_connections=2))
        caller, line, recorded = await connected(post)
        replayed = post.accept()
        replayed.protocol.data_received(recorded[0])
        assert [frame.kind for frame in frames(replayed.take())] == [message.MSG_CONNECTOK]
        assert post.known() == [{"name": SCHEDULER}]
        await connected(post)
        assert (replayed.ended, line.ended) == (True, False)
        assert post.gone == []
        post.daemon.stop()

    run(scenario)


def test_what_a_dead_worker_would_have_heard_gets_nobody_in():
    """The scheduler's greeting to a dead worker's address, said back to the scheduler, or said to another worker."""

    async def scenario():
        scheduler, other = Post(SCHEDULER), Post("sparrow.worker.host2")
        dead = "PYRO:sparrow.worker.host1@127.0.0.1:1"
        heard = await Caller(dead, who=scheduler.daemon.who).greet()
        for post in (scheduler, other):
            line = post.accept()
            line.protocol.data_received(heard)
            assert [frame.kind for frame in frames(line.take())] == [message.MSG_CONNECTFAIL]
            assert line.ended
            assert not post.known()
            post.daemon.stop()

    run(scenario)


def test_a_worker_under_its_old_name_at_a_new_address_refuses_what_its_old_address_heard():
    async def scenario():
        post = Post(WORKER)
        line = post.accept()
        line.protocol.data_received(await Caller(f"PYRO:{WORKER}@127.0.0.1:1").greet())
        assert line.ended
        post.daemon.stop()

    run(scenario)


def test_a_greeting_said_back_to_its_sender_is_no_answer():
    async def scenario():
        caller = Caller(f"PYRO:{WORKER}@127.0.0.1:1")
        caller.hear(await caller.greet())
        assert isinstance(await caller.greeted(), LostError)
        assert caller.line.ended

    run(scenario)


def test_a_recorded_answer_to_another_greeting_proves_nothing():
    async def scenario():
        post = Post()
        _, _, recorded = await connected(post)
        caller = Caller(post.uri)
        await caller.greet()
        caller.hear(recorded[1])
        assert isinstance(await caller.greeted(), WrongCredentialsError)
        post.daemon.stop()

    run(scenario)


def test_somebody_between_two_dead_ports_is_nobody():
    """Two schedulers greet what they take for two workers; the same stranger has both ports, and passes on what he hears."""

    async def scenario():
        first, second = (
            Caller(f"PYRO:sparrow.worker.host{n}@127.0.0.1:{n}", who={"name": f"sparrow.scheduler.{n}"}) for n in (1, 2)
        )
        heard = [await first.greet(), await second.greet()]
        first.hear(heard[1])
        second.hear(heard[0])
        assert isinstance(await first.greeted(), LostError)
        assert isinstance(await second.greeted(), LostError)

    run(scenario)


def test_a_relay_to_another_process_convinces_nobody_that_the_object_has_moved():
    """A refusal "not here" counts only from the address that was greeted."""

    async def scenario():
        post, other = Post(WORKER), Post("sparrow.worker.host2")
        for uri, answering, error in (
            (post.uri, other, RefusedError),
            (str(other.uri).replace("host2", "host9"), other, NotHereError),
        ):
            caller, line = Caller(uri), answering.accept()
            line.protocol.data_received(await caller.greet())
            caller.hear(line.take())
            assert type(await caller.greeted()) is error
        for one in (post, other):
            one.daemon.stop()

    run(scenario)


def test_nothing_large_is_read_before_the_handshake_is_complete():
    async def scenario():
        post = Post()
        caller, line = Caller(post.uri), post.accept()
        line.protocol.data_received(await caller.greet())
        caller.hear(line.take())
        caller.line.take()
        line.protocol.data_received(session_of(caller).seal(message.MSG_INVOKE, bytes(5000), 1)[:40])
        assert line.ended
        post.daemon.stop()

    run(scenario)


@pytest.mark.parametrize("broken", [b"", b"(", dump("x"), dump({"handshake": 1}), dump({"handshake": 1, "target": 5})])
def test_a_greeting_that_cannot_be_read_is_refused(broken):
    async def scenario():
        post = Post()
        line = post.accept()
        line.protocol.data_received(session.signed_greeting(KEY, message.MSG_CONNECT, broken, 0, session.CLIENT_GREETS)[0])
        assert line.ended
        assert [frame.kind for frame in frames(line.take())] == [message.MSG_CONNECTFAIL]
        post.daemon.stop()

    run(scenario)


# Stock Pyro4


def stock_messages(key=KEY, who="stock"):
    call = message.Message(message.MSG_INVOKE, dump_call(WORKER, "put", (12,), {}), wire.SERPENT_ID, 0, 1, hmac_key=key).to_bytes()
    return wire.to_bytes(message.MSG_CONNECT, dump({"handshake": who}), 0, key), bytes(call)


def test_a_stock_program_with_the_key_is_turned_away_with_the_name_of_the_option(caplog):
    async def scenario():
        post = Post()
        line = post.accept()
        line.protocol.data_received(stock_messages()[0])
        assert line.ended
        (answer,) = frames(line.take())
        told = message.Message.recv(answer, [message.MSG_CONNECTFAIL], hmac_key=KEY).data  # a stock client can read it
        assert b"--allow-stock-pyro4" in told
        assert not post.known()
        post.daemon.stop()

    run(scenario)
    assert "turned away 127.0.0.1:9: it has our key but is stock Pyro4" in caplog.text
    assert "--allow-stock-pyro4" in caplog.text


def test_the_option_lets_stock_programs_with_the_key_in_and_nobody_else():
    async def scenario():
        post = Post(key=StockKey(KEY))
        greeting, call = stock_messages()
        line = post.accept()
        line.protocol.data_received(greeting + call)
        assert post.ledger.told == [12]
        assert post.known() == ["stock"]
        for key in (None, b"another key"):
            line = post.accept()
            line.protocol.data_received(stock_messages(key)[0])
            assert line.ended
        caller, line, _ = await connected(post)  # our own programs have a session all the same
        line.protocol.data_received(stock_messages()[1])
        assert line.ended
        assert post.ledger.told == [12]
        post.daemon.stop()

    run(scenario)


def test_a_stock_daemon_with_our_key_is_told_apart_from_one_with_another():
    async def scenario():
        post = Post()
        for key, error, said in (
            (KEY, StockPeerError, "--allow-stock-pyro4"),
            (b"another key", WrongCredentialsError, "another key"),
            (None, WrongCredentialsError, "has no key"),
        ):
            caller = Caller(post.uri)
            await caller.greet()
            caller.hear(wire.to_bytes(message.MSG_CONNECTFAIL, dump("hmac key config not symmetric"), 0, key))
            failure = await caller.greeted()
            assert type(failure) is error
            assert said in str(failure)
        post.daemon.stop()

    run(scenario)


# Others


@pytest.mark.parametrize(
    ("ours", "theirs", "told", "logged"),
    [
        (None, KEY, "has no key, and we have one", "it has a key, and we have none"),
        (KEY, None, "asks for a key", "it has no key"),
        (KEY, b"another key", "has another key than we", "its key is not ours"),
    ],
)
def test_both_sides_hear_why_there_is_no_conversation(caplog, ours, theirs, told, logged):
    async def scenario():
        post = Post(key=ours)
        caller, line = Caller(post.uri, theirs), post.accept()
        line.protocol.data_received(await caller.greet())
        caller.hear(line.take())
        failure = await caller.greeted()
        assert isinstance(failure, WrongCredentialsError)
        assert told in str(failure)
        assert line.ended
        assert not post.known()
        post.daemon.stop()

    run(scenario)
    assert logged in caplog.text


def test_without_a_key_a_name_server_is_greeted_under_any_address_and_so_with_one():
    async def scenario():
        post = Post(session.NAME_SERVER)
        caller, line = Caller(f"PYRO:{session.NAME_SERVER}@ns.example:9090"), post.accept()
        line.protocol.data_received(await caller.greet())
        caller.hear(line.take())
        assert await caller.greeted() is None
        post.daemon.stop()

    run(scenario)


def test_the_connection_and_the_handshake_have_one_deadline_together():
    """Somebody accepts at the very end of it, and says nothing."""

    class Late(Channel):
        async def _connect(self):
            await asyncio.sleep(0.3)
            Line(self)

    async def scenario():
        began = asyncio.get_running_loop().time()
        with pytest.raises(LostError, match="has not answered in 0.4 s"):
            await Late.open(f"PYRO:{WORKER}@127.0.0.1:1", timeout_s=0.4)
        assert asyncio.get_running_loop().time() - began < 0.6

    run(scenario)
