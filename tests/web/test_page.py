"""The page in a real browser (Chromium, driven by Playwright), on a real cluster."""

import re
import shutil
import signal
import time

import pytest

from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from tests.support.live import client, eventually
from src.Job import Job
from tests.support.page import FLAGS, SIZES, Watched, axe_source, missing
from src.SparrowClient import SparrowClient

METHODS = ("RANDOM", "CHOOSE_TWO", "BATCH", "BATCH+LATE_BINDING")


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def axe(request):
    return axe_source(request.config.cache.mkdir("axe"))


@pytest.fixture(scope="module")
def own_cluster():
    """Not the one that all tests share: here it matters which jobs it has run."""
    with LocalCluster(8) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def lively(own_cluster):
    """A dashboard of a cluster that has run jobs with all four methods."""
    with Dashboard(own_cluster.nameserver) as dashboard:
        eventually(lambda: dashboard.get("/sparrow/stats")["totals"]["workers"] == 8)
        with SparrowClient(own_cluster.nameserver) as one:
            for method in METHODS:
                one.run(method, 6, 8, 0.02, 0.01, timeout_s=30)
        eventually(lambda: len(dashboard.get("/sparrow/stats")["methods"]) == 4)
        yield dashboard
        assert "Traceback" not in dashboard.log()


@pytest.fixture
def opened(browser, request):
    """-> a function that opens a page and checks at the end of the test that it kept quiet."""
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


def jobs_of(dashboard, method):
    return [job for job in dashboard.get("/sparrow/stats")["jobs"] if job["method"] == method]


def test_the_first_paint_shows_the_cluster(lively, opened):
    began = time.monotonic()
    one = opened(lively)
    assert time.monotonic() - began < 4.0
    assert one.page.title() == "Sparrow"
    assert one.text('[data-figure="workers"] .value') == "8"
    assert one.text("#live") == "Live"
    assert one.page.locator("#steps").is_hidden()
    assert one.page.locator("#now-canvas").get_attribute("aria-label").startswith("Bar chart of the load of 8 workers")
    for method in METHODS:
        assert "6 jobs" in one.page.locator(".method-row", has=one.page.get_by_text(method, exact=True)).inner_text()
    assert "closest to ideal" in one.text("#methods-verdict")
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


VIEWS = [
    ("#/", "figures", "8 slots"),
    ("#/methods", "methods", "The four methods"),
    ("#/history", "history", "Throughput"),
    ("#/jobs", "jobs", "The newest"),
    ("#/workers", "workers", "8 workers up; 8 slots"),
    ("#/workers/host3", "worker", "Worker host3"),
    ("#/workers/nobody", "worker", "No worker nobody"),
    ("#/jobs/nothing", "job", "No job nothing"),
    ("#/%E0%A4%A", "figures", "8 slots"),
]


@pytest.mark.parametrize(("fragment", "section", "words"), VIEWS)
def test_each_view_has_an_address_that_can_be_reloaded(lively, opened, fragment, section, words):
    one = opened(lively, fragment)
    for again in (False, True):
        if again:
            one.page.reload()
        one.page.wait_for_function("([id, words]) => document.getElementById(id).innerText.includes(words)", arg=[section, words])
        assert one.page.locator(f"#{section}").is_visible()


def test_a_sampled_job_says_why_here(lively, opened):
    job = jobs_of(lively, "CHOOSE_TWO")[0]
    one = opened(lively, "#/jobs?method=CHOOSE_TWO")
    one.page.get_by_role("link", name=job["id"]).click()
    one.page.wait_for_selector(".timeline")
    assert one.page.url.endswith(f"#/jobs/{job['id']}")
    assert one.page.locator(".timeline .serve").count() == 8
    rows = one.page.locator(".why tbody tr")
    assert rows.count() == 8
    told = lively.get(f"/sparrow/jobs/{job['id']}")
    for i in range(8):
        assert rows.nth(i).locator("td").nth(1).inner_text() == told["tasks"][i][0]
        assert rows.nth(i).locator(".probe").count() == 2
        assert rows.nth(i).locator(".probe.taken").count() == 1
    one.page.go_back()
    assert one.page.locator("#jobs-table").is_visible()


