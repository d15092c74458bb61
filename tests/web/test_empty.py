"""A view that has nothing to show says why, and what to do."""

import pytest


@pytest.fixture(scope="module")
def answers(lively):
    return {"/sparrow/stats": (200, lively.get("/sparrow/stats"))}


@pytest.fixture(scope="module")
def idle(lively):
    """Of a cluster that has run nothing yet."""
    stats = lively.get("/sparrow/stats")
    for row in stats["workers"].values():
        row.update(load=0, running=0, queued=0, reservations=0)
    history = stats["history"]
    for key in ("running", "queued", "tasks_per_s"):
        history[key] = [0] * len(history["t"])
    history["response_p95_s"] = [None] * len(history["t"])
    stats.update(jobs=[], methods={})
    stats["totals"].update(jobs=0, jobs_ended=0, tasks_done=0, running=0, queued=0, reservations=0, open_jobs=0)
    stats["totals"]["response_s"] = {"p50": None, "p95": None, "p99": None}
    return {"/sparrow/stats": (200, stats)}


def test_a_filter_without_result_says_so_and_can_be_taken_back(still, answers):
    one = still(answers, "#/jobs?method=BATCH&state=failed")
    one.has("#jobs-empty", "None of the newest")
    assert "of method BATCH and in state failed" in one.page.locator("#jobs-empty").inner_text()
    assert one.page.locator("#jobs-table").is_hidden()
    one.page.get_by_role("button", name="Show all jobs").click()
    one.page.locator("#jobs-table tbody tr").first.wait_for()
    assert one.page.url.endswith("#/jobs")
    assert one.page.locator("#jobs-empty").is_hidden()
    assert one.page.evaluate("document.activeElement.id") == "filter-method"


@pytest.mark.parametrize(
    ("fragment", "selector", "words"),
    [
        ("#/", "#now-chart .overlay", "All workers are idle"),
        ("#/", "#steps", "SparrowClient.py"),
        ("#/methods", "#methods-verdict", "Run the same jobs with two methods"),
        ("#/methods", ".method-row .overlay", "Not used yet: each task to a worker"),
        ("#/history", "#history-load .overlay", "No task ran or waited"),
        ("#/history", "#history-p95 .overlay", "No job ended"),
        ("#/jobs", "#jobs-empty", "There was no job yet"),
    ],
)
def test_an_idle_cluster_is_not_a_blank_page(still, idle, fragment, selector, words):
    one = still(idle, fragment)
    one.page.wait_for_selector("body[data-ready]")
    one.has(selector, words)
    assert one.page.locator(selector).first.is_visible()


def test_what_lies_over_an_empty_chart_goes_when_there_is_something(still, idle):
    one = still(idle, "#/workers")
    one.has("#now-chart .overlay", "idle")
    one.stats["workers"]["host1"].update(load=1, running=1)
    one.page.locator("#now-chart .overlay").wait_for(state="hidden")


@pytest.mark.parametrize("what", ["jobs/61a9", "workers/host1"])
def test_a_view_opened_while_the_server_is_away_says_so(still, answers, lively, what):
    path = f"/sparrow/{what}"
    one = still({**answers, path: (503, {"error": "The schedulers do not answer in time."})}, "#/")
    one.has("#live", "Live")
    one.away()
    one.has("#live", "Away")
    one.page.evaluate("what => { location.hash = `#/${what}` }", what)
    one.has("#blank", "the server does not answer")
    assert one.page.locator("#blank").is_visible()
    one.answers = {**answers, path: (404, {"error": "Nobody knows it."})}
    one.has("#worker" if what.startswith("workers") else "#job", "Nobody knows it.")
    assert one.page.locator("#blank").is_hidden()


def test_a_page_that_never_got_an_answer_says_so(still):
    one = still({"/sparrow/stats": (0, None)})
    one.has("#away", "has not answered since")
    assert one.page.locator("#blank").is_visible()


def test_details_that_are_not_to_be_had_now_do_not_hide_what_there_is(still, answers, lively):
    job = answers["/sparrow/stats"][1]["jobs"][0]["id"]
    path = f"/sparrow/jobs/{job}"
    details = {**lively.get(path), "state": "running", "ended": 0}
    one = still({**answers, path: (200, details)}, f"#/jobs/{job}")
    one.page.wait_for_selector(".timeline")
    one.answers[path] = (503, {"error": "The schedulers do not answer in time."})
    one.has("#job .reason", "The schedulers do not answer in time. What you see is the last picture.")
    assert one.page.locator(".timeline").is_visible()
    assert one.page.locator("#live").inner_text() == "Live"
    one.answers[path] = (200, details)
    one.page.wait_for_function("() => !document.querySelector('#job .reason')")
