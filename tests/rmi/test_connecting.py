"""A host with several addresses is reached if one of them answers, and what has failed is told by type."""

import asyncio
import contextlib
import errno
import resource
import socket
import time

import pytest

from src.rmi.channel import Channel
from src.rmi.connecting import connect
from src.rmi.daemon import Daemon, expose
from src.rmi.errors import LostError, UnreachableError

NEXT_S = 0.1


class Echo:
    @expose
    def echo(self, value):
        return value


@contextlib.contextmanager
def black_hole(port):
    """127.0.0.2 does not answer at this port: its queue of connections is full."""
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.2", port))
        listener.listen(0)
        while True:
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(("127.0.0.2", port))
            except TimeoutError:
                break
        yield


@pytest.fixture
def resolves(monkeypatch):
    """A function that has "two.test" resolve to these addresses."""
    real = socket.getaddrinfo

    def to(*addresses):
        def getaddrinfo(host, *arguments, **options):
            if host != "two.test":
                return real(host, *arguments, **options)
            return [one for address in addresses for one in real(address, *arguments, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return to


def connected(port):
    """The address that a connection to "two.test" has come to, and after how many seconds."""

    async def run():
        made: list[asyncio.BaseTransport] = []

        class Protocol(asyncio.Protocol):
            def connection_made(self, transport):
                made.append(transport)

        began = time.monotonic()
        await connect(Protocol, "two.test", port, None, NEXT_S)
        took_s = time.monotonic() - began
        (transport,) = made
        address = transport.get_extra_info("peername")[0]
        transport.close()
        return address, took_s

    return asyncio.run(run())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def test_the_next_address_is_tried_while_the_first_does_not_answer(resolves):
    resolves("127.0.0.2", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as there, black_hole(there.getsockname()[1]):
        address, took_s = connected(there.getsockname()[1])
    assert address == "127.0.0.1"
    assert NEXT_S <= took_s < 2.0


def test_the_next_address_is_tried_at_once_when_the_first_refuses(resolves):
    resolves("127.0.0.3", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as there:
        address, took_s = connected(there.getsockname()[1])
    assert (address, took_s < NEXT_S) == ("127.0.0.1", True)


def test_the_first_address_is_taken_if_it_answers(resolves):
    resolves("127.0.0.1", "127.0.0.2")
    with socket.create_server(("127.0.0.1", 0)) as there, black_hole(there.getsockname()[1]):
        assert connected(there.getsockname()[1])[0] == "127.0.0.1"


def test_when_all_refuse_the_connection_is_refused(resolves):
    resolves("127.0.0.1", "127.0.0.2", "127.0.0.3")
    with pytest.raises(ConnectionRefusedError) as caught:
        connected(free_port())
    assert all(address in str(caught.value) for address in ("127.0.0.1", "127.0.0.2", "127.0.0.3"))


def test_one_that_does_not_answer_does_not_count_as_a_refusal(resolves):
    resolves("127.0.0.2", "127.0.0.1")
    port = free_port()

    async def run():
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="has not answered") as caught:
            await Channel.open(f"PYRO:echo@two.test:{port}", timeout_s=0.5)
        assert not isinstance(caught.value.__cause__, ConnectionRefusedError)
        return time.monotonic() - began

    with black_hole(port):
        assert asyncio.run(run()) < 2.0


def test_a_channel_reaches_a_daemon_whose_first_address_is_dead_and_leaves_no_socket_behind(resolves):
    resolves("127.0.0.2", "127.0.0.1")

    async def run():
        daemon = Daemon("127.0.0.1")
        daemon.register(Echo(), "echo")
        await daemon.serve()
        port = daemon.sock.getsockname()[1]
        with black_hole(port):
            channel = await Channel.open(f"PYRO:echo@two.test:{port}")
            assert await channel.call("echo", 5) == 5
            channel.close()
        daemon.stop()
        await asyncio.sleep(0)

    asyncio.run(run())  # a socket that is left open is a ResourceWarning, and warnings are errors


def test_that_no_descriptor_is_left_is_told_also_for_a_host_with_several_addresses(resolves):
    resolves("127.0.0.1", "127.0.0.2")

    async def run():
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 9)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.ExitStack() as held:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
                with contextlib.suppress(OSError):
                    while True:
                        held.enter_context(socket.socket())
                with pytest.raises(LostError, match="no descriptor is left") as caught:
                    await Channel.open("PYRO:echo@two.test:9")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.EMFILE

    asyncio.run(run())
