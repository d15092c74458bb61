"""Settings of all tests, and clusters of real processes for those that need them."""

import hypothesis
import pytest

from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from tests.support.live import eventually

# A busy machine must not fail a test: what takes long is measured where time is the subject.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_generate_tests(metafunc):
    """The tests of a contract run with each method that their class names."""
    methods = getattr(metafunc.cls, "methods", None)
    if methods and "method" in metafunc.fixturenames:
        metafunc.parametrize("method", methods)


@pytest.fixture(scope="session")
def clusters():
    """A function from a number of workers to a cluster with so many. Tests share it and leave it as it was."""
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
    """A cluster for one test, which may break it: ``@pytest.mark.parametrize("cluster", [dict(workers=3)], indirect=True)``."""
    with LocalCluster(**getattr(request, "param", {"workers": 3})) as own:
        yield own


@pytest.fixture(scope="module")
def dashboard(clusters):
    """A dashboard of a cluster of 8 workers, which tests of one module share."""
    with Dashboard(clusters(8).nameserver) as one:
        eventually(lambda: one.get("/sparrow/stats")["totals"]["workers"] == 8)
        yield one
        assert "Traceback" not in one.log()
