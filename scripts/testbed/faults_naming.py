"""The faults of names: those that lead elsewhere, or nowhere, and a name server that is slow."""

from __future__ import annotations

import random

import Pyro4

from scripts.testbed.attacks_naming import NAMES, nowhere
from scripts.testbed.faults import LATE
from scripts.testbed.local_cluster import LocalCluster
from scripts.testbed.strangers import slow_way, stranger
from scripts.testbed.target import Target
from scripts.testbed.trial import Trial, TrialError, fault, fault_of
from src.Job import Job
from src.sparrow.settings import NamingSettings
from src.SparrowClient import SparrowClient

SCHEDULER = "sparrow.scheduler.1"
LOOK_S = NamingSettings.look_s + NamingSettings.settle_s  # for a silent port to be noticed
CAREFUL_S = 1.25 * NamingSettings.renew_s + NamingSettings.look_s  # for others to look again, if a name server took long to answer


def _names(trial: Trial) -> Pyro4.Proxy:
    host, _, port = trial.cluster.nameserver.rpartition(":")
    return Pyro4.locateNS(host, int(port), hmac_key=trial.cluster.key)


@fault_of(LOOK_S + 3.0, lambda: LocalCluster(3, own_nameserver=True))
def scheduler_port_taken(trial: Trial) -> float:
    """SIGKILL of the only scheduler, whose port a silent program gets; it is started again at once: it has its name."""
    return _port_taken(trial)


@fault(LOOK_S + CAREFUL_S + 3.0)
def scheduler_port_taken_pyro4_ns(trial: Trial) -> float:
    """The same with pyro4-ns, which cannot change a name in one step: it has its name."""
    return _port_taken(trial)


def _port_taken(trial: Trial) -> float:
    trial.submit("BATCH", 6, 1.0)
    trial.until(lambda: trial.stats()["open_tasks"]["running"], "tasks run")
    with stranger("silence") as port, _names(trial) as names:
        trial.kill("scheduler1")
        names.register(SCHEDULER, f"PYRO:{SCHEDULER}@127.0.0.1:{port}")
        trial.cluster.start_scheduler(1)
        named_s = trial.until(lambda: trial.cluster.log("scheduler1").count("ready at") == 2, "its name")
        if names.lookup(SCHEDULER).port == port:
            raise TrialError("its name leads elsewhere")
    return named_s


@fault(1.25 * NamingSettings.renew_s + LOOK_S + 1.0)
def scheduler_name_elsewhere(trial: Trial) -> float:
    """The name of a running scheduler leads to a silent program (jobs go on): it has its name again."""
    trial.submit(LATE, 9, 1.0)
    with stranger("silence") as port, _names(trial) as names:
        ours = str(names.lookup(SCHEDULER))
        trial.break_now()
        names.register(SCHEDULER, f"PYRO:{SCHEDULER}@127.0.0.1:{port}")
        return trial.until(lambda: str(names.lookup(SCHEDULER)) == ours, "its name again")


@fault(4.0)
def names_that_lead_nowhere(trial: Trial) -> float:
    """10,000 names of workers lead nowhere (nobody is given up); a new worker is started: it has tasks."""
    with _names(trial) as names:
        uri = names.lookup(SCHEDULER)
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
