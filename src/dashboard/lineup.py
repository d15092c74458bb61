"""``Lineup``: which of the names that the name server lists are sampled, if there are too many. It is pure.

Anybody may register names that lead nowhere. Whoever has answered is kept; those that have been tried in vain give their places, a
few in each look, to names that have not been tried, the newest first, and then to those whose last try is the longest ago. Of those
that are equal in this the hosts take turns. So a name that leads somewhere is found, however many lead nowhere.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from src.sparrow.dialing import some_of

Name = tuple[str, str]  # a name and its uri: a name that is bound to another uri is a new one


class Lineup:
    """The names of one kind, of which at most ``most`` are sampled. ``turns`` of them give way in one look."""

    def __init__(self, most: int, turns: int, rng: random.Random) -> None:
        self._most, self._turns, self._rng = most, turns, rng
        self._look = 0
        self._seen: dict[Name, int] = {}  # listed names -> the look that has found them
        self._tried: dict[Name, int] = {}  # those that have given way -> the look in which they did
        self.left_out = 0  # names that the last look has found and that are not sampled

    def choose(
        self, listed: Mapping[str, str], sampled: Mapping[str, str], gone: Sequence[str], failed: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Takes a look, and returns the names that are to be sampled from now on, and those that are sampled no longer.

        ``listed`` and ``sampled`` are name -> uri. Of those that are sampled, ``gone`` are no longer listed, nor there, and
        ``failed`` have never answered.
        """
        self._look += 1
        self._seen = {name: self._seen.get(name, self._look) for name in listed.items()}
        self._tried = {name: look for name, look in self._tried.items() if name in self._seen}
        waiting = {name: uri for name, uri in listed.items() if name not in sampled}
        without_room = len(waiting) - (self._most - len(sampled))
        left = list(gone[: max(0, without_room)])
        left += failed[: min(self._turns, max(0, without_room - len(left)))]
        chosen = self._first(waiting, self._most - len(sampled) + len(left))
        self._tried.update({(name, sampled[name]): self._look for name in left})
        self.left_out = len(waiting) - len(chosen) + sum(name in listed for name in left)
        return chosen, left

    def _first(self, waiting: Mapping[str, str], most: int) -> list[str]:
        """Returns the first of these names."""
        equals: dict[tuple[int, int], dict[str, str]] = {}
        for name in waiting.items():
            equals.setdefault((self._tried.get(name, 0), -self._seen[name]), {})[name[0]] = name[1]
        first: list[str] = []
        for _, names in sorted(equals.items(), key=lambda item: item[0]):
            first += some_of(names, most - len(first), (), self._rng)
        return first
