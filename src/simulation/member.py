"""What a simulated scheduler and a simulated worker have in common: they drive nodes with links in virtual time.

A member is the host of its node (``sparrow.link.Host``). It makes no decisions: it carries calls to the peer and the answers back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from heapq import heappush
from typing import Any

from src.simulation.cluster import Cluster
from src.simulation.nameserver import SimulatedNaming, run
from src.simulation.world import ANY_LIFE, Connection, Process
from src.sparrow import messages as m
from src.sparrow.errors import UnavailableError
from src.sparrow.link import Link
from src.sparrow.messages import Address
from src.sparrow.names import CLAIMING, HeldName, claim_first
from src.sparrow.settings import NamingSettings

CALM_S = 10.0  # after the last fault, until nothing is under way any more that may take a name from its holder
REFUSALS = (LookupError, TypeError, ValueError)  # what a remote method raises, beside BlockingIOError, to refuse a call

# The outcomes of a call, each the name of the method of the link that is called then.
ANSWERED, NO_ROOM, REFUSED, UNREADABLE = "answered", "no_room", "refused", "unreadable"


class Member(Process, ABC):
    """A process with a node that has links: a scheduler or a worker."""

    __slots__ = ("_candidates", "_naming", "held", "_named_s", "address", "caller_address", "node")

    world: Cluster
    node: Any

    def __init__(self, world: Cluster, name: str, candidates: list[str], naming: NamingSettings) -> None:
        super().__init__(world, name)
        self._candidates, self._naming = candidates, naming
        self.held: HeldName | None = None
        self._named_s = 0.0  # when it got its name
        self.address = Address("", "")  # the name of its remote object, and its incarnation
        self.caller_address = self.address  # its address in the calls that it makes

    @property
    def full_name(self) -> str:
        """The name in the name server that the process holds, or tries to claim."""
        return self.held.name if self.held else self._candidates[0]

    def who(self) -> dict[str, Any]:
        """What it says of itself to whoever connects."""
        said: dict[str, Any] = {"name": self.full_name, "incarnation": self.address.incarnation, "uri": self.uri}
        if self.held is not None and not self.held.certain:
            said[CLAIMING] = True
        return said

    # The life of a process

    def start(self) -> None:
        """Begins a life: claims a name, or takes it without asking in a faultless simulation, and then serves under it."""
        super().start()
        self.touched = {}
        if self.world.faultless:
            naming = SimulatedNaming(self.world.nameserver, self, self._naming)
            self.held = self.world.held_class(naming, self._candidates[0], self.uri, self.world.rng_of_faults, self._naming)
            self.held.certain = True
            self.world.nameserver.names[self.full_name] = self.uri
            self._become(self.held)
            self.serve()
        else:
            run(self._live(self.life), self._life_ended)

    async def _live(self, life: int) -> None:
        naming = SimulatedNaming(self.world.nameserver, self, self._naming)
        self.held = await claim_first(self._names_to_try(naming), self._naming, naming)
        self._named_s = self.world.now
        self.serve()
        await self.held.hold()

    def _names_to_try(self, naming: SimulatedNaming) -> Iterator[HeldName]:
        for name in self._candidates:
            self._become(self.world.held_class(naming, name, self.uri, self.world.rng_of_faults, self._naming))
            assert self.held is not None
            yield self.held
            self._leave_name()

    def _become(self, held: HeldName) -> None:
        """Has the process answer under that name from now on."""
        self.held = held
        self.address = self.caller_address = Address(held.name, self.incarnation)
        self.make_node()

    def _leave_name(self) -> None:
        """Another process has the name: whoever has connected to it under this name is told so by the end of the connection."""
        self.node.close()
        for connection in [one for one in self.connections if one.callee is self]:
            del self.connections[connection]
            connection.end_died(self, 0.0)

    def _life_ended(self, result: object) -> None:
        """Another process has the name: this one ends, as a live one does, and is started again after a second."""
        assert isinstance(result, UnavailableError), repr(result)
        self.world.counts["name taken for good"] += 1
        if self.world.witness and self.held is not None:
            others = (one for one in self.world.at_port.values() if isinstance(one, Member) and one is not self)
            if not any(one.up and one.held is not None and one.held.name == self.held.name for one in others):
                self.world.witness.violations.append(f"{self.name} ends, and nobody else has its name {self.held.name}")
            calm_s = max(self.upset_s, self.world.nameserver.upset_s)
            if self.held.certain and self._named_s > calm_s + CALM_S:
                self.world.witness.violations.append(f"{self.name} had {self.held.name}, and another process got it")
        self.world.crash(self, self.world.now + 1.0, silent=False)

    def end_when_released(self, over_s: float) -> None:
        """Gives the name back and ends then, or when a live process would wait no longer. It starts again at ``over_s``."""
        life = self.life

        def end(result: object = None) -> None:
            if self.life == life:
                self.world.crash(self, over_s, silent=False)

        self.later(self._naming.retry_s, end)
        if self.held is not None:
            run(self.held.release(), end)

    @abstractmethod
    def leave(self, over_s: float) -> None:
        """Begins to stop the process as SIGTERM does. It starts again at ``over_s``."""

    @abstractmethod
    def make_node(self) -> None:
        """Makes the node of this life, which may be called from then on."""

    @abstractmethod
    def serve(self) -> None:
        """Begins the work of the process, which has its name now."""

    # Requests of the node

    def now(self) -> float:
        """Returns the virtual time in seconds."""
        return self.world.now

    def note(self, level: str, text: str) -> None:
        """Drops the line: a simulation has no log."""

    def flush_soon(self, link: Link) -> None:
        """Has the link flushed after the present event."""
        connection = link.connection
        acknowledged = connection.acknowledged
        if acknowledged is not None:  # messages wait for the end of the call
            connection.acknowledged = None
            if acknowledged > (self.world.now, self.world.turn):
                answer: tuple[Any, ...] = link, connection, connection.call, ANSWERED, []
                heappush(self.world.events, (*acknowledged, self, ANY_LIFE, self._answer_arrives, answer))
            else:
                connection.call = 0
                link.answered([])
        self.touched[link] = None

    def settle(self) -> None:
        """Flushes the links that have messages to send, because the present event is over."""
        while self.touched:
            touched, self.touched = self.touched, {}
            for link in touched:
                link.flush()

    def connect(self, link: Link) -> None:
        """Begins a connection to the peer of this link, and reports the result to the link."""
        uri = link.uri or self.world.nameserver.names.get(link.name)
        if uri is None:
            self.later(self.world.network.delay_s, link.not_yet, "its name is not in the name server")
            return
        attempt = link.connection = object()

        def connected(connection: Connection) -> None:
            link.connection = connection
            self.world.met(self, connection.callee)
            self.world.counts["connected" if link.incarnation is None else "connected again"] += 1
            link.connected(connection.callee.who())

        self.world.connect(
            self,
            uri,
            lambda: link.connection is attempt,
            connected,
            lambda reason: link.unreachable(reason, nobody_there=True),
            lambda: self._disconnected(link),
        )

    def _disconnected(self, link: Link) -> None:
        self._forget_call(link.connection)
        link.connection = None
        link.disconnected()

    def hang_up(self, link: Link) -> None:
        """Ends the connection of this link, or the attempt to make one."""
        connection, link.connection = link.connection, None
        if isinstance(connection, Connection):
            self._forget_call(connection)
            self.world.met(self, connection.callee)
            connection.close()

    def _forget_call(self, connection: Connection) -> None:
        connection.call = 0
        if connection.deadline is not None:
            connection.deadline.cancel()
            connection.deadline = None

    def call(self, link: Link, batch: list[m.Message]) -> None:
        """Begins the call that carries this batch, and reports the answer to the link."""
        connection: Connection = link.connection
        connection.calls += 1
        call = connection.call = connection.calls
        world = self.world
        if world.witness:
            world.witness.heard(self.address, Address(link.name, str(link.incarnation)), batch, self.now())
        callee: Any = connection.callee
        if world.faultless:
            packet = self, link, connection, call, self.caller_address, batch
            arrives_s = world.now + world.network.delay_s
            world.packets.append((arrives_s, next(world.serial), callee, ANY_LIFE, callee.call_arrives, packet))
        else:
            connection.transmit(self, callee.call_arrives, self, link, connection, call, self.caller_address, batch)
            connection.deadline = self.later(link.settings.lost_after_s, self._silent, link)

    def _silent(self, link: Link) -> None:
        self.world.counts["peer silent"] += 1
        link.silent("it has not answered in time")

    # Packets from peers

    def call_arrives(
        self, caller: Member, link: Link, connection: Connection, call: int, address: Address, batch: list[m.Message]
    ) -> None:
        """A call has arrived. Its answer is sent back."""
        outcome, answers = ANSWERED, []  # type: str, Any
        try:
            answers = self.answer(connection, address, batch)
        except BlockingIOError as error:
            outcome, answers = NO_ROOM, str(error)
        except REFUSALS as error:
            outcome, answers = REFUSED, str(error)
        if self.touched:
            self.settle()
        world = self.world
        if world.witness and answers and outcome is ANSWERED:
            world.witness.heard(self.address, address, answers, world.now)
        if self.garbled_until_s > world.now:
            outcome, answers = UNREADABLE, "garbled"
        if outcome is not ANSWERED:
            world.counts[f"batch {outcome}"] += 1
        if world.faultless and not answers and not link.waiting:
            connection.acknowledged = (world.now + world.network.delay_s, next(world.serial))  # see flush_soon
            return
        connection.transmit(self, caller._answer_arrives, link, connection, call, outcome, answers)

    @abstractmethod
    def answer(self, connection: Connection, address: Address, batch: list[m.Message]) -> list[m.Message]:
        """Returns the node's answers to this batch. Raises what the remote method raises."""

    def _answer_arrives(self, link: Link, connection: Connection, call: int, outcome: str, answers: Any) -> None:
        if connection is not link.connection or connection.call != call:
            return  # the call was given up before
        self._forget_call(connection)
        if outcome is ANSWERED:
            link.answered(answers)
        else:
            getattr(link, outcome)(answers)
