"""``Stranger``, a process that is none of the cluster, at a port to which a name in the name server still leads."""

from __future__ import annotations

from typing import Any

from src.simulation.world import Connection, Process, World


class Stranger(Process):
    """A process at a port that a process of the cluster had before. If ``mute``, it accepts connections and says nothing."""

    def __init__(self, world: World, uri: str, mute: bool) -> None:
        super().__init__(world, "stranger")
        self.uri, self.up, self.silent = uri, True, mute
        self.port = int(uri.rpartition(":")[2])
        world.at_port[self.port] = self

    def who(self) -> dict[str, Any]:
        """What it says of itself to whoever connects."""
        return {"name": "another program"}

    def greeting_arrives(self, connection: Connection, worker: str) -> None:
        """A worker takes it for a scheduler, and gets no answer."""