def test_a_late_bound_job_shows_the_order_of_its_reservations(lively, opened):
    job = jobs_of(lively, "BATCH+LATE_BINDING")[-1]
    one = opened(lively, f"#/jobs/{job['id']}")
    one.page.wait_for_selector(".why")
    told = lively.get(f"/sparrow/jobs/{job['id']}")["asked"]
    rows = one.page.locator(".why tbody tr")
    assert rows.count() == len(told)
    assert [rows.nth(i).locator("td").nth(2).inner_text() for i in range(len(told))] == [row[1] for row in told]
    one.page.get_by_text("Tasks as a table").click()
    assert one.page.locator("details table tbody tr").count() == 8


def test_the_filter_is_part_of_the_address(lively, opened):
    one = opened(lively, "#/jobs")
    methods = "() => new Set([...document.querySelectorAll('#jobs-table tbody tr')].map(r => r.children[1].innerText)).size"
    assert one.page.evaluate(methods) == 4
    one.page.get_by_label("Method", exact=True).select_option("BATCH")
    one.page.get_by_label("State", exact=True).select_option("done")
    assert one.page.evaluate(methods) == 1
    assert one.page.url.endswith("#/jobs?method=BATCH&state=done")
    one.page.reload()
    one.page.wait_for_selector("body[data-ready]")
    assert one.page.evaluate(methods) == 1
    assert one.page.get_by_label("Method", exact=True).input_value() == "BATCH"
    one.page.get_by_label("State", exact=True).select_option("failed")
    assert one.page.locator("#jobs-table tbody tr").count() == 0


def test_a_reload_shows_the_history_at_once(lively, opened):
    eventually(lambda: len(lively.get("/sparrow/stats")["history"]["t"]) >= 5, 15)
    one = opened(lively)
    points = "() => Chart.getChart(document.querySelector('#history-load canvas')).data.datasets[0].data.length"
    before = one.page.evaluate(points)
    one.page.reload()
    one.page.wait_for_selector("body[data-ready]")
    assert one.page.evaluate(points) >= before >= 5


