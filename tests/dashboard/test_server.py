"""The dashboard's server as a process, on a real cluster: what it answers, to whom, and what it survives."""

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from scripts.testbed.dashboard import Dashboard, watch
from scripts.testbed.local_cluster import ROOT
from src.dashboard.views import JobRow, JobView, StatsView, Totals, WorkerView
from src.sparrow.placement import METHODS
from src.sparrow.reports import TaskRow
from tests.support.live import client, eventually
from tests.support.webclient import ask

# What is there


def test_the_page_and_its_files(dashboard):
    status, headers, body = ask(dashboard, "/sparrow")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    names = set(re.findall(rb'(?:src|href)="(/web/[^"]+)"', body))
    assert len(names) >= 5
    for name in names:
        status, headers, _ = ask(dashboard, name.decode())
        assert status == 200
        assert headers["x-content-type-options"] == "nosniff"
    assert ask(dashboard, "/")[1]["location"] == "/sparrow"
    assert ask(dashboard, "/sparrow?x=1")[0] == 200


def test_no_file_of_the_page_names_another_host():
    for path in (ROOT / "web").iterdir():
        if path.suffix in (".html", ".js", ".css") and not path.name.startswith(("Chart.", "bootstrap.")):
            found = re.findall(r"https?://[^\s\"')]+", path.read_text())
            assert set(found) <= {"http://www.w3.org/2000/svg"}, path.name


def test_every_answer_has_a_strict_policy_and_no_version(dashboard):
    for path in ("/sparrow", "/sparrow/stats", "/web/main.js", "/nothing", "/metrics", "/healthz", "/"):
        headers = ask(dashboard, path)[1]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        assert "date" in headers


def test_status_is_a_load_for_each_worker(dashboard):
    assert dashboard.get("/sparrow/status") == {f"host{n}": 0 for n in range(1, 9)}


def test_a_job_is_in_the_stats_and_can_be_opened(dashboard, clusters):
    assert client(clusters(8), "BATCH", 1, 6, 0.01, "--quiet").returncode == 0
    client(clusters(8), "BATCH+LATE_BINDING", 1, 6, 0.01, "--quiet")
    newest = ["BATCH+LATE_BINDING", "BATCH"]
    eventually(lambda: [job["method"] for job in dashboard.get("/sparrow/stats")["jobs"][:2]] == newest)
    jobs = dashboard.get("/sparrow/stats")["jobs"][:2]
    late, early = (dashboard.get(f"/sparrow/jobs/{job['id']}") for job in jobs)
    assert len(early["tasks"]) == early["num_tasks"] == late["ended"] == 6
    assert set(early) == set(JobView.__annotations__)
    assert set(early["tasks"][0]) == set(TaskRow.__annotations__)
    assert all(task["state"] == "done" and task["started_s"] == task["wait_s"] >= 0 for task in early["tasks"])
    assert set(early["decisions"][0]["chosen"]) <= set(early["decisions"][0]["probed"])
    assert [row["task"] for row in late["asked"] if row["task"] is not None] == list(range(6))
    worker = early["tasks"][0]["worker"]
    opened = dashboard.get(f"/sparrow/workers/{worker}")
    assert opened["name"] == worker
    assert set(opened) == set(WorkerView.__annotations__)
    assert {"job": early["id"], "task": 0}.items() <= next(t for t in opened["tasks"] if t["job"] == early["id"]).items()
    assert opened["done"] >= 1
    assert len(opened["history"]["t"]) == len(opened["history"]["load"]) > 0
    stats = dashboard.get("/sparrow/stats")
    assert stats["registry"] == METHODS.to_dicts()
    assert set(stats) == set(StatsView.__annotations__)
    assert set(stats["totals"]) == set(Totals.__annotations__)
    assert set(stats["jobs"][0]) == set(JobRow.__annotations__)
    methods = stats["methods"]
    assert methods["BATCH+LATE_BINDING"]["counts"]["reservations"] >= 12
    assert methods["BATCH"]["slowdown"]["count"] >= 1


