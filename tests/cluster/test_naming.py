"""Names that lead elsewhere, slow name servers, several who want one name: with real processes and both name servers."""

import os
import signal
import socket
import subprocess
import sys

import Pyro4
import pytest

from scripts.testbed.local_cluster import ROOT, LocalCluster
from scripts.testbed.strangers import KINDS, slow_way, stranger
from src.rmi.nameserver import BoundedNameServer
from src.rmi.settings import NameServerLimits
from tests.support.live import client, eventually

HERE = socket.gethostname()


@pytest.fixture(params=[False, True], ids=["pyro4-ns", "our name server"])
def bare(request):
    """A cluster with a name server and nothing else."""
    with LocalCluster(0, schedulers=0, own_nameserver=request.param) as cluster:
        yield cluster


def names_of(cluster):
    host, _, port = cluster.nameserver.rpartition(":")
    return Pyro4.locateNS(host, int(port), hmac_key=cluster.key)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_leads_elsewhere_keeps_nobody_from_starting_and_ends_nobody(bare, kind):
    with stranger(kind) as port, names_of(bare) as names:
        elsewhere = f"PYRO:sparrow.scheduler.1@127.0.0.1:{port}"
        names.register("sparrow.scheduler.1", elsewhere)
        bare.start_scheduler(1)
        eventually(lambda: "ready at" in bare.log("scheduler1"))
        ours = str(names.lookup("sparrow.scheduler.1"))
        assert ours != elsewhere
        names.register("sparrow.scheduler.1", elsewhere)
        eventually(lambda: str(names.lookup("sparrow.scheduler.1")) == ours, 15.0)
        said = f"registered again, nobody answers as sparrow.scheduler.1 at {elsewhere}"
        eventually(lambda: said in bare.log("scheduler1"))
        assert bare.processes["scheduler1"].poll() is None


@pytest.mark.parametrize("uri", ["PYRONAME:x", "PYRO:o@./u:sock"])
def test_a_name_that_leads_to_no_host_keeps_nobody_from_starting_and_ends_nobody(uri):
    with LocalCluster(workers=1, schedulers=1, own_nameserver=False) as cluster, names_of(cluster) as names:
        ours = str(names.lookup("sparrow.scheduler.1"))
        for name in ("sparrow.worker.odd", "sparrow.scheduler.1", "sparrow.scheduler.2", "sparrow.scheduler.3"):
            names.register(name, uri)
        cluster.start_scheduler(2)
        eventually(lambda: "ready at" in cluster.log("scheduler2"))
        eventually(lambda: str(names.lookup("sparrow.scheduler.1")) == ours, 15.0)
        assert cluster.processes["scheduler1"].poll() is None
        done = client(cluster, "BATCH", 3, 2, 0.1)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr + cluster.log("scheduler1") + cluster.log("scheduler2")


def test_a_name_that_leads_to_another_process_of_ours_is_taken_over(bare):
    bare.start_scheduler(1)
    eventually(lambda: "ready at" in bare.log("scheduler1"))
    with names_of(bare) as names:
        names.register("sparrow.scheduler.2", str(names.lookup("sparrow.scheduler.1")).replace("scheduler.1@", "scheduler.2@"))
        bare.start_scheduler(2)
        eventually(lambda: "ready at" in bare.log("scheduler2"))


def test_workers_that_start_together_after_a_crash_each_get_a_name(bare):
    def start(number):
        bare._spawn(f"worker{number}", str(ROOT / "src" / "Worker.py"), "--nameserver", bare.nameserver)

    def ready(number):
        return bare.log(f"worker{number}").count("ready at")

    workers = range(4)
    for number in workers:
        start(number)
    with names_of(bare) as names:
        wanted = {f"sparrow.worker.{HERE}", *(f"sparrow.worker.{HERE}.{number}" for number in (2, 3, 4))}
        eventually(lambda: set(names.list("sparrow.worker.")) == wanted, 20.0)
        before = names.list("sparrow.worker.")
        said = [ready(number) for number in workers]
        for number in workers:
            bare.processes[f"worker{number}"].kill()
        for number in workers:
            bare.processes.pop(f"worker{number}").wait()
        for number in workers:
            start(number)

        def all_new():
            found = names.list("sparrow.worker.")
            return set(found) == wanted and not set(found.values()) & set(before.values())

        eventually(all_new, 30.0)
        eventually(lambda: all(ready(number) > said[number] for number in workers), 20.0)
        assert all(bare.processes[f"worker{number}"].poll() is None for number in workers)
        assert len(set(names.list("sparrow.worker.").values())) == 4


