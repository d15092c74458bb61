"""Which of the processes that the name server lists are connected next, and when. Anybody may register any number of names.

    seen ----> queued ----next----> dialing ----up----> up
                 ^                     |                 |
                 +------ waiting <-----+-----failed------+

Connections that are being made are bounded, so that names that lead nowhere neither use up the descriptors nor hide the others. A
name that is to be connected queues in one of four lanes, each with bounds of its own, in total and for each host, so that none
keeps another waiting: names whose process has greeted us; names whose process has answered before; names that are new, the newest
first, because what has just started is among them; names that have never answered. How many of the last two are begun a second
is bounded too.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Container, Iterable, Mapping
from heapq import heappop, heappush
from itertools import zip_longest

from src.sparrow.settings import DialingSettings

DIALING = "dialing"
UP = "up"
WAITING = "waiting"  # in a lane, or for the end of its backoff


class Rate:
    """At most ``per_s`` a second, and ``burst`` at once after a pause."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._left, self._at_s = burst, 0.0

    def allows(self, now: float) -> bool:
        """Returns whether one more is allowed now."""
        self._left, self._at_s = min(self._burst, self._left + (now - self._at_s) * self._per_s), now
        return self._left >= 1.0

    def take(self) -> None:
        """Counts one that ``allows`` has allowed."""
        self._left -= 1.0


def _host_of(uri: str) -> str:
    return uri.rpartition("@")[2].rpartition(":")[0]


class _Name:
    """What is known of one name."""

    __slots__ = ("name", "uri", "host", "state", "lane", "answered", "delay_s", "until_s", "refused_since_s")

    def __init__(self, name: str, uri: str, answered: bool) -> None:
        self.name, self.uri, self.answered = name, uri, answered
        self.host = _host_of(uri)
        self.state = WAITING
        self.lane: _Lane | None = None  # the one that it queues in, or has come from while it is being connected
        self.delay_s = self.until_s = 0.0  # of its backoff
        self.refused_since_s: float | None = None


class _Lane:
    """Names that can be connected, by host, and how many of this lane are being connected.

    If ``newest``, the name that came last is the next one; else the hosts take turns.
    """

    def __init__(self, settings: DialingSettings, newest: bool = False, per_s: float | None = None) -> None:
        self._settings, self._newest = settings, newest
        self._rate = None if per_s is None else Rate(per_s, 2 * per_s)
        self._hosts: OrderedDict[str, OrderedDict[str, _Name]] = OrderedDict()
        self._dialing: Counter[str] = Counter()  # host -> names that are being connected
        self._total = 0

    def __bool__(self) -> bool:
        return bool(self._hosts)

    def add(self, entry: _Name) -> None:
        """Adds a name."""
        if entry.host not in self._hosts:
            self._hosts[entry.host] = OrderedDict()
        elif self._newest:
            self._hosts.move_to_end(entry.host)
        self._hosts[entry.host][entry.name] = entry
        entry.lane = self

    def discard(self, entry: _Name) -> None:
        """Takes a name out."""
        names = self._hosts[entry.host]
        del names[entry.name]
        if not names:
            del self._hosts[entry.host]
        entry.lane = None

    def next(self, now: float) -> _Name | None:
        """Takes out the next name that can be connected now, counts it, and returns it; None if there is none."""
        if not self._hosts or self._total >= self._settings.at_once or (self._rate is not None and not self._rate.allows(now)):
            return None
        hosts: Iterable[str] = reversed(self._hosts) if self._newest else self._hosts
        host = next((host for host in hosts if self._dialing[host] < self._settings.per_host), None)
        if host is None:
            return None
        names = self._hosts[host]
        _, entry = names.popitem(last=self._newest)
        if not names:
            del self._hosts[host]
        elif not self._newest:
            self._hosts.move_to_end(host)  # the other hosts are first now
        if self._rate is not None:
            self._rate.take()
        self._dialing[host] += 1
        self._total += 1
        entry.lane = self
        return entry

    def ended(self, entry: _Name) -> None:
        """A name of this lane is no longer being connected."""
        self._total -= 1
        self._dialing[entry.host] -= 1
        if not self._dialing[entry.host]:
            del self._dialing[entry.host]
        entry.lane = None


