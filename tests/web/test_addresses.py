"""Views and filters have addresses that can be reloaded and shared; and when the page asks the server."""

import pytest

from src.sparrow.placement import METHODS
from tests.support.live import eventually

VIEWS = [
    ("#/", "figures", "8 slots"),
    ("#/methods", "methods", "The methods, side by side"),
    ("#/history", "history", "Throughput"),
    ("#/jobs", "jobs", "The newest"),
    ("#/workers", "workers", "8 workers up; 8 slots"),
    ("#/workers/host3", "worker", "Worker host3"),
    ("#/workers/nobody", "worker", "Worker nobody"),
    ("#/jobs/nothing", "job", "Job nothing"),
    ("#/%E0%A4%A", "figures", "8 slots"),
]


@pytest.mark.parametrize(("fragment", "section", "words"), VIEWS)
def test_each_view_has_an_address_that_can_be_reloaded(lively, opened, fragment, section, words):
    one = opened(lively, fragment)
    for again in (False, True):
        if again:
            one.page.reload()
        one.page.wait_for_function("([id, words]) => document.getElementById(id).innerText.includes(words)", arg=[section, words])
        one.page.locator(f"#{section}").wait_for(state="visible")


def test_the_filter_is_part_of_the_address(lively, opened):
    one = opened(lively, "#/jobs")
    methods = "() => new Set([...document.querySelectorAll('#jobs-table tbody tr')].map(r => r.children[1].innerText)).size"
    assert one.page.evaluate(methods) == len(METHODS)
    one.page.get_by_label("Method", exact=True).select_option("BATCH")
    one.page.get_by_label("State", exact=True).select_option("done")
    assert one.page.evaluate(methods) == 1
    assert one.page.url.endswith("#/jobs?method=BATCH&state=done")
    one.page.reload()
    one.page.wait_for_selector("body[data-ready]")
    assert one.page.evaluate(methods) == 1
    assert one.page.get_by_label("Method", exact=True).input_value() == "BATCH"


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
    polls = one.page.workers[0].evaluate(
        """() => performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/sparrow/stats"))
            .map((entry) => [entry.startTime, entry.responseEnd])"""
    )
    assert 3 <= len(polls) <= 6
    assert all(ended < began for (_, ended), (began, _) in zip(polls, polls[1:])), polls
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
