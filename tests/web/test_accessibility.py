"""The page with keys, for readers of tables and screen readers, in light and dark, with and without movement."""

import pytest

from tests.support.live import eventually
from tests.support.page import SIZES, jobs_of


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
