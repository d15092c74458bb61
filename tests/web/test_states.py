"""What the page says of a cluster or a server that is not all there: in the corner, in a notice, in the figures."""

import re

import pytest

from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from tests.support.live import client, eventually

COLOUR = """([selector, name]) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    const wanted = getComputedStyle(probe).color;
    probe.remove();
    return getComputedStyle(document.querySelector(selector)).color === wanted;
}"""
REASON = "Scheduler sparrow.scheduler.1 is gone: the 7 jobs that were open there wait until their clients hand them over."


@pytest.fixture(scope="module")
def answers(lively):
    return {"/sparrow/stats": (200, lively.get("/sparrow/stats"))}


def test_the_corner_is_green_only_when_all_is_there(still, answers):
    one = still(answers)
    for state, word, colour in (
        ("ok", "Live", "good"),
        ("degraded", "Degraded", "warn"),
        ("down", "Down", "bad"),
        ("ok", "Live", "good"),
    ):
        one.stats["cluster"].update(state=state, reasons=[] if state == "ok" else [REASON, "another"])
        one.has("#live", word)
        assert one.page.evaluate(COLOUR, ["#live", colour])
        notice = one.page.locator("#notice")
        assert notice.is_visible() == (state != "ok")
        if state != "ok":
            assert notice.locator("li").all_inner_texts() == [REASON, "another"]
    one.away()
    one.has("#live", "Away")
    assert one.page.evaluate(COLOUR, ["#live", "bad"])
    assert one.page.locator("#notice").is_hidden()


def test_when_a_scheduler_goes_it_is_said_and_totals_stay(opened):
    with LocalCluster(2, schedulers=1) as cluster, Dashboard(cluster.nameserver) as dashboard:
        assert client(cluster, "BATCH", 3, 2, 0.01, "--quiet").returncode == 0
        eventually(lambda: dashboard.get("/sparrow/stats")["totals"]["jobs_ended"] == 3)
        one = opened(dashboard)
        assert one.text("#live") == "Live"
        assert one.page.locator("#notice").is_hidden()
        done = one.text('[data-figure="rate"] .note')
        cluster.kill("scheduler1")
        one.page.wait_for_selector('#live[data-state="down"]')
        assert one.text("#live") == "Down"
        assert "scheduler" in one.text("#notice li:first-child")
        assert re.match(r"6 done", done)
        assert one.text('[data-figure="rate"] .note') == done
        assert one.text('[data-figure="jobs"] .note') == "3 submitted"
        cluster.start_scheduler(1)
        one.page.wait_for_selector('#live[data-state="ok"]')
        assert one.text('[data-figure="rate"] .note') == done


def test_what_failed_and_who_is_gone_is_red(still, answers):
    one = still(answers)
    one.has('[data-figure="failed"] .note', "none so far")
    value, note = '[data-figure="failed"] .value', '[data-figure="workers"] .note'
    assert one.page.evaluate(COLOUR, [value, "text"])
    assert one.page.evaluate(COLOUR, [note, "muted"])
    one.stats["totals"].update(failed=3, jobs_failed=1, workers=7, workers_gone=1)
    one.has('[data-figure="failed"] .note', "in 1 job")
    one.has(note, "1 gone")
    assert one.page.evaluate(COLOUR, [value, "bad"])
    assert one.page.evaluate(COLOUR, [note, "bad"])


def test_jobs_that_failed_are_set_apart(still, answers):
    one = still(answers, "#/jobs")
    one.page.wait_for_selector("#jobs-table tbody tr")
    job = one.stats["jobs"][0]
    job.update(state="failed", failed=2, slowdown=None)
    one.stats["methods"][job["method"]]["counts"]["failed_jobs"] = 4
    row = one.page.locator("#jobs-table tbody tr").first
    row.get_by_text("2 failed").wait_for()
    assert row.locator("td").nth(4).inner_text() == "none"
    one.page.goto(one.page.url.partition("#")[0] + "#/methods")
    told = one.page.locator(".method-row", has=one.page.get_by_text(job["method"], exact=True)).locator(".failed")
    told.get_by_text("4 jobs failed, not counted").wait_for()
    assert one.page.locator(".method-row .failed:visible").count() == 1


def test_workers_that_are_silent_or_cannot_be_read_are_told_from_those_that_are_gone(still, answers):
    one = still(answers, "#/workers")
    for name, state in (("host1", "silent"), ("host2", "unreadable"), ("host3", "gone")):
        one.stats["workers"][name].update(state=state, since=one.stats["now"] - 5, reason="because", load=0, running=0)
    one.has("#workers-table", "unreadable")
    states = one.page.locator("#workers-table tbody tr td:nth-child(2)").all_inner_texts()
    assert [text.split(",")[0] for text in states[:4]] == ["silent", "unreadable", "gone", "up"]
    assert one.page.locator("#now-gone li").count() == 3
    assert one.page.locator("#now-legend li").last.inner_text() == "gone or silent or unreadable"
    labels = one.page.evaluate("Chart.getChart('now-canvas').data.labels.slice(0, 4)")
    assert labels == [["host1", "silent"], ["host2", "unreadable"], ["host3", "gone"], "host4"]
