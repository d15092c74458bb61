"""Pyro4's name server: finding names, holding one, and knowing which address of ours it sees.

No connection to it is kept: the stock name server has forty threads, one for each connection, and refuses the forty-first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import socket
from typing import Any

from src.rmi.channel import NAME_SERVER, Channel
from src.rmi.errors import (
    ConfigurationError,
    LostError,
    NamingError,
    RefusedError,
    SparrowError,
    TurnedAwayError,
    UnavailableError,
    UnreachableError,
    WrongCredentialsError,
)

SCHEDULERS = "sparrow.scheduler."
WORKERS = "sparrow.worker."
RENEW_S = 4.0  # between two looks at whether our name is still there, give or take a quarter
RETRY_S = 0.5  # between two tries while the name server is away
REMIND_S = 30.0  # between two lines that say that we still wait
_LOOK_S = 1.0  # for an answer of whoever has the name that we want

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")

log = logging.getLogger("sparrow.naming")


class AddressError(ConfigurationError, ValueError):
    """What should be an address of a name server is none."""


class UnknownHostError(UnavailableError):
    """A host name that does not resolve."""


def parse_address(text: str | None) -> tuple[str, int]:
    """HOST[:PORT]; for None what PYRO_NS_HOST and PYRO_NS_PORT say, or else localhost:9090. AddressError if malformed."""
    host, port = os.environ.get("PYRO_NS_HOST") or "localhost", os.environ.get("PYRO_NS_PORT") or "9090"
    if text is not None:
        if text.startswith("["):  # an IPv6 address with a port
            host, _, rest = text[1:].partition("]")
            port = rest[1:] if rest.startswith(":") else port
        elif text.count(":") > 1:
            host = text
        else:
            host, colon, rest = text.partition(":")
            port = rest if colon else port
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        given = text if text is not None else f"{host}:{port}"
        raise AddressError(f"not an address of a name server: {given!r} (it is HOST[:PORT])")
    return host, int(port)


class NameServer:
    """The name server at one address. Every method raises UnavailableError, with the cause, when it cannot be had."""

    def __init__(self, host: str, port: int, key: bytes | None = None) -> None:
        self.host = host
        self.port = port
        self.key = key
        self._uri = f"PYRO:{NAME_SERVER}@{f'[{host}]' if ':' in host else host}:{port}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    async def register(self, name: str, uri: str, safe: bool) -> None:
        """Bind a name. ``safe``: NamingError if somebody has it already."""
        await self._call("register", name, uri, safe, may_say_no=safe)

    async def lookup(self, name: str) -> str | None:
        """The uri that has this name, or None."""
        try:
            return str((await self._call("lookup", name, may_say_no=True)).asString())
        except NamingError:
            return None

    async def list(self, prefix: str) -> dict[str, str]:
        """name -> uri, of all names that begin so and can be names of ours, whoever registered what else."""
        found = await self._call("list", prefix)
        names = [name for name in found if name.startswith(prefix)]  # sql storage takes _ for any character
        return {name: str(found[name]) for name in names if _NAME.fullmatch(name)}

    async def unregister(self, name: str, uri: str) -> None:
        """Give a name back, if it still is bound to this uri."""
        if await self.lookup(name) == uri:
            await self._call("remove", name)

    async def _call(self, method: str, *arguments: Any, may_say_no: bool = False) -> Any:
        """``may_say_no``: a NamingError is an answer, to be passed on."""
        try:
            await self.resolve()
            channel = await Channel.open(self._uri, key=self.key)
            try:
                return await channel.call(method, *arguments)
            finally:
                channel.close()
        except UnreachableError as error:
            how = f"pyro4-ns -n {self.host} -p {self.port}"
            if self.key is not None:
                how = f"python NameServer.py --host {self.host} --port {self.port}"  # it takes the key file
            raise UnavailableError(f"no name server at {self}; start one with: {how}") from error
        except WrongCredentialsError as error:
            raise TurnedAwayError(f"the name server at {error}") from error
        except RefusedError as error:
            full = "no free workers" in str(error)
            why = "all its connections are taken (it has forty: PYRO_THREADPOOL_SIZE sets more)" if full else str(error)
            raise UnavailableError(f"the name server at {self} turns us away: {why}") from error
        except LostError as error:
            raise UnavailableError(f"the name server at {self} does not answer: {error}") from error
        except SparrowError:
            raise
        except Exception as error:  # whatever it says: a full disk, a broken file, or that it is no name server at all
            if may_say_no and isinstance(error, NamingError) and "sqlite" not in str(error):
                raise
            raise UnavailableError(f"what answers at {self} cannot serve as a name server: {error!s:.300}") from error

    async def resolve(self) -> None:
        """UnknownHostError if its host name does not resolve."""
        try:
            await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UnknownHostError(f"the host name of the name server does not resolve: {self.host!r} ({error})") from None

    async def wait(self, waiting_for: str = "the name server") -> None:
        """Return once it answers; say now and then what we wait for. UnknownHostError if there is no such
        host, TurnedAwayError if it is not for us."""
        await self.resolve()
        reminded = -REMIND_S
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._call("ping")
                return
            except TurnedAwayError:
                raise
            except UnavailableError as error:
                if loop.time() - reminded >= REMIND_S:
                    log.warning("waiting for %s: %s", waiting_for, error)
                    reminded = loop.time()
                await asyncio.sleep(RETRY_S)

    async def our_address(self) -> str:
        """The address of this machine from which the name server is reached: loopback on one machine."""
        await self.resolve()
        family, kind, _, _, address = (await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM))[
            0
        ]
        with socket.socket(family, kind) as probe:  # nothing is sent: connecting only asks the routing table
            try:
                probe.connect(address)
            except OSError as error:
                raise UnavailableError(f"no route to the name server at {self}: {error}") from None
            return str(probe.getsockname()[0])


class NameTakenError(UnavailableError):
    """Somebody who is alive has the name."""


class HeldName:
    """A name of ours in the name server, for as long as ``hold`` runs: it is bound again whenever the name server forgets it."""

    def __init__(self, names: NameServer, name: str, uri: str) -> None:
        self._names = names
        self.name = name
        self._uri = uri

    async def claim(self) -> None:
        """Bind the name to us, and take it over from a dead one. NameTakenError if a living one has it."""
        try:
            await self._names.register(self.name, self._uri, safe=True)
        except NamingError:
            holder = await self._names.lookup(self.name)
            if holder == self._uri:
                return
            if holder is not None and await self._is_alive(holder):
                raise NameTakenError(
                    f"the name {self.name} is taken by a live process at {holder.rpartition('@')[2]}; "
                    "choose another with --number (a scheduler) or --name (a worker)"
                ) from None
            await self._names.register(self.name, self._uri, safe=False)

    async def _is_alive(self, uri: str) -> bool:
        try:
            channel = await Channel.open(uri, key=self._names.key, timeout_s=_LOOK_S)
        except UnreachableError:
            return False
        except SparrowError:
            return True  # somebody is there, even if it does not answer just now
        channel.close()
        return isinstance(channel.peer, dict) and channel.peer.get("name") == self.name

    async def hold(self) -> None:
        """Look every few seconds whether the name is still ours. Ends only by NameTakenError."""
        away = False
        while True:
            await asyncio.sleep(RETRY_S if away else RENEW_S * random.uniform(0.75, 1.25))
            try:
                if await self._names.lookup(self.name) != self._uri:
                    await self.claim()
                    log.info("%s: registered again, the name server did not have it", self.name)
                elif away:
                    log.info("%s: the name server at %s is back", self.name, self._names)
                away = False
            except NameTakenError:
                raise
            except UnavailableError as error:
                if not away:
                    log.warning("%s: %s; trying again until it is back", self.name, error)
                away = True

    async def release(self) -> None:
        try:
            await asyncio.wait_for(self._names.unregister(self.name, self._uri), RETRY_S)
        except (UnavailableError, asyncio.TimeoutError) as error:
            log.warning("%s: could not give the name back: %s", self.name, error or "no answer")
