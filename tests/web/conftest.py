"""One browser, one cluster of 8 workers that has run jobs, and one dashboard of it, for all tests of the page."""

import shutil

import pytest

from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from src.sparrow.placement import METHODS
from src.SparrowClient import SparrowClient
from tests.support.live import eventually
from tests.support.page import FLAGS, Watched, axe_source, missing
from tests.web.still import Still


@pytest.fixture(scope="package")
def browser():
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        missing(f"Playwright is not installed: {error}")
    path = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if path is None:
        missing("no Chromium on this machine (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        try:
            one = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as error:
            missing(f"Chromium does not start: {error}")
        yield one
        one.close()


@pytest.fixture(scope="package")
def axe(request):
    return axe_source(request.config.cache.mkdir("axe"))


@pytest.fixture(scope="package")
def own_cluster():
    """Not the one that all tests share: here it matters which jobs it has run."""
    with LocalCluster(8) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def lively(own_cluster):
    """A dashboard of a cluster that has run jobs of 8 tasks with every method, and may have run others since."""
    with Dashboard(own_cluster.nameserver) as dashboard:
        eventually(lambda: dashboard.get("/sparrow/stats")["totals"]["workers"] == 8)
        with SparrowClient(own_cluster.nameserver) as one:
            for method in METHODS:
                one.run(method, 6, 8, 0.02, 0.01, timeout_s=30)
        eventually(lambda: len(dashboard.get("/sparrow/stats")["methods"]) == len(METHODS))
        yield dashboard
        assert "Traceback" not in dashboard.log()


@pytest.fixture
def still(browser, lively):
    """A function that opens a page to which the server says what it is given: see ``Still``."""
    pages = []

    def open_one(answers, fragment="", **options):
        pages.append(Still(browser, lively.origin, answers, fragment, **options))
        return pages[-1]

    yield open_one
    for one in pages:
        one.close()
    for one in pages:
        one.watched.check()


@pytest.fixture
def opened(browser):
    """A function that opens a page; at the end of the test it is checked that the page kept quiet."""
    pages = []

    def open_one(dashboard, fragment="", **options):
        pages.append(Watched(browser, dashboard.origin, **options))
        pages[-1].open(fragment)
        return pages[-1]

    yield open_one
    for one in pages:
        one.context.close()
    for one in pages:
        one.check()
