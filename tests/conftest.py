"""Clusters of real processes for the tests that need them."""

import pytest

from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from tests.support.live import eventually


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
