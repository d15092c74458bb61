"""What the commands say to wrong input and to a world that is not as it should be: one clear line, the documented exit status."""

import os
import socket
import subprocess
import sys

import pytest

from scripts.testbed.local_cluster import ROOT
from tests.support.live import client, eventually

NOBODY = "127.0.0.1:9"  # nothing listens on the discard port

WRONG_ARGUMENTS = [
    (["BEST", 1, 1, 1], "RANDOM, CHOOSE_TWO, BATCH, BATCH+LATE_BINDING"),
    (["batches", 1, 1, 1], "unknown method 'batches'"),
    (["BATCH", 0, 1, 1], "no_of_jobs: must be from 1 to 100,000"),
    (["BATCH", -3, 1, 1], "no_of_jobs: must be from 1"),
    (["BATCH", 1.5, 1, 1], "no_of_jobs: '1.5' is not a whole number"),
    (["BATCH", 1, 0, 1], "no_of_tasks: must be from 1 to 100,000"),
    (["BATCH", 1, 100_001, 1], "no_of_tasks: must be from 1 to 100,000"),
    (["BATCH", 1, 1, -1], "duration: a time must be from 0"),
    (["BATCH", 1, 1, "inf"], "duration: a time must be from 0"),
    (["BATCH", 1, 1, "nan"], "duration: a time must be from 0"),
    (["BATCH", 1, 1, "1e9"], "duration: a time must be from 0 to 604800 seconds"),
    (["BATCH", 1, 1, "long"], "duration: 'long' is not a number of seconds"),
    (["BATCH", 1, 1, 1, 2], "task_spread must not be above duration (1), not 2"),
    (["BATCH", 1, 1, 1, "wide"], "task_spread: 'wide' is not a number of seconds"),
    (["BATCH", 1, 1, 1, -0.5], "task_spread: a time must be from 0"),
    (["BATCH", 1, 1, 1, "--fast"], "unrecognized arguments: --fast"),
    (["BATCH", 1, 1], "required: duration"),
    (["BATCH", 1, 1, 1, "--timeout", -1], "--timeout: a time must be from 0"),
    (["BATCH", 1, 1, 1, "--seed", "x"], "--seed: 'x' is not a whole number"),
    (["BATCH", 1, 1, 1, "--nameserver", "host:port"], "not an address of a name server: 'host:port'"),
    (["BATCH", 1, 1, 1, "--nameserver", ""], "not an address of a name server"),
    (["BATCH", 1, 1, 1, "--nameserver", "host:70000"], "not an address of a name server"),
]


