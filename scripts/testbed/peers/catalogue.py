"""The systems that the benchmark can measure, and what each needs. Nothing of a peer is imported here."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from scripts.testbed.peers.peer import Peer

OURS = "sparrow"


class Entry(NamedTuple):
    """One system: where its ``Peer`` is, what pip installs for it, and how many slots it is asked for at most."""

    module: str
    kind: str  # the class in that module
    label: str
    requirement: str = ""  # for pip; "" if Python has it
    most_slots: int = 100  # of all workers together; above that its processes take more memory than a small machine has
    most_workers: int = 100

    @property
    def package(self) -> str:
        """The name of what pip installs."""
        return self.requirement.partition("==")[0]

    def make(self) -> Peer:
        """Returns a new one, which is not started. What it needs must be installed in this interpreter."""
        made = getattr(import_module(f"scripts.testbed.peers.{self.module}"), self.kind)()
        assert isinstance(made, Peer)
        return made


CATALOGUE = {
    OURS: Entry("on_sparrow", "Sparrow", "Sparrow", most_slots=10_000, most_workers=1_000),
    "dask": Entry("on_dask", "Dask", "Dask", "distributed==2026.8.0"),
    "ray": Entry("on_ray", "Ray", "Ray", "ray==2.60.0"),
    "hyperqueue": Entry("on_hyperqueue", "HyperQueue", "HyperQueue", "hyperqueue==0.27.0"),
    "ipyparallel": Entry("on_ipyparallel", "IPyParallel", "ipyparallel", "ipyparallel==9.2.0"),
    "processpool": Entry("on_processpool", "ProcessPool", "ProcessPoolExecutor"),
}
PEERS = tuple(name for name in CATALOGUE if name != OURS)
