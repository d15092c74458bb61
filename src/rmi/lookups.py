"""The addresses of host names, looked up without the threads of asyncio's executor.

A resolver that does not answer blocks a thread for ten seconds or more, and nothing can stop it. A process that ends waits for the
threads of an executor; here each look-up has a thread that nobody waits for. There are few of them, one at most for each name. A
name that has been resolved before does not wait behind others: whoever may register names can have any number of them looked up.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import weakref
from collections import deque
from typing import Any, NamedTuple

_KNOWN_THREADS, _OTHER_THREADS = 4, 16  # for names that were resolved before, and for the others
_MAX_KNOWN = 4096  # names that are remembered as resolved


class Address(NamedTuple):
    """One address of a host, as ``getaddrinfo`` returns it."""

    family: int
    kind: int
    protocol: int
    name: str
    address: Any


async def addresses(host: str, port: int) -> list[Address]:
    """Returns the addresses of a host, at least one, for TCP. Raises OSError or UnicodeError if there is none."""
    if is_numeric(host):
        return _with_port(_getaddrinfo(host, socket.AI_NUMERICHOST), port)
    loop = asyncio.get_running_loop()
    return _with_port(await _of_loops.setdefault(loop, _LookUps()).addresses(host), port)


def is_numeric(host: str) -> bool:
    """Returns whether this is an address, and no name."""
    try:
        return bool(socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0]))
    except (OSError, ValueError):  # it is a name, or cannot be
        return False


def _getaddrinfo(host: str, flags: int = 0) -> list[Address]:
    return [Address(*one) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)]


def _with_port(found: list[Address], port: int) -> list[Address]:
    return [one._replace(address=(one.address[0], port, *one.address[2:])) for one in found]


class _LookUp:
    """One name that is being looked up, or waits for a thread, and how many wait for its addresses."""

    def __init__(self, host: str, loop: asyncio.AbstractEventLoop) -> None:
        self.host = host
        self.waiters = 0
        self.found: asyncio.Future[tuple[list[Address], Exception | None]] = loop.create_future()


class _Lane:
    """The look-ups that share some threads, first come, first served."""

    def __init__(self, threads: int) -> None:
        self.free = threads
        self.waiting: deque[_LookUp] = deque()


class _LookUps:
    """The look-ups of one event loop. Everything runs in its thread, except ``socket.getaddrinfo``."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}  # names that were resolved the last time, the latest last
        self._lanes = {True: _Lane(_KNOWN_THREADS), False: _Lane(_OTHER_THREADS)}  # whether the name is known -> its lane
        self._under_way: dict[str, _LookUp] = {}

    async def addresses(self, host: str) -> list[Address]:
        look_up = self._under_way.get(host)
        if look_up is None:
            look_up = self._under_way[host] = _LookUp(host, asyncio.get_running_loop())
            lane = self._lanes[host in self._known]
            lane.waiting.append(look_up)
            look_up.waiters += 1
            self._start(lane)
        else:
            look_up.waiters += 1
        try:
            found, error = await asyncio.shield(look_up.found)
        finally:
            look_up.waiters -= 1
        if error is not None:
            raise error
        return found

    def _start(self, lane: _Lane) -> None:
        """Begins what waits, as far as there are threads; what nobody waits for any more is left out."""
        while lane.free and lane.waiting:
            look_up = lane.waiting.popleft()
            if not look_up.waiters:
                del self._under_way[look_up.host]
                continue
            thread = threading.Thread(
                target=_run, args=(look_up.found.get_loop(), self._ended, lane, look_up), name="look-up", daemon=True
            )
            lane.free -= 1
            try:
                thread.start()
            except RuntimeError as error:
                self._ended(lane, look_up, [], socket.gaierror(socket.EAI_AGAIN, f"no thread for a look-up: {error}"))

    def _ended(self, lane: _Lane, look_up: _LookUp, found: list[Address], error: Exception | None) -> None:
        del self._under_way[look_up.host]
        self._known.pop(look_up.host, None)
        if found:
            self._known[look_up.host] = None
            if len(self._known) > _MAX_KNOWN:
                del self._known[next(iter(self._known))]
        look_up.found.set_result((found, error))
        lane.free += 1
        self._start(lane)


# The look-ups hold no reference to their loop except while something is looked up.
_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LookUps] = weakref.WeakKeyDictionary()


def _run(loop: asyncio.AbstractEventLoop, ended: Any, lane: _Lane, look_up: _LookUp) -> None:
    """Looks one name up; in a thread of its own."""
    found: list[Address] = []
    failure: Exception | None = None
    try:
        found = _getaddrinfo(look_up.host)
    except Exception as error:
        failure = error
    with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
        loop.call_soon_threadsafe(ended, lane, look_up, found, failure)
