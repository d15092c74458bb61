"""What the overview shows of a cluster, as it works and when there is nothing yet."""

import re

from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from src.Job import Job
from src.sparrow.placement import METHODS
from src.SparrowClient import SparrowClient
from tests.support.live import client, eventually
from tests.support.page import Watched


def test_the_first_paint_shows_the_cluster(lively, opened):
    one = opened(lively)
    assert one.page.title() == "Sparrow"
    assert one.text('[data-figure="workers"] .value') == "8"
    assert one.text("#live") == "Live"
    assert one.page.locator("#steps").is_hidden()
    assert one.page.locator("#now-canvas").get_attribute("aria-label").startswith("Bar chart of the load of 8 workers")
    for method in METHODS:
        row = one.page.locator(".method-row", has=one.page.get_by_text(method, exact=True))
        jobs = int(row.locator(".jobs").inner_text().removesuffix(" jobs"))
        assert 6 <= jobs <= lively.get("/sparrow/stats")["methods"][method]["slowdown"]["count"]
    assert re.search(r"served|chance|compared", one.text("#methods-verdict"))
    assert one.page.locator("#jobs-table tbody tr").count() == 8
    drawn = """() => [...document.querySelectorAll("canvas")].map(c => {
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data; return d.some(v => v > 0) })"""
    eventually(lambda: all(one.page.evaluate(drawn)))


def test_bars_follow_a_running_job(lively, own_cluster, opened):
    one = opened(lively)
    loads = "() => Chart.getChart('now-canvas').data.datasets.slice(0, 3).map(s => s.data.reduce((a, b) => a + b, 0))"
    with SparrowClient(own_cluster.nameserver) as submitter:
        future = submitter.submit(Job(None, 24, 1.0), "BATCH")
        one.page.wait_for_function(f"() => {{ const [run, wait] = ({loads})(); return run === 8 && wait === 16 }}")
        row = one.page.locator("#jobs-table tbody tr").first
        assert "running" in row.inner_text()
        one.page.wait_for_function("() => document.querySelector('#jobs-table tbody progress').value === 8")
        future.result(10)
    one.page.wait_for_function(f"() => ({loads})().every(sum => sum === 0)")
    eventually(lambda: "done" in row.inner_text())
    assert "24/24" in row.inner_text()


def test_empty_states_say_what_to_type(opened):
    with LocalCluster(0) as cluster:
        port = int(cluster.nameserver.rpartition(":")[2])
        cluster.kill("scheduler1")
        cluster.kill("nameserver")
        with Dashboard(cluster.nameserver) as dashboard:
            one = opened(dashboard)
            step = lambda n: one.page.locator("#steps-list li").nth(n)  # noqa: E731
            eventually(lambda: "No name server" in step(0).inner_text())
            assert f"python3 src/NameServer.py --port {port}" in step(0).inner_text()
            cluster.start_nameserver(port)
            eventually(lambda: "done" in step(0).get_attribute("class"), 8)
            assert "python3 src/Scheduler.py" in step(1).inner_text()
            cluster.start_scheduler(1)
            eventually(lambda: "done" in step(1).get_attribute("class"), 8)
            assert "python3 src/Worker.py" in step(2).inner_text()
            cluster.start_worker("host1")
            eventually(lambda: "done" in step(2).get_attribute("class"), 8)
            assert "python3 src/SparrowClient.py" in step(3).inner_text()
            one.page.locator("#figures").wait_for(state="visible")
            client(cluster, "RANDOM", 1, 1, 0.01, "--quiet")
            eventually(lambda: one.page.locator("#steps").is_hidden(), 8)


def test_a_thousand_workers_are_a_smooth_grid(lively, browser):
    """The snapshot of a small cluster, made large on its way to the page."""
    one = Watched(browser, lively.origin)

    def grown(route):
        stats = lively.get("/sparrow/stats")
        like = stats["workers"]["host1"]
        stats["workers"].update({f"node{i}": {**like, "load": (i * 7 + int(stats["now"])) % 6} for i in range(1_000)})
        route.fulfill(json=stats, headers={"X-Next-Sample": "1.0"})

    one.context.route("**/sparrow/stats", grown)
    one.open()
    try:
        cells = one.page.locator("#now-grid a")
        assert cells.count() == 1_008
        assert one.page.locator("#now-canvas").is_hidden()
        took = one.page.evaluate(
            """async () => {
                const now = await import("/web/now.js");
                const stats = await (await fetch("/sparrow/stats")).json();
                const times = [];
                for (let round = 0; round < 5; round++) {
                    for (const worker of Object.values(stats.workers)) worker.load = (worker.load + 1) % 6;
                    const began = performance.now();
                    now.drawNow(stats);
                    document.getElementById("now-grid").offsetHeight;
                    times.push(performance.now() - began);
                }
                return times.sort((a, b) => a - b);
            }"""
        )
        assert took[2] < 100  # ms, once a second
        assert one.page.locator('#now-grid a[tabindex="0"]').count() == 1
        cells.first.focus()
        one.page.keyboard.press("ArrowRight")
        one.page.keyboard.press("ArrowDown")
        assert one.page.evaluate("[...document.activeElement.parentElement.children].indexOf(document.activeElement)") > 2
        assert "running" in one.page.evaluate("document.activeElement.getAttribute('aria-label')")
    finally:
        one.context.close()
    one.check()
