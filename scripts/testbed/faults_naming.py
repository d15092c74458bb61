"""The faults of names: those that lead elsewhere, or nowhere, and a name server that is slow."""

from __future__ import annotations

import random
import signal
import socket
from typing import Any

import Pyro4

from scripts.testbed.attacks_base import names_of
from scripts.testbed.attacks_naming import NAMES, filled, nowhere
from scripts.testbed.faults import LATE
from scripts.testbed.local_cluster import ROOT, LocalCluster
from scripts.testbed.strangers import slow_way, stranger
from scripts.testbed.target import Target
from scripts.testbed.trial import Trial, TrialError, fault, fault_of
from src.Job import Job
from src.rmi.settings import NameServerLimits
from src.sparrow.names import WORKERS
from src.sparrow.settings import NamingSettings
from src.SparrowClient import SparrowClient

SCHEDULER = "sparrow.scheduler.1"
UNNAMED = 4  # workers of one host
TWO_ADDRESSES, DEAD = "two.example", "127.0.0.2"  # a host, and its first address
SHIM = '''
import socket

_real = socket.getaddrinfo


def _getaddrinfo(host, port, *arguments, **keywords):
    """There is a host with two addresses."""
    if host != {host!r}:
        return _real(host, port, *arguments, **keywords)
    return [one for address in ({first!r}, {second!r}) for one in _real(address, port, *arguments, **keywords)]


socket.getaddrinfo = _getaddrinfo
'''
LOOK_S = NamingSettings.look_s + NamingSettings.settle_s  # for a silent port to be noticed
CAREFUL_S = 1.25 * NamingSettings.renew_s + NamingSettings.look_s  # for others to look again, if a name server took long to answer


def _own_nameserver() -> LocalCluster:
    return LocalCluster(3, own_nameserver=True)


def _names(trial: Trial) -> Any:
    return names_of(Target("", 0, nameserver=trial.cluster.nameserver, key=trial.cluster.key))


@fault_of(LOOK_S + 3.0, _own_nameserver)
def scheduler_port_taken(trial: Trial) -> float:
    """SIGKILL of the only scheduler, whose port a silent program gets; it is started again at once: it has its name."""
    return _port_taken(trial, "silence")


@fault_of(3.0, _own_nameserver)
def scheduler_port_taken_by_program(trial: Trial) -> float:
    """The same with a program that speaks another protocol: it has its name."""
    return _port_taken(trial, "garbage")


@fault(LOOK_S + CAREFUL_S + 3.0)
def scheduler_port_taken_pyro4_ns(trial: Trial) -> float:
    """The same with silence and pyro4-ns, which cannot change a name in one step: it has its name."""
    return _port_taken(trial, "silence")


def _port_taken(trial: Trial, kind: str) -> float:
    trial.submit("BATCH", 6, 1.0)
    trial.until(lambda: trial.stats()["open_tasks"]["running"], "tasks run")
    with stranger(kind) as port, _names(trial) as names:
        trial.kill("scheduler1")
        names.register(SCHEDULER, f"PYRO:{SCHEDULER}@127.0.0.1:{port}")
        trial.cluster.start_scheduler(1)
        named_s = trial.until(lambda: trial.cluster.log("scheduler1").count("ready at") == 2, "its name")
        if Pyro4.URI(names.lookup(SCHEDULER)).port == port:
            raise TrialError("its name leads elsewhere")
    return named_s


@fault(1.25 * NamingSettings.renew_s + LOOK_S + 1.0)
def scheduler_name_elsewhere(trial: Trial) -> float:
    """The name of a running scheduler leads to a silent program (jobs go on): it has its name again."""
    return _name_elsewhere(trial, "silence")


@fault(1.25 * NamingSettings.renew_s + 2.0)
def scheduler_name_at_program(trial: Trial) -> float:
    """The name of a running scheduler leads to a program of another protocol (jobs go on): it has its name again."""
    return _name_elsewhere(trial, "garbage")


def _name_elsewhere(trial: Trial, kind: str) -> float:
    trial.submit(LATE, 9, 1.0)
    with trial.nobody_lost(), stranger(kind) as port, _names(trial) as names:
        ours = str(names.lookup(SCHEDULER))
        trial.break_now()
        names.register(SCHEDULER, f"PYRO:{SCHEDULER}@127.0.0.1:{port}")
        return trial.until(lambda: str(names.lookup(SCHEDULER)) == ours, "its name again")


