"""The benchmark: its child process in this layout and in the older one, whose turn it is, and what is said of the figures."""

import json

import pytest

from scripts.testbed import benchmarking as b
from scripts.testbed.local_cluster import ROOT
from src.experiments.workload import Arrival
from src.sparrow.placement import METHODS

OLDER = {  # a project in the layout of commit 2fd2f35, as small as it can be
    "src/__init__.py": "import os, sys; sys.path.insert(0, os.path.dirname(__file__))",
    "src/SparrowClient.py": "",
    "src/sparrow/placement.py": "METHODS = {'BATCH': None}",
    "src/sparrow/messages.py": "def JobSpec(*fields): return fields",
    "src/sparrow/simulation.py": """
class Simulation:
    def __init__(self, workers, slots, seed): self.jobs = []
    def submit(self, at_s, spec): self.jobs.append((at_s, spec))
    def run(self):
        keys = "response_s", "ideal_s", "retried"
        rows = [["a", 0.0, 0.1, 1]]
        return [{"id": spec[0], "method": spec[2], "tasks": rows, **dict.fromkeys(keys, at_s)} for at_s, spec in self.jobs]
""",
    "scripts/_localcluster.py": "",
}


def request(method="BATCH", seed=1, task_s=0.1):
    arrivals = [Arrival(0.1 * number, (task_s,) * 4) for number in range(5)]
    return b.SimulationRequest(kind="simulation", method=method, workers=6, slots=1, seed=seed, arrivals=arrivals)


def shown(text):
    """Progress that nobody looks at."""


@pytest.fixture
def older(tmp_path):
    for name, source in OLDER.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    return b.other_checkout(tmp_path)


def test_one_version_gives_the_same_reports_twice_and_others_for_another_seed():
    first, second = b.this_checkout(), b.Side("again", ROOT)
    assert first.methods == list(METHODS)
    for side in (first, second):
        side.measure(request(), shown)
    assert b.verdicts([first, second]) == ["BATCH: reports equal"]
    (values,) = first.figures.values()
    assert values[0] > 0
    second.measure(request(seed=2), shown)
    assert b.verdicts([first, second]) == ["BATCH: NOT REPEATABLE, one seed gave several results"]
    other = b.Side("other", ROOT)
    other.measure(request(task_s=0.2), shown)
    assert b.verdicts([first, other]) == ["BATCH: reports DIFFERENT"]


def test_the_older_layout_is_measured_too(older):
    assert older.methods == ["BATCH"]
    b.in_turn([b.this_checkout(), older], [request("BATCH"), request("RANDOM")], rounds=2)  # it has no RANDOM
    assert [(row.method, len(values)) for row, values in older.figures.items()] == [("BATCH", 2)]


def test_a_measurement_that_fails_is_an_error(older):
    (older.root / "src/sparrow/simulation.py").write_text("raise SystemExit(3)")
    with pytest.raises(b.MeasurementError, match="status 3"):
        older.measure(request(), shown)
    with pytest.raises(b.MeasurementError, match="no checkout"):
        b.other_checkout(older.root / "src")


class Recorder(b.Side):
    """Notes its turns and measures nothing."""

    def __init__(self, name, order, methods=("BATCH",)):
        self.name, self.methods, self.order = name, list(methods), order

    def measure(self, request, show):
        self.order.append((self.name, request["method"]))


def test_sides_take_turns_and_who_is_first_changes():
    order: list = []
    sides = [Recorder("this", order, ["BATCH", "NEW"]), Recorder("other", order)]
    b.in_turn(sides, [request("BATCH"), request("NEW"), b.Request(kind="idle", method="")], rounds=2)
    each = [("this", "BATCH"), ("other", "BATCH"), ("this", "NEW"), ("this", ""), ("other", "")]
    swapped = [("other", "BATCH"), ("this", "BATCH"), ("this", "NEW"), ("other", ""), ("this", "")]
    assert order == each + swapped


def test_medians_and_ratios(older):
    this = b.this_checkout()
    row, alone = b.Row("flood", "BATCH", "tasks/s"), b.Row("flood", "NEW", "tasks/s")
    this.figures = {row: [100.0, 900.0, 200.0], alone: [5.0]}
    older.figures = {row: [400.0, 400.0, 1.0]}
    one, two = b.table([this]), b.table([this, older])
    assert [line.split() for line in one.splitlines()[2:]] == [
        ["flood,", "BATCH", "200", "100", "900", "tasks/s"],
        ["flood,", "NEW", "5.00", "5.00", "5.00", "tasks/s"],
    ]
    assert [line.split() for line in two.splitlines()[2:]] == [
        ["flood,", "BATCH", "200", "400", "tasks/s", "0.50"],
        ["flood,", "NEW", "5.00", "-", "tasks/s", "-"],
    ]
    saved = json.loads(json.dumps(b.as_json([this, older], {"seed": 1})))
    assert saved["figures"][0]["median"] == {"this": 200.0, "other": 400.0}
    assert saved["figures"][1]["values"] == {"this": [5.0]}
    assert set(saved["about"]) == {"machine", "python", "packages", "time", "commits"}
