"""The page with keys, for readers of tables and screen readers, in light and dark, with and without movement."""

import pytest

from src.sparrow.placement import METHODS
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


VIOLATIONS = "axe.run().then(r => r.violations.map(v => `${v.id}: ${v.nodes.map(n => n.target).join(' ')}`))"


@pytest.mark.parametrize(
    ("size", "scheme", "views"),
    [
        ("desktop", "light", ["#/", "#/jobs", "#/jobs/{job}", "#/workers/host1"]),
        ("desktop", "dark", ["#/"]),
        ("phone", "light", ["#/", "#/workers"]),
        ("phone", "dark", ["#/", "#/jobs", "#/jobs?state=failed", "#/jobs/{job}", "#/workers/host1"]),
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
        assert one.page.evaluate(VIOLATIONS) == [], fragment


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_violation_when_things_go_wrong(lively, still, axe, scheme):
    stats = lively.get("/sparrow/stats")
    stats["cluster"].update(state="degraded", reasons=["1 of 8 workers is gone (host2): schedulers run what they had on others."])
    stats["workers"]["host2"].update(state="gone", since=stats["now"], load=0, running=0)
    stats["totals"].update(failed=1, jobs_failed=1, workers=7, workers_gone=1)
    stats["jobs"][0].update(state="failed", failed=1, slowdown=None)
    one = still({"/sparrow/stats": (200, stats)}, scheme=scheme, bypass_csp=True)
    for state in ("degraded", "down"):
        one.stats["cluster"]["state"] = state
        one.page.wait_for_selector(f'#live[data-state="{state}"]')
        one.page.evaluate("source => { (0, eval)(source) }", axe)
        assert one.page.evaluate(VIOLATIONS) == [], state


CUT = """() => [...document.querySelectorAll(".scroll")].filter(box => box.checkVisibility() && box.scrollWidth > box.clientWidth)
    .map(box => box.getAttribute("aria-label"))"""


@pytest.mark.parametrize(("method", "width"), [*((name, 390) for name in METHODS.names()), ("BATCH+LATE_BINDING", 800)])
def test_on_a_phone_or_a_tablet_no_column_is_cut(lively, opened, method, width):
    one = opened(lively, size="phone")
    one.page.set_viewport_size({"width": width, "height": 844})
    job = jobs_of(lively, method)[0]["id"]
    for fragment in ("#/jobs", "#/workers", "#/workers/host1", f"#/jobs/{job}"):
        one.page.goto(f"{lively.origin}/sparrow{fragment}")
        one.page.reload()
        one.page.wait_for_selector("body[data-ready]")
        one.page.wait_for_function(
            "() => !['job', 'worker'].includes(document.body.dataset.view) || document.querySelector('.facts')"
        )
        assert one.page.evaluate(CUT) == [], fragment


@pytest.mark.parametrize("width", [390, 761, 800, 901, 1081])
def test_no_column_of_large_jobs_is_cut(lively, still, width):
    stats = lively.get("/sparrow/stats")
    for job in stats["jobs"]:
        job.update(
            method="BATCH+LATE_BINDING", tasks=100_000, ended=99_999, failed=0, state="done", response_s=123.4, slowdown=1234.5
        )
    one = still({"/sparrow/stats": (200, stats)}, "#/jobs")
    one.page.set_viewport_size({"width": width, "height": 844})
    one.page.wait_for_selector("body[data-ready]")
    assert one.page.evaluate(CUT) == []


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