def test_a_worker_whose_name_a_live_one_has_got_goes_on_under_the_next(bare):
    """It was stopped for so long that another one has taken its name over."""

    def start(number):
        bare._spawn(f"worker{number}", str(ROOT / "src" / "Worker.py"), "--nameserver", bare.nameserver)
        eventually(lambda: "ready at" in bare.log(f"worker{number}"), 20.0)

    start(1)
    bare.kill("worker1", signal.SIGSTOP)
    start(2)
    assert f"sparrow.worker.{HERE}: ready at" in bare.log("worker2")
    bare.kill("worker1", signal.SIGCONT)
    eventually(lambda: f"sparrow.worker.{HERE}.2: ready at" in bare.log("worker1"), 20.0)
    assert bare.processes["worker1"].poll() is None
    assert "going on under the next name" in bare.log("worker1")


def test_everything_starts_with_a_name_server_that_takes_three_seconds(bare):
    """Slow is not dead: it is waited for, and called slow."""
    real = bare.nameserver
    with slow_way(real) as bare.nameserver:
        bare.start_scheduler(1)
        bare.start_worker("host1")
        done = client(bare, "BATCH", 1, 2, 0.01, "--timeout", 60)
    bare.nameserver = real
    assert done.returncode == 0, done.stderr
    for said in (bare.log("scheduler1"), bare.log("host1"), done.stderr):
        assert "is slow: no answer in 1.5 s" in said


# The name server of ours


@pytest.fixture
def clock():
    """A time that a test sets."""
    return [100.0]


def leasing(clock, **limits):
    return BoundedNameServer(limits=NameServerLimits(lease_s=60.0, **limits), now=lambda: clock[0])


A, B, C = (f"PYRO:x@127.0.0.1:{port}" for port in (1, 2, 3))
NAME = "sparrow.worker.a"


def test_a_name_is_claimed_in_one_step(clock):
    names = leasing(clock)
    assert names.claim(NAME, A) == ""
    assert names.claim(NAME, B) == A
    assert names.claim(NAME, B, C) == A
    assert str(names.lookup(NAME)) == A
    assert names.claim(NAME, B, A) == A
    assert str(names.lookup(NAME)) == B
    assert names.claim(NAME, B) == B
    assert not names.release(NAME, A)
    assert names.release(NAME, B)
    assert names.claim(NAME, A, B) == ""


def test_a_claimed_name_that_is_not_renewed_expires_and_others_stay(clock):
    names = leasing(clock)
    names.register("sparrow.worker.by-hand", A)
    names.register("other", A)
    names.claim(NAME, A)
    names.claim("sparrow.worker.b", B)
    clock[0] += 50.0
    names.claim(NAME, A)
    clock[0] += 50.0
    assert set(names.list()) == {NAME, "other", "sparrow.worker.by-hand"}
    clock[0] += 20.0
    assert set(names.list("sparrow.worker.")) == {"sparrow.worker.by-hand"}
    with pytest.raises(Pyro4.errors.NamingError):
        names.lookup(NAME)


def test_a_name_that_is_registered_after_it_was_claimed_stays_and_what_is_removed_is_no_longer_leased(clock):
    names = leasing(clock)
    names.claim(NAME, A)
    names.register(NAME, B)
    names.claim("sparrow.worker.b", A)
    names.remove("sparrow.worker.b")
    names.register("sparrow.worker.b", B)
    names.claim("sparrow.worker.c", A)
    names.remove(prefix="sparrow.worker.c")
    names.register("sparrow.worker.c", B)
    clock[0] += 1_000.0
    assert set(names.list()) == {NAME, "sparrow.worker.b", "sparrow.worker.c"}


