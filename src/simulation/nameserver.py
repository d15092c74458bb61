"""``SimulatedNameServer`` and ``SimulatedNaming``, the name server in virtual time, and ``run``, which runs coroutines there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, Generic, TypeVar

from src.simulation.world import Process
from src.sparrow.errors import UnavailableError
from src.sparrow.settings import NamingSettings

T = TypeVar("T")
Resume = Callable[[Any], None]  # gets the result, or an exception to be raised
SLOW_S = 12.0  # the longest time, in addition, that a slow name server takes for one answer


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
    """A name server. It keeps the names of dead processes, as Pyro4's does; it may be away or slow, and it may lose all names.

    ``atomic`` says whether it claims names in one step, as ours does and Pyro4's does not.
    """

    def __init__(self, atomic: bool = False) -> None:
        self.names: dict[str, str] = {}
        self.atomic = atomic
        self.away_until_s = self.slow_until_s = self.upset_s = 0.0

    def hinder(self, away_until_s: float = 0.0, slow_until_s: float = 0.0, lost: bool = False) -> None:
        """Has the name server be away or slow up to these times, or lose all names."""
        self.away_until_s = max(self.away_until_s, away_until_s)
        self.slow_until_s = max(self.slow_until_s, slow_until_s)
        self.upset_s = max(self.upset_s, away_until_s, slow_until_s)
        if lost:
            self.names.clear()

    def ask(
        self,
        asker: Process,
        question: Callable[[dict[str, str]], Any],
        resume: Resume,
        within_s: float = NamingSettings.answer_s,
    ) -> None:
        """Has ``resume`` called with the result of ``question(names)``, or with an UnavailableError after ``within_s`` seconds."""
        world = asker.world
        there_s = world.now + world.network.takes_s(world.rng_of_faults)
        if self.slow_until_s > world.now:
            there_s += world.rng_of_faults.uniform(0.0, SLOW_S)
        late: list[bool] = []

        def arrive() -> None:
            away = self.away_until_s > world.now or asker.mute_until_s > world.now or asker.deaf_until_s > world.now
            world.counts["name server away"] += away
            answer = UnavailableError("the name server does not answer") if away else question(self.names)
            asker.later(world.network.takes_s(world.rng_of_faults), answered, answer)

        def answered(answer: Any) -> None:
            if not late:
                too_late.cancel()
                resume(answer)

        def give_up() -> None:
            late.append(True)
            world.counts["name server too slow"] += 1
            resume(UnavailableError("the name server has not answered in time"))

        too_late = asker.later(within_s, give_up)
        asker.later(there_s - world.now, arrive)


class SimulatedNaming:
    """What a simulated process needs to hold a name (its contract: ``sparrow.names.NamingHost``)."""

    def __init__(self, nameserver: SimulatedNameServer, process: Process, settings: NamingSettings) -> None:
        self._nameserver, self._process, self._settings = nameserver, process, settings

    def _ask(self, question: Callable[[dict[str, str]], T]) -> Step[T]:
        return Step(lambda resume: self._nameserver.ask(self._process, question, resume, self._settings.answer_s))

    async def claim(self, name: str, uri: str, instead_of: str | None) -> str | None:
        """Binds a name to a uri if it is free, or bound to ``instead_of``. Returns what it was bound to before."""
        if not self._nameserver.atomic:
            return None
        counts = self._process.world.counts

        def bind(names: dict[str, str]) -> str:
            before = names.get(name, "")
            if before in ("", instead_of):
                counts["name: taken over" if before else "name: bound"] += 1
                names[name] = uri
            else:
                counts["name: somebody has it"] += before != uri
            return before

        return await self._ask(bind)

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

    async def greet(self, uri: str, within_s: float) -> Mapping[str, Any] | None:
        """Returns what the process at this address says of itself. One that is paused or cut off does not answer in time."""
        found = self._process.world.process_at(uri)
        await self.sleep(2 * self._process.world.network.delay_s)
        if found is None or (not found.up and not found.silent):
            return None
        if found.silent or max(found.hindered_until_s, found.mute_until_s) > self._process.world.now:
            self._process.world.counts["name: its holder is silent"] += 1
            await self.sleep(within_s)
            return None
        return found.who()

    def now(self) -> float:
        """Returns the virtual time in seconds."""
        return self._process.world.now

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""
        await Step[None](lambda resume: void(self._process.later(seconds, resume, None)))

    def note(self, level: str, text: str) -> None:
        """Counts the line, unless its level is debug."""
        self._process.world.counts[f"name: {text.partition(': ')[2].partition(',')[0]}"] += level != "debug"


def void(_value: object) -> None:
    """Returns nothing, whatever it is given."""


def names_with(prefix: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """Returns the question for all names that begin so."""
    return lambda names: {name: uri for name, uri in names.items() if name.startswith(prefix)}
