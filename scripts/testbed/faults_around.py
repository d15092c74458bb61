"""The faults of what is around the processes: the network between hosts, a full disk, no descriptors left, a clock that jumps."""

from __future__ import annotations

import resource
import socket
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path

import Pyro4

from scripts.testbed import processes
from scripts.testbed.faults import GIVEN_UP_S, LATE
from scripts.testbed.network import NetworkCluster, why_not
from scripts.testbed.trial import Trial, TrialError, fault, fault_of
from src.Job import JobReport
from src.sparrow.placement import METHODS

HOUR_S = 3600.0
DELAY_S = 0.2
WATCHED_S = 1.5  # for how long a process that can open nothing is watched
BUSY = 0.3  # the share of a core that such a process may use
SPARE_DESCRIPTORS = 8  # that such a process has for new connections
SHIM = '''
import os, time

_now, _jumped = time.time, False


def _time():
    """Once the file is there the clock is, and stays, an hour behind."""
    global _jumped
    _jumped = _jumped or os.path.exists({file!r})
    return _now() - {hour_s} * _jumped


time.time = _time
'''


def _hosts() -> NetworkCluster:
    return NetworkCluster(workers=2)


@fault_of(GIVEN_UP_S, _hosts, why_not)
def way_to_worker_lost(trial: Trial) -> float:
    """The network loses what goes to a worker, not what it sends: the other worker has its tasks."""
    return _parted(trial, ("scheduler1", "host1"))


@fault_of(GIVEN_UP_S, _hosts, why_not)
def way_from_worker_lost(trial: Trial) -> float:
    """The network loses what a worker sends, not what goes there: the other worker has its tasks."""
    return _parted(trial, ("host1", "scheduler1"))


@fault_of(GIVEN_UP_S, _hosts, why_not)
def both_ways_lost(trial: Trial) -> float:
    """The network between scheduler and worker loses everything: the other worker has its tasks."""
    return _parted(trial, ("scheduler1", "host1"), ("host1", "scheduler1"))


def _network(trial: Trial) -> NetworkCluster:
    assert isinstance(trial.cluster, NetworkCluster)
    return trial.cluster


def _parted(trial: Trial, *directions: tuple[str, str]) -> float:
    futures = [trial.submit("BATCH", 4, 1.0)]
    trial.until_loaded(2)
    futures += [trial.submit(LATE, 2, 0.5)]
    trial.until_loaded(4)
    trial.break_now()
    for sender, receiver in directions:
        _network(trial).network.drop(sender, receiver)
    placed_s = trial.until_placed_without("host1")
    threading.Event().wait(0.5)  # in which the worker ends tasks that others run by now
    _network(trial).network.heal()
    if not sum(future.result(30).retried for future in futures):
        raise TrialError("no task was run again")
    trial.until(lambda: "host1" in trial.stats()["workers"], "it joins again")
    trial.submit("BATCH", 6, 0.02).result(20)
    return placed_s


@fault_of(3.0, _hosts, why_not)
def network_delayed(trial: Trial) -> float:
    """The network delays everything by 200 ms (nobody is given up): the tasks of the next job are on workers."""
    with trial.nobody_lost():
        trial.submit("BATCH", 4, 0.5)
        trial.until_loaded(2)
        trial.break_now()
        hosts = ("scheduler1", "nameserver", "host1", "host2")
        for sender in hosts:
            for receiver in hosts:
                if sender != receiver:
                    _network(trial).network.delay(sender, receiver, DELAY_S)
        trial.submit("CHOOSE_TWO", 2, 0.1)
        placed_s = trial.until(trial.newest_is_placed, "its tasks placed")
        futures = [trial.submit(method, 4, 0.05) for method in METHODS]
        for future in futures:
            if future.result(30).retried:
                raise TrialError("tasks were run again")
    _network(trial).network.heal()
    if placed_s < DELAY_S:
        raise TrialError(f"asked and answered in {placed_s:.3f} s: nothing was delayed")
    return placed_s


