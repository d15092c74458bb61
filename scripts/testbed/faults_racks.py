"""The faults of many at once: racks that die and come back or fall silent, workers and clients that bring thousands of tasks."""

from __future__ import annotations

import json
import signal
import subprocess
import threading

from scripts.testbed.local_cluster import ROOT, LocalCluster, client_command, end_with_parent
from scripts.testbed.trial import Trial, TrialError, fault, fault_of
from src.sparrow.jobspec import MAX_TASKS
from src.sparrow.placement import METHODS

RACK = 6  # workers
DEATHS = 3  # of them all: a task fails if it was lost four times with a worker that may have begun it
SILENT_S = 5.0
HELD = 10_000  # tasks of a worker that is killed
STEP_S = 0.05  # what a step may take; on a busy machine three times as much, since the processor's caches are shared too
PROBE = ROOT / "scripts" / "testbed" / "longest_step.py"
DOCUMENTED = (10_000, 100)  # jobs of one command, and tasks of each
WATCHED_S = 8.0  # for which that command is watched: whoever hears nothing for 2.5 s gives up


def _rack(trial: Trial) -> list[str]:
    return [name for name in trial.cluster.processes if name.startswith("host")]


def _work_for_all(trial: Trial, each_s: float) -> None:
    for method in METHODS:
        trial.submit(method, 2 * RACK, each_s)
    trial.until(lambda: trial.stats()["open_tasks"]["running"] >= RACK, "work on all workers")


def _all_are_back(trial: Trial, rack: list[str]) -> bool:
    stats = trial.stats()
    return bool(stats) and set(rack) == set(stats["workers"]) and trial.all_is_out(stats)


@fault(6.0, workers=RACK)
def rack_dies_again_and_again(trial: Trial) -> float:
    """SIGKILL of all workers at once, started again at once, three times (no task fails): they have all tasks."""
    rack = _rack(trial)
    _work_for_all(trial, 0.5)
    longest_s = 0.0
    for _ in range(DEATHS):
        trial.kill(*rack)
        trial.until(lambda: not set(rack) & set(trial.stats()["workers"]), "the loss of all noticed")
        for name in rack:
            trial.cluster.start_worker(name)
        longest_s = max(longest_s, trial.until(lambda: _all_are_back(trial, rack), "all tasks on workers"))
    return longest_s


@fault(6.0, workers=RACK)
def rack_silent_5s(trial: Trial) -> float:
    """SIGSTOP of all workers for 5 s (no task fails): they have all tasks, after they go on."""
    rack = _rack(trial)
    _work_for_all(trial, 2.0)
    for name in rack:
        trial.cluster.kill(name, signal.SIGSTOP)
    threading.Event().wait(SILENT_S)
    if trial.stats()["workers"]:
        raise TrialError("silent workers were not given up: this was no loss")
    trial.break_now()
    for name in rack:
        trial.cluster.kill(name, signal.SIGCONT)
    return trial.until(lambda: _all_are_back(trial, rack), "all tasks on workers")


@fault_of(3 * STEP_S, lambda: LocalCluster(3, slots=20))
def laden_worker_killed(trial: Trial) -> float:
    """SIGKILL of a worker that has 10,000 tasks: the longest step of the scheduler's loop, in CPU time, is over."""
    steps = trial.cluster.logs / "steps"
    trial.kill("scheduler1")
    program = (str(PROBE), str(steps), str(ROOT / "src" / "Scheduler.py"), "--nameserver", trial.cluster.nameserver)
    trial.cluster._spawn("scheduler1", *program)
    trial.until(lambda: len(trial.stats().get("workers", ())) == 3, "all workers there")
    future = trial.submit("RANDOM", MAX_TASKS, 0.002)
    victim = trial.a_worker_that("runs", at_least=HELD)
    trial.kill(victim)
    trial.until_placed_without(victim)
    future.result(60)
    trial.cluster.processes["scheduler1"].terminate()
    trial.cluster.processes.pop("scheduler1").wait(10)
    trial.cluster.start_scheduler(1)
    trial.until(lambda: trial.stats().get("workers"), "a scheduler without the probe")
    return float(json.loads(steps.read_text(encoding="utf-8"))[0][0])


@fault(5.0, schedulers=2)
def ten_thousand_jobs(trial: Trial) -> float:
    """One command submits 10,000 jobs of 100 tasks to two schedulers (it gives neither up): both have jobs of it."""
    jobs, tasks = DOCUMENTED
    trial.break_now()
    command = client_command(trial.cluster.nameserver, "BATCH", jobs, tasks, 0, "--timeout", WATCHED_S)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=end_with_parent
    ) as client:
        taken_s = trial.until(lambda: all(trial.stats(number).get("open_jobs") for number in (1, 2)), "jobs with both")
        _, said = client.communicate(timeout=5 * WATCHED_S)
    if "lost the scheduler" in said:
        raise TrialError(f"a healthy scheduler was given up: {said}")
    for name in ("scheduler1", "scheduler2"):  # what is left of a million tasks ends with them
        trial.kill(name)
        trial.cluster.start_scheduler(int(name[-1]))
    trial.until(lambda: all(trial.stats(number).get("workers") for number in (1, 2)), "both started again")
    return taken_s
