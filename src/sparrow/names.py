"""How a process claims a name in the name server, holds it, and releases it.

The steps follow one another, so they are written as coroutines. These await nothing but their ``NamingHost``, so that the same code
runs over Pyro4 and in virtual time.

A name belongs to the process that answers as it: at the uri that is registered, with that name and that uri in its greeting.
Whatever else is there (nobody, silence, another program, a process of another name) does not have the name: it is taken over.

Our name server does that in one step, ``claim``. With ``pyro4-ns`` two processes that find the same dead one may overwrite each
other. So whoever takes a name over there waits, looks again (as in Fischer's algorithm for mutual exclusion), and says until then
that it only claims the name. Of two that claim a name the later one gets it; whoever has one takes it back from those that do.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from src.sparrow.errors import AccessDeniedError, NameTakenError, UnavailableError
from src.sparrow.settings import NamingSettings

PREFIX = "sparrow."  # of all names of this project
SCHEDULERS = PREFIX + "scheduler."
WORKERS = PREFIX + "worker."
CLAIMING = "claiming"  # the key of the greeting that is true as long as the process does not have the name for certain


class NamingHost(Protocol):
    """What is needed to hold a name. Every method that asks the name server raises UnavailableError if that is not available."""

    async def claim(self, name: str, uri: str, instead_of: str | None) -> str | None:
        """Binds a name to a uri if it is free, or bound to ``instead_of``; renews it if it is bound to this uri already.

        Returns the uri that it was bound to before, or "". Returns None if the name server cannot do this in one step.
        """

    async def register(self, name: str, uri: str, safe: bool) -> bool:
        """Binds a name to a uri. Returns False, and changes nothing, if the name is bound already and ``safe`` is true."""

    async def lookup(self, name: str) -> str | None:
        """Returns the uri that the name is bound to, or None."""

    async def unregister(self, name: str, uri: str) -> None:
        """Removes a name if it is still bound to this uri."""

    async def wait_for_name_server(self) -> None:
        """Returns once the name server answers."""

    async def greet(self, uri: str, within_s: float) -> Mapping[str, Any] | None:
        """Returns what the process at this address says of itself in the handshake; None if there is none that answers like ours.

        It has ``within_s`` seconds for that.
        """

    def now(self) -> float:
        """Returns the time in seconds, from a clock that never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""

    def note(self, level: str, text: str) -> None:
        """Logs a line; ``level`` is debug, info or warning."""


class HeldName:
    """A name of this process in the name server. While ``hold`` runs, it is bound again whenever the name server has lost it.

    ``certain`` is false until the name is claimed: the process must say so in its greeting (``CLAIMING``).
    """

    def __init__(self, host: NamingHost, name: str, uri: str, rng: random.Random, settings: NamingSettings) -> None:
        self.name = name
        self.uri = uri
        self.certain = False
        self._host, self._rng, self._settings = host, rng, settings

    async def claim(self) -> None:
        """Binds the name to this process, even if a dead one has it. Raises NameTakenError if a live one has it or claims it."""
        await self._bind()
        self.certain = True

    async def hold(self) -> None:
        """Checks every few seconds that the name is still bound to this process. It ends only by raising NameTakenError."""
        away, pause_s = False, self._settings.look_again_s
        while True:
            await self._host.sleep(pause_s)
            pause_s = self._settings.renew_s * self._rng.uniform(0.75, 1.25)
            try:
                before = await self._bind()
                if before == "":
                    self._host.note("info", f"{self.name}: registered again, the name server did not have it")
                elif before != self.uri:
                    self._host.note("warning", f"{self.name}: registered again, nobody answers as {self.name} at {before}")
                elif away:
                    self._host.note("info", f"{self.name}: the name server is back")
                if before != self.uri:
                    pause_s = self._settings.look_again_s
                away = False
            except NameTakenError:
                raise
            except Exception as error:  # of any type: a process that runs must not end for what others have bound its name to
                if not away:
                    what = str(error) if isinstance(error, UnavailableError) else f"{type(error).__name__}: {error}"
                    self._host.note("warning", f"{self.name}: {what}; trying again until it is back")
                away, pause_s = True, self._settings.retry_s

    async def release(self) -> None:
        """Removes the name from the name server, if it is still bound to this process."""
        await self._host.unregister(self.name, self.uri)

    async def _bind(self) -> str:
        """Binds the name to this process, and returns the uri that it was bound to before, or "".

        Raises NameTakenError if another process has the name.
        """
        before = await self._offer()
        while before not in ("", self.uri):
            if await self._is_held(before, self._settings.look_s):
                raise NameTakenError(
                    f"the name {self.name} is taken by a live process at {before.rpartition('@')[2]}; "
                    "choose another with --number (a scheduler) or --name (a worker)"
                )
            after = await self._take_over(before)
            if after == self.uri:
                break
            before = after or await self._offer()
        return before

    async def _is_held(self, uri: str, within_s: float) -> bool:
        """Returns whether the process at this uri has the name, or claims it as this one does, and says so in time."""
        said = await self._host.greet(uri, within_s)
        if said is None or said.get("name") != self.name or said.get("uri") != uri or not isinstance(said.get("incarnation"), str):
            return False
        return not (self.certain and said.get(CLAIMING))

    async def _offer(self) -> str:
        """Binds the name if it is free. Returns the uri that it was bound to before, or ""."""
        before = await self._host.claim(self.name, self.uri, None)
        if before is not None:
            return before
        while True:
            before = await self._host.lookup(self.name)
            if before is not None:
                return before
            if await self._host.register(self.name, self.uri, safe=True):
                return ""

    async def _take_over(self, dead: str) -> str:
        """Binds the name if it is free or still bound to this uri. Returns the uri that it is bound to after that, or ""."""
        before = await self._host.claim(self.name, self.uri, dead)
        if before is not None:
            if before == dead and await self._is_held(dead, self._settings.settle_s):  # it was started again there meanwhile
                await self._host.claim(self.name, dead, self.uri)
                return dead
            return self.uri if before in ("", dead) else before
        began_s = self._host.now()
        before = await self._host.lookup(self.name)
        if before != dead:
            return before or ""
        try:
            await self._host.register(self.name, self.uri, safe=False)
        except UnavailableError:  # it may be bound nevertheless, now or later
            await self._settle(began_s, acknowledged=False)
            raise
        if self.certain:
            return self.uri
        await self._settle(began_s, acknowledged=True)
        return await self._host.lookup(self.name) or ""

    async def _settle(self, began_s: float, acknowledged: bool) -> None:
        """Waits until whoever has the name, or claims it too, must have seen that we have overwritten it, or has overwritten us."""
        settings, took_s = self._settings, self._host.now() - began_s
        quick = acknowledged and took_s <= settings.look_again_s
        await self._host.sleep(settings.settle_s if quick else 1.25 * settings.renew_s + settings.look_s + 2 * took_s)


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
