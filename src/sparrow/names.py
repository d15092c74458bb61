"""How a process claims a name in the name server, holds it, and releases it.

The steps follow one another, so they are written as coroutines. These await nothing but their ``NamingHost``, so that the same code
runs over Pyro4 and in virtual time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from src.sparrow.errors import AccessDeniedError, NameTakenError, UnavailableError
from src.sparrow.settings import NamingSettings

SCHEDULERS = "sparrow.scheduler."
WORKERS = "sparrow.worker."


class Reached(NamedTuple):
    """The result of ``NamingHost.reach``: whether a process answers at the address, and its name (None if it did not tell it)."""

    anybody: bool
    name: str | None


class NamingHost(Protocol):
    """What is needed to hold a name. Every method that asks the name server raises UnavailableError if that is not available."""

    async def register(self, name: str, uri: str, safe: bool) -> bool:
        """Binds a name to a uri. Returns False, and changes nothing, if the name is bound already and ``safe`` is true."""

    async def lookup(self, name: str) -> str | None:
        """Returns the uri that the name is bound to, or None."""

    async def unregister(self, name: str, uri: str) -> None:
        """Removes a name if it is still bound to this uri."""

    async def wait_for_name_server(self) -> None:
        """Returns once the name server answers."""

    async def reach(self, uri: str, within_s: float) -> Reached:
        """Connects to this address to see which process answers there; it has ``within_s`` seconds for that."""

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""

    def note(self, level: str, text: str) -> None:
        """Logs a line; ``level`` is debug, info or warning."""


class HeldName:
    """A name of this process in the name server. While ``hold`` runs, it is bound again whenever the name server has lost it."""

    def __init__(self, host: NamingHost, name: str, uri: str, rng: random.Random, settings: NamingSettings) -> None:
        self.name = name
        self.uri = uri
        self._host, self._rng, self._settings = host, rng, settings

    async def claim(self) -> None:
        """Binds the name to this process, even if a dead process has it. Raises NameTakenError if a live process has it."""
        if await self._host.register(self.name, self.uri, safe=True):
            return
        holder = await self._host.lookup(self.name)
        if holder == self.uri:
            return
        if holder is not None and await self._is_alive(holder):
            raise NameTakenError(
                f"the name {self.name} is taken by a live process at {holder.rpartition('@')[2]}; "
                "choose another with --number (a scheduler) or --name (a worker)"
            )
        await self._host.register(self.name, self.uri, safe=False)

    async def _is_alive(self, uri: str) -> bool:
        """Returns whether the holder of the name is alive. A process that does not answer the handshake counts as alive."""
        found = await self._host.reach(uri, self._settings.look_s)
        return found.anybody and found.name in (None, self.name)

    async def hold(self) -> None:
        """Checks every few seconds that the name is still bound to this process. It ends only by raising NameTakenError."""
        away = False
        while True:
            await self._host.sleep(self._settings.retry_s if away else self._settings.renew_s * self._rng.uniform(0.75, 1.25))
            try:
                if await self._host.lookup(self.name) != self.uri:
                    await self.claim()
                    self._host.note("info", f"{self.name}: registered again, the name server did not have it")
                elif away:
                    self._host.note("info", f"{self.name}: the name server is back")
                away = False
            except NameTakenError:
                raise
            except UnavailableError as error:
                if not away:
                    self._host.note("warning", f"{self.name}: {error}; trying again until it is back")
                away = True

    async def release(self) -> None:
        """Removes the name from the name server, if it is still bound to this process."""
        await self._host.unregister(self.name, self.uri)


async def claim_first(candidates: Iterable[HeldName], settings: NamingSettings, host: NamingHost) -> HeldName:
    """Claims the first of these names that is free, and returns it. Raises NameTakenError if none is free.

    If the name server is not available, it waits for it without a limit. Raises AccessDeniedError if the name server has another
    key.
    """
    taken = NameTakenError("no name to claim")
    for candidate in candidates:
        while True:
            try:
                await candidate.claim()
                return candidate
            except NameTakenError as error:
                taken = error
                break
            except AccessDeniedError:
                raise
            except UnavailableError as error:
                host.note("debug", f"{candidate.name}: {error}")
                await host.sleep(settings.retry_s)
                await host.wait_for_name_server()
    raise taken