@pytest.mark.parametrize(
    ("arguments", "words"), WRONG_ARGUMENTS, ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else ""
)
def test_wrong_usage_of_the_client(arguments, words):
    ended = client(NOBODY, "--seed", "1", *arguments) if "--nameserver" not in arguments else run("SparrowClient.py", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert (ended.stdout, "Traceback" in ended.stderr) == ("", False)


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("Scheduler.py", ["--number", "0"], "--number: must be from 1 to 9,999"),
        ("Scheduler.py", ["--number", "one"], "--number: 'one' is not a whole number"),
        ("Scheduler.py", ["--method", "BEST"], "--method: invalid choice: 'BEST'"),
        ("Scheduler.py", ["--port", "70000"], "--port: must be from 0 to 65,535"),
        ("Scheduler.py", ["--log-level", "loud"], "--log-level: invalid choice: 'loud'"),
        ("Scheduler.py", ["now"], "unrecognized arguments: now"),
        ("Worker.py", ["--slots", "0"], "--slots: must be from 1 to 1,024"),
        ("Worker.py", ["--name", "a b"], "a worker's name is 1 to 100 letters"),
        ("Worker.py", ["--name", ""], "a worker's name is 1 to 100 letters"),
        ("Worker.py", ["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_wrong_usage_of_the_services(script, arguments, words):
    ended = run(script, *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("script", ["Scheduler.py", "Worker.py", "SparrowClient.py"])
def test_help_teaches_and_the_version_is_told(script):
    shown = run(script, "--help")
    assert shown.returncode == 0
    assert "--nameserver HOST[:PORT]" in shown.stdout
    assert "src/NameServer.py" in shown.stdout or "example:" in shown.stdout
    assert run(script, "--version").stdout.startswith("Sparrow on Pyro4 ")


def test_without_a_name_server_the_client_says_how_to_start_one():
    ended = client(NOBODY, "BATCH", 1, 1, 1, "--timeout", 0.5)
    assert ended.returncode == 69
    assert ended.stderr.splitlines()[-1] == (
        "error: no name server at 127.0.0.1:9; start one with: python3 src/NameServer.py --host 127.0.0.1 --port 9"
    )


@pytest.mark.parametrize("script", ["Scheduler.py", "Worker.py", "SparrowClient.py"])
def test_a_name_server_whose_host_does_not_resolve(script):
    arguments = ["BATCH", "1", "1", "1"] if script == "SparrowClient.py" else []
    ended = run(script, *arguments, "--nameserver", "no-such-host.invalid")
    assert ended.returncode == 69
    assert "the host name of the name server does not resolve: 'no-such-host.invalid'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("script", ["Scheduler.py", "Worker.py"])
def test_an_address_to_listen_on_that_cannot_be_had(clusters, script):
    nameserver = ["--nameserver", clusters(1).nameserver]
    unknown = run(script, *nameserver, "--host", "no-such-host.invalid")
    assert unknown.returncode == 69
    assert "the host name to listen on does not resolve: 'no-such-host.invalid'; set another with --host" in unknown.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run(script, *nameserver, "--port", port)
    assert refused.returncode == 69
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; set another with --host or --port" in refused.stderr
    assert "Traceback" not in unknown.stderr + refused.stderr


def test_names_that_are_taken(clusters):
    nameserver = ["--nameserver", clusters(1).nameserver]
    for script, option, name in (
        ("Scheduler.py", ["--number", "1"], "scheduler.1"),
        ("Worker.py", ["--name", "host1"], "worker.host1"),
    ):
        ended = run(script, *option, *nameserver)
        assert ended.returncode == 69
        assert f"the name sparrow.{name} is taken by a live process at 127.0.0.1:" in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("cluster", [{"workers": 0}], indirect=True)
def test_without_a_scheduler_the_client_says_how_to_start_one(cluster):
    cluster.processes["scheduler1"].terminate()
    cluster.processes.pop("scheduler1").wait()
    gone = client(cluster, "BATCH", 1, 1, 1, "--timeout", 0.5)
    assert gone.returncode == 69
    assert "no scheduler is registered with the name server" in gone.stderr
    assert "start one with: python Scheduler.py" in gone.stderr
    cluster.start_scheduler(1)
    eventually(lambda: cluster.stats())
    cluster.kill("scheduler1")  # its name stays
    dead = client(cluster, "BATCH", 1, 1, 1, "--timeout", 0.5)
    assert dead.returncode == 69
    assert "sparrow.scheduler.1 is registered but cannot be reached" in dead.stderr


def test_a_name_server_that_is_full(monkeypatch, tmp_path):
    environment = {**os.environ, "PYRO_THREADPOOL_SIZE": "4", "PYRO_THREADPOOL_SIZE_MIN": "4"}
    command = [sys.executable, "-u", "-m", "Pyro4.naming", "-n", "127.0.0.1", "-p", "0", "-x"]
    with (tmp_path / "log").open("wb") as log:
        names = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    held = []
    try:
        address = eventually(lambda: [line for line in (tmp_path / "log").read_text().splitlines() if "NS running on" in line])[
            0
        ].split()[3]
        host, _, port = address.rpartition(":")
        held += [socket.create_connection((host, int(port))) for _ in range(4)]  # silent, each has one of its threads
        ended = client(address, "BATCH", 1, 1, 1, "--timeout", 1)
        assert ended.returncode == 69
        assert f"the name server at {address} refuses the connection: all its connections are taken" in ended.stderr
        assert "Traceback" not in ended.stderr
    finally:
        for connection in held:
            connection.close()
        names.kill()
        names.wait()


def test_the_cluster_script_runs_a_command_and_returns_its_status():
    done = subprocess.run(
        [
            str(ROOT / "scripts" / "cluster"),
            "--workers",
            "2",
            "--",
            sys.executable,
            "-c",
            "import os; print(os.environ['PYRO_NS_PORT']); exit(7)",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7
    assert done.stdout.strip().isdigit()
    assert done.stderr.startswith("ready: 2 workers, 1 scheduler, name server 127.0.0.1:")


def test_a_killed_cluster_script_leaves_no_process_behind():
    script = subprocess.Popen([str(ROOT / "scripts" / "cluster"), "--workers", "2"], stdout=subprocess.PIPE, text=True)
    assert script.stdout is not None
    assert script.stdout.readline().startswith("ready: 2 workers")
    listing = subprocess.run(["ps", "--ppid", str(script.pid), "-o", "pid="], capture_output=True, text=True, check=True)
    children = [int(pid) for pid in listing.stdout.split()]
    assert len(children) == 4
    script.kill()
    script.communicate()
    eventually(
        lambda: not any(os.path.exists(f"/proc/{pid}") and not zombie(pid) for pid in children), what="the processes had not ended"
    )


def zombie(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "Z"


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "src" / script), *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False
    )
