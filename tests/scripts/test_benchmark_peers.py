"""The benchmark's child processes, in short: this project and a peer are really measured, and nothing is left of them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.testbed import processes
from scripts.testbed.local_cluster import ROOT
from scripts.testbed.peers import environment
from scripts.testbed.peers.catalogue import OURS
from scripts.testbed.yardstick import rounds
from scripts.testbed.yardstick.contestant import Contestant, ContestantError
from scripts.testbed.yardstick.workloads import OVER_OMNISCIENT, Hold, Idle, Run, Shape, Stage
from tests.support.live import as_in_the_foreground, eventually

TASK_S = 0.02
JOBS = [(0.05 * number, [TASK_S] * 2) for number in range(10)]
LATE = "BATCH+LATE_BINDING"


@pytest.fixture
def ours_alone(monkeypatch):
    """The pool runs in our own interpreter: no other environment is made for a test."""
    monkeypatch.setattr(environment, "PYTHON", Path(sys.executable))


def left_over(before):
    return set(processes.descendants(os.getpid())) - before


def test_this_project_and_a_pool_are_measured_on_the_same_jobs(ours_alone):
    before = set(processes.descendants(os.getpid()))
    yardstick = rounds.Yardstick([OURS, "processpool"], [LATE, "BATCH"])
    steps = [
        Run("load", "load", JOBS, ideal_s=[TASK_S] * len(JOBS)),
        Idle("footprint", "footprint", 0.5),
        Hold("growth", "memory", [(0.0, [0.05] * 2)] * 30),
    ]
    yardstick.measure([Stage(Shape(2), steps)], 1)
    assert yardstick.left_out == []
    medians = {(measurement.who, measurement.label): figures for measurement, figures in yardstick.medians().items()}
    assert medians.keys() == {
        *((who, "load") for who in (LATE, "BATCH", "ProcessPoolExecutor")),
        *((who, "memory") for who in (LATE, "BATCH", "ProcessPoolExecutor")),
        *((who, "footprint") for who in ("Sparrow", "ProcessPoolExecutor")),
    }
    for who in (LATE, "BATCH", "ProcessPoolExecutor"):
        load = medians[who, "load"]
        assert 1000 * TASK_S <= load["median ms"] <= load["p95 ms"]
        assert load[OVER_OMNISCIENT] == pytest.approx(load["median ms"] / (1000 * TASK_S))
        assert 0 < load["workers µs"] < load["all µs"]
        assert load["wake-ups"] > 0.5  # a worker at least has slept
    if "messages" in medians["BATCH", "load"]:
        assert medians["ProcessPoolExecutor", "load"]["messages"] < 0.5  # it has pipes
        assert 2 < medians["BATCH", "load"]["messages"] < medians[LATE, "load"]["messages"]
    assert medians["Sparrow", "footprint"]["ready s"] > 0
    assert all(5 < medians["Sparrow", "footprint"][f"{role} MB"] < 500 for role in ("scheduler", "workers", "client"))
    assert left_over(before) == set()


def test_a_system_that_ends_says_its_last_words_and_leaves_nothing(ours_alone):
    before = set(processes.descendants(os.getpid()))
    with Contestant("processpool") as contestant:
        contestant.ask("start", workers=2, slots=1)
        os.kill(contestant.pid, signal.SIGKILL)
        with pytest.raises(ContestantError, match="ended with status -9"):
            contestant.ask("idle", seconds=5)
    assert left_over(before) == set()


def test_what_a_peer_needs_and_has_not_is_said(ours_alone):
    with Contestant("dask") as contestant, pytest.raises(ContestantError, match="No module named 'distributed'"):
        contestant.ask("start", workers=2, slots=1)


def test_ctrl_c_leaves_no_process():
    command = [str(ROOT / "scripts" / "benchmark"), "--workloads", "load", "--methods", "BATCH", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=as_in_the_foreground) as benchmark:
        workers: list[int] = []

        def started():
            assert benchmark.poll() is None
            workers[:] = [pid for pid in processes.descendants(benchmark.pid) if "Worker.py" in processes.command(pid)]
            return len(workers) == 2

        eventually(started, what="the workers did not start")
        below = processes.descendants(benchmark.pid)
        time.sleep(0.2)  # so that jobs may run; the signal comes at any time
        benchmark.send_signal(signal.SIGINT)
        assert benchmark.communicate()[1] == "benchmark: interrupted\n"
        assert benchmark.returncode == 130
    assert not [pid for pid in below if processes.command(pid)]
