"""What is kept of a run: all figures of all rounds, with versions, machine and commit, as JSON and as a page with charts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.testbed.benchmarking import about, commit_of
from scripts.testbed.local_cluster import ROOT
from scripts.testbed.peers import environment
from scripts.testbed.peers.catalogue import CATALOGUE, OURS
from scripts.testbed.yardstick.rounds import Yardstick
from src.sparrow.placement import METHODS

CHART = ROOT / "web" / "Chart.bundle.min.js"
TEMPLATE = Path(__file__).with_name("page.html")


def as_json(yardstick: Yardstick, settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of a run. ``measurements`` has the figures of each round, and their medians."""
    medians = yardstick.medians()
    return {
        "about": {**about({"this": commit_of(ROOT)}), "peers": _versions(yardstick)},
        "settings": settings,
        "measurements": [
            {**measurement._asdict(), "shape": measurement.shape._asdict(), "rounds": rounds, "median": medians[measurement]}
            for measurement, rounds in yardstick.rounds.items()
        ],
        "notes": yardstick.notes,
        "left_out": [{**left._asdict(), "shape": left.shape._asdict()} for left in yardstick.left_out],
        "colours": {name: method.colour for name, method in METHODS.items()},
    }


def _versions(yardstick: Yardstick) -> dict[str, str]:
    return {CATALOGUE[name].label: environment.version(name) for name in yardstick.names if name != OURS}


def page(record: dict[str, Any]) -> str:
    """Returns a page that shows a record. All that it needs is in it, so it can be opened without a network, from a file."""
    data = json.dumps(record).replace("<", "\\u003c")  # no text in it can end the script
    return TEMPLATE.read_text().replace("/*CHART*/", CHART.read_text()).replace("/*RECORD*/null", data)
