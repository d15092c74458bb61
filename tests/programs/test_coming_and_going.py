"""Processes that start late, stop and come back, while jobs run. What breaks is in test_faults.py."""

import json
import signal
import socket
import subprocess
import sys
import time

import Pyro4
import pytest

from scripts.testbed.local_cluster import ROOT, LocalCluster, client_command
from src.cluster.signals import SAME_S
from src.Job import Job
from src.SparrowClient import SparrowClient
from tests.support.contract import METHODS
from tests.support.live import as_in_the_background, client, eventually


@pytest.mark.parametrize("cluster", [{"workers": 0}], indirect=True)
def test_a_job_waits_for_the_first_worker_and_the_client_says_so(cluster):
    late = client(cluster, "BATCH", 1, 2, 0.01, "--timeout", 1.5)
    assert late.returncode == 124
    assert "no worker yet; start one on each machine with: python Worker.py" in late.stderr
    with SparrowClient(cluster.nameserver) as one:
        futures = {method: one.submit(Job(None, 4, 0.01), method) for method in METHODS}
        cluster.start_worker("host1")
        for future in futures.values():
            assert not future.result(20).failed


@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_stops_hands_back_what_it_holds(cluster, signalled):
    with SparrowClient(cluster.nameserver) as one:
        one.submit(Job.from_durations([100.0] * 9), "BATCH")  # it would take the worker 300 s to run its three
        eventually(lambda: cluster.load("host1") == 3)
        process = cluster.processes.pop("host1")
        process.send_signal(signalled)
        assert process.wait(30) == 0
        eventually(lambda: cluster.load("host2") + cluster.load("host3") == 9)
    assert cluster.stats()["methods"]["BATCH"]["counts"].get("retried", 0) == 0
    with pytest.raises(Pyro4.errors.NamingError):
        cluster.proxy("sparrow.worker.host1")
    assert "Traceback" not in cluster.log("host1")


def test_a_worker_that_stops_ends_what_is_nearly_done(cluster):
    with SparrowClient(cluster.nameserver) as one:
        future = one.submit(Job.from_durations([0.4] * 3), "BATCH")
        eventually(lambda: cluster.load("host1") == 1)
        process = cluster.processes.pop("host1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert {(task.worker, task.attempts) for task in future.result(30).tasks} == {(f"host{n}", 1) for n in (1, 2, 3)}


def test_a_scheduler_stops_and_gives_its_name_back(cluster):
    process = cluster.processes.pop("scheduler1")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    with pytest.raises(Pyro4.errors.NamingError):
        cluster.proxy("sparrow.scheduler.1")
    assert "Traceback" not in cluster.log("scheduler1")


@pytest.mark.parametrize("program", ["host1", "scheduler1", "nameserver"])
@pytest.mark.parametrize("cluster", [{"workers": 1, "own_nameserver": True}], indirect=True)
def test_signals_that_come_together_count_as_one(cluster, program):
    """``timeout`` sends one to its child and one to its group. What is done at the end is done nevertheless."""
    process = cluster.processes.pop(program)
    for _ in range(20):
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0, cluster.log(program)
    assert "stopped" in cluster.log(program)
    if program != "nameserver":
        with pytest.raises(Pyro4.errors.NamingError):
            cluster.proxy({"host1": "sparrow.worker.host1", "scheduler1": "sparrow.scheduler.1"}[program])


def test_a_second_signal_ends_a_worker_at_once(cluster):
    process = cluster.processes.pop("host1")
    cluster.kill("nameserver", signal.SIGSTOP)  # so that the name cannot be given back for a while
    process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping on SIGTERM" in cluster.log("host1"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2 * SAME_S)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    "program", ["src/NameServer.py --port 0", "src/Scheduler.py --number 5", "src/Worker.py --name behind", "server.py"]
)
def test_in_the_background_of_a_shell_ctrl_c_does_not_stop_a_service_and_sigterm_does(clusters, tmp_path, program):
    """A shell has its background jobs ignore SIGINT, so that a Ctrl-C for the job in the foreground does not end them."""
    name, *options = program.split()
    options += [] if "NameServer" in name else ["--nameserver", clusters(1).nameserver]
    options += ["--port", "0"] if name == "server.py" else []
    log = tmp_path / "log"
    with log.open("w") as output:
        running = subprocess.Popen(
            [sys.executable, "-u", str(ROOT / name), *options], stdout=output, stderr=output, preexec_fn=as_in_the_background
        )
    try:
        eventually(lambda: "ready at" in log.read_text() or "http://" in log.read_text())
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0
    finally:
        running.kill()
        running.wait()
    assert "SIGINT" not in log.read_text()


