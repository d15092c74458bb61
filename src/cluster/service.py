"""``Service``, the base class of scheduler and worker processes: a daemon at an address, a name in the name server, a clean stop.

A service runs in the calling thread until it is told to stop (``run``), or in a thread of its own (``start`` and ``stop``, or a
``with`` block). All its code runs in the one thread of its event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import threading
import uuid
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from src.cluster.registry import LiveNaming, NameServer, parse_address
from src.rmi.connection import Connection
from src.rmi.daemon import Daemon
from src.rmi.errors import UnavailableError
from src.rmi.security import Security
from src.sparrow.checks import number
from src.sparrow.names import HeldName, claim_first
from src.sparrow.settings import NamingSettings

log = logging.getLogger("sparrow.service")

S = TypeVar("S", bound="Service")


class Service:
    """One remote object, registered under the first of the names ``candidates`` that is free.

    ``nameserver`` is HOST[:PORT] or None; ``host`` and ``port`` are the address to listen on (None: the address that faces the name
    server, 0: any free port). Subclasses override the methods below ``For subclasses``.
    """

    def __init__(
        self,
        candidates: Iterable[str],
        nameserver: str | None,
        host: str | None,
        port: int,
        security: Security,
        naming: NamingSettings,
    ) -> None:
        self._candidates = list(candidates)
        self._naming = naming
        self._security = security
        self.key = security.key
        self.names = NameServer(*parse_address(nameserver), self.key)
        self.name = self.uri = ""  # they are known once the service is open
        self.incarnation = uuid.uuid4().hex[:12]  # it differs after each restart
        self._host = host or os.environ.get("PYRO_HOST")
        self._port = number(port, "port", most=65535)
        self._daemon: Daemon
        self._held: HeldName
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event
        self._thread: threading.Thread | None = None

    # For subclasses

    def _who(self) -> dict[str, Any]:
        """Returns what the service says of itself to every peer in the handshake."""
        return {"name": self.name, "incarnation": self.incarnation, "uri": self.uri}

    def _named(self) -> None:
        """The service is about to claim ``name``, and may be called under it. If it is taken, this is called for the next one."""

    async def _opened(self) -> None:
        """The name is claimed and calls arrive."""

    async def _closing(self) -> None:
        """The service is about to stop and may still call its peers."""

    def _gone(self, peer: Any, connection: Connection) -> None:
        """A connection to the daemon has ended; ``peer`` is what its other end had said of itself in the handshake."""

    # For users

    def run(self) -> None:
        """Serves until SIGINT or SIGTERM; a second signal ends the process at once.

        Raises UnavailableError if the address or a name is not available, and ConfigurationError if the address needs a key.
        """
        asyncio.run(self._until_stopped(threading.Event(), signals=True))

    def start(self: S) -> S:
        """Serves in a new thread, and returns once the name is registered. It raises what ``run`` raises.

        Raises RuntimeError if the service has been started, as it is in a ``with`` block, and not stopped.
        """
        if self._thread is not None and self._thread.is_alive():
            raise RuntimeError(f"this {type(self).__name__} serves already, in a thread or with block of its own: make another one")
        ready = threading.Event()
        failure: list[BaseException] = []

        def serve() -> None:
            try:
                asyncio.run(self._until_stopped(ready, signals=False))
            except BaseException as error:
                failure.append(error)
            finally:
                ready.set()

        self._thread = threading.Thread(target=serve, name=type(self).__name__, daemon=True)
        self._thread.start()
        ready.wait()
        if failure:
            raise failure[0]
        return self

    def stop(self) -> None:
        """Ends the service that ``start`` began, and waits for its thread."""
        if self._thread is not None and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def __enter__(self: S) -> S:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # The life of a service

    async def _until_stopped(self, ready: threading.Event, signals: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if signals:
            for stopping in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(stopping) is not signal.SIG_IGN:  # as SIGINT is in a background job of a shell
                    self._loop.add_signal_handler(stopping, self._on_signal, stopping)
        stopped = self._loop.create_task(self._stopping.wait())
        opening = self._loop.create_task(self._open())
        await asyncio.wait({stopped, opening}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
            return
        opening.result()
        ready.set()
        holding = self._loop.create_task(self._held.hold())
        await asyncio.wait({stopped, holding}, return_when=asyncio.FIRST_COMPLETED)
        taken = holding.exception() if holding.done() else None
        if taken is not None:
            log.error("%s: stopping: %s", self.name, taken)
        holding.cancel()
        try:
            await asyncio.gather(self._release(), self._closing())
            log.info("%s: stopped", self.name)
        finally:
            stopped.cancel()
            self._daemon.stop()
        if taken is not None:
            raise taken

    def _on_signal(self, number: int) -> None:
        if self._stopping.is_set():
            os._exit(128 + number)
        log.info("%s: stopping on %s", self.name or "not registered yet", signal.Signals(number).name)
        self._stopping.set()

    async def _open(self) -> None:
        self._daemon = await self._bound_daemon()
        try:
            await self._daemon.serve()
            await self.names.wait()
            naming = LiveNaming(self.names)
            self._held = await claim_first(self._names_to_try(naming), self._naming, naming)
            try:
                await self._opened()
            except BaseException:
                await self._release()
                raise
        except BaseException:
            self._daemon.stop()
            raise
        log.info("%s: ready at %s, registered with the name server at %s", self.name, self._daemon.locationStr, self.names)

    def _names_to_try(self, naming: LiveNaming) -> Iterator[HeldName]:
        """Yields the candidates one after the other. The object is registered with the daemon under each while that is claimed."""
        for name in self._candidates:
            self.name, self.uri = name, self._daemon.register(self, name, force=True).asString()
            self._daemon.who = self._who()
            self._named()
            yield HeldName(naming, name, self.uri, random.Random(), self._naming)
            self._daemon.unregister(name)  # another process has this name

    async def _release(self) -> None:
        """Removes the name from the name server, unless that takes too long."""
        try:
            await asyncio.wait_for(self._held.release(), self._naming.retry_s)
        except (UnavailableError, asyncio.TimeoutError) as error:
            log.warning("%s: could not give the name back: %s", self.name, error or "no answer")

    async def _bound_daemon(self) -> Daemon:
        host = self._host or await self.names.our_address()
        if host in ("0.0.0.0", "::"):
            raise UnavailableError(
                f"cannot listen on {host}: the others must be told one address; set the one they reach with --host"
            )
        return Daemon(host, self._port, self._security, gone=self._gone)