@fault(4.0)
def names_that_lead_nowhere(trial: Trial) -> float:
    """10,000 names of workers lead nowhere (nobody is given up); a new worker is started: it has tasks."""
    with _names(trial) as names:
        uri = Pyro4.URI(names.lookup(SCHEDULER))
    steps = nowhere(Target(uri.host, uri.port, SCHEDULER, trial.cluster.nameserver, trial.cluster.key), random.Random(1))
    try:
        with trial.nobody_lost():
            for _ in range(NAMES):
                next(steps)
            trial.submit("BATCH", 6, 0.02).result(20)
            trial.break_now()
            trial.cluster.start_worker("host4")
            joined_s = trial.until(lambda: "host4" in trial.stats().get("workers", ()), "it is used")
            trial.submit("BATCH", 8, 0.05).result(20)
    finally:
        steps.close()
    return joined_s


@fault(60.0)
def nameserver_slow(trial: Trial) -> float:
    """The name server takes 3 s for each answer; a scheduler, a worker and a client start: the client has its report."""
    real = trial.cluster.nameserver
    with slow_way(real) as slow:
        trial.cluster.nameserver = slow
        try:
            trial.break_now()
            trial.cluster.start_scheduler(2)
            trial.cluster.start_worker("host4")
            with SparrowClient(slow) as client:
                report = client.submit(Job(None, 8, 0.02), "BATCH").result(60)
        finally:
            trial.cluster.nameserver = real
        if report.failed:
            raise TrialError("a task failed")
        trial.foreign_tasks = 8
        started_s = trial.until(
            lambda: all("ready at" in trial.cluster.log(name) for name in ("scheduler2", "host4")), "both ready", 60.0
        )
        trial.until(lambda: "host4" in trial.stats(1)["workers"], "the new worker used", 60.0)
    return started_s


@fault(4.0)
def nameserver_with_two_addresses(trial: Trial) -> float:
    """A worker is started whose name server's host has two addresses, the first of which is dead: it is used.

    The worker gets a ``socket.getaddrinfo`` that knows such a host: what this machine resolves stays as it is.
    """
    port = int(trial.cluster.nameserver.rpartition(":")[2])
    folder = trial.cluster.logs / "shim"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHIM.format(host=TWO_ADDRESSES, first=DEAD, second=trial.cluster.address))
    real, trial.cluster.nameserver = trial.cluster.nameserver, f"{TWO_ADDRESSES}:{port}"
    trial.cluster.variables["PYTHONPATH"] = str(folder)
    with socket.socket() as listener:
        listener.bind((DEAD, port))
        with filled(listener):
            trial.break_now()
            trial.cluster.start_worker("host4")
            trial.cluster.nameserver = real
            used_s = trial.until(lambda: "host4" in trial.stats().get("workers", ()), "it is used")
    trial.submit("BATCH", 8, 0.05).result(20)
    return used_s


@fault_of(LOOK_S + 3.0, _own_nameserver)
def workers_without_names_killed(trial: Trial) -> float:
    """SIGKILL of four workers of one host that were given no names, started again together: each has a name of its own."""
    ours = [f"unnamed{number}" for number in range(UNNAMED)]

    def start() -> None:
        for one in ours:
            trial.cluster._spawn(one, str(ROOT / "src" / "Worker.py"), "--nameserver", trial.cluster.nameserver)

    def named(times: int) -> bool:
        return all(trial.cluster.log(one).count("ready at") == times for one in ours)

    with _names(trial) as names:
        before = set(names.list(WORKERS))
        start()
        trial.until(lambda: named(1), "all ready")
        first = {name: str(uri) for name, uri in names.list(WORKERS).items() if name not in before}
        trial.kill(*ours)
        start()
        named_s = trial.until(lambda: named(2), "all ready again")
        again = {name: str(uri) for name, uri in names.list(WORKERS).items() if name not in before}
    ended = [one for one in ours if trial.cluster.processes[one].poll() is not None]
    if ended or set(again) != set(first) or len(set(again.values())) != UNNAMED or set(again.values()) & set(first.values()):
        raise TrialError(f"the names were {first}, and are {again}; ended: {ended}")
    for one in ours:
        trial.cluster.kill(one, signal.SIGTERM)
        trial.cluster.processes.pop(one).wait(10)
    return named_s


@fault_of(NameServerLimits.lease_s + 10.0, _own_nameserver)
def name_of_dead_worker(trial: Trial) -> float:
    """SIGKILL of a worker that is not started again: its name is gone from the name server."""
    with _names(trial) as names:
        trial.kill("host1")
        gone_s = trial.until(lambda: "sparrow.worker.host1" not in names.list("sparrow.worker."), "its name gone", 120.0)
        if len(names.list("sparrow.")) != 3:
            raise TrialError("a name of somebody who lives is gone")
    return gone_s