def test_polls_do_not_overlap_and_a_hidden_page_polls_slowly(lively, opened):
    one = opened(lively)
    one.page.wait_for_timeout(3_200)
    apart = [b - a for a, b in zip(one.polls, one.polls[1:])]
    assert 3 <= len(one.polls) <= 6
    assert min(apart[1:]) > 0.15
    hidden = """value => {
        Object.defineProperty(document, "hidden", {value, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    one.page.evaluate(hidden, True)
    one.page.wait_for_timeout(1_100)
    before = len(one.polls)
    one.page.wait_for_timeout(2_000)
    assert len(one.polls) <= before + 1
    one.page.evaluate(hidden, False)
    one.page.wait_for_timeout(600)
    assert len(one.polls) > before


def test_tables_behind_the_charts_and_keys(lively, opened):
    one = opened(lively)
    for words, least in (("Load as a table", 8), ("History as a table", 1), ("Methods as a table", 4)):
        details = one.page.locator("details", has=one.page.get_by_text(words, exact=True))
        details.locator("summary").focus()
        one.page.keyboard.press("Enter")
        details.locator("tbody tr").nth(least - 1).wait_for()
    one.page.reload()
    one.page.wait_for_selector("body[data-ready]")
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(4):
        one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.textContent") == "History"
    one.page.keyboard.press("Enter")
    assert one.page.url.endswith("#/history")
    one.page.locator("#methods").wait_for(state="hidden")


@pytest.mark.parametrize(
    ("size", "scheme", "views"),
    [
        ("desktop", "light", ["#/", "#/jobs", "#/jobs/{job}", "#/workers/host1"]),
        ("desktop", "dark", ["#/"]),
        ("phone", "light", ["#/", "#/workers"]),
        ("phone", "dark", ["#/", "#/jobs", "#/jobs/{job}", "#/workers/host1"]),
    ],
)
def test_no_accessibility_violation_and_nothing_wider_than_the_screen(lively, opened, axe, size, scheme, views):
    one = opened(lively, size=size, scheme=scheme, bypass_csp=True)
    job = jobs_of(lively, "BATCH")[0]["id"]
    backgrounds = {"light": "rgb(244, 246, 248)", "dark": "rgb(16, 21, 27)"}
    for fragment in (view.format(job=job) for view in views):
        one.page.goto(f"{lively.origin}/sparrow{fragment}")
        one.page.reload()
        one.page.wait_for_selector("body[data-ready]")
        one.page.wait_for_function(
            "() => !['job', 'worker'].includes(document.body.dataset.view) || document.querySelector('.facts')"
        )
        assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") == backgrounds[scheme]
        assert one.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
        one.page.evaluate("source => { (0, eval)(source) }", axe)
        found = one.page.evaluate("axe.run().then(r => r.violations.map(v => `${v.id}: ${v.nodes.map(n => n.target).join(' ')}`))")
        assert found == [], fragment


def test_who_wants_no_movement_gets_none(lively, opened):
    one = opened(lively, reduced_motion="reduce")
    assert one.page.evaluate("Chart.defaults.animation") is False


def test_colours_follow_the_system_while_the_page_is_open(lively, opened):
    one = opened(lively)
    line = "() => Chart.getChart('now-canvas').data.datasets[0].backgroundColor"
    light = one.page.evaluate(line)
    one.page.emulate_media(color_scheme="dark")
    eventually(lambda: one.page.evaluate(line) != light)
    assert one.page.evaluate("document.documentElement.dataset.bsTheme") == "dark"


def test_a_killed_worker_is_marked_within_three_seconds(cluster, opened):
    with Dashboard(cluster.nameserver) as dashboard:
        eventually(lambda: len(dashboard.get("/sparrow/stats")["workers"]) == 3)
        one = opened(dashboard)
        submitter = SparrowClient(cluster.nameserver)
        future = submitter.submit(Job(None, 6, 1.0), "BATCH")
        eventually(lambda: cluster.load("host2") == 2)
        began = time.monotonic()
        cluster.kill("host2")
        one.page.wait_for_function("() => document.querySelector('#now-gone').innerText.includes('host2')", polling=50)
        assert time.monotonic() - began < 3.0
        assert "last seen" in one.text("#now-gone")
        assert "1 gone" in one.text('[data-figure="workers"]')
        one.page.goto(f"{dashboard.origin}/sparrow#/workers/host2")
        one.page.wait_for_function("() => document.querySelector('#worker').innerText.includes('gone, last seen')")
        id = future.result(20).id
        submitter.close()
        one.page.goto(f"{dashboard.origin}/sparrow#/jobs/{id}")
        one.page.wait_for_function("() => document.querySelector('#job')?.innerText.includes('6 of 6')")
        assert one.page.locator(".timeline .lost").count() == 2
        assert "lost on host2" in one.page.locator(".timeline .lost").first.text_content()


def test_the_page_keeps_the_last_picture_while_the_server_is_away(cluster, opened):
    assert client(cluster, "BATCH", 1, 3, 0.01, "--quiet").returncode == 0
    with Dashboard(cluster.nameserver) as dashboard:
        eventually(lambda: dashboard.get("/sparrow/stats")["totals"]["jobs"] == 1)
        one = opened(dashboard)
        assert dashboard.stop(signal.SIGKILL) == -signal.SIGKILL
        one.page.wait_for_selector("#away:not([hidden])")
        assert re.search(r"has not answered since \d\d:\d\d:\d\d", one.text("#away"))
        assert one.page.locator("body.stale").count() == 1
        assert one.text('[data-figure="workers"] .value') == "3"
        one.page.wait_for_timeout(1_500)
        dashboard.start()
        one.page.wait_for_selector("#away[hidden]", state="attached")
        eventually(lambda: one.text('[data-figure="workers"] .value') == "3")
        assert one.text("#live") == "Live"


def test_empty_states_say_what_to_type(opened):
    with LocalCluster(0) as cluster:
        port = int(cluster.nameserver.rpartition(":")[2])
        cluster.kill("scheduler1")
        cluster.kill("nameserver")
        with Dashboard(cluster.nameserver) as dashboard:
            one = opened(dashboard)
            step = lambda n: one.page.locator("#steps-list li").nth(n)  # noqa: E731
            eventually(lambda: "No name server" in step(0).inner_text())
            assert f"pyro4-ns -p {port}" in step(0).inner_text()
            cluster.start_nameserver(port)
            eventually(lambda: "done" in step(0).get_attribute("class"), 8)
            assert "python src/Scheduler.py" in step(1).inner_text()
            cluster.start_scheduler(1)
            eventually(lambda: "done" in step(1).get_attribute("class"), 8)
            assert "python src/Worker.py" in step(2).inner_text()
            cluster.start_worker("host1")
            eventually(lambda: "done" in step(2).get_attribute("class"), 8)
            assert "python src/SparrowClient.py" in step(3).inner_text()
            assert one.page.locator("#figures").is_visible()
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