def test_metrics_are_in_the_text_format(dashboard):
    status, headers, body = ask(dashboard, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    sample = re.compile(r'sparrow_[a-z_0-9]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? -?[0-9.e+-]+')
    for line in body.decode().splitlines():
        assert line.startswith("#") or sample.fullmatch(line), line
    assert b'sparrow_workers{state="up"} 8' in body


def test_health(dashboard):
    assert dashboard.get("/healthz")["status"] == "ok"


def test_static_files_are_compressed_and_validated(dashboard):
    plain = ask(dashboard, "/web/Chart.bundle.min.js")
    status, headers, body = ask(dashboard, "/web/Chart.bundle.min.js", headers={"Accept-Encoding": "gzip, br"})
    assert status == 200
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == plain[2] == (ROOT / "web" / "Chart.bundle.min.js").read_bytes()
    again = ask(dashboard, "/web/Chart.bundle.min.js", headers={"If-None-Match": headers["etag"]})
    assert (again[0], again[2]) == (304, b"")
    assert ask(dashboard, "/web/Chart.bundle.min.js", headers={"Accept-Encoding": "gzip;q=0"})[1].get("content-encoding") is None


def test_head_is_get_without_the_body(dashboard):
    for path in ("/sparrow", "/sparrow/status", "/metrics", "/nothing"):
        get, head = ask(dashboard, path), ask(dashboard, path, "HEAD")
        assert head[0] == get[0]
        assert head[2] == b""
        if path != "/metrics":
            assert head[1]["content-length"] == get[1]["content-length"]


# A cluster that comes, goes and hangs


def test_a_hanging_worker_is_gone_within_three_seconds_and_comes_back(cluster):
    with Dashboard(cluster.nameserver) as dashboard:
        state = lambda name: dashboard.get("/sparrow/stats")["workers"].get(name, {}).get("state")  # noqa: E731
        eventually(lambda: state("host1") == state("host2") == "up")
        cluster.kill("host1", signal.SIGSTOP)
        began, ticks = time.monotonic(), []

        def silent():
            ticks.append(dashboard.get("/sparrow/stats")["now"])
            return state("host1") == "silent"

        eventually(silent)
        assert dashboard.get("/sparrow/stats")["cluster"]["state"] == "degraded"
        row = dashboard.get("/sparrow/stats")["workers"]["host1"]
        assert row["reason"]
        assert time.time() - row["last_seen"] < time.monotonic() - began + 2.0  # a sample is a second old at most
        steps = sorted(set(ticks))
        assert max([b - a for a, b in zip(steps, steps[1:])], default=0) < 2.0  # nobody waited for it
        assert state("host2") == "up"
        cluster.kill("host1", signal.SIGCONT)
        eventually(lambda: state("host1") == "up")


def test_a_killed_worker_is_gone_and_one_that_leaves_says_so(cluster):
    with Dashboard(cluster.nameserver) as dashboard:
        rows = lambda: dashboard.get("/sparrow/stats")["workers"]  # noqa: E731
        eventually(lambda: len(rows()) == 3)
        cluster.kill("host2")
        eventually(lambda: rows()["host2"]["state"] == "gone")
        leaving = cluster.processes.pop("host3")
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(30) == 0
        eventually(lambda: "has left" in rows()["host3"]["reason"])
        assert dashboard.get("/sparrow/status") == {"host1": 0}
        cluster.start_worker("host2")
        eventually(lambda: rows()["host2"]["state"] == "up")
        cluster.kill("scheduler1")
        eventually(lambda: dashboard.get("/sparrow/stats")["schedulers"]["sparrow.scheduler.1"]["state"] == "gone")


def test_it_may_start_first_and_stops_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for number in (signal.SIGINT, signal.SIGTERM):
        with Dashboard(f"127.0.0.1:{port}") as dashboard:
            told = eventually(lambda one=dashboard: (s := one.get("/sparrow/stats")["nameserver"])["error"] and s)
            assert not told["up"]
            assert "src/NameServer.py" in told["error"]
            assert dashboard.stop(number) == 0
            assert "Traceback" not in dashboard.log()


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--port", "{taken}"], 69, "cannot listen on 127.0.0.1:{taken}: Address already in use"),
        (["--host", "no-such-host.invalid"], 69, "does not resolve: 'no-such-host.invalid'"),
        (["--host", "192.0.2.1"], 69, "cannot listen on 192.0.2.1"),
        (["--nameserver", "no-such-host.invalid"], 69, "does not resolve: 'no-such-host.invalid'"),
        (["--port", "70000"], 2, "must be from 0 to 65,535"),
        (["--nameserver", "a:b"], 2, "not an address of a name server"),
        (["--allow-host", "lab7:80"], 2, "not a name or an address of a host, without a port: 'lab7:80'"),
        (["--allow-host", ""], 2, "not a name or an address of a host"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_had_is_one_clear_line(dashboard, options, status, words):
    filled = [option.format(taken=dashboard.port) for option in options]
    command = [sys.executable, str(ROOT / "server.py"), "--host", "127.0.0.1", "--port", "0", *filled]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == status
    assert words.format(taken=dashboard.port) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    if status == 69:
        assert len(ended.stderr.splitlines()) == 1


def test_many_viewers_cost_the_workers_what_one_does(clusters):
    """Which is next to nothing."""

    def used_s():
        ticks = 0
        for name, process in clusters(8).processes.items():
            if name.startswith("host"):
                with open(f"/proc/{process.pid}/stat") as stat:
                    ticks += sum(int(part) for part in stat.read().rpartition(")")[2].split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")

    with Dashboard(clusters(8).nameserver) as dashboard:
        eventually(lambda: dashboard.get("/sparrow/stats")["totals"]["workers"] == 8)
        before = used_s()
        viewers = threading.Thread(target=watch, args=(dashboard.port, 50, 3.0))
        viewers.start()
        viewers.join(60.0)
        assert (used_s() - before) / 3.0 < 0.03
