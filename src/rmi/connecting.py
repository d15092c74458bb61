"""Connections to a host that may have several addresses, some of which may be dead: as in RFC 8305, "Happy Eyeballs".

The addresses are tried one after the other, IPv6 and IPv4 in turn. The next one is tried when the last one has failed, or has not
answered for a short time; what connects first is taken. ``asyncio.create_connection`` can do the same, but with several addresses
its error does not say by type what has failed, and with one address it takes twice the time.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

from src.rmi.lookups import Address, addresses, is_numeric


async def connect(
    protocol: Callable[[], asyncio.BaseProtocol], host: str, port: int, tls: ssl.SSLContext | None, next_after_s: float
) -> None:
    """Connect to the first address of this host that answers; the next one is tried after ``next_after_s`` seconds.

    Raises OSError if there is none: ConnectionRefusedError if all have refused the connection.
    """
    loop = asyncio.get_running_loop()
    if is_numeric(host) and "%" not in host:  # with a zone asyncio would look it up in a thread
        await loop.create_connection(protocol, host, port, ssl=tls)
        return
    connected = await _first_of(_in_turn(await addresses(host, port)), next_after_s)
    try:
        await loop.create_connection(protocol, sock=connected, ssl=tls, server_hostname=host if tls else None)
    except BaseException:
        connected.close()
        raise


def _in_turn(found: Sequence[Address]) -> list[Address]:
    """Returns the addresses with their families in turn, that of the first one first."""
    same = [one for one in found if one.family == found[0].family]
    others = [one for one in found if one.family != found[0].family]
    return [one for one in chain(*zip_longest(same, others)) if one is not None]


async def _first_of(addresses: Sequence[Address], next_after_s: float) -> socket.socket:
    """Returns a socket that is connected to the first of these addresses that answers."""
    waiting, attempts, failures = list(addresses), set[Any](), list[BaseException]()
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.ensure_future(_connected(waiting.pop(0))))
            done, _ = await asyncio.wait(attempts, timeout=next_after_s if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.discard(attempt)
                failure = attempt.exception()
                if failure is None:
                    connected: socket.socket = attempt.result()
                    attempts |= done - {attempt}
                    return connected
                failures.append(failure)
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_dispose)
            attempt.cancel()
    raise _summary(failures)


async def _connected(address: Address) -> socket.socket:
    connecting = socket.socket(address.family, address.kind, address.protocol)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, address.address)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _dispose(attempt: asyncio.Future[socket.socket]) -> None:
    """Closes what an attempt has connected that is not needed any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _summary(failures: Sequence[BaseException]) -> BaseException:
    """Returns one error for all failures. Its type is that of one that is our own fault, else of one that is not a refusal."""
    unlike_others = [one for one in failures if not isinstance(one, ConnectionRefusedError)]
    numbers = [one.errno for one in unlike_others or failures if isinstance(one, OSError)]
    ours = [number for number in numbers if number in (errno.EMFILE, errno.ENFILE)]
    text = "; ".join(str(one) for one in failures)
    return OSError(*(ours or numbers)[:1], text) if numbers else failures[0]
