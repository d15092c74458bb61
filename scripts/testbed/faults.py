"""The faults that are tried: processes that are killed, hang, come and go. ``faults_around`` has those of network and machine.

Each function causes one fault on a fresh cluster and returns the seconds that its recovery took; ``Fault.measure`` then checks that
nothing was lost. The first line of a docstring says what breaks, and what ends the recovery.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from concurrent.futures import Future

import Pyro4

from scripts.testbed import processes
from scripts.testbed.local_cluster import client_command, end_with_parent
from scripts.testbed.trial import Trial, TrialError, fault
from src.Job import JobReport
from src.sparrow.placement import METHODS

LATE = "BATCH+LATE_BINDING"
NOTICED_S = 1.5  # a killed process is noticed by its connection, at once; silence would take 2.5 s
GIVEN_UP_S = 4.0  # without an answer: 2.5 s, and what a busy machine adds


@fault(NOTICED_S)
def idle_worker_killed(trial: Trial) -> float:
    """SIGKILL of an idle worker: no job is sent there any more."""
    running = trial.submit("RANDOM", 1, 0.5)
    busy = trial.a_worker_that("runs")
    victim = next(name for name in ("host1", "host2") if name != busy)
    trial.kill(victim)
    after = trial.submit("BATCH", 6, 0.02)
    noticed_s = trial.until_placed_without(victim)
    if victim in {task.worker for future in (running, after) for task in future.result(20).tasks}:
        raise TrialError(f"{victim} was idle when it was killed, and has ended tasks after that")
    return noticed_s


@fault(NOTICED_S)
def running_worker_killed(trial: Trial) -> float:
    """SIGKILL of a worker that runs a task: another worker has it."""
    future = trial.submit("BATCH", 3, 0.6)
    trial.until_loaded(1)
    return _killed(trial, "host1", future)


@fault(NOTICED_S)
def reserving_worker_killed(trial: Trial) -> float:
    """SIGKILL of a worker with reservations: all tasks are placed or reserved for elsewhere."""
    future = trial.submit(LATE, 9, 0.2)
    trial.until(lambda: (held := trial.stats()["workers"]["host1"])["runs"] and held["reservations"] > 1, "reservations on host1")
    placed_s = _killed(trial, "host1", future)
    if trial.cluster.stats()["methods"][LATE]["counts"].get("reservations_lost", 0) < 2:
        raise TrialError("no reservations were lost")
    return placed_s


@fault(NOTICED_S)
def queueing_worker_killed(trial: Trial) -> float:
    """SIGKILL of a worker with a queue: other workers have all of it."""
    future = trial.submit("BATCH", 9, 0.2)
    trial.until_loaded(3)
    return _killed(trial, "host1", future, at_least=2)


def _killed(trial: Trial, victim: str, future: Future[JobReport], at_least: int = 1) -> float:
    trial.kill(victim)
    placed_s = trial.until_placed_without(victim)
    report = future.result(30)
    if report.retried < at_least:
        raise TrialError(f"{report.retried} tasks were run again, and {victim} had {at_least}")
    return placed_s


@fault(5.0)
def all_workers_killed(trial: Trial) -> float:
    """SIGKILL of all workers, new ones are started at once: they have all tasks."""
    for method in METHODS:
        trial.submit(method, 4, 0.2)
    trial.until(lambda: trial.stats()["open_jobs"] == len(METHODS), "all jobs open")
    old = ("host1", "host2", "host3")
    trial.kill(*old)
    for name in ("host4", "host5"):
        trial.cluster.start_worker(name)

    def placed() -> bool:
        stats = trial.stats()
        return bool(stats["workers"]) and not set(old) & set(stats["workers"]) and trial.all_is_out(stats)

    return trial.until(placed, "all tasks on new workers")


@fault(1.0)
def worker_stopped_2s(trial: Trial) -> float:
    """SIGSTOP of a worker for 2 s (it is not given up): it answers, after it goes on."""
    future = trial.submit("BATCH", 6, 1.0)
    trial.until_loaded(2)
    with trial.nobody_lost():
        trial.cluster.kill("host1", signal.SIGSTOP)
        threading.Event().wait(2.0)
        trial.break_now()
        trial.cluster.kill("host1", signal.SIGCONT)
        answered_s = trial.until(lambda: trial.cluster.load("host1") >= 0, "an answer")
        report = future.result(30)
    if report.retried or {task.attempts for task in report.tasks} != {1}:
        raise TrialError("tasks were run again")
    return answered_s


@fault(GIVEN_UP_S)
def worker_stopped_6s(trial: Trial) -> float:
    """SIGSTOP of a worker for 6 s: other workers have its tasks."""
    return _stopped(trial, 6.0)


@fault(GIVEN_UP_S)
def worker_stopped_20s(trial: Trial) -> float:
    """SIGSTOP of a worker for 20 s: other workers have its tasks."""
    return _stopped(trial, 20.0)


def _stopped(trial: Trial, seconds: float) -> float:
    """The tasks run for longer than the worker hangs, so what it reports when it goes on is about tasks that are still open."""
    futures = [trial.submit("BATCH", 6, seconds / 3.5), trial.submit(LATE, 3, seconds / 3.5)]
    victim = "host1"
    trial.until(lambda: trial.stats()["workers"][victim]["runs"] and trial.cluster.load(victim) >= 2, f"work on {victim}")
    trial.break_now()
    trial.cluster.kill(victim, signal.SIGSTOP)
    given_up_s = trial.until_placed_without(victim)
    threading.Event().wait(max(0.0, seconds - given_up_s))
    trial.cluster.kill(victim, signal.SIGCONT)
    reports = [future.result(60) for future in futures]
    if not sum(report.retried for report in reports):
        raise TrialError("no task was run again")
    trial.until(lambda: victim in trial.stats()["workers"], "it joins again")
    trial.submit("BATCH", 12, 0.02).result(20)
    return given_up_s


@fault(3.0)
def worker_joins(trial: Trial) -> float:
    """A worker is started in the middle of a job: it has tasks of the next one."""
    trial.submit(LATE, 12, 0.25)
    trial.a_worker_that("reservations")
    return _works(trial, "host4")


@fault(3.0)
def worker_restarted(trial: Trial) -> float:
    """SIGKILL of a worker, started again under its name: it has tasks again."""
    trial.submit("BATCH", 9, 0.25)
    trial.until_loaded(3)
    trial.kill("host1")
    return _works(trial, "host1")


def _works(trial: Trial, worker: str) -> float:
    """Start it, and submit a job when it says that it is ready."""
    said = trial.cluster.log(worker).count("ready at") if worker == "host1" else 0
    if worker != "host1":
        trial.break_now()
    trial.cluster.start_worker(worker)
    trial.until(lambda: trial.cluster.log(worker).count("ready at") > said, f"{worker} ready")
    future = trial.submit("BATCH", 8, 0.05)

    def has_had_one() -> bool:
        runs = trial.stats()["workers"].get(worker, {}).get("runs")
        return bool(runs) or (future.done() and any(task.worker == worker for task in future.result().tasks))

    return trial.until(has_had_one, f"a task on {worker}")


def _jobs_in_all_states(trial: Trial) -> None:
    """Four jobs have been reported; of eight more some tasks run and others are queued."""
    for method in METHODS:
        trial.submit(method, 2, 0.02)
    trial.until(lambda: all(future.done() for _, future in trial.jobs), "the first jobs reported")
    for method in (*METHODS, *METHODS):
        trial.submit(method, 3, 0.1)


def _open(trial: Trial) -> int:
    return sum(not future.done() for _, future in trial.jobs)


@fault(5.0)
def only_scheduler_killed(trial: Trial) -> float:
    """SIGKILL of the only scheduler, started again at once: it has the clients' jobs."""
    _jobs_in_all_states(trial)
    trial.until(lambda: 2 <= _open(trial) <= 7, "half of the jobs reported")
    trial.kill("scheduler1")
    trial.cluster.start_scheduler(1)
    return trial.until(lambda: trial.stats().get("open_jobs", -1) >= _open(trial), "all unreported jobs open again")