def some_of(found: Mapping[str, str], most: int, known: Container[str], rng: random.Random) -> dict[str, str]:
    """Returns at most so many of these names (name -> uri), for one look: those that are known to answer, then hosts in turn."""
    if len(found) <= most:
        return dict(found)
    by_host: dict[str, list[str]] = {}
    for name in rng.sample(list(found), len(found)):
        by_host.setdefault(_host_of(found[name]), []).append(name)
    in_turn = [name for names in zip_longest(*by_host.values()) for name in names if name is not None]
    chosen = [*(name for name in in_turn if name in known), *(name for name in in_turn if name not in known)][:most]
    return {name: found[name] for name in chosen}


class Dialing:
    """The names of one kind of process that one process connects to."""

    def __init__(self, settings: DialingSettings) -> None:
        self._settings = settings
        self._names: dict[str, _Name] = {}
        self._greeted, self._answered = _Lane(settings), _Lane(settings)
        self._new = _Lane(settings, newest=True, per_s=settings.new_per_s)
        self._failing = _Lane(settings, per_s=settings.failing_per_s)
        self._lanes = (self._greeted, self._answered, self._new, self._failing)
        self._waiting: list[tuple[float, str]] = []  # a heap of (due, name); what is not true any more stays in it

    # Events

    def seen(self, found: Mapping[str, str], greeted: Container[str] = ()) -> None:
        """The name server lists these names (name -> uri), some of which belong to processes that have greeted us."""
        for name, uri in reversed(list(found.items())):  # of those that are seen together the first is the next
            entry = self._names.get(name)
            if entry is None or (entry.state == WAITING and entry.uri != uri):
                answered = entry is not None and entry.answered
                if entry is not None:
                    self._forget(entry)
                entry = self._names[name] = _Name(name, uri, answered)
                (self._answered if answered else self._new).add(entry)
            if entry.state == WAITING and name in greeted and entry.lane is not self._greeted:
                if entry.lane is not None:
                    entry.lane.discard(entry)
                self._greeted.add(entry)
        for gone in [entry for name, entry in self._names.items() if name not in found and entry.state == WAITING]:
            self._forget(gone)

    def up(self, name: str) -> None:
        """The process is connected, or connected again."""
        entry = self._names[name]
        self._end(entry)
        entry.state, entry.answered = UP, True
        entry.delay_s, entry.refused_since_s = 0.0, None

    def failed(self, name: str, now: float, refused: bool) -> bool:
        """The process could not be connected, or is lost; ``refused`` says that nobody listens at its port.

        It is due again after a pause that doubles each time. Returns whether the name should be removed from the name server,
        because its port has refused all connections for long.
        """
        entry, settings = self._names[name], self._settings
        self._end(entry)
        entry.state = WAITING
        entry.delay_s = min(settings.backoff_most_s, 2 * entry.delay_s) if entry.delay_s else settings.backoff_s
        entry.until_s = now + entry.delay_s
        heappush(self._waiting, (entry.until_s, name))
        entry.refused_since_s = (now if entry.refused_since_s is None else entry.refused_since_s) if refused else None
        return entry.refused_since_s is not None and now - entry.refused_since_s >= settings.refused_for_s

    def next(self, now: float) -> tuple[str, str] | None:
        """Returns the next name to be connected now, and its uri; None if there is none. It then counts as being connected."""
        while self._waiting and self._waiting[0][0] <= now:
            until_s, name = heappop(self._waiting)
            waiting = self._names.get(name)
            if waiting is not None and waiting.state == WAITING and waiting.lane is None and waiting.until_s == until_s:
                (self._answered if waiting.answered else self._failing).add(waiting)
        for lane in self._lanes:
            entry = lane.next(now)
            if entry is not None:
                entry.state = DIALING
                return entry.name, entry.uri
        return None

    # Questions

    @property
    def has_queued(self) -> bool:
        """Whether there are names that can be connected as soon as their lane allows it."""
        return any(self._lanes)

    def is_queued(self, name: str) -> bool:
        """Returns whether this name is one of them."""
        entry = self._names.get(name)
        return entry is not None and entry.state == WAITING and entry.lane is not None

    def has_failed_before(self, name: str) -> bool:
        """Returns whether it has failed more than once in a row."""
        return self._names[name].delay_s > self._settings.backoff_s

    def _end(self, entry: _Name) -> None:
        if entry.state == DIALING and entry.lane is not None:
            entry.lane.ended(entry)

    def _forget(self, entry: _Name) -> None:
        if entry.lane is not None:
            entry.lane.discard(entry)
        del self._names[entry.name]
