"""The beginning of TLS: silent and slow strangers take no place from others, and little memory."""

import asyncio
import socket
import ssl
import subprocess
import sys

import pytest

from scripts.testbed.local_cluster import ROOT
from src.rmi.connection import Newcomer
from src.rmi.settings import TlsSettings
from src.rmi.tls import TlsListener

HELLO = b"\x16\x03\x01\x10\x00"  # the beginning of TLS's first message, which claims 4 KB


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    made = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "new-certs"), str(folder), "here,127.0.0.1"], capture_output=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return folder / "here"


class Greeted(Newcomer, asyncio.Protocol):
    """Says hello, and is settled with the first byte that it hears."""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"hello")

    def data_received(self, data):
        self.settle()

    def connection_lost(self, error):
        self.settle()


def with_listener(certificate, use, settings):
    """Run ``use(listener, its address, join, sockets to close)``; ``await join(source)`` completes TLS as an honest peer."""

    async def run():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "host.pem", certificate / "host.key")
        theirs = ssl.create_default_context(cafile=certificate / "authority.pem")
        theirs.check_hostname = False

        async def join(source="127.0.0.1"):
            reader, writer = await asyncio.open_connection(*address, ssl=theirs, local_addr=(source, 0))
            assert await reader.readexactly(5) == b"hello"
            writers.append(writer)
            return writer

        writers: list[asyncio.StreamWriter] = []
        held: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0), backlog=1000) as sock:
            address = sock.getsockname()
            listener = TlsListener(sock, context, Greeted, settings)
            try:
                await use(listener, address, join, held)
            finally:
                listener.close()
                for writer in writers:
                    writer.transport.abort()
                for peer in held:
                    peer.close()
                await asyncio.sleep(0.05)

    asyncio.run(run())


async def strangers(count, address, said, held):
    for _ in range(count):
        peer = socket.create_connection(address)
        held.append(peer)
        if said:
            peer.sendall(said)
        await asyncio.sleep(0)


async def until(true):
    for _ in range(2_000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


def closed(peer):
    peer.setblocking(False)
    try:
        return peer.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_who_says_nothing_takes_no_place_and_is_closed_in_time(certificate):
    async def use(listener, address, join, held):
        await strangers(100, address, b"", held)
        await until(lambda: len(listener._silent) == 100)
        assert not listener._in_place
        await asyncio.wait_for(join(), 5)
        await until(lambda: all(closed(peer) for peer in held))
        assert not listener._silent

    with_listener(certificate, use, TlsSettings(first_byte_s=1.0))


def test_of_those_who_say_nothing_the_oldest_makes_room(certificate):
    async def use(listener, address, join, held):
        await strangers(10, address, b"", held)
        await until(lambda: sum(closed(peer) for peer in held) == 7)
        assert [closed(peer) for peer in held] == [True] * 7 + [False] * 3

    with_listener(certificate, use, TlsSettings(first_byte_s=60.0, max_silent=3))


def test_who_begins_and_says_no_more_keeps_out_nobody_from_another_address(certificate):
    async def use(listener, address, join, held):
        await strangers(60, address, HELLO, held)
        await until(lambda: len(listener._in_place) == 3 and sum(map(len, listener._waiting.values())) == 57)
        began = asyncio.get_running_loop().time()
        await asyncio.wait_for(join("127.0.0.2"), 5)
        assert asyncio.get_running_loop().time() - began < 2.5  # the next place that is free, not the sixtieth
        assert len(listener._in_place) <= 3

    with_listener(certificate, use, TlsSettings(max_handshakes=3, handshake_s=0.5))


def test_a_place_is_kept_until_the_greeting_is_complete(certificate):
    async def use(listener, address, join, held):
        writers = [await asyncio.wait_for(join(), 5) for _ in range(2)]
        third = asyncio.ensure_future(join())
        await asyncio.sleep(0.3)
        assert not third.done()
        assert len(listener._in_place) == 2
        writers[0].write(b"x")
        (await asyncio.wait_for(third, 5)).write(b"x")
        writers[1].transport.abort()
        await until(lambda: not listener._in_place)

    with_listener(certificate, use, TlsSettings(max_handshakes=2, handshake_s=5.0))


def test_of_one_address_a_bounded_number_waits(certificate):
    async def use(listener, address, join, held):
        await strangers(20, address, HELLO, held)
        await until(lambda: sum(closed(peer) for peer in held) >= 14)
        assert sum(map(len, listener._waiting.values())) <= 5

    with_listener(certificate, use, TlsSettings(max_handshakes=1, handshake_s=30.0, max_waiting_of_an_address=5))


def test_hundreds_of_honest_peers_at_once_all_come_in(certificate):
    async def use(listener, address, join, held):
        async def settled():
            (await join()).write(b"x")

        await asyncio.wait_for(asyncio.gather(*(settled() for _ in range(150))), 60)
        await until(lambda: not listener._in_place)

    with_listener(certificate, use, TlsSettings(max_handshakes=10, handshake_s=20.0, first_byte_s=20.0))
