"""Measures one checkout, or two in turn, each time in a child process of its own (``measure.py``), and compares the figures."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from scripts.testbed.local_cluster import ROOT, StartError, end_with_parent
from src.cli import terminal
from src.experiments.workload import Arrival

PACKAGES = ("Pyro4", "serpent", "uvloop")  # whose versions matter; the last one need not be there


class MeasurementError(StartError):
    """A child process did not end as it should; the text has the end of what it said."""


class Request(TypedDict):
    """What a child process is to measure. Kind ``methods`` asks for the names of the methods instead; it needs no other field."""

    kind: str  # "methods", "simulation", "live" or "idle"
    method: str  # empty where none is meant


class SimulationRequest(Request):
    """Simulate these jobs once."""

    workers: int
    slots: int  # of each worker
    seed: int
    arrivals: list[Arrival]


class IdleRequest(Request):
    """Start a cluster of workers with one slot each and watch it idle."""

    workers: int
    idle_s: float


class LoadRequest(TypedDict):
    """Jobs for a running cluster, submitted when they are due."""

    task_s: float
    arrivals: list[Arrival]


class LiveRequest(Request):
    """Start a cluster of workers with one slot each and run jobs by the method."""

    workers: int
    loads: list[LoadRequest]
    makespan: bool


class Row(NamedTuple):
    """Identifies one figure."""

    name: str
    method: str
    unit: str


class Side:
    """One of the checkouts that are compared, with all figures measured so far: one value a round."""

    def __init__(self, name: str, root: Path) -> None:
        """``name`` is the heading of its column."""
        self.name = name
        self.root = root
        self.figures: dict[Row, list[float]] = {}
        self.digests: dict[str, set[str]] = {}  # method -> digests of the reports of its simulated runs
        self.methods: list[str] = self._ask(Request(kind="methods", method=""), lambda text: None)["methods"]

    def measure(self, request: Request, show: Callable[[str], None]) -> None:
        """Take one measurement and keep its figures. Raises MeasurementError."""
        answer = self._ask(request, show)
        for name, method, unit, value in answer["figures"]:
            self.figures.setdefault(Row(name, method, unit), []).append(value)
        if "digest" in answer:
            self.digests.setdefault(request["method"], set()).add(answer["digest"])

    def _ask(self, request: Request, show: Callable[[str], None]) -> dict[str, Any]:
        """Both sides run in our Python, with our packages: what differs is the code."""
        command = [sys.executable, str(Path(__file__).with_name("measure.py")), str(self.root)]
        with subprocess.Popen(
            command, cwd=self.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            json.dump(request, child.stdin)
            child.stdin.close()
            answer: dict[str, Any] = {}
            for line in child.stdout:
                answer = json.loads(line)
                if "progress" in answer:
                    show(answer["progress"])
        if child.returncode != 0:
            raise MeasurementError(f"a measurement of {self.root} ended with status {child.returncode}")
        return answer


def commit_of(root: Path) -> str:
    """Returns the commit of a checkout, with a + if files differ from it; empty if it is none of git's."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=10", "--exclude=*"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip()


def in_turn(sides: Sequence[Side], requests: Sequence[Request], rounds: int) -> None:
    """Take every measurement once a round on every side that has its method. Who is first changes from round to round."""
    steps = [
        (side, request)
        for number in range(rounds)
        for request in requests
        for side in (sides if number % 2 == 0 else reversed(sides))
        if not request["method"] or request["method"] in side.methods
    ]
    progress = terminal.Progress(len(steps), "measurements")
    try:
        for done, (side, request) in enumerate(steps):
            note = f"· {side.name}, {request['kind']} {request['method']}"
            progress.show(done, note)
            side.measure(request, partial(_show, progress, done, note))
    finally:
        progress.clear()


def _show(progress: terminal.Progress, done: int, note: str, text: str) -> None:
    progress.show(done, f"{note}, {text}")


def number(value: float) -> str:
    """A figure with three significant digits or more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(sides: Sequence[Side]) -> str:
    """For one side the median, the least and the most over the rounds; for two the medians and their ratio."""
    first = sides[0]
    rows = []
    for row, values in first.figures.items():
        label = f"{row.name}, {row.method}" if row.method else row.name
        median = statistics.median(values)
        if len(sides) == 1:
            rows.append((label, *map(number, (median, min(values), max(values))), row.unit))
        elif row in sides[1].figures:
            other = statistics.median(sides[1].figures[row])
            ratio = f"{median / other:.2f}" if other else "-"
            rows.append((label, number(median), number(other), row.unit, ratio))
        else:
            rows.append((label, number(median), "-", row.unit, "-"))
    if len(sides) == 1:
        return terminal.table(rows, ("", "median", "least", "most", ""))
    return terminal.table(rows, ("", first.name, sides[1].name, "", "ratio"))


def verdicts(sides: Sequence[Side]) -> list[str]:
    """For each method, whether all simulated runs gave the same reports, on both sides if there are two."""
    lines = []
    for method, digests in sides[0].digests.items():
        others = [side.digests.get(method, set()) for side in sides[1:]]
        if len(digests) > 1 or any(len(other) > 1 for other in others):
            lines.append(f"{method}: NOT REPEATABLE, one seed gave several results")
        elif not others:
            lines.append(f"{method}: reports {next(iter(digests))[:16]}")
        elif not others[0]:
            lines.append(f"{method}: only {sides[0].name} has it")
        else:
            lines.append(f"{method}: reports {'equal' if digests == others[0] else 'DIFFERENT'}")
    return lines


def about(commits: dict[str, str]) -> dict[str, Any]:
    """What one must know to compare figures: machine, versions, and the commits that are compared."""
    try:
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        models = []
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "none"
    return {
        "machine": {
            "processor": models[0].partition(": ")[2] if models else platform.processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": packages,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commits": commits,
    }


def as_json(sides: Sequence[Side], settings: dict[str, Any]) -> dict[str, Any]:
    """All values of all rounds, with what is needed to read them."""
    rows = [
        {
            **row._asdict(),
            "values": {side.name: side.figures[row] for side in sides if row in side.figures},
            "median": {side.name: statistics.median(side.figures[row]) for side in sides if row in side.figures},
        }
        for row in dict.fromkeys(row for side in sides for row in side.figures)
    ]
    digests = {side.name: {method: sorted(found) for method, found in side.digests.items()} for side in sides}
    commits = {side.name: commit_of(side.root) for side in sides}
    return {"about": about(commits), "settings": settings, "figures": rows, "digests": digests}


def this_checkout() -> Side:
    """The checkout that this file is in."""
    return Side("this", ROOT)


def other_checkout(folder: Path) -> Side:
    """The checkout in that folder. Raises MeasurementError if there is none."""
    if not (folder / "src" / "SparrowClient.py").is_file():
        raise MeasurementError(f"there is no checkout of this project in {folder}")
    return Side("other", folder.resolve())
