"""The beginning of TLS on the side that is called: a few at a time, in turns by address, and none for whoever says nothing.

asyncio takes 0.3 MB for TLS as soon as a connection is accepted, so thousands of strangers that say nothing would take gigabytes.
Here a connection costs a descriptor until its first byte has come. Then it gets one of a few places, and keeps it until its
greeting is complete. Whoever has to wait for a place waits in turns by address, so that one address does not keep out all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from src.rmi.connection import Newcomer
from src.rmi.settings import TlsSettings

log = logging.getLogger("sparrow.tls")


class TlsListener:
    """Accepts connections on a socket that listens. ``make`` returns the protocol of one that has completed TLS's handshake."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, make: Callable[[], Newcomer], settings: TlsSettings = TlsSettings()
    ) -> None:
        self._sock, self._context, self._make, self._settings = sock, context, make, settings
        self._loop: Any = asyncio.get_running_loop()  # typeshed does not know ``connect_accepted_socket``
        self._silent: OrderedDict[socket.socket, asyncio.TimerHandle] = OrderedDict()  # the oldest first, with its deadline
        self._waiting: OrderedDict[str, deque[socket.socket]] = OrderedDict()  # by address, the one whose turn is next first
        self._in_place: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Accept no more, and close what is not completed."""
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._sock.fileno())
        for peer in list(self._silent):
            self._drop(peer)
        for peers in self._waiting.values():
            for peer in peers:
                peer.close()
        self._waiting.clear()
        for task in self._in_place:
            task.cancel()

    def _listen(self) -> None:
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        """Accept one connection: the loop comes back for the next."""
        try:
            peer, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptor is left
            self._loop.remove_reader(self._sock.fileno())
            self._retry = self._loop.call_later(self._settings.accept_retry_s, self._listen)
            self._loop.call_exception_handler({"message": "a connection could not be accepted", "exception": error})
            return
        peer.setblocking(False)
        if len(self._silent) >= self._settings.max_silent:
            self._drop(next(iter(self._silent)))
        self._silent[peer] = self._loop.call_later(self._settings.first_byte_s, self._drop, peer)
        self._loop.add_reader(peer.fileno(), self._spoke, peer)

    def _drop(self, peer: socket.socket) -> None:
        """Close a connection that has said nothing."""
        self._silent.pop(peer).cancel()
        self._loop.remove_reader(peer.fileno())
        peer.close()

    def _spoke(self, peer: socket.socket) -> None:
        """Give a place to a connection that has something to read, or have it wait for one."""
        self._silent.pop(peer).cancel()
        self._loop.remove_reader(peer.fileno())
        try:
            address = str(peer.getpeername()[0])
        except OSError:  # it is gone
            peer.close()
            return
        queue = self._waiting.setdefault(address, deque())
        queue.append(peer)
        if len(queue) > self._settings.max_waiting_of_an_address:
            queue.popleft().close()
        self._fill()

    def _fill(self) -> None:
        """Give the places that are free, to one of each address in turn."""
        while self._waiting and len(self._in_place) < self._settings.max_handshakes:
            address, queue = self._waiting.popitem(last=False)
            task = self._loop.create_task(self._shake_hands(queue.popleft()))
            self._in_place.add(task)
            task.add_done_callback(self._left)
            if queue:
                self._waiting[address] = queue

    def _left(self, task: asyncio.Task[None]) -> None:
        self._in_place.discard(task)
        self._fill()

    async def _shake_hands(self, peer: socket.socket) -> None:
        """Complete the handshake of TLS, and wait until the daemon knows the peer or the connection is gone."""
        newcomer = self._make()
        newcomer.settled = self._loop.create_future()
        try:
            await self._loop.connect_accepted_socket(
                lambda: newcomer, peer, ssl=self._context, ssl_handshake_timeout=self._settings.handshake_s
            )
        except (OSError, asyncio.TimeoutError) as error:  # ssl.SSLError is an OSError
            log.debug("no TLS with a newcomer: %s", error)
            error.__traceback__ = None  # it is in a circle with asyncio's objects for TLS, which would live until that is collected
            with contextlib.suppress(OSError):
                peer.close()
        else:
            await newcomer.settled
