"""``SimulatedNameServer`` and ``SimulatedNaming``, the name server in virtual time, and ``run``, which runs coroutines there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from src.simulation.world import Process
from src.sparrow.errors import UnavailableError
from src.sparrow.names import Reached
from src.sparrow.settings import NamingSettings

T = TypeVar("T")
Resume = Callable[[Any], None]  # gets the result, or an exception to be raised


class Step(Generic[T]):
    """One thing that a coroutine waits for. ``begin(resume)`` begins it, and has ``resume(result)`` called at its end."""

    def __init__(self, begin: Callable[[Resume], None]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Callable[[Resume], None], Any, T]:
        result: T = yield self._begin
        return result


def run(coroutine: Coroutine[Any, Any, Any], ended: Resume) -> None:
    """Runs a coroutine that awaits only steps. ``ended`` is called with its result, or with the exception that it raises."""

    def resume(result: Any) -> None:
        try:
            begin = coroutine.throw(result) if isinstance(result, Exception) else coroutine.send(result)
        except StopIteration as stop:
            ended(stop.value)
        except Exception as error:
            ended(error)
        else:
            begin(resume)

    resume(None)


class SimulatedNameServer:
    """A name server. It keeps the names of dead processes, as Pyro4's does; it may be away, and it may lose all names."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.away_until_s = 0.0

    def ask(self, asker: Process, question: Callable[[dict[str, str]], Any], resume: Resume) -> None:
        """Has ``resume`` called with the result of ``question(names)``, or with an UnavailableError."""
        world = asker.world
        there_s = world.now + world.network.takes_s(world.rng_of_faults)

        def arrive() -> None:
            away = self.away_until_s > world.now or asker.mute_until_s > world.now or asker.deaf_until_s > world.now
            world.counts["name server away"] += away
            answer = UnavailableError("the name server does not answer") if away else question(self.names)
            asker.later(world.network.takes_s(world.rng_of_faults), resume, answer)

        asker.later(there_s - world.now, arrive)


class SimulatedNaming:
    """What a simulated process needs to hold a name (its contract: ``sparrow.names.NamingHost``)."""

    def __init__(self, nameserver: SimulatedNameServer, process: Process, settings: NamingSettings) -> None:
        self._nameserver, self._process, self._settings = nameserver, process, settings

    def _ask(self, question: Callable[[dict[str, str]], T]) -> Step[T]:
        return Step(lambda resume: self._nameserver.ask(self._process, question, resume))

    async def register(self, name: str, uri: str, safe: bool) -> bool:
        """Binds a name to a uri. Returns False, and changes nothing, if the name is bound already and ``safe`` is true."""

        def bind(names: dict[str, str]) -> bool:
            if safe and name in names:
                self._process.world.counts["name: somebody has it"] += 1
                return False
            self._process.world.counts["name: bound" if safe else "name: taken over"] += 1
            names[name] = uri
            return True

        return await self._ask(bind)

    async def lookup(self, name: str) -> str | None:
        """Returns the uri that the name is bound to, or None."""
        return await self._ask(lambda names: names.get(name))

    async def unregister(self, name: str, uri: str) -> None:
        """Removes a name if it is still bound to this uri."""
        if await self.lookup(name) == uri:
            await self._ask(lambda names: names.pop(name, None))

    async def wait_for_name_server(self) -> None:
        """Returns once the name server answers."""
        while True:
            try:
                await self._ask(lambda names: None)
                return
            except UnavailableError:
                await self.sleep(self._settings.retry_s)

    async def reach(self, uri: str, within_s: float) -> Reached:
        """Returns which process answers at this address. One that is paused or cut off accepts, but does not answer in time."""
        found = self._process.world.process_at(uri)
        await self.sleep(2 * self._process.world.network.delay_s)
        if found is None or (not found.up and not found.silent):
            return Reached(False, None)
        if found.silent or max(found.hindered_until_s, found.mute_until_s) > self._process.world.now:
            await self.sleep(within_s)
            return Reached(not found.silent, None)
        return Reached(True, found.who()["name"])

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        await Step[None](lambda resume: void(self._process.later(seconds, resume, None)))

    def note(self, level: str, text: str) -> None:
        """Counts the line, if its level is info."""
        self._process.world.counts[f"name: {text.partition(': ')[2].partition(',')[0]}"] += level == "info"


def void(_value: object) -> None:
    """Returns nothing, whatever it is given."""


def names_with(prefix: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """Returns the question for all names that begin so."""
    return lambda names: {name: uri for name, uri in names.items() if name.startswith(prefix)}
