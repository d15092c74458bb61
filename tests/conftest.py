"""Clusters of real processes for the tests that need them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import src  # noqa: E402, F401  (puts src/ on the path)
from _dashboard import Dashboard  # noqa: E402
from _localcluster import LocalCluster  # noqa: E402


def eventually(condition, within_s=10.0, what="it did not come true"):
    """Wait until ``condition()`` is true, and return what it returned."""
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what} within {within_s:g} s"
        time.sleep(0.02)


def client(cluster, *arguments, timeout_s=60.0, **options):
    """Run the client's command line against a cluster (or an address); returns the finished process."""
    nameserver = cluster if isinstance(cluster, str) else cluster.nameserver
    command = [sys.executable, str(ROOT / "src" / "SparrowClient.py"), *map(str, arguments), "--nameserver", nameserver]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, **options)


def assert_books_are_empty(cluster):
    """After all jobs have ended nothing of them is left: not with the schedulers, not on the workers."""
    eventually(cluster.holds_nothing, 5.0, "the books were not empty")


@pytest.fixture(scope="session")
def clusters():
    """number of workers -> a cluster with so many, which later tests find running; for tests that leave it as it was."""
    running = {}

    def of(workers):
        if workers not in running:
            running[workers] = LocalCluster(workers, log_level="info").__enter__()
        return running[workers]

    yield of
    for cluster in running.values():
        cluster.stop()


@pytest.fixture
def cluster(request):
    """A cluster of one's own, to break: ``@pytest.mark.parametrize("cluster", [dict(workers=3)], indirect=True)`` sets it up."""
    with LocalCluster(**getattr(request, "param", {"workers": 3})) as own:
        yield own


@pytest.fixture(scope="module")
def dashboard(clusters):
    with Dashboard(clusters(8).nameserver) as one:
        eventually(lambda: one.get("/sparrow/stats")["totals"]["workers"] == 8)
        yield one
        assert "Traceback" not in one.log()
