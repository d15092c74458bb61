"""A method that one class defines is in the page by itself, everywhere where methods are, once a scheduler knows it."""

import pytest

from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from src.Job import Job
from src.Scheduler import Scheduler
from src.sparrow.placement import METHODS
from src.SparrowClient import SparrowClient
from tests.support.choose_three import PROBES, ChooseThree
from tests.support.live import eventually
from tests.web.hovering import Hovered

BUILT_IN = METHODS.names()
NAME = ChooseThree.name
JOBS, TASKS = 3, 4

# Of each method in "Methods": [name, what its row says, the computed colour of its chip, the colour of its line in the chart]
ROWS = """() => [...document.querySelectorAll(".method-row")].map(row => {
    const chip = row.querySelector(".chip");
    const [line] = Chart.getChart(row.querySelector("canvas")).data.datasets;
    return [chip.innerText, row.innerText, getComputedStyle(chip).borderLeftColor, line.borderColor];
})"""
COLOUR = """slot => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--m${slot})`;
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
}"""


@pytest.fixture
def registered():
    """A function that registers the method in this process; at the end of the test it is not registered any more."""
    yield lambda: METHODS.register(ChooseThree)
    METHODS.unregister(NAME)


@pytest.fixture
def own_scheduler():
    """(client, dashboard) of a scheduler in this process, where the method is registered, and real workers."""
    with (
        LocalCluster(4, schedulers=0) as cluster,
        Scheduler("BATCH", cluster.nameserver, scheduler_number=1),
        Dashboard(cluster.nameserver) as dashboard,
        SparrowClient(cluster.nameserver) as client,
    ):
        eventually(lambda: len(cluster.stats(1)["workers"]) == 4)
        for method in BUILT_IN:
            client.run(method, 2, TASKS, 0.02, timeout_s=20)
        ended = lambda: [one["slowdown"]["count"] for one in dashboard.get("/sparrow/stats")["methods"].values()]  # noqa: E731
        eventually(lambda: ended() == [2] * len(BUILT_IN))
        yield client, dashboard


def chip_colour(locator):
    return locator.evaluate("chip => getComputedStyle(chip).borderLeftColor")


def test_a_registered_method_appears_by_itself(registered, own_scheduler, opened):
    client, dashboard = own_scheduler
    one = opened(dashboard, "#/methods")
    page = one.page
    before = page.evaluate(ROWS)
    assert [name for name, *_ in before] == BUILT_IN

    registered()
    page.get_by_text(NAME, exact=True).first.wait_for()
    assert "Not used yet" in page.locator(".method-row").nth(len(BUILT_IN)).inner_text()
    futures = [client.submit(Job(None, TASKS, 0.05), NAME) for _ in range(JOBS)]
    reports = [future.result(20) for future in futures]
    assert {report.method for report in reports} == {NAME}
    page.wait_for_function("name => document.querySelectorAll('.method-row')[5].innerText.includes(name)", arg=f"{JOBS} jobs")

    *built_in, (name, words, chip, line) = page.evaluate(ROWS)
    assert built_in == before
    told = dashboard.get("/sparrow/stats")
    assert [method["name"] for method in told["registry"]] == [*BUILT_IN, NAME]
    assert name == NAME
    assert f"{told['methods'][NAME]['slowdown']['p50']:.2f}×" in words
    assert chip == page.evaluate(COLOUR, ChooseThree.colour)
    rows = [*built_in, (name, words, chip, line)]
    assert len({colour for _, _, *colours in rows for colour in colours}) == 2 * len(rows)

    tooltip = Hovered(one, page.locator("#messages-canvas")).tooltip(len(BUILT_IN))
    assert tooltip.title == NAME
    assert tooltip.values == {"probes": PROBES, "reservations": 0, "no-ops": 0, "cancellations": 0, "offers": 0, "bounces": 0}
    page.get_by_text("Methods as a table").click()
    page.locator("#methods-data tbody tr").nth(len(BUILT_IN)).wait_for()  # it is filled once it is open
    table = page.locator("#methods-data tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in table] == [*BUILT_IN, NAME]
    assert table[len(BUILT_IN)].split("\t")[1] == str(JOBS)

    page.goto(f"{dashboard.origin}/sparrow#/jobs")
    options = page.locator("#filter-method option").all_inner_texts()
    assert options == ["all", *BUILT_IN, NAME]
    page.get_by_label("Method", exact=True).select_option(NAME)
    chips = page.locator("#jobs-table tbody .wide .chip")
    assert chips.all_inner_texts() == [NAME] * JOBS
    assert chip_colour(chips.first) == chip

    job = told["jobs"][0]
    assert job["method"] == NAME
    page.get_by_role("link", name=job["id"]).click()
    page.wait_for_selector(".why")
    assert ChooseThree.why in page.locator("#job").inner_text()
    rows = page.locator(".why tbody tr")
    assert rows.count() == TASKS
    tasks = dashboard.get(f"/sparrow/jobs/{job['id']}")["tasks"]
    for number in range(TASKS):
        assert rows.nth(number).locator("td").nth(1).inner_text() == tasks[number]["worker"]
        assert rows.nth(number).locator(".probe").count() == PROBES
        assert rows.nth(number).locator(".probe.taken").count() == 1