def test_names_that_were_kept_over_a_restart_have_one_lease_more(clock, tmp_path):
    def kept():
        return BoundedNameServer(
            Pyro4.naming_storage.SqlStorage(str(tmp_path / "names")), NameServerLimits(lease_s=60.0), lambda: clock[0]
        )

    names = kept()
    names.claim(NAME, A)
    names.register("other", A)
    clock[0] += 1_000.0
    names = kept()
    assert set(names.list()) == {NAME, "other"}
    clock[0] += 61.0
    assert set(names.list()) == {"other"}


@pytest.mark.parametrize("name", ["other", "Pyro.NameServer", "", None, ["sparrow.worker.a"], "sparrow." + "a" * 2_000])
def test_only_names_of_ours_are_leased(clock, name):
    with pytest.raises(ValueError, match="names that begin with|at most 256 characters"):
        leasing(clock).claim(name, A)


def test_claims_keep_the_limits(clock):
    names = leasing(clock, max_names=2)
    for number in range(2):
        names.claim(f"{NAME}{number}", A)
    with pytest.raises(ValueError, match="there are 2 names already"):
        names.claim(f"{NAME}2", A)
    assert names.claim(f"{NAME}1", B, A) == A
    with pytest.raises(ValueError, match="1024 characters"):
        names.set_metadata(f"{NAME}1", ["x" * 5_000])


# Where it listens


def run(program, *arguments, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / program), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0", "00.0.0.0", "::0"])
@pytest.mark.parametrize("program", ["Scheduler.py", "Worker.py"])
def test_a_wildcard_is_bad_usage(program, host):
    done = run(f"src/{program}", "--host", host)
    assert done.returncode == 2, done.stderr
    assert f"cannot listen on {host}: the others must be told one address; set the one they reach with --host" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def loopback_name(tmp_path):
    """The variables with which a program resolves the host name ``ns`` to 127.0.1.1, as Debian does with a machine's own name."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "real, bind = socket.getaddrinfo, socket.socket.bind\n"
        "there = lambda host: '127.0.1.1' if host == 'ns' else host\n"
        "socket.getaddrinfo = lambda host, *a, **k: real(there(host), *a, **k)\n"
        "socket.socket.bind = lambda self, address: bind(self, (there(address[0]), *address[1:]))\n"
    )
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("program", ["NameServer.py", "Scheduler.py", "Worker.py"])
def test_a_host_name_that_is_loopback_here_takes_a_key_all_the_same(loopback_name, program):
    done = run(f"src/{program}", "--host", "ns", **loopback_name)
    assert done.returncode == 2, done.stderr
    assert "ns is 127.0.1.1 on this machine, where other machines cannot reach it; " in done.stderr
    assert "without a key" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_host_name_that_is_loopback_here_is_said_with_its_address(loopback_name, tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, str(ROOT / "src" / "NameServer.py"), "--host", "ns", "--port", "0", "--insecure"]
    with log.open("w") as stderr:
        names = subprocess.Popen(command, env={**os.environ, **loopback_name}, stderr=stderr)
    try:
        said = eventually(lambda: log.read_text() if "is ready" in log.read_text() else "")
    finally:
        names.terminate()
        assert names.wait(5) == 0
    assert "the name server is ready at ns:" in said
    assert " (127.0.1.1), with 1 names" in said
    assert "ns is 127.0.1.1 on this machine, where other machines cannot reach it" in said


def test_the_dashboard_says_that_a_host_name_is_loopback_here_and_stops_once(loopback_name, tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, str(ROOT / "server.py"), "--host", "ns", "--port", "0", "--nameserver", "127.0.0.1:9"]
    with log.open("w") as stderr:
        server = subprocess.Popen(
            command, env={**os.environ, **loopback_name}, stderr=stderr, stdout=subprocess.PIPE, text=True, bufsize=1
        )
    assert server.stdout is not None
    assert server.stdout.readline().startswith("http://ns:")
    for _ in range(20):
        server.send_signal(signal.SIGTERM)
    assert server.wait(5) == 0, log.read_text()
    server.stdout.close()
    assert "ns is 127.0.1.1 on this machine, where other machines cannot reach it" in log.read_text()
