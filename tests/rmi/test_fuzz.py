"""Ten thousand mutated messages into the real daemons and channels, without sockets: nothing comes of them but answers and ends."""

import asyncio
import logging
import random

import Pyro4
import pytest
from Pyro4 import message

from scripts.testbed import mutations
from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.connection import Connection
from src.rmi.daemon import Daemon
from src.rmi.errors import SparrowError
from src.rmi.serializer import Serpent, dump_call
from src.rmi.session import ClientHandshake, answer_greeting
from src.rmi.settings import DaemonSettings, WireLimits
from src.Scheduler import Scheduler
from src.sparrow import messages as m
from src.sparrow.checks import MAX_ELAPSED_S
from src.sparrow.jobspec import MAX_TASKS, JobSpec
from src.sparrow.jobtable import JobTable
from src.sparrow.messages import Address
from src.Worker import Worker
from tests.rmi.lines import Line

ANSWERS = {message.MSG_CONNECTOK, message.MSG_CONNECTFAIL, message.MSG_RESULT, message.MSG_PING}
MUTANTS = 3_500  # at each of three targets: 10,500 with the key, and as many without
KEYS = pytest.mark.parametrize("key", [None, b"the key"], ids=["open", "with a key"])


async def nobody(*arguments):
    """The answer of a name server that knows nobody."""


async def nothing(*arguments):
    return {}


def served(daemon, kind):
    """A real scheduler or worker on that daemon, without a name server."""
    service = Scheduler(seed=1) if kind is Scheduler else Worker("host1", slots=4)
    service.name = "sparrow.scheduler.1" if kind is Scheduler else "sparrow.worker.host1"
    service._daemon = daemon
    service.names.lookup, service.names.list = nobody, nothing
    daemon.register(service, service.name)
    daemon.who = service._who()
    service._named()
    daemon._gone = service._gone
    return service


def check_answers(written, within):
    """What a daemon has written must be whole, proper answers."""
    frames = wire.FrameReader(WireLimits.max_payload_bytes)
    for frame in frames.feed(written):
        assert frame.kind in ANSWERS
        if within is not None:
            within.check(frame)
        if frame.flags & message.FLAGS_EXCEPTION and frame.serializer == wire.SERPENT_ID:
            assert isinstance(Serpent(WireLimits()).loads(frame.payload), Exception)
    assert frames.partial_bytes == 0


async def greeted(connection, line, service, part, key):
    """The session of a client that has completed the handshake with this daemon; None without a key."""
    if key is None:
        connection.data_received(mutations.sealed(part))
        await had_its_turn(connection)
        check_answers(line.written, None)
        within = None
    else:
        handshake = ClientHandshake(key, f"{service.name}@{connection.daemon.locationStr}")
        connection.data_received(handshake.greeting(Serpent(WireLimits()).loads(part[1])["handshake"]))
        await had_its_turn(connection)
        (answer,) = wire.FrameReader(WireLimits.max_payload_bytes).feed(line.written)
        within = handshake.answered("", answer)
        assert within is not None
        connection.data_received(within.seal(message.MSG_PING, b"", 0))
        await had_its_turn(connection)
    assert connection.known
    assert not line.ended
    line.written = b""
    return within


def mutated_greeting(mutator, part, key):
    """The first message of a client, with something wrong in it; with a key its tag is often right."""
    kind, payload = part
    if key is None or mutator.rng.random() < 0.5:
        return mutator.mutant()
    if mutator.rng.random() < 0.5:
        return mutations.opened((kind, mutator.mutated(payload)), key)
    return mutator.mutated(mutations.opened(part, key))


@KEYS
@pytest.mark.parametrize("kind", [Scheduler, Worker])
def test_mutants_to_a_daemon(caplog, kind, key):
    caplog.set_level(logging.WARNING)

    async def fuzz():
        daemon = Daemon("127.0.0.1")
        daemon._pyroHmacKey = key
        service = served(daemon, kind)
        parts = (mutations.to_scheduler if kind is Scheduler else mutations.to_worker)(service.name)
        mutator = mutations.Mutator(parts, random.Random(7))
        closed = 0
        for number in range(MUTANTS):
            connection = Connection(daemon)
            line = Line(connection)
            if number % 5:
                within = await greeted(connection, line, service, parts[0], key)
                connection.data_received(mutator.mutant(within))
                await had_its_turn(connection)
                check_answers(line.written, within)
            else:
                connection.data_received(mutated_greeting(mutator, parts[0], key))
                await had_its_turn(connection)
                check_answers(line.written, None)
                assert key is None or not connection.known
            closed += line.ended
            line.close()
            await asyncio.sleep(0)
        assert 0.2 * MUTANTS < closed < 0.95 * MUTANTS  # or the mutants were all alike
        assert not daemon.connections
        assert daemon._partial.total_bytes == 0
        await still_serves(daemon, service, key)
        service._node.close()
        daemon.stop()
        await asyncio.sleep(0)

    run_quietly(fuzz(), caplog)


async def had_its_turn(connection):
    """Waits until the connection has had its turn."""
    while connection.account.waits:
        await asyncio.sleep(0)


