"""``Room``: which connections of a web server stay when there are too many. It is pure.

Room for a new connection is made from whoever has been of least use, and of these from the address that has the most connections.
So one address cannot keep others out: its share is what the others leave, and they can always have as much as it has. What
counts as one address is said in ``rmi.room``.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from src.rmi.room import share_of

FRESH = 0  # it has sent no whole request
IDLE = 1  # its last response has been read
READING = 2  # it has not read its response yet
BUSY = 3  # its response is being made
STATES = (FRESH, IDLE, READING, BUSY)  # in the order in which room is made from them

C = TypeVar("C")


class Room(Generic[C]):
    """The connections of a server, at most ``most``, by address and state; those that came to a state first are first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._states: list[dict[bytes, OrderedDict[C, None]]] = [{} for _ in STATES]
        self._where: dict[C, tuple[bytes, int]] = {}  # connection -> its address and state
        self._counts: Counter[bytes] = Counter()  # address -> connections

    def __len__(self) -> int:
        return len(self._where)

    def __iter__(self) -> Iterator[C]:
        return iter(list(self._where))

    def enter(self, connection: C, host: str) -> C | None:
        """Takes a new connection from that host. Returns the one that has to go, or None; it may be the new one."""
        address = share_of(host)
        leaving = None
        if len(self._where) >= self._most:
            leaving = self._least_useful(address)
            if leaving is None:
                return connection
            self.leave(leaving)
        self._where[connection] = address, FRESH
        self._counts[address] += 1
        self._states[FRESH].setdefault(address, OrderedDict())[connection] = None
        return leaving

    def move(self, connection: C, state: int) -> None:
        """Notes the new state of a connection."""
        if connection in self._where:
            address, former = self._where[connection]
            if former != state:
                self._drop(connection, address, former)
                self._where[connection] = address, state
                self._states[state].setdefault(address, OrderedDict())[connection] = None

    def leave(self, connection: C) -> None:
        """Lets go of a connection, if it is there."""
        found = self._where.pop(connection, None)
        if found is not None:
            self._drop(connection, *found)
            self._counts[found[0]] -= 1
            if not self._counts[found[0]]:
                del self._counts[found[0]]

    def _least_useful(self, newcomer: bytes) -> C | None:
        """Returns the connection to end for one more from ``newcomer``; None if there is none.

        One whose response is being made ends only for an address that has fewer connections.
        """
        for state in STATES:
            addresses = self._states[state]
            if addresses:
                largest = max(addresses, key=self._counts.__getitem__)
                fewer = self._counts[newcomer] < self._counts[largest]
                if fewer or (newcomer in addresses and state != BUSY) or state == FRESH:
                    return next(iter(addresses[largest if fewer or state == FRESH else newcomer]))
        return None

    def _drop(self, connection: C, address: bytes, state: int) -> None:
        there = self._states[state][address]
        del there[connection]
        if not there:
            del self._states[state][address]