@fault(1.0)
def disk_full(trial: Trial) -> float:
    """The disk for the logs of scheduler and workers is full, and a worker is killed: the others have its tasks."""
    for name in ("scheduler1", "host1", "host2"):
        trial.kill(name)
        trial.cluster.outputs[name] = Path("/dev/full")  # each write fails: no space left on device
    trial.cluster.start_scheduler(1)
    for name in ("host1", "host2"):
        trial.cluster.start_worker(name)
    trial.until(lambda: set(trial.stats().get("workers", ())) == {"host1", "host2", "host3"}, "all workers there")
    trial.submit("BATCH", 6, 0.1).result(20)
    for method in METHODS:
        trial.submit(method, 4, 0.3)
    trial.a_worker_that("runs")
    trial.kill("host3")  # which the scheduler cannot write down
    placed_s = trial.until_placed_without("host3")
    for _, future in trial.jobs:
        future.result(30)
    for name in ("host1", "scheduler1"):  # with what it holds handed back, and no complaint
        process = trial.cluster.processes[name]
        process.terminate()
        if process.wait(10) != 0:
            raise TrialError(f"{name} ended with status {process.returncode}")
        del trial.cluster.processes[name]
    trial.cluster.start_scheduler(1)
    trial.until(lambda: "host2" in trial.stats().get("workers", ()), "the last worker found")
    return placed_s


@fault(4.0)
def scheduler_without_descriptors(trial: Trial) -> float:
    """No file descriptor is left in the scheduler (jobs go on, it does not spin): it serves again after the crowd has left."""
    return _without_descriptors(trial, "scheduler1", "sparrow.scheduler.1")


@fault(4.0)
def worker_without_descriptors(trial: Trial) -> float:
    """No file descriptor is left in a worker (jobs go on, it does not spin): it serves again after the crowd has left."""
    return _without_descriptors(trial, "host1", "sparrow.worker.host1")


def _without_descriptors(trial: Trial, name: str, object_name: str) -> float:
    for method in METHODS:  # all connections that jobs need are made by then
        trial.submit(method, 9, 0.02).result(20)
    pid = trial.cluster.processes[name].pid
    limit, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (processes.descriptors(pid) + SPARE_DESCRIPTORS, most))
    uri = trial.cluster.proxy(object_name)._pyroUri
    trial.submit("BATCH", 9, WATCHED_S / 3)
    with trial.nobody_lost():
        with ExitStack() as crowd:
            for _ in range(100):
                crowd.enter_context(socket.create_connection((uri.host, uri.port), 5.0))
            trial.until(lambda: not _answers(uri, 0.2), "nobody else served")
            used_s, began_s = processes.cpu_s([pid]), time.monotonic()
            futures: list[Future[JobReport]] = []
            while time.monotonic() < began_s + WATCHED_S:
                futures = [trial.submit(method, 6, 0.01) for method in METHODS]
                for future in futures:
                    future.result(10)
            jobs_cpu_s = (processes.cpu_s([pid]) - used_s) / (time.monotonic() - began_s)
            if _answers(uri, 0.2):
                raise TrialError("another client was served meanwhile: its descriptors were not used up")
        trial.break_now()
        served_s = trial.until(lambda: _answers(uri, 0.2), "an answer to somebody new")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, most))
    if jobs_cpu_s > BUSY:
        raise TrialError(f"it used {jobs_cpu_s:.0%} of a core while it could open nothing")
    return served_s


def _answers(uri: Pyro4.URI, within_s: float) -> bool:
    with Pyro4.Proxy(uri) as proxy:
        proxy._pyroTimeout = within_s
        try:
            proxy._pyroBind()
        except Pyro4.errors.PyroError:
            return False
        return True


@fault(1.0)
def clock_set_back(trial: Trial) -> float:
    """The clock is set back an hour (in scheduler and worker, by a shim for time.time): the tasks of the next job are on workers.

    The machine's own clock stays as it is. The two processes get a ``time.time`` that jumps, which is the only way in which the
    programs ask for the time of day.
    """
    folder = trial.cluster.logs / "shim"
    folder.mkdir()
    jump = folder / "jump"
    (folder / "sitecustomize.py").write_text(SHIM.format(file=str(jump), hour_s=HOUR_S))
    trial.cluster.variables["PYTHONPATH"] = str(folder)
    trial.kill("scheduler1", "host1")
    trial.cluster.start_scheduler(1)
    trial.cluster.start_worker("host1")
    trial.until(lambda: set(trial.stats().get("workers", ())) == {"host1", "host2", "host3"}, "all workers there")
    with trial.nobody_lost():
        for method in METHODS:
            trial.submit(method, 6, 0.2)
        trial.a_worker_that("runs")
        trial.break_now()
        jump.touch()
        trial.submit("BATCH", 3, 0.05)
        placed_s = trial.until(trial.newest_is_placed, "its tasks placed")
        if trial.stats()["now"] > time.time() - HOUR_S / 2:
            raise TrialError("the clock has not jumped")
        for _, future in trial.jobs:
            if future.result(30).response_s > 30:
                raise TrialError("a time was measured with the clock that jumped")
    return placed_s