@fault(0.3, schedulers=2)
def scheduler_killed(trial: Trial) -> float:
    """SIGKILL of one of two schedulers: the other has its jobs."""
    _jobs_in_all_states(trial)
    trial.until(lambda: trial.stats(1)["open_jobs"] and trial.stats(2)["open_jobs"], "jobs with both")
    of_both = trial.stats(1)["open_jobs"] + trial.stats(2)["open_jobs"]
    of_the_other = trial.stats(2)["open_jobs"]
    if of_both == of_the_other:
        raise TrialError("the scheduler to be killed had no job")
    trial.kill("scheduler1")
    return trial.until(lambda: trial.stats(2)["open_jobs"] >= _open(trial), "all open jobs with the other scheduler")


@fault(4.5, schedulers=2)
def scheduler_stopped(trial: Trial) -> float:
    """SIGSTOP of one of two schedulers: the other has its jobs."""
    for method in ("BATCH", LATE) * 2:
        trial.submit(method, 3, 1.0)
    trial.until(
        lambda: trial.stats(1)["open_jobs"] and trial.stats(1)["open_jobs"] + trial.stats(2)["open_jobs"] == 4, "jobs with both"
    )
    trial.foreign_tasks = 3 * trial.stats(1)["open_jobs"]  # when it goes on it runs its copies to their end
    trial.break_now()
    trial.cluster.kill("scheduler1", signal.SIGSTOP)
    handed_over_s = trial.until(lambda: trial.stats(2)["open_jobs"] >= _open(trial), "all open jobs with the other scheduler")
    trial.cluster.kill("scheduler1", signal.SIGCONT)
    return handed_over_s


