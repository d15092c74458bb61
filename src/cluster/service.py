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
import time
import uuid
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from src.cluster.collector import collect_when_idle
from src.cluster.registry import LiveNaming, NameServer, parse_address
from src.cluster.signals import StopSignals
from src.rmi.connection import Connection
from src.rmi.daemon import Daemon
from src.rmi.errors import ConfigurationError, UnavailableError
from src.rmi.listening import described, is_wildcard
from src.rmi.security import Security
from src.sparrow.checks import number
from src.sparrow.identity import incarnation
from src.sparrow.names import CLAIMING, HeldName, claim_first
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
        self.names = NameServer(*parse_address(nameserver), self.key, naming)
        self.name = self.uri = ""  # they are known once the service is open
        self.incarnation = incarnation(time.time_ns(), uuid.uuid4().hex[:12])
        self._host = host or os.environ.get("PYRO_HOST")
        self._port = number(port, "port", most=65535)
        self._daemon: Daemon
        self._held: HeldName | None = None  # the name that it has or claims
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event
        self._thread: threading.Thread | None = None

    # For subclasses

    def _who(self) -> dict[str, Any]:
        """Returns what the service says of itself to every peer in the handshake."""
        said: dict[str, Any] = {"name": self.name, "incarnation": self.incarnation, "uri": self.uri}
        if self._held is not None and not self._held.certain:
            said[CLAIMING] = True
        return said

    def _named(self) -> None:
        """The service is about to claim ``name``, and may be called under it. If it is taken, ``_not_named`` is called next."""

    def _not_named(self) -> None:
        """Another process has ``name``: what has come under it is dropped. ``_named`` is called for the next candidate."""

    async def _opened(self) -> None:
        """The name is claimed and calls arrive."""

    async def _closing(self) -> None:
        """The service is about to stop and may still call its peers."""

    def _is_idle(self) -> bool:
        """Returns whether there is no work, so that nobody notices if the process stands still for a moment."""
        return True

    def _gone(self, peer: Any, connection: Connection) -> None:
        """A connection to the daemon has ended; ``peer`` is what its other end had said of itself in the handshake."""

    # For users

    def run(self) -> None:
        """Serves until SIGINT or SIGTERM; a second signal, half a second later or more, ends the process at once.

        Raises UnavailableError if the address or a name is not available, and ConfigurationError if the address needs a key, or
        cannot be told to others.
        """
        with StopSignals() as signals:
            asyncio.run(self._until_stopped(threading.Event(), signals))

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
                asyncio.run(self._until_stopped(ready, None))
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

    async def _until_stopped(self, ready: threading.Event, signals: StopSignals | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if signals is not None:
            signals.call(self._on_signal)
        stopped = self._loop.create_task(self._stopping.wait())
        try:
            while (taken := await self._live(stopped, ready)) is not None:
                if len(self._candidates) == 1:
                    raise taken
        finally:
            stopped.cancel()

    async def _live(self, stopped: asyncio.Task[Any], ready: threading.Event) -> BaseException | None:
        """Serves until ``stopped`` is done, or another process has got the name. Returns the error that says so, or None."""
        opening = asyncio.ensure_future(self._open())
        await asyncio.wait({stopped, opening}, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
            return None
        held = opening.result()
        ready.set()
        holding = asyncio.ensure_future(held.hold())
        collecting = asyncio.ensure_future(collect_when_idle(self._is_idle))
        await asyncio.wait({stopped, holding}, return_when=asyncio.FIRST_COMPLETED)
        taken = holding.exception() if holding.done() else None
        if taken is not None and len(self._candidates) > 1:
            log.warning("%s: going on under the next name: %s", self.name, taken)
        elif taken is not None:
            log.error("%s: stopping: %s", self.name, taken)
        holding.cancel()
        try:
            await asyncio.gather(self._release(), self._closing())
        finally:
            collecting.cancel()
            self._daemon.stop()
        if taken is None or len(self._candidates) == 1:
            log.info("%s: stopped", self.name)
        return taken

    def _on_signal(self, number: int) -> None:
        log.info("%s: stopping on %s", self.name or "not registered yet", signal.Signals(number).name)
        self._stopping.set()

    async def _open(self) -> HeldName:
        self._held = None
        self._daemon = await self._bound_daemon()
        try:
            await self._daemon.serve()
            await self.names.wait()
            naming = LiveNaming(self.names)
            held = await claim_first(self._names_to_try(naming), self._naming, naming)
            self._daemon.who = self._who()
            await self._opened()
        except BaseException:
            await self._release()
            self._daemon.stop()
            raise
        where = described(self._daemon.locationStr, self._daemon.sock.getsockname()[0])
        log.info("%s: ready at %s, registered with the name server at %s", self.name, where, self.names)
        return held

    def _names_to_try(self, naming: LiveNaming) -> Iterator[HeldName]:
        """Yields the candidates one after the other. The object is registered with the daemon under each while that is claimed."""
        for name in self._candidates:
            self.name, self.uri = name, self._daemon.register(self, name, force=True).asString()
            self._held = HeldName(naming, name, self.uri, random.Random(), self._naming)
            self._daemon.who = self._who()
            self._named()
            yield self._held
            self._held = None
            self._daemon.unregister(name)
            for connection in list(self._daemon.connections):  # whoever has come under this name meets another process there
                connection.abort(f"{name} is another process")
            self._not_named()

    async def _release(self) -> None:
        """Removes the name from the name server, if it is claimed, unless that takes too long."""
        if self._held is None:
            return
        try:
            await asyncio.wait_for(self._held.release(), self._naming.release_s)
        except (UnavailableError, asyncio.TimeoutError) as error:
            log.warning("%s: could not give the name back: %s", self.name, error or "no answer")

    async def _bound_daemon(self) -> Daemon:
        host = self._host or await self.names.our_address()
        if is_wildcard(host):
            raise ConfigurationError(
                f"cannot listen on {host}: the others must be told one address; set the one they reach with --host"
            )
        return Daemon(host, self._port, self._security, gone=self._gone)
