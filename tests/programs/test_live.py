"""The real commands as real processes: the same contract as the simulation, and what only shows between processes."""

import json
import signal
import subprocess
import sys
import threading
import time

import Pyro4
import pytest

from scripts.testbed.local_cluster import ROOT, client_command
from src.Job import Job
from src.rmi.errors import UnavailableError
from src.Scheduler import Scheduler
from src.SparrowClient import SparrowClient
from src.Worker import Worker
from tests.support.contract import METHODS, Contract
from tests.support.live import as_in_the_background, as_in_the_foreground, assert_books_are_empty, client, eventually


class Live:
    """A running cluster in the shape that the contract asks for."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.workers = {name for name in cluster.processes if name.startswith("host")}

    def run(self, specs, client=0):
        with SparrowClient(self.cluster.nameserver) as one:
            futures = [one.submit(Job.from_durations(spec.durations_s, spec.id), spec.method) for spec in specs]
            reports = [as_wire(future.result(60)) for future in futures]
        assert_books_are_empty(self.cluster)
        return reports

    def run_together(self, first, second):
        reports = {}
        threads = [
            threading.Thread(target=lambda name=name, specs=specs: reports.update({name: self.run(specs)}))
            for name, specs in (("first", first), ("second", second))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90.0)
        return reports["first"], reports["second"]


def as_wire(report):
    """The report as the contract reads it; a client has the reasons of failures by task."""
    return {
        **report._asdict(),
        "tasks": [task._asdict() for task in report.tasks],
        "failed": [{"reason": reason, "tasks": [task]} for task, reason in report.failed.items()],
    }


class TestLive(Contract):
    @pytest.fixture
    def cluster(self, clusters):
        return lambda workers: Live(clusters(workers))


# The command line


@pytest.mark.parametrize("method", METHODS)
def test_json_says_what_happened(clusters, method):
    ended = client(clusters(8), method, 4, 5, 0.01, 0.005, "--seed", 3, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    result = json.loads(ended.stdout)
    assert list(result) == [
        *("method", "jobs", "tasks", "completed", "failed", "retried", "handed_over"),
        *("makespan_s", "response_s", "slowdown", "tasks_per_worker"),
    ]
    assert (result["method"], result["jobs"], result["tasks"], result["completed"]) == (method, 4, 20, 20)
    assert (result["failed"], result["retried"]) == (0, 0)
    assert sum(result["tasks_per_worker"].values()) == 20
    assert set(result["tasks_per_worker"]) <= {f"host{n}" for n in range(1, 9)}
    assert result["handed_over"] == 0
    assert 0 < result["response_s"]["p50"] <= result["response_s"]["p95"] <= result["response_s"]["p99"] <= result["makespan_s"]
    assert 1 <= result["slowdown"]["p50"] <= result["slowdown"]["p95"]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_may_be_named_in_lower_case(clusters, method):
    ended = client(clusters(8), method.lower(), 1, 2, 0.01, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["method"] == method
    with clusters(8).proxy("sparrow.scheduler.1") as scheduler:
        job = {"id": f"lower-case-{time.time()}", "durations_s": [0.0], "method": method.lower()}
        assert scheduler.schedule(job)["method"] == method
        scheduler.set_method(method.lower())
        assert scheduler.stats()["method"] == method
        scheduler.set_method("RANDOM")


def test_a_table_for_people(clusters):
    ended = client(clusters(8), "BATCH", 2, 5, 0.01)
    assert ended.returncode == 0
    for words in ("BATCH", "10 of 10", "makespan", "p50", "p95", "p99", "response / ideal", "run again", "failed"):
        assert words in ended.stdout


def test_quiet_prints_nothing(clusters):
    ended = client(clusters(8), "BATCH", 2, 5, 0.01, "--quiet")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_no_wait_leaves_at_once_and_the_jobs_still_run(clusters):
    cluster = clusters(8)
    before = cluster.proxy("sparrow.scheduler.1").stats()["methods"].get("BATCH", {"counts": {"tasks": 0}})["counts"]["tasks"]
    ended = client(cluster, "BATCH", 2, 4, 0.3, "--no-wait")
    assert (ended.returncode, ended.stdout) == (0, "2 jobs handed over\n")
    assert cluster.stats()["methods"]["BATCH"]["counts"]["tasks"] == before + 8
    assert cluster.stats()["open_jobs"] == 2
    assert_books_are_empty(cluster)
    assert client(cluster, "BATCH", 1, 4, 0.0, "--no-wait").stdout == "1 job handed over\n"
    told = json.loads(client(cluster, "BATCH", 2, 4, 0.0, "--no-wait", "--json").stdout)
    assert (told["jobs"], told["completed"], told["makespan_s"]) == (2, 0, None)  # nobody has waited for them
    assert_books_are_empty(cluster)


def test_two_clients_with_the_same_seed_get_their_own_reports(clusters):
    cluster = clusters(8)
    command = [sys.executable, str(ROOT / "src" / "SparrowClient.py")]
    options = ["5", "6", "0.02", "0.02", "--seed", "1", "--json", "--nameserver", cluster.nameserver]
    running = [
        subprocess.Popen([*command, method, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for method in METHODS
    ]
    for method, process in zip(METHODS, running):
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        result = json.loads(out)
        assert (result["method"], result["jobs"], result["completed"]) == (method, 5, 30)
    assert_books_are_empty(cluster)


def test_the_timeout_ends_the_wait_and_says_what_goes_on(clusters):
    ended = client(clusters(1), "BATCH", 2, 1, 1.0, "--timeout", 0.5)
    assert ended.returncode == 124
    assert ended.stderr == (
        "--timeout: after 500 ms 2 of 2 jobs have not ended; 2 jobs go on at the schedulers: 2 tasks, about 2.00 s of work\n"
    )
    assert "0 of 2 have ended" in ended.stdout
    assert "makespan" not in ended.stdout
    assert_books_are_empty(clusters(1))
    ended = client(clusters(1), "BATCH", 1, 1, 1.0, "--timeout", 0.5, "--json")
    assert ended.returncode == 124
    assert "1 of 1 job has not ended; 1 job goes on at the schedulers: 1 task, about 1.00 s of work" in ended.stderr
    result = json.loads(ended.stdout)
    assert (result["completed"], result["makespan_s"]) == (0, None)
    assert_books_are_empty(clusters(1))


@pytest.mark.parametrize("cluster", [{"workers": 1}], indirect=True)
@pytest.mark.parametrize(("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")])
def test_ctrl_c_and_sigterm_end_the_client_at_once_and_say_what_goes_on(cluster, number, status, word):
    running = subprocess.Popen(
        client_command(cluster.nameserver, "BATCH", "2", "3", "100"),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_in_the_foreground,
    )
    eventually(lambda: cluster.stats()["open_jobs"] == 2)
    running.send_signal(number)
    _, err = running.communicate(timeout=30)
    assert running.returncode == status
    goes_on = "2 of 2 jobs have not ended; 2 jobs go on at the schedulers: 6 tasks, about 600 s of work"
    assert err == f"{word}: {goes_on}\n"


def test_a_signal_that_is_ignored_when_the_client_starts_stays_ignored(clusters):
    """As SIGINT in a background job of a shell: the Ctrl-C that ends another job does not end this one."""
    running = subprocess.Popen(
        client_command(clusters(1).nameserver, "BATCH", "1", "1", "1"), stdout=subprocess.PIPE, preexec_fn=as_in_the_background
    )
    eventually(lambda: clusters(1).stats()["open_jobs"] == 1)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    assert running.returncode == 0


def test_what_never_reached_a_scheduler_does_not_go_on():
    running = subprocess.Popen(
        client_command("127.0.0.1:9", "BATCH", "1", "1", "1"), stderr=subprocess.PIPE, text=True, preexec_fn=as_in_the_foreground
    )
    assert running.stderr is not None
    assert "waiting: no name server" in running.stderr.readline()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (130, "interrupted: no job was submitted\n")


def test_ten_idle_workers_and_a_scheduler_cost_nothing_worth_measuring(clusters):
    cluster = clusters(10)
    processes = [process for name, process in cluster.processes.items() if name != "nameserver"]

    def used_s():
        ticks = 0
        for process in processes:
            with open(f"/proc/{process.pid}/stat") as stat:
                ticks += sum(int(part) for part in stat.read().rpartition(")")[2].split()[11:13])
        return ticks / 100

    assert_books_are_empty(cluster)
    before, began = used_s(), time.monotonic()
    threading.Event().wait(5.0)
    assert (used_s() - before) / (time.monotonic() - began) < 0.02


def test_services_can_live_in_one_process(clusters):
    """The Python API: each serves in a thread of its own."""
    nameserver = clusters(1).nameserver
    with Scheduler("BATCH", nameserver, scheduler_number=7) as scheduler:
        assert scheduler.name == "sparrow.scheduler.7"
        with Worker("mine", nameserver, slots=2) as worker, SparrowClient(nameserver) as one:
            assert worker.name == "sparrow.worker.mine"
            with clusters(1).proxy("sparrow.scheduler.7") as proxy:
                report = proxy.schedule({"id": f"api-{time.time()}", "durations_s": [0.01] * 8})
            assert report["method"] == "BATCH"
            assert {task["worker"] for task in report["tasks"]} == {"mine", "host1"}
            assert len(one.run("RANDOM", 3, 4, 0.001)) == 3
        with pytest.raises(UnavailableError, match="taken by a live process"):
            Scheduler("RANDOM", nameserver, scheduler_number=7).start()
    with pytest.raises(Pyro4.errors.NamingError):
        clusters(1).proxy("sparrow.scheduler.7")
    with pytest.raises(ValueError, match="choose one of RANDOM"):
        Scheduler("BEST", nameserver)
    with pytest.raises(ValueError, match="slots must be from 1"):
        Worker("a", nameserver, slots=0)


def test_jobs_of_the_same_id_are_jobs_of_their_own(clusters):
    with SparrowClient(clusters(3).nameserver) as one, SparrowClient(clusters(3).nameserver) as other:
        futures = [
            one.submit(Job(1, 2, 0.05), "BATCH"),
            one.submit(Job(1, 3, 0.0), "RANDOM"),
            other.submit(Job(1, 4, 0.01), "BATCH"),
        ]
        reports = [future.result(20) for future in futures]
    assert [(report.id, report.method, len(report.tasks)) for report in reports] == [
        ("1", "BATCH", 2),
        ("1", "RANDOM", 3),
        ("1", "BATCH", 4),
    ]
    with clusters(3).proxy("sparrow.scheduler.1") as scheduler:
        scheduler.schedule({"id": "mine", "durations_s": [0.0]})
        with pytest.raises(ValueError, match="the id 'mine' belongs to another job"):
            scheduler.schedule({"id": "mine", "durations_s": [0.0, 0.0]})
