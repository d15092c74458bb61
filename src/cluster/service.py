"""What a scheduler and a worker have in common as processes: an address, a daemon, a name that is held, a clean end.

A service runs in the calling thread until it is told to stop (``run``), or in a thread of its own (``start`` and ``stop``, or a
``with`` block). All its code runs in the one thread of its event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import uuid
from collections.abc import Iterable
from types import TracebackType
from typing import Any, TypeVar

from src.cluster.registry import RETRY_S, HeldName, NameServer, NameTakenError, parse_address
from src.rmi.connection import Connection
from src.rmi.daemon import Daemon
from src.rmi.errors import TurnedAwayError, UnavailableError
from src.rmi.security import Security

log = logging.getLogger("sparrow.service")

S = TypeVar("S", bound="Service")


class Service:
    """One remote object under the first of ``candidates`` to be had. Subclasses say what happens when it opens and closes."""

    def __init__(self, candidates: Iterable[str], nameserver: str | None, host: str | None, port: int, security: Security) -> None:
        self._candidates = list(candidates)
        self._security = security
        self.key = security.key
        self.names = NameServer(*parse_address(nameserver), self.key)
        self.name = self.uri = ""  # known once it is open
        self.incarnation = uuid.uuid4().hex[:12]  # another one after each restart
        self._host = host or os.environ.get("PYRO_HOST")
        self._port = port
        self._daemon: Daemon
        self._held: HeldName
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event
        self._thread: threading.Thread | None = None

    # For subclasses

    def _who(self) -> dict[str, Any]:
        """What every peer is told of us in the handshake."""
        return {"name": self.name, "incarnation": self.incarnation, "uri": self.uri}

    async def _opened(self) -> None:
        """The name is ours and calls arrive."""

    async def _closing(self) -> None:
        """We are about to stop: say goodbye."""

    def _gone(self, peer: Any, connection: Connection) -> None:
        """A connection to our daemon was closed; ``peer`` is what its other end had said of itself."""

    # For users

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; a second one ends at once. UnavailableError if something needed cannot be had."""
        asyncio.run(self._until_stopped(threading.Event(), signals=True))

    def start(self: S) -> S:
        """Serve in a thread; returns once the name is registered. UnavailableError as for ``run``."""
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
        """End what ``start`` began, and wait for that."""
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
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.add_signal_handler(number, self._on_signal, number)
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
            await asyncio.gather(self._held.release(), self._closing())
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
            for name in self._candidates:
                self.name, self.uri = name, self._daemon.register(self, name, force=True).asString()
                self._held = HeldName(self.names, name, self.uri)
                self._daemon.who = self._who()
                try:
                    await self._claim()
                    break
                except NameTakenError as error:
                    taken = error
                    self._daemon.unregister(name)
            else:
                raise taken
            try:
                await self._opened()
            except BaseException:
                await self._held.release()
                raise
        except BaseException:
            self._daemon.stop()
            raise
        log.info("%s: ready at %s, registered with the name server at %s", self.name, self._daemon.locationStr, self.names)

    async def _claim(self) -> None:
        """Have the name, however long the name server is away or full. NameTakenError as for ``HeldName.claim``."""
        while True:
            try:
                return await self._held.claim()
            except (NameTakenError, TurnedAwayError):
                raise
            except UnavailableError as error:
                log.debug("%s: %s", self.name, error)
                await asyncio.sleep(RETRY_S)
                await self.names.wait()

    async def _bound_daemon(self) -> Daemon:
        host = self._host or await self.names.our_address()
        if host in ("0.0.0.0", "::"):
            raise UnavailableError(
                f"cannot listen on {host}: the others must be told one address; set the one they reach with --host"
            )
        return Daemon(host, self._port, self._security, gone=self._gone)
