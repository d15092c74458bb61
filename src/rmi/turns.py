"""The order in which the connections of one daemon are served: each in its turn, and those that cost much after the others.

A method of a remote object runs in the event loop, so while it runs nobody else is served. A connection may send thousands of
questions at once, and a thousand connections one each. So time is given in turns:

- After ``turn_s`` seconds of work, whoever has more to ask, or asks now, waits until the event loop has gone round: timers and
  connections in the other direction come in between. Each time it goes round, one turn is given to those who wait.
- The time that a connection takes is its debt, which decays with time. In each turn those who owe next to nothing are served first,
  as they came, and then those who owe, at least one of them. Of these each waits as much longer as it owes, so none waits for ever:
  a connection that took half a second lately comes half a second later than one that took nothing. If nobody else waits, nobody is
  slowed down.
- One question may take longer than a turn, and while it is answered everybody waits. After such a one, if more than one connection
  asks, all who owe rest for a multiple of that time, so that they take a bounded part of it, however many they are.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from src.rmi.settings import TurnSettings


class Account:
    """What one connection has cost lately. ``waits`` tells whether it waits for a turn."""

    __slots__ = ("waits", "_debt_s", "_decay", "_most_s", "_since_s")

    def __init__(self, settings: TurnSettings, now: float) -> None:
        self.waits = False
        self._decay, self._most_s = settings.decay, settings.most_debt_s
        self._debt_s = settings.newcomer_debt_s
        self._since_s = now

    def debt_s(self, now: float) -> float:
        """Returns what is left of its debt."""
        left_s = self._debt_s - (now - self._since_s) * self._decay
        return max(left_s, 0.0)

    def charge(self, began: float, now: float) -> None:
        """Adds the time of a turn. This is done for each message, so it is written to be fast."""
        left_s = self._debt_s - (began - self._since_s) * self._decay
        debt_s = left_s + now - began if left_s > 0 else now - began
        self._debt_s = debt_s if debt_s < self._most_s else self._most_s
        self._since_s = now


class Guest(Protocol):
    """Who is served in turns."""

    account: Account

    def take_turn(self, until: float) -> bool:
        """Has its questions answered until that time, at least one. Returns whether there may be more of them."""


class Turns:
    """The turns of one event loop."""

    def __init__(
        self,
        settings: TurnSettings,
        clock: Callable[[], float] = time.monotonic,
        busy_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self._settings, self._turn_s = settings, settings.turn_s
        self._clock, self._busy_s = clock, busy_s
        self._modest: deque[Guest] = deque()
        self._debtors: list[tuple[float, int, Guest]] = []  # a heap: when each is due, and a number that no other has
        self._number = 0
        self._scheduled = False  # whether the next turn is given when the event loop has gone round
        self._resting = False  # whether a timer ends the rest of those who owe
        self._rest_until = float("-inf")
        self._last: Guest | None = None  # who was served last
        self._others_ask = False  # whether more than one was served since the last rest
        self._spent_s = 0.0  # since those who wait had their last turn

    def account(self) -> Account:
        """Returns the account of a newcomer."""
        return Account(self._settings, self._clock())

    def asks(self, guest: Guest) -> None:
        """Serves a guest that does not wait yet and may have something to ask: now, or when it is its turn."""
        now = self._clock()
        if self._scheduled or self._spent_s >= self._turn_s or now < self._rest_until and self._owes(guest, now):
            self._wait(guest, now)
        else:
            self._serve(guest, now, now + self._turn_s)

    def later(self, guest: Guest) -> None:
        """Serves a guest that does not wait yet when it is its turn: not now, while somebody else is being served."""
        self._wait(guest, self._clock())

    def _owes(self, guest: Guest, now: float) -> bool:
        return guest.account.debt_s(now) > self._settings.modest_debt_s

    def _serve(self, guest: Guest, began: float, until: float) -> float:
        """Gives a guest a turn that begins now. Returns the time when it has ended."""
        guest.account.waits = False
        more = guest.take_turn(until)
        ended = self._clock()
        guest.account.charge(began, ended)
        self._spent_s += ended - began
        if guest is not self._last:
            self._others_ask = self._last is not None
            self._last = guest
        if more:
            self._wait(guest, ended)
        return ended

    def _serve_debtor(self, began: float, until: float) -> float:
        """Gives a turn to the one of those who owe whose turn it is. Returns the time when it has ended.

        Whether it is slow is told from the time of the processor: other processes may have taken the rest.
        """
        busy_s = self._busy_s()
        ended = self._serve(heapq.heappop(self._debtors)[2], began, until)
        took_s = self._busy_s() - busy_s
        if took_s > self._settings.slow_s and self._others_ask:
            self._rest_until = ended + min(self._settings.rest * took_s, self._settings.most_rest_s)
            self._others_ask = False
        return ended

    def _wait(self, guest: Guest, now: float) -> None:
        guest.account.waits = True
        if self._owes(guest, now):
            self._number += 1
            heapq.heappush(self._debtors, (now + guest.account.debt_s(now), self._number, guest))
        else:
            self._modest.append(guest)
        self._schedule(now)

    def _schedule(self, now: float) -> None:
        """Has the next turn given when the event loop has gone round, or when those who owe have rested."""
        loop = asyncio.get_running_loop()
        if self._scheduled:
            return
        if self._modest or self._debtors and now >= self._rest_until:
            self._scheduled = True
            loop.call_soon(self._go_round)
        elif self._debtors and not self._resting:
            self._resting = True
            loop.call_later(self._rest_until - now, self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._schedule(self._clock())

    def _go_round(self) -> None:
        """Gives one turn to those who wait."""
        self._spent_s = 0.0
        now = self._clock()
        until = now + self._turn_s
        while self._modest and now < until:
            now = self._serve(self._modest.popleft(), now, until)
        first = True
        while self._debtors and now >= self._rest_until and (first or now < until):
            now = self._serve_debtor(now, until)
            first = False
        self._scheduled = False
        self._schedule(now)