def test_everything_may_start_before_what_it_needs(tmp_path):
    """Client, worker, scheduler, name server: the wrong way round."""
    own = LocalCluster(0)
    with own:
        port = int(own.nameserver.rpartition(":")[2])
        own.kill("scheduler1")
        own.kill("nameserver")
        command = [sys.executable, str(ROOT / "src" / "SparrowClient.py"), "BATCH+LATE_BINDING", "2", "3", "0.01", "--json"]
        said = tmp_path / "stderr"
        with said.open("w") as stderr:
            waiting = subprocess.Popen([*command, "--nameserver", own.nameserver], stdout=subprocess.PIPE, stderr=stderr, text=True)
        eventually(lambda: "start one with: python3 src/NameServer.py" in said.read_text())
        own.start_worker("host1")
        eventually(lambda: "waiting for the name server" in own.log("host1"))
        own.start_scheduler(1)
        own.start_nameserver(port)
        out, _ = waiting.communicate(timeout=30)
        assert waiting.returncode == 0, said.read_text()
        assert json.loads(out)["completed"] == 6


def test_workers_on_one_host_take_names_of_their_own(cluster):
    for name in ("first", "second"):
        cluster._spawn(name, str(ROOT / "src" / "Worker.py"), "--nameserver", cluster.nameserver)
        eventually(lambda name=name: "ready at" in cluster.log(name))
    assert {socket.gethostname(), f"{socket.gethostname()}.2"} <= set(cluster.stats()["workers"])


def test_work_goes_on_while_the_name_server_is_away(cluster):
    """Workers and schedulers that had nothing to do with each other so far need it no more than those that had."""
    port = int(cluster.nameserver.rpartition(":")[2])
    with SparrowClient(cluster.nameserver) as one:
        eventually(lambda: cluster.stats()["open_jobs"] == 0)
        (report,) = one.run("RANDOM", 1, 1, 0.0)  # the client knows the scheduler, most workers do not
        cluster.kill("nameserver")
        for method in METHODS:
            (report,) = one.run(method, 1, 9, 0.05, timeout_s=5)
            assert not report.failed
    assert "is lost" not in "".join(cluster.log(name) for name in ("host1", "host2", "host3", "scheduler1"))
    cluster.start_nameserver(port)


@pytest.mark.parametrize("cluster", [{"workers": 2, "schedulers": 2}], indirect=True)
def test_a_scheduler_that_comes_back_gets_jobs_again(cluster):
    with SparrowClient(cluster.nameserver) as one:
        one.run("BATCH", 4, 2, 0.0)
        cluster.kill("scheduler2")
        one.run("BATCH", 4, 2, 0.0, timeout_s=20)
        cluster.start_scheduler(2)
        cluster.wait_ready()

        def used():
            one.run("BATCH", 4, 2, 0.0, timeout_s=20)
            return cluster.stats(2)["methods"]

        eventually(used)


@pytest.mark.parametrize("cluster", [{"workers": 2, "schedulers": 2}], indirect=True)
def test_a_job_that_went_to_another_scheduler_says_so(cluster):
    running = subprocess.Popen(
        client_command(cluster.nameserver, "BATCH", "4", "2", "1", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: cluster.stats(1)["open_jobs"] == cluster.stats(2)["open_jobs"] == 2)
    cluster.kill("scheduler2")
    out, err = running.communicate(timeout=60)
    assert (running.returncode, "handing its jobs over" in err) == (0, True)
    assert (json.loads(out)["completed"], json.loads(out)["handed_over"]) == (8, 2)


def test_a_worker_that_leaves_is_not_called_lost(cluster):
    cluster.processes["host1"].terminate()
    cluster.processes.pop("host1").wait(5)
    eventually(lambda: "worker host1 has left" in cluster.log("scheduler1"))
    assert "is lost" not in cluster.log("scheduler1")


def test_a_worker_may_be_stopped_while_a_scheduler_that_hangs_has_not_greeted_it(cluster):
    cluster.kill("scheduler1", signal.SIGSTOP)
    cluster.start_worker("host9")
    with Pyro4.locateNS("127.0.0.1", int(cluster.nameserver.rpartition(":")[2])) as names:
        eventually(lambda: "sparrow.worker.host9" in names.list())
    process = cluster.processes.pop("host9")
    process.terminate()
    assert process.wait(5) == 0
    assert "ready at" not in cluster.log("host9")
    assert "Traceback" not in cluster.log("host9")


@pytest.mark.parametrize("pause_s", [0.0, 0.002, 0.02])
def test_two_interrupts_that_come_together_are_one_for_the_client(clusters, pause_s):
    command = [
        sys.executable,
        str(ROOT / "src" / "SparrowClient.py"),
        "BATCH",
        "1",
        "2",
        "1",
        "--nameserver",
        clusters(1).nameserver,
    ]
    with SparrowClient(clusters(1).nameserver) as one:
        eventually(lambda: clusters(1).stats()["open_jobs"] == 0)
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible)
        eventually(lambda: clusters(1).stats()["open_jobs"] == 1)
        waiting.send_signal(signal.SIGINT)
        time.sleep(pause_s)
        waiting.send_signal(signal.SIGINT)
        out, said = waiting.communicate(timeout=10)
        assert (waiting.returncode, out) == (130, ""), said
        assert said.startswith("interrupted: 1 of 1 job has not ended")
        one.run("BATCH", 1, 1, 0.0)


def interruptible():
    """A shell starts what runs in its background with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
