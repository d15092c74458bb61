"""Every attack of scripts/testbed/attacks.py, in short, on every port where it makes sense: running jobs are not disturbed."""

import contextlib
import socket
import threading

import pytest
from Pyro4 import message

from scripts.testbed import processes
from scripts.testbed.attacks import ATTACKS, attack
from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from scripts.testbed.mutations import header
from scripts.testbed.protection import OPEN, PROTECTIONS, protected
from scripts.testbed.standstill import StandstillWatch
from scripts.testbed.target import GROWTH_MB, OBJECTS, Target
from src.rmi.settings import WireLimits
from src.sparrow.metrics import percentile
from src.SparrowClient import SparrowClient
from tests.support.live import assert_books_are_empty, eventually

FOR_S = 0.25  # of each attack
PACE = {"hoard": 40, "nested": 10, "silent-tls": 2_000}  # acts a second, of attacks that have little time here to do what they can
LOSES = ("lying", "altered")  # attacks with workers that have tasks, and leave
SLACK_S = 0.25  # that a job may take longer than the slowest did before, on a machine that is busy but does not stand still


class Victims:
    """A cluster with a dashboard, and jobs to see how it does."""

    def __init__(self, cluster, dashboard, client):
        self.cluster, self.dashboard, self.client = cluster, dashboard, client
        self.processes = {
            "scheduler": cluster.processes["scheduler1"],
            "worker": cluster.processes["host1"],
            "nameserver": cluster.processes["nameserver"],
            "dashboard": dashboard.process,
        }
        self.quiet_s = max(self.response_s() for _ in range(20))

    def response_s(self, may_be_lost=False):
        (report,) = self.client.run("BATCH+LATE_BINDING", 1, 4, 0.005, timeout_s=30)
        assert not report.failed
        assert may_be_lost or report.retried == 0  # no worker was given up
        assert all(task.wait_s + task.service_s <= report.response_s for task in report.tasks)
        return report.response_s

    def target(self, port, key=None):
        if port == "dashboard":
            return Target("127.0.0.1", self.dashboard.port, nameserver=self.cluster.nameserver, key=key)
        with self.cluster.proxy(OBJECTS[port]) as proxy:
            return Target(proxy._pyroUri.host, proxy._pyroUri.port, OBJECTS[port], self.cluster.nameserver, key)

    def memory_mb(self, port):
        return processes.memory_mb(self.processes[port].pid)

    def serves(self, port):
        if port == "dashboard":
            return self.dashboard.get("/healthz")["status"] == "ok"
        with self.cluster.proxy(self.target(port).object_id) as proxy:
            return proxy._pyroBind()

    def logs(self):
        return "".join(self.cluster.log(name) for name in self.cluster.processes) + self.dashboard.log()


@pytest.fixture(scope="module")
def victims(request):
    """The parameter is the protection of the cluster, by default none."""
    with (
        protected(getattr(request, "param", OPEN)),
        LocalCluster(3, own_nameserver=True) as cluster,
        Dashboard(cluster.nameserver) as dashboard,
        SparrowClient(cluster.nameserver) as client,
    ):
        eventually(lambda: dashboard.get("/sparrow/stats")["totals"]["workers"] == 3)
        yield Victims(cluster, dashboard, client)
        assert_books_are_empty(cluster)


@pytest.mark.parametrize(
    ("victims", "name", "port"),
    [
        (protection, name, port)
        for protection in PROTECTIONS
        for name, one in ATTACKS.items()
        for port in one.ports
        if protection in one.under and not one.occupies
    ],
    indirect=["victims"],
)
def test_an_attack_leaves_running_jobs_untouched(victims, name, port):
    target, before_mb, said = victims.target(port, victims.cluster.key), victims.memory_mb(port), len(victims.logs())
    outcome: list = []
    prepared = threading.Event()

    def run():
        try:
            outcome.append(attack(name, target, FOR_S, per_s=PACE.get(name), prepared=prepared.set))
        except Exception as error:
            outcome.append(error)
        prepared.set()

    attacker = threading.Thread(target=run)
    attacker.start()
    prepared.wait()
    times: list[float] = []
    most_mb = 0.0
    with StandstillWatch() as watch:
        while attacker.is_alive() or not times:
            times.append(victims.response_s(may_be_lost=name.startswith(LOSES)))
            most_mb = max(most_mb, victims.memory_mb(port))
    attacker.join()
    assert isinstance(outcome[0], int), outcome[0]  # else a connection was neither answered nor closed in time
    assert outcome[0] > 0
    assert percentile(times, 50) < victims.quiet_s + SLACK_S + 2 * watch.longest_s
    assert most_mb < before_mb + GROWTH_MB
    assert victims.serves(port)
    assert all(process.poll() is None for process in victims.processes.values())
    new = victims.logs()[said:]
    assert "Traceback" not in new
    assert " ERROR " not in new
    assert new.count("\n") < 50  # nor can anybody fill the log


def test_five_thousand_resets(victims):
    assert attack("resets", victims.target("scheduler"), 20.0, most=5_000, per_s=5_000) == 5_000
    assert min(victims.response_s() for _ in range(5)) < victims.quiet_s + SLACK_S


def test_a_connection_without_a_greeting_is_closed(victims):
    held = [socket.create_connection(victims.target(port)[:2], timeout=10) for port in ("scheduler", "worker") for _ in range(50)]
    for connection in held:
        assert connection.recv(1) == b""  # its time for a greeting is over
        connection.close()


C = message.MSG_CONNECT
HOSTILE = {
    "noise": b"\xff\x00garbage" * 20_000,
    "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two gigabytes": header(C, 2**31 - 1),
    "a negative size": header(C, -5),
    "a wrong checksum": header(C, checksum=1),
    "another protocol": header(C, tag=b"PYR0"),
    "compressed": header(C, 10, message.FLAGS_COMPRESSED),
    "kept serialized": header(C, 10, message.FLAGS_KEEPSERIALIZED),
    "a large greeting": header(C, WireLimits().max_greeting_bytes + 1),
    "a broken greeting": header(C, 10) + b"x" * 10,
    "a nested greeting": header(C, 400) + b"(" * 400,
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("port", ["scheduler", "worker"])
def test_what_is_not_a_greeting_ends_the_connection_at_once(victims, port, sent):
    with socket.create_connection(victims.target(port)[:2], timeout=3) as peer, contextlib.suppress(ConnectionError):
        peer.sendall(sent)
        while peer.recv(4096):  # after any answer it closes the connection
            pass
    assert victims.serves(port)


def test_each_attack_says_in_one_line_what_it_does_and_checks():
    for name, one in ATTACKS.items():
        assert one.what.endswith("."), name
