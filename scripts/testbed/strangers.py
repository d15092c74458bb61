"""What stands where a process of the cluster is expected: other programs at its port, and a slow way to a name server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

SLOW_S = 3.0  # that each answer of a name server takes longer on the slow way
GARBAGE = b"220 mail.example ESMTP\r\n" * 10

KINDS = ("silence", "garbage", "closes")


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@contextlib.contextmanager
def _serving(answer: Answer) -> Iterator[int]:
    """Answer connections in a thread until the end of the block. Yields the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    loop = asyncio.new_event_loop()
    stop = loop.create_future()
    writers: list[asyncio.StreamWriter] = []
    answering: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)  # its task may be cancelled before it has begun
        task = loop.create_task(answer(reader, writer))
        answering.add(task)
        task.add_done_callback(answering.discard)

    async def serve() -> None:
        server = await asyncio.start_server(accepted, sock=listener)
        await stop
        server.close()
        for _ in range(5):  # turns of the loop, in which a connection that has just been accepted gets its transport
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # in this turn of the loop the transports that are closed close their sockets

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        loop.call_soon_threadsafe(stop.set_result, None)
        thread.join()


@contextlib.contextmanager
def stranger(kind: str) -> Iterator[int]:
    """A program that is none of ours, of one of KINDS, listens at a port as long as the block lasts. Yields the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.CancelledError):
            if kind == "garbage":
                writer.write(GARBAGE)
            if kind != "closes":
                while await reader.read(65536):
                    pass

    with _serving(answer) as port:
        yield port


@contextlib.contextmanager
def slow_way(nameserver: str) -> Iterator[str]:
    """A way to a name server on which each answer to a call takes 3 s longer. Yields its address, HOST:PORT."""
    host, _, port = nameserver.rpartition(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
        greeted = False
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(65536):
                if greeted:  # the first answer is the one to the handshake
                    await asyncio.sleep(delay_s)
                greeted = True
                writer.write(data)
                await writer.drain()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            there, to_there = await asyncio.open_connection(host, int(port))
            with contextlib.closing(to_there):
                await asyncio.gather(pass_on(reader, to_there, 0.0), pass_on(there, writer, SLOW_S))

    with _serving(connected) as here:
        yield f"127.0.0.1:{here}"