async def still_serves(daemon, service, key):
    connection = Connection(daemon)
    line = Line(connection)
    within = await greeted(connection, line, service, mutations.greeting(), key)
    method = "stats" if isinstance(service, Scheduler) else "find_load"
    connection.data_received(mutations.sealed(mutations.call(service.name, method), 1, within))
    await had_its_turn(connection)
    (answer,) = wire.FrameReader(WireLimits.max_payload_bytes).feed(line.written)
    assert answer.kind == message.MSG_RESULT
    assert not answer.flags & message.FLAGS_EXCEPTION
    line.close()


@KEYS
def test_mutants_to_a_channel(caplog, key):
    """The other side: a daemon that answers anything at all. Each call ends, once, with a value or an error."""
    caplog.set_level(logging.WARNING)

    async def fuzz():
        parts = mutations.to_client(m.encode([m.Assign("mutant", 0, 0, 1, 0.1)]))
        mutator = mutations.Mutator(parts, random.Random(8))
        values = 0
        for number in range(MUTANTS):
            channel = Channel(Pyro4.URI("PYRO:sparrow.worker.host1@127.0.0.1:9"), key)
            line = Line(channel)
            greeting = asyncio.ensure_future(channel._greet("us"))
            await asyncio.sleep(0)
            within = None
            if number % 5:
                answer, within = answered(line.written, parts[0], key)
                channel.data_received(answer)
            ended: list[tuple[object, ...]] = []
            for _ in range(2):
                channel.begin("find_load", (), lambda *how, ended=ended: ended.append(how), None)
            channel.data_received(mutator.mutant(within))
            line.close()
            await asyncio.gather(greeting, return_exceptions=True)
            await asyncio.sleep(0)
            assert isinstance(greeting.exception(), (SparrowError, type(None)))
            assert len(ended) == 2
            assert all(error is None or isinstance(error, Exception) for error, _ in ended)
            values += sum(error is None for error, _ in ended)
        assert values > 0.01 * MUTANTS

    run_quietly(fuzz(), caplog)


def answered(greeting, part, key):
    """The answer of a daemon to this greeting, and its session; None without a key."""
    if key is None:
        return mutations.sealed(part), None
    (frame,) = wire.FrameReader(WireLimits.max_payload_bytes).feed(greeting)
    said = answer_greeting(key, frame, Serpent(WireLimits()).loads(part[1]), "", Serpent(WireLimits()).loads, lambda target: True)
    return said.answer, said.session


def run_quietly(coroutine, caplog):
    """Run it; nothing may be logged as an error, and nothing may go wrong where nobody is asked."""
    unheard = []

    async def heard():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context))
        await coroutine

    asyncio.run(heard())
    assert not unheard
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
    assert not errors, logging.Formatter().format(errors[0])


# What a peer may make us spend


def test_what_has_begun_on_all_connections_together_is_bounded():
    async def hoard():
        daemon = Daemon("127.0.0.1")
        begun = mutations.sealed(mutations.greeting()) + mutations.header(message.MSG_INVOKE, WireLimits.max_payload_bytes)
        lines = []
        for _ in range(20):
            connection = Connection(daemon)
            lines.append(Line(connection))
            connection.data_received(begun + bytes(WireLimits.max_payload_bytes // 2))
            assert sum(one.protocol.partial_bytes for one in lines if not one.ended) <= DaemonSettings.max_total_partial_bytes
        small = Line(Connection(daemon))
        small.protocol.data_received(begun + bytes(1000))
        assert not small.ended  # those who take most have to go
        assert sum(line.ended for line in lines) == 13
        for line in [*lines, small]:
            line.close()
        assert daemon._partial.total_bytes == 0
        daemon.stop()

    asyncio.run(hoard())


@pytest.mark.parametrize("one", [b"[],", b"1,", b"'a',", b"1<", b"-1-", b"f'{1}' ", b"'\\'',"])
def test_what_takes_gigabytes_to_read_is_refused(one):
    with pytest.raises(ValueError, match=r"too many values|not a message in serpent|more than \d+ (backslashes|characters)"):
        Serpent(WireLimits()).loads(b"# serpent utf-8 python3.2\n[" + one * (4_000_000 // len(one)) + b"]")


def test_the_largest_job_is_read_from_a_dict_too():
    job = {"id": "a", "durations_s": [1e-7 * number for number in range(MAX_TASKS)]}
    _, _, (arrived,), _ = Serpent(WireLimits()).loadsCall(dump_call("a", "schedule", (job,), {}))
    assert arrived == job


@pytest.mark.parametrize("text", ["[" + "[]," * 1_000_000 + "[]]", "[" * 100_000, "{" * 600_000])
def test_json_that_takes_gigabytes_to_read_is_refused(text):
    with pytest.raises(ValueError, match="JSON"):
        m.parsed(text)


def test_a_worker_cannot_report_more_time_than_has_passed():
    table = JobTable(random.Random(1))
    liar = Address("liar", "a")
    table.joined(liar, 1, 0.0)
    table.submitted(JobSpec("job", (0.1,), "RANDOM", True), 1.0)
    (finish,) = table.received(liar, [m.Done("job", 0, 1, MAX_ELAPSED_S, MAX_ELAPSED_S)], 1.5)
    (task,) = finish.report["tasks"]
    assert task["wait_s"] + task["service_s"] <= finish.report["response_s"] == 0.5