@fault(8.0)
def nameserver_killed(trial: Trial) -> float:
    """SIGKILL of the name server (memory), started again at once: all names are there."""
    return _nameserver_killed(trial, "memory")


@fault(3.0)
def nameserver_killed_sql(trial: Trial) -> float:
    """SIGKILL of the name server (sql), started again at once: all names are there."""
    trial.cluster.kill("nameserver")
    storage = f"sql:{trial.cluster.logs / 'names.sqlite'}"
    _start_nameserver(trial, storage)
    _all_registered(trial)
    return _nameserver_killed(trial, storage)


def _nameserver_killed(trial: Trial, storage: str) -> float:
    """A job runs meanwhile; one that is submitted while it is away runs too."""
    with trial.nobody_lost():
        for method in METHODS:
            trial.submit(method, 3, 0.2)
        trial.a_worker_that("runs")
        trial.kill("nameserver")
        trial.submit("BATCH", 3, 0.02).result(5)
        trial.break_now()
        _start_nameserver(trial, storage)
        back_s = _all_registered(trial)
        for _, future in trial.jobs:
            future.result(20)
    return back_s


def _start_nameserver(trial: Trial, storage: str) -> None:
    """On the same port as before."""
    log = trial.cluster.logs / "nameserver.log"
    log.rename(log.with_suffix(".former"))  # what is looked for in the new one is in the old one too
    trial.cluster.start_nameserver(int(trial.cluster.nameserver.rpartition(":")[2]), storage)


def _all_registered(trial: Trial) -> float:
    names = {"sparrow.scheduler.1", *(f"sparrow.worker.host{number}" for number in (1, 2, 3))}
    host, _, port = trial.cluster.nameserver.rpartition(":")
    with Pyro4.locateNS(host, int(port)) as name_server:
        return trial.until(lambda: names <= set(name_server.list("sparrow.")), "all names registered")


@fault(1.0)
def client_killed(trial: Trial) -> float:
    """SIGKILL of a client (its jobs run to their end): the scheduler has let go of it."""
    trial.submit("BATCH", 3, 0.05).result(20)  # by now the workers have their connections to the scheduler
    before = _descriptors(trial)
    jobs, tasks = 3, 6
    client = subprocess.Popen(
        client_command(trial.cluster.nameserver, LATE, jobs, tasks, 0.1),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )
    try:
        trial.until(lambda: trial.stats()["open_jobs"] == jobs, "its jobs open")
        trial.foreign_tasks = jobs * tasks
    finally:
        trial.break_now()
        client.kill()
        client.wait()
    return trial.until(lambda: _descriptors(trial) <= before, f"{before} descriptors in the scheduler, as before")


def _descriptors(trial: Trial) -> int:
    return processes.descriptors(trial.cluster.processes["scheduler1"].pid)
