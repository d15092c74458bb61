"""``NameServer``, the client of Pyro4's name server, and ``LiveNaming``, with which a process holds a name there.

No connection is kept open: the stock name server has forty threads, one for each connection, and refuses the forty-first.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from src.rmi.channel import NAME_SERVER, Channel
from src.rmi.errors import (
    AccessDeniedError,
    ConfigurationError,
    LostError,
    NameStorageError,
    NamingError,
    RefusedError,
    ServerFullError,
    SparrowError,
    UnavailableError,
    UnreachableError,
    WrongCredentialsError,
)
from src.rmi.lookups import Address, addresses
from src.sparrow.settings import NamingSettings

REMIND_S = 30.0  # between two lines in the log that say what this process still waits for

_OURS_TO_BLAME = (errno.EMFILE, errno.ENFILE, socket.EAI_AGAIN)  # no descriptor is left, no host name can be resolved at present
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
    """The name server at one address. Every method raises UnavailableError, with the cause, if the name server cannot be used.

    ``say_slow`` is called with a line of text when an answer takes long: a name server that is slow is waited for.
    """

    def __init__(
        self,
        host: str,
        port: int,
        key: bytes | None = None,
        settings: NamingSettings = NamingSettings(),  # noqa: B008 (it is frozen)
    ) -> None:
        self.host = host
        self.port = port
        self.key = key
        self.say_slow: Callable[[str], None] = log.warning
        self._settings = settings
        self._uri = f"PYRO:{NAME_SERVER}@{f'[{host}]' if ':' in host else host}:{port}"
        self._is_ours: bool | None = None  # whether it is NameServer.py, which has more methods than pyro4-ns; None if unknown
        self._called_slow_s = float("-inf")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    async def claim(self, name: str, uri: str, instead_of: str | None) -> str | None:
        """Binds a name to a uri if it is free, or bound to ``instead_of``; renews it if it is bound to this uri already.

        Returns the uri that it was bound to before, or "". Returns None if the name server cannot do this in one step.
        """
        before = await self._call_of_ours("claim", name, uri, instead_of)
        with self._readable():
            return None if before is None else str(before)

    async def register(self, name: str, uri: str, safe: bool) -> bool:
        """Binds a name to a uri. Returns False, and changes nothing, if the name is bound already and ``safe`` is true."""
        try:
            await self._call("register", name, uri, safe, passes=NamingError if safe else None)
        except NamingError:
            return False
        return True

    async def lookup(self, name: str) -> str | None:
        """Returns the uri that the name is bound to, or None."""
        try:
            found = await self._call("lookup", name, passes=NamingError)
        except NamingError:
            self._is_ours = None  # it may be another name server than before
            return None
        with self._readable():
            return str(found.asString())

    async def list(self, prefix: str) -> dict[str, str]:
        """Returns name -> uri of all names with this prefix that are valid names of this project's processes."""
        found = await self._call("list", prefix)
        with self._readable():
            names = [name for name in found if name.startswith(prefix)]  # sql storage takes _ for any character
            return {name: str(found[name]) for name in names if _NAME.fullmatch(name)}

    async def unregister(self, name: str, uri: str) -> None:
        """Removes a name if it is still bound to this uri."""
        if await self._call_of_ours("release", name, uri) is None and await self.lookup(name) == uri:
            await self._call("remove", name)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Raises UnavailableError for any error of the block: the answer that it reads is not that of a name server."""
        try:
            yield
        except Exception as error:
            raise self._unfit(error) from error

    def _unfit(self, error: Exception) -> UnavailableError:
        return UnavailableError(f"what answers at {self} cannot serve as a name server: {error!s:.300}")

    async def _call_of_ours(self, method: str, *arguments: Any) -> Any:
        """Returns the result of a method that only NameServer.py has; None if this name server is another one."""
        if self._is_ours is False:
            return None
        try:
            result = await self._call(method, *arguments, passes=AttributeError)
        except AttributeError:
            self._is_ours = False
            return None
        self._is_ours = True
        return result

    async def _call(self, method: str, *arguments: Any, passes: type[Exception] | None = None) -> Any:
        """Returns the result of one call, over a connection of its own. An error of the type ``passes`` is raised as it is."""
        slow = asyncio.get_running_loop().call_later(self._settings.slow_s, self._say_slow)
        try:
            return await self._call_at_once(method, *arguments, passes=passes)
        except UnavailableError:
            self._is_ours = None  # what answers there next may be another name server
            raise
        finally:
            slow.cancel()

    def _say_slow(self) -> None:
        now_s = time.monotonic()
        if now_s - self._called_slow_s >= REMIND_S:
            self._called_slow_s = now_s
            settings = self._settings
            self.say_slow(
                f"the name server at {self} is slow: no answer in {settings.slow_s:g} s; waiting for up to {settings.answer_s:g} s"
            )

    async def _call_at_once(self, method: str, *arguments: Any, passes: type[Exception] | None) -> Any:
        try:
            await self.resolve()
            channel = await Channel.open(self._uri, key=self.key, timeout_s=self._settings.answer_s)
            try:
                return await channel.call(method, *arguments, timeout_s=self._settings.answer_s)
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
            if passes is not None and isinstance(error, passes):
                raise
            raise self._unfit(error) from error

    async def resolve(self) -> Sequence[Address]:
        """Returns the addresses of the name server's host. Raises UnknownHostError if there are none."""
        try:
            return await addresses(self.host, self.port)
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
                await asyncio.sleep(self._settings.retry_s)

    async def our_address(self) -> str:
        """Returns the address of this machine that faces the name server; the loopback address if both are on one machine."""
        failure: OSError | None = None
        for family, _, _, _, address in await self.resolve():
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as probe:  # nothing is sent: connecting only asks the routing table
                    probe.connect(address)
                    return str(probe.getsockname()[0])
            except OSError as error:
                failure = error
        raise UnavailableError(f"no route to the name server at {self}: {failure}")


class LiveNaming:
    """What a process needs to hold a name, over Pyro4 (the contract is ``sparrow.names.NamingHost``)."""

    def __init__(self, names: NameServer) -> None:
        self._names = names
        self.claim, self.register, self.lookup, self.unregister = names.claim, names.register, names.lookup, names.unregister
        self.wait_for_name_server = names.wait
        self.sleep, self.now = asyncio.sleep, time.monotonic

    async def greet(self, uri: str, within_s: float) -> Mapping[str, Any] | None:
        """Returns what the process at this address says of itself; None if none of ours answers there within ``within_s`` seconds.

        Raises UnavailableError if it is this process that cannot connect to anybody now.
        """
        try:
            channel = await Channel.open(uri, key=self._names.key, timeout_s=within_s)
        except SparrowError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _OURS_TO_BLAME:
                raise UnavailableError(f"whether anybody is at {uri} cannot be seen now: {error}") from error
            log.debug("nobody of ours answers at %s: %s", uri, error)
            return None
        channel.close()
        return channel.peer if isinstance(channel.peer, dict) else None

    def note(self, level: str, text: str) -> None:
        """Writes a line to the log."""
        getattr(log, level)("%s", text)
