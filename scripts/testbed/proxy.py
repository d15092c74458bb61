"""A proxy for scripts and tests in the manner of Pyro4's, for clusters with a key, which stock proxies cannot call."""

from __future__ import annotations

import asyncio
from functools import partial
from types import TracebackType
from typing import Any

import Pyro4

from src.rmi.channel import NAME_SERVER, Channel
from src.rmi.errors import SparrowError

TIMEOUT_S = 10.0


class KeyedProxy:
    """The remote object at a uri. It connects with the first call, and blocks until each is answered.

    Raises CommunicationError if the object cannot be reached, as stock proxies do, and what its methods raise.
    """

    def __init__(self, uri: Pyro4.URI, key: bytes) -> None:
        self._pyroUri = uri
        self._key = key
        self._loop = asyncio.new_event_loop()
        self._channel: Channel | None = None

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return partial(self._call, method)

    def _pyroBind(self) -> bool:  # noqa: N802
        """Connects."""
        self._run(self._connected())
        return True

    def _pyroRelease(self) -> None:  # noqa: N802
        """Ends the connection."""
        if self._channel is not None:
            self._channel.close()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._channel = None

    def __enter__(self) -> KeyedProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pyroRelease()
        self._loop.close()

    async def _connected(self) -> Channel:
        if self._channel is None or self._channel.closed:
            self._channel = await Channel.open(self._pyroUri, key=self._key, timeout_s=TIMEOUT_S)
        return self._channel

    async def _answer(self, method: str, arguments: tuple[Any, ...]) -> Any:
        return await (await self._connected()).call(method, *arguments, timeout_s=TIMEOUT_S)

    def _call(self, method: str, *arguments: Any) -> Any:
        return self._run(self._answer(method, arguments))

    def _run(self, what: Any) -> Any:
        try:
            return self._loop.run_until_complete(what)
        except SparrowError as error:
            raise Pyro4.errors.CommunicationError(str(error)) from error


def proxy_of(nameserver: str, name: str, key: bytes | None) -> Any:
    """Returns a proxy of a remote object: a stock one without a key. Raises NamingError if there is none of that name."""
    host, _, port = nameserver.rpartition(":")
    if key is None:
        with Pyro4.locateNS(host, int(port)) as names:
            proxy = Pyro4.Proxy(names.lookup(name))
        proxy._pyroTimeout = TIMEOUT_S
        return proxy
    with KeyedProxy(Pyro4.URI(f"PYRO:{NAME_SERVER}@{host}:{port}"), key) as keyed_names:
        return KeyedProxy(keyed_names.lookup(name), key)
