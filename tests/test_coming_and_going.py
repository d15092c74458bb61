"""Processes that start late, stop, hang, die and come back, while jobs run."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import Pyro4
import pytest

from conftest import ROOT, LocalCluster, assert_books_are_empty, client, eventually
from contract import METHODS
from Job import Job
from SparrowClient import SparrowClient


def test_tasks_of_a_killed_worker_run_elsewhere(cluster):
    with SparrowClient(cluster.nameserver) as one:
        for method in METHODS:
            future = one.submit(Job(None, 6, 0.6), method)
            victim = eventually(lambda: next((name for name, held in cluster.stats()["workers"].items() if held["runs"]), None))
            cluster.kill(victim)
            report = future.result(20)
            assert not report.failed
            assert report.retried >= 1
            assert victim not in {task.worker for task in report.tasks}
            cluster.start_worker(victim)
            cluster.wait_ready()
    assert_books_are_empty(cluster)


def test_a_worker_that_starts_is_used_by_the_next_job(cluster):
    cluster.start_worker("host4")
    eventually(lambda: "ready at" in cluster.log("host4"))
    with SparrowClient(cluster.nameserver) as one:
        (report,) = one.run("BATCH", 1, 8, 0.01)
    assert "host4" in {task.worker for task in report.tasks}


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
        future = one.submit(Job.from_durations([1.0] * 9), "BATCH")
        eventually(lambda: cluster.load("host1") == 3)
        process = cluster.processes.pop("host1")
        began = time.monotonic()
        process.send_signal(signalled)
        assert process.wait(5) == 0
        assert time.monotonic() - began < 1.0
        report = future.result(20)
    assert not report.failed
    assert report.retried == 0
    with pytest.raises(Pyro4.errors.NamingError):
        cluster.proxy("sparrow.worker.host1")
    assert "Traceback" not in cluster.log("host1")


def test_a_scheduler_stops_within_a_second_and_gives_its_name_back(cluster):
    process = cluster.processes.pop("scheduler1")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert time.monotonic() - began < 1.0
    with pytest.raises(Pyro4.errors.NamingError):
        cluster.proxy("sparrow.scheduler.1")
    assert "Traceback" not in cluster.log("scheduler1")


def test_a_second_signal_ends_a_worker_at_once(cluster):
    with SparrowClient(cluster.nameserver) as one:
        one.submit(Job.from_durations([0.4] * 3), "BATCH")
        eventually(lambda: cluster.load("host1") == 1)
        process = cluster.processes.pop("host1")
        process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping on SIGTERM" in cluster.log("host1"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM


def test_a_killed_scheduler_is_found_again_with_its_jobs(cluster):
    with SparrowClient(cluster.nameserver) as one:
        futures = [one.submit(Job(None, 4, 0.3), method) for method in METHODS]
        eventually(lambda: cluster.stats()["open_jobs"] == 4)
        cluster.kill("scheduler1")
        cluster.start_scheduler(1)
        for future in futures:
            assert not future.result(30).failed
    assert_books_are_empty(cluster)


@pytest.mark.parametrize("cluster", [{"workers": 3, "schedulers": 2}], indirect=True)
def test_jobs_of_a_killed_scheduler_go_to_the_next(cluster):
    with SparrowClient(cluster.nameserver) as one:
        futures = [one.submit(Job(None, 3, 0.3), method) for method in (*METHODS, *METHODS)]
        eventually(lambda: cluster.stats(1)["open_jobs"] == cluster.stats(2)["open_jobs"] == 4)
        cluster.kill("scheduler1")
        for future in futures:
            assert not future.result(30).failed
    assert_books_are_empty(cluster)


def test_a_restarted_name_server_is_found_again_by_all(cluster):
    port = int(cluster.nameserver.rpartition(":")[2])
    cluster.kill("nameserver")
    cluster.start_nameserver(port)
    with SparrowClient(cluster.nameserver) as one:
        (report,) = one.run("BATCH+LATE_BINDING", 1, 6, 0.01, timeout_s=20)
    assert not report.failed
    names = {"sparrow.scheduler.1", *(f"sparrow.worker.host{n}" for n in (1, 2, 3))}
    with Pyro4.locateNS("127.0.0.1", port) as ns:
        eventually(lambda: names <= set(ns.list()), 8.0, "they had not registered again")


def test_everything_may_start_before_what_it_needs(tmp_path):
    """Client, worker, scheduler, name server: the wrong way round."""
    own = LocalCluster(0)
    with own:
        port = int(own.nameserver.rpartition(":")[2])
        own.kill("scheduler1")
        own.kill("nameserver")
        command = [sys.executable, str(ROOT / "src" / "SparrowClient.py"), "BATCH+LATE_BINDING", "2", "3", "0.01", "--json"]
        waiting = subprocess.Popen(
            [*command, "--nameserver", own.nameserver], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        own.start_worker("host1")
        eventually(lambda: "waiting for the name server" in own.log("host1"))
        own.start_scheduler(1)
        own.start_nameserver(port)
        out, err = waiting.communicate(timeout=30)
        assert waiting.returncode == 0, err
        assert json.loads(out)["completed"] == 6
        assert "start one with: pyro4-ns" in err


def test_workers_on_one_host_take_names_of_their_own(cluster):
    for name in ("first", "second"):
        cluster._spawn(name, str(ROOT / "src" / "Worker.py"), "--nameserver", cluster.nameserver)
        eventually(lambda name=name: "ready at" in cluster.log(name))
    assert {socket.gethostname(), f"{socket.gethostname()}.2"} <= set(cluster.stats()["workers"])


@pytest.mark.parametrize("method", ["BATCH", "BATCH+LATE_BINDING"])
def test_a_worker_that_hangs_for_long_is_lost_and_does_not_count_twice_when_it_is_back(cluster, method):
    with SparrowClient(cluster.nameserver) as one:
        future = one.submit(Job.from_durations([1.5] * 6), method)
        eventually(lambda: cluster.stats()["open_tasks"]["running"] >= 3)
        victim = eventually(lambda: next((name for name, held in cluster.stats()["workers"].items() if held["runs"]), None))
        cluster.kill(victim, signal.SIGSTOP)
        began = time.monotonic()
        eventually(lambda: victim not in cluster.stats()["workers"], what="it was not given up")
        assert 1.5 < time.monotonic() - began < 4.0
        report = future.result(30)
        cluster.kill(victim, signal.SIGCONT)
        assert not report.failed
        assert report.retried >= 1
        assert victim not in {task.worker for task in report.tasks}
        eventually(lambda: victim in cluster.stats()["workers"], 15.0, "it did not come back")
        (after,) = one.run(method, 1, 12, 0.05, timeout_s=20)
        assert not after.failed
    assert_books_are_empty(cluster)


def test_a_worker_that_hangs_for_two_seconds_is_not_given_up(cluster):
    with SparrowClient(cluster.nameserver) as one:
        future = one.submit(Job.from_durations([1.0] * 6), "BATCH")
        eventually(lambda: cluster.load("host1") > 0)
        cluster.kill("host1", signal.SIGSTOP)
        threading.Event().wait(2.0)
        cluster.kill("host1", signal.SIGCONT)
        report = future.result(30)
    assert not report.failed
    assert report.retried == 0
    assert "lost" not in cluster.log("scheduler1")
    assert_books_are_empty(cluster)


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


def test_a_worker_that_leaves_is_not_called_lost(cluster):
    cluster.processes["host1"].terminate()
    cluster.processes.pop("host1").wait(5)
    eventually(lambda: "worker host1 has left" in cluster.log("scheduler1"))
    assert "is lost" not in cluster.log("scheduler1")
