"""No step of a scheduler, worker or client keeps its event loop for long, whatever the size of a job, in real processes."""

import contextlib
import json
import signal
import subprocess
import sys
import time

import pytest

from scripts.testbed.local_cluster import ROOT, LocalCluster
from src.sparrow.jobspec import MAX_TASKS

PROBE = ROOT / "scripts" / "testbed" / "longest_step.py"
LONGEST_S = 0.05
WORKERS = ("a", "b")


def busy_s():
    """Returns the CPU time of a fixed piece of work: what else the machine does makes all steps longer."""
    began_s = time.thread_time()
    sum(i % 7 for i in range(500_000))
    return time.thread_time() - began_s


def probed(folder, name, program, *arguments):
    """Returns the command that runs a program with the probe in it, which writes the folder's file of this name at the end."""
    return [sys.executable, str(PROBE), str(folder / name), str(ROOT / "src" / program), *arguments]


@contextlib.contextmanager
def measured(folder, nameserver):
    """Scheduler and workers with the probe in them. At the end the folder has a file for each."""
    programs = {"scheduler": ["Scheduler.py"], **{name: ["Worker.py", "--slots", "100", "--name", name] for name in WORKERS}}
    processes = []
    try:
        for name, program in programs.items():
            command = [*probed(folder, name, *program), "--nameserver", nameserver]
            processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        yield
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(30)


def run_job(folder, nameserver):
    """Runs the largest job with a client that has the probe in it. CHOOSE_TWO samples most. Returns what the client prints."""
    job = ["CHOOSE_TWO", "1", str(MAX_TASKS), "0.0001", "0.0001"]
    command = [*probed(folder, "client", "SparrowClient.py", *job), "--nameserver", nameserver, "--json", "--timeout", "200"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=230).stdout)


@pytest.mark.timeout(240)
def test_no_step_takes_long_with_the_largest_job(tmp_path):
    """A step may take twice as long as it should, since the processor's caches are shared too."""
    quiet_s = min(busy_s() for _ in range(5))
    with LocalCluster(workers=0, schedulers=0) as cluster, measured(tmp_path, cluster.nameserver):
        told = run_job(tmp_path, cluster.nameserver)
    assert (told["completed"], told["failed"]) == (MAX_TASKS, 0)
    slower = max(1.0, min(busy_s() for _ in range(5)) / quiet_s)
    for name in ("scheduler", "client", *WORKERS):
        longest = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        assert not [(took_s, what) for took_s, what in longest if took_s > 2 * LONGEST_S * slower], name
