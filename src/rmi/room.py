"""Who gives way when a daemon has no room for another connection: the rules, without a connection.

A daemon holds a bounded number of connections. When all places are taken and somebody comes, one of these is closed for him, the
first that there is:

1. one whose handshake is not complete, of the address that has most of those, the oldest;
2. one that has completed it and never called since, of the address that has most of those, the oldest;
3. one with nothing outstanding (a reply that is due, a message that has begun, bytes that are not read), of the address that has
      most connections, and there the one whose last call is longest ago; if that address has none, of the next;
4. of the address that has most, if that are more than the newcomer's would have: whose last call is longest ago.

Otherwise the newcomer is turned away. So silent connections lock nobody out, greeted or not; an address has as many connections as
it likes while there is room, and gives way first when there is none. All loopback addresses count as one, and so do all addresses
of one IPv6 network (/64), because whoever has one of them has the others.

A name has a bounded number of connections: with one more, its oldest that never called, or else its oldest with nothing
outstanding, is closed. Only peers that say where they can be reached count, because others share a name (dashboards).
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from src.rmi.security import LOOPBACK_6

_IPV4_IN_IPV6 = bytes(10) + b"\xff\xff"  # before the IPv4 address of a peer, on a socket that takes both
_NETWORK_BYTES = 8  # of an IPv6 address name its network; an IPv4 address has four in all

M = TypeVar("M")  # what takes a place: a connection


class Queues(Generic[M]):
    """Members by address; those of each address in order. The address with most is found without looking at all of them."""

    def __init__(self) -> None:
        self._queues: dict[bytes, OrderedDict[M, None]] = {}
        self._by_size: dict[int, OrderedDict[bytes, None]] = {}  # how many members -> the addresses that have so many
        self._largest = 0

    def add(self, address: bytes, member: M) -> OrderedDict[M, None]:
        """Adds a member as the newest of its address. Returns the queue that it is in now."""
        queue = self._queues.setdefault(address, OrderedDict())
        queue[member] = None
        self._resized(address, len(queue) - 1, len(queue))
        return queue

    def remove(self, address: bytes, member: M) -> None:
        """Removes a member."""
        queue = self._queues[address]
        del queue[member]
        self._resized(address, len(queue) + 1, len(queue))
        if not queue:
            del self._queues[address]

    def of(self, address: bytes) -> OrderedDict[M, None]:
        """Returns the members of an address that has some, the oldest first. They may be moved, but not added or removed."""
        return self._queues[address]

    def count(self, address: bytes) -> int:
        """Returns how many members an address has."""
        return len(self._queues.get(address, ()))

    def addresses(self) -> Iterator[bytes]:
        """Yields the addresses, those with most members first."""
        for size in range(self._largest, 0, -1):
            yield from self._by_size.get(size, ())

    def _resized(self, address: bytes, before: int, after: int) -> None:
        if before:
            same = self._by_size[before]
            del same[address]
            if not same:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, OrderedDict())[address] = None
        self._largest = max(self._largest, after)
        while self._largest and self._largest not in self._by_size:
            self._largest -= 1


class Place(Generic[M]):
    """The place of one member: its address, its name if it has one, and the queues that it waits in."""

    __slots__ = ("address", "name", "queue", "queues")

    def __init__(self, member: M, address: bytes, queues: Queues[M]) -> None:
        self.address = address
        self.name: str | None = None
        self.queues = queues
        self.queue = queues.add(address, member)


class Room(Generic[M]):
    """The places of one daemon. It decides who gives way; the daemon closes that connection, and reports each that has closed."""

    def __init__(self, max_members: int, max_of_a_name: int, look_again_s: float, is_busy: Callable[[M], bool]) -> None:
        """``is_busy`` tells whether a member has something outstanding.

        If all have, nobody looks again for ``look_again_s`` seconds, because looking at all takes milliseconds.
        """
        self._max_members, self._max_of_a_name, self._look_again_s = max_members, max_of_a_name, look_again_s
        self._is_busy = is_busy
        self._places: dict[M, Place[M]] = {}
        self._greeting: Queues[M] = Queues()  # their handshake is not complete
        self._silent: Queues[M] = Queues()  # they have completed it, and not called since
        self._useful: Queues[M] = Queues()  # they have called; the oldest is the one whose last call is longest ago
        self._names: dict[str, dict[M, None]] = {}  # name -> its members, the oldest first
        self._all_busy_until_s = float("-inf")

    def __len__(self) -> int:
        return len(self._places)

    def enter(self, member: M, ip: str, now_s: float) -> M | None:
        """Takes a place for a new connection from this IP address.

        Returns the member that has to leave for it, if one has to. If nobody gives way, it is the new one, which has no place then.
        """
        address = share_of(ip)
        leaving = None
        if len(self._places) >= self._max_members:
            leaving = self._least_useful(now_s) or self._of_a_larger_share(address)
            if leaving is None:
                return member
        self._places[member] = Place(member, address, self._greeting)
        return leaving

    def known(self, member: M, name: str | None) -> M | None:
        """Notes that a member has completed its handshake. Returns who has to leave for it, maybe itself; None if nobody has to.

        ``name`` is the name of the peer, if only one process can have it.
        """
        place = self._places[member]
        self._move(member, place, self._silent)
        if name is None:
            return None
        same = self._names.setdefault(name, {})
        leaving = self._of_a_name(same, member) if len(same) >= self._max_of_a_name else None
        if leaving is not member:
            place.name = name
            same[member] = None
        return leaving

    def called(self, member: M) -> None:
        """Notes that a member has made a call."""
        place = self._places.get(member)
        if place is not None:
            if place.queues is not self._useful:
                self._move(member, place, self._useful)
            place.queue.move_to_end(member)

    def left(self, member: M) -> None:
        """Forgets a member. Has no effect if it has no place."""
        place = self._places.pop(member, None)
        if place is None:
            return
        place.queues.remove(place.address, member)
        if place.name is not None:
            same = self._names[place.name]
            del same[member]
            if not same:
                del self._names[place.name]

    def _move(self, member: M, place: Place[M], to: Queues[M]) -> None:
        place.queues.remove(place.address, member)
        place.queues, place.queue = to, to.add(place.address, member)

    def _least_useful(self, now_s: float) -> M | None:
        for queues in (self._greeting, self._silent):
            for address in queues.addresses():
                return next(iter(queues.of(address)))
        if now_s < self._all_busy_until_s:
            return None
        for address in list(self._useful.addresses()):
            queue = self._useful.of(address)
            for _ in range(len(queue)):
                oldest = next(iter(queue))
                if not self._is_busy(oldest):
                    return oldest
                queue.move_to_end(oldest)  # so that the next newcomer does not look at it again first
        self._all_busy_until_s = now_s + self._look_again_s
        return None

    def _of_a_larger_share(self, address: bytes) -> M | None:
        largest = next(self._useful.addresses(), None)
        if largest is None or self._useful.count(largest) <= self._useful.count(address) + 1:
            return None
        return next(iter(self._useful.of(largest)))

    def _of_a_name(self, same: dict[M, None], newest: M) -> M:
        silent = (one for one in same if self._places[one].queues is self._silent)
        idle = (one for one in same if not self._is_busy(one))
        return next(silent, None) or next(idle, newest)


def share_of(ip: str) -> bytes:
    """Returns the address that an IP address counts as: all of this machine are one, and all of one IPv6 network."""
    text = ip.partition("%")[0]
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except OSError:  # a transport without an IP address
        return ip.encode()
    if packed.startswith(_IPV4_IN_IPV6) and len(packed) == 16:
        packed = packed[len(_IPV4_IN_IPV6) :]
    if packed == LOOPBACK_6 or len(packed) == 4 and packed[0] == 127:
        return LOOPBACK_6
    return packed[:_NETWORK_BYTES]
