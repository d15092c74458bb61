"""``NameServer``, the client of Pyro4's name server, and ``LiveNaming``, with which a process holds a name there.

No connection is kept open: the stock name server has forty threads, one for each connection, and refuses the forty-first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
from typing import Any

from src.rmi.channel import NAME_SERVER, Channel
from src.rmi.errors import (
    AccessDeniedError,
    ConfigurationError,
    LostError,
    NameStorageError,
    NamingError,
    NotHereError,
    RefusedError,
    ServerFullError,
    SparrowError,
    UnavailableError,
    UnreachableError,
    WrongCredentialsError,
)
from src.sparrow.names import Reached
from src.sparrow.settings import NamingSettings

REMIND_S = 30.0  # between two lines in the log that say what this process still waits for

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")

log = logging.getLogger("sparrow.naming")


class AddressError(ConfigurationError, ValueError):
    """Raised if a text is not an address of a name server, HOST[:PORT]."""


class UnknownHostError(UnavailableError):
    """Raised if a host name does not resolve."""


def parse_address(text: str | None) -> tuple[str, int]:
    """Returns host and port of HOST[:PORT]. Raises AddressError if it is malformed, and TypeError if it is not a string.

    If ``text`` is None, or has no port, PYRO_NS_HOST and PYRO_NS_PORT apply; their defaults are localhost and 9090.
    """
    if text is not None and not isinstance(text, str):
        raise TypeError(f"the address of the name server must be a string, HOST[:PORT], or None, not {text!r:.60}")
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
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        given = text if text is not None else f"{host}:{port}"
        raise AddressError(f"not an address of a name server: {given!r} (it is HOST[:PORT])")
    return host, int(port)


class NameServer:
    """The name server at one address. Every method raises UnavailableError, with the cause, if the name server cannot be used."""

    def __init__(self, host: str, port: int, key: bytes | None = None) -> None:
        self.host = host
        self.port = port
        self.key = key
        self._uri = f"PYRO:{NAME_SERVER}@{f'[{host}]' if ':' in host else host}:{port}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    async def register(self, name: str, uri: str, safe: bool) -> bool:
        """Binds a name to a uri. Returns False, and changes nothing, if the name is bound already and ``safe`` is true."""
        try:
            await self._call("register", name, uri, safe, may_say_no=safe)
        except NamingError:
            return False
        return True

    async def lookup(self, name: str) -> str | None:
        """Returns the uri that the name is bound to, or None."""
        try:
            return str((await self._call("lookup", name, may_say_no=True)).asString())
        except NamingError:
            return None

    async def list(self, prefix: str) -> dict[str, str]:
        """Returns name -> uri of all names with this prefix that are valid names of this project's processes."""
        found = await self._call("list", prefix)
        names = [name for name in found if name.startswith(prefix)]  # sql storage takes _ for any character
        return {name: str(found[name]) for name in names if _NAME.fullmatch(name)}

    async def unregister(self, name: str, uri: str) -> None:
        """Removes a name if it is still bound to this uri."""
        if await self.lookup(name) == uri:
            await self._call("remove", name)

    async def _call(self, method: str, *arguments: Any, may_say_no: bool = False) -> Any:
        """Returns the result of one call, over a connection of its own. Raises NamingError only if ``may_say_no`` is true."""
        try:
            await self.resolve()
            channel = await Channel.open(self._uri, key=self.key)
            try:
                return await channel.call(method, *arguments)
            finally:
                channel.close()
        except UnreachableError as error:
            how = f"python3 src/NameServer.py --host {self.host} --port {self.port}"
            raise UnavailableError(f"no name server at {self}; start one with: {how}") from error
        except WrongCredentialsError as error:
            raise AccessDeniedError(f"the name server at {error}") from error
        except RefusedError as error:
            full = isinstance(error, ServerFullError)
            why = "all its connections are taken (it has forty: PYRO_THREADPOOL_SIZE sets more)" if full else str(error)
            raise UnavailableError(f"the name server at {self} refuses the connection: {why}") from error
        except LostError as error:
            raise UnavailableError(f"the name server at {self} does not answer: {error}") from error
        except Exception as error:  # a NameStorageError, or an error of something that is not a name server
            if isinstance(error, SparrowError) and not isinstance(error, NameStorageError):
                raise
            if may_say_no and isinstance(error, NamingError):
                raise
            raise UnavailableError(f"what answers at {self} cannot serve as a name server: {error!s:.300}") from error

    async def resolve(self) -> None:
        """Resolves the host name. Raises UnknownHostError if that fails."""
        try:
            await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise UnknownHostError(f"the host name of the name server does not resolve: {self.host!r} ({error})") from None

    async def wait(self, waiting_for: str = "the name server") -> None:
        """Returns once the name server answers. Every 30 s it logs ``waiting_for`` and why it still waits.

        Raises UnknownHostError if the host name does not resolve, and AccessDeniedError if the name server has another key.
        """
        await self.resolve()
        reminded = -REMIND_S
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._call("ping")
                return
            except AccessDeniedError:
                raise
            except UnavailableError as error:
                if loop.time() - reminded >= REMIND_S:
                    log.warning("waiting for %s: %s", waiting_for, error)
                    reminded = loop.time()
                await asyncio.sleep(NamingSettings().retry_s)

    async def our_address(self) -> str:
        """Returns the address of this machine that faces the name server; the loopback address if both are on one machine."""
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


class LiveNaming:
    """What a process needs to hold a name, over Pyro4 (the contract is ``sparrow.names.NamingHost``)."""

    def __init__(self, names: NameServer) -> None:
        self._names = names
        self.register, self.lookup, self.unregister = names.register, names.lookup, names.unregister
        self.wait_for_name_server = names.wait
        self.sleep = asyncio.sleep

    async def reach(self, uri: str, within_s: float) -> Reached:
        """Connects to this address, for at most ``within_s`` seconds, and returns which process answers there."""
        try:
            channel = await Channel.open(uri, key=self._names.key, timeout_s=within_s)
        except UnreachableError:
            return Reached(False, None)
        except NotHereError:
            return Reached(True, "")
        except SparrowError:
            return Reached(True, None)
        channel.close()
        name = channel.peer.get("name") if isinstance(channel.peer, dict) else None
        return Reached(True, name if isinstance(name, str) else "")  # whoever does not say that it is the holder is not

    def note(self, level: str, text: str) -> None:
        """Writes a line to the log."""
        getattr(log, level)("%s", text)
