"""The live measurements of the benchmark, in short: every figure is there and can be true."""

import random

from scripts.testbed import benchmarking as b
from src.experiments.workload import Workload

TASK_S = 0.02
LATE = "BATCH+LATE_BINDING"


def test_every_figure_of_a_live_cluster_is_measured_and_can_be_true():
    side = b.this_checkout()
    arrivals = Workload(slots=2, load=0.5, tasks=2, mean_s=TASK_S, constant=True).draw_for(random.Random(1), 1.0)
    steps: list[str] = []
    side.measure(b.IdleRequest(kind="idle", method="", workers=2, idle_s=1.0), steps.append)
    loads = [b.LoadRequest(task_s=TASK_S, arrivals=arrivals)]
    side.measure(b.LiveRequest(kind="live", method=LATE, workers=2, loads=loads, makespan=False), steps.append)
    assert steps == ["start", "idle", "start", "idle jobs", "flood", "load, 20 ms tasks"]
    figures = {(row.name, row.method): values[0] for row, values in side.figures.items()}
    assert figures.keys() == {
        ("2 idle workers and a scheduler", ""),
        ("memory of an idle worker", ""),
        ("memory of an idle scheduler", ""),
        ("idle job, p50", LATE),
        ("idle job, p95", LATE),
        ("flood", LATE),
        ("load, 20 ms tasks, p50", LATE),
        ("load, 20 ms tasks, p95", LATE),
        ("memory of the scheduler after these jobs", LATE),
    }
    assert 0 <= figures["2 idle workers and a scheduler", ""] < 50
    assert all(5 < value < 500 for (name, _), value in figures.items() if name.startswith("memory"))  # MB
    assert 1000 * TASK_S <= figures["load, 20 ms tasks, p50", LATE] <= figures["load, 20 ms tasks, p95", LATE]
    assert 0 < figures["idle job, p50", LATE] <= figures["idle job, p95", LATE]
    assert figures["flood", LATE] > 100
