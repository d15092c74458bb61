"""The settings of the simulated network, ``Network``, and of the faults of simulated processes, ``Faults``.

The network has TCP connections: packets of a connection arrive once and in order, though maybe late, until the connection breaks.
When it has broken, neither end knows which packets have arrived.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

RETRANSMIT_S = 0.2  # the time until a lost packet is sent again


@dataclass(frozen=True)
class Network:
    """How packets travel. Each is drawn independently, but packets of one connection keep their order. Shares are from 0 to 1."""

    delay_s: float = 0.0005  # the shortest time of one way
    jitter_s: float = 0.0  # the mean of an additional time, which is exponentially distributed
    loss: float = 0.0  # the share of packets that are lost and sent again
    straggling: float = 0.0  # the share of packets that take up to a second longer
    resets: float = 0.0  # the share of packets at which their connection breaks; half of these packets arrive
    bytes_per_s: float = float("inf")  # how fast a scheduler takes the jobs of one client: what is sent later waits behind them

    @property
    def constant(self) -> bool:
        """Whether every packet takes the same time."""
        return not (self.jitter_s or self.loss or self.straggling or self.resets or self.bytes_per_s < float("inf"))

    def takes_s(self, rng: random.Random) -> float:
        """Returns the time that one packet takes, in seconds."""
        if self.constant:
            return self.delay_s
        takes_s = self.delay_s + (rng.expovariate(1 / self.jitter_s) if self.jitter_s else 0.0)
        while rng.random() < self.loss:
            takes_s += RETRANSMIT_S
        return takes_s + (rng.random() if rng.random() < self.straggling else 0.0)


CRASH = "crash"  # the process dies and its connections are closed; it starts again as a new incarnation with an empty state
SILENT_CRASH = "silent crash"  # the machine is gone: connections are neither refused nor closed
PAUSE = "pause"  # the process stands still, then goes on, and receives the packets that were sent to it meanwhile
CUT = "cut"  # the process receives nothing and sends nothing
DEAF = "deaf"  # the process receives nothing
MUTE = "mute"  # the process sends nothing
LEAVE = "leave"  # the process is stopped by a signal
GARBLE = "garble"  # the answers of the process cannot be decoded
RACK_CRASH = "rack crash"  # all workers die within RACK_DIES_IN_S, and start again at the same time
RACK_CUT = "rack cut"  # all workers receive and send nothing for the same time, and go on running what they have
FORGERY = "forgery"  # somebody speaks for another process to this one, which itself has no fault
NAMES_AWAY = "names away"  # the name server cannot be reached; the process itself has no fault
NAMES_LOST = "names lost"  # the name server is restarted and has lost all names
NAMES_SLOW = "names slow"  # the name server takes seconds for each answer; the process itself has no fault
PORT_TAKEN = "port taken"  # the process dies, and its port belongs to something else when its name is looked at again
PORT_MUTE = "port mute"  # the same, and what is there accepts connections and says nothing

RACK_DIES_IN_S = 0.3  # from the first to the last worker that dies with its rack


@dataclass(frozen=True)
class Faults:
    """How often, for how long and which faults each worker and each scheduler has, until the last job has its report."""

    every_s: float = 5.0  # the mean time between two faults of one process
    lasting_s: float = 2.0  # the mean duration of a fault
    until_s: float = 20.0  # no fault begins after this time
    kinds: Sequence[str] = (
        *(CRASH, SILENT_CRASH, PAUSE, CUT, DEAF, MUTE, LEAVE, GARBLE, FORGERY, RACK_CRASH, RACK_CUT),
        *(NAMES_AWAY, NAMES_LOST, NAMES_SLOW, PORT_TAKEN, PORT_MUTE),
    )
