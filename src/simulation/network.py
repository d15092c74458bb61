"""What can go wrong in a simulated cluster: how its network treats messages, and what befalls its machines."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """Each message by itself: messages overtake each other as soon as delays differ. Shares are from 0 to 1."""

    delay_s: float = 0.0005  # one way, at least
    jitter_s: float = 0.0  # on top, drawn from an exponential distribution of that mean
    loss: float = 0.0  # share of messages that never arrive
    duplication: float = 0.0  # share that arrive twice
    straggling: float = 0.0  # share that take up to a second longer, which is longer than a call waits

    @property
    def reliable(self) -> bool:
        return not (self.loss or self.straggling)

    def delays(self, rng: random.Random) -> Sequence[float]:
        """When one message arrives, in seconds from now: never, once or twice."""
        if self.reliable and not self.duplication:
            return (self._delay(rng),)
        if rng.random() < self.loss:
            return ()
        copies = 2 if rng.random() < self.duplication else 1
        return [self._delay(rng) + (rng.random() if rng.random() < self.straggling else 0.0) for _ in range(copies)]

    def _delay(self, rng: random.Random) -> float:
        return self.delay_s + rng.expovariate(1 / self.jitter_s) if self.jitter_s else self.delay_s


CRASH = "crash"  # the process dies, its connections are closed; it comes back as a new incarnation with an empty book
SILENT_CRASH = "silent crash"  # the machine is gone: nothing is refused and nothing is closed, only silence
PAUSE = "pause"  # the process stands still, then goes on where it was, and what was sent to it meanwhile arrives
CUT = "cut"  # nothing comes in and nothing goes out
DEAF = "deaf"  # nothing comes in
MUTE = "mute"  # nothing goes out
LEAVE = "leave"  # a worker is stopped in good order; a scheduler crashes instead


@dataclass(frozen=True)
class Faults:
    """What befalls each worker and each scheduler, until the last job was reported."""

    every_s: float = 5.0  # mean time between two faults of one node
    lasting_s: float = 2.0  # mean time until it is over
    until_s: float = 20.0  # none begins after that
    kinds: Sequence[str] = (CRASH, SILENT_CRASH, PAUSE, CUT, DEAF, MUTE, LEAVE)
