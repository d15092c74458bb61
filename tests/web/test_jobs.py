"""One job opened: its tasks in time, and why they went where they went."""

import re

from src.Job import Job
from src.SparrowClient import SparrowClient
from tests.support.live import eventually
from tests.support.page import jobs_of

# The bars of the timeline that can be seen, each with its class and what it says when it is hovered.
BARS = """() => [...document.querySelectorAll(".timeline rect")].filter(bar => bar.getBoundingClientRect().width >= 1)
    .map(bar => [bar.getAttribute("class"), bar.textContent])"""


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
        assert rows.nth(i).locator("td").nth(1).inner_text() == told["tasks"][i]["worker"]
        assert rows.nth(i).locator(".probe").count() == 2
        assert rows.nth(i).locator(".probe.taken").count() == 1
    one.page.go_back()
    one.page.locator("#jobs-table").wait_for(state="visible")


def test_a_late_bound_job_shows_the_order_of_its_reservations(lively, opened):
    job = jobs_of(lively, "BATCH+LATE_BINDING")[-1]
    one = opened(lively, f"#/jobs/{job['id']}")
    one.page.wait_for_selector(".why")
    told = lively.get(f"/sparrow/jobs/{job['id']}")["asked"]
    rows = one.page.locator(".why tbody tr")
    assert rows.count() == len(told)
    assert [rows.nth(i).locator("td").nth(2).inner_text() for i in range(len(told))] == [row["worker"] for row in told]
    one.page.get_by_text("Tasks as a table").click()
    assert one.page.locator("details table tbody tr").count() == 8


def states_in_timeline(page):
    """The state of each task by its number, as the bars of the timeline say, and by their colours and words alike."""
    states = {}
    for bar, words in page.evaluate(BARS):
        ((number, said),) = re.findall(r"^task (\d+): (queued on|waited|has run for|ran) .+$", words)
        assert bar == {"queued on": "wait", "waited": "wait", "has run for": "serve open", "ran": "serve"}[said]
        if said != "waited":
            states[int(number)] = {"queued on": "placed", "has run for": "running", "ran": "done"}[said]
    return states


def states_in_table(page):
    rows = page.locator("#job details tbody tr").all_inner_texts()
    return {int(row.split("\t")[0]): row.split("\t")[2].replace("queued", "placed") for row in rows}


def test_what_runs_and_what_is_queued_are_told_apart_while_a_job_runs(lively, own_cluster, opened):
    """The scheduler learns from the workers what runs, about a second after it has begun."""
    with SparrowClient(own_cluster.nameserver) as one:
        job = Job.from_durations([3.5] * 8 + [2.5] * 4)  # on 8 workers: the last 4 have to wait
        future = one.submit(job, "BATCH")
        id = eventually(lambda: [job["id"] for job in jobs_of(lively, "BATCH") if job["state"] == "running"])[0]
        page = opened(lively, f"#/jobs/{id}").page
        page.wait_for_selector(".timeline")
        page.get_by_text("Tasks as a table").click()
        for finished, running in ((0, 8), (8, 4)):
            page.wait_for_function(
                """([done, open]) => document.querySelectorAll(".timeline .serve.open").length === open
                    && document.querySelectorAll(".timeline .serve").length === done + open""",
                arg=[finished, running],
            )
            shown = states_in_timeline(page)
            assert sorted(shown.values()) == ["done"] * finished + ["placed"] * (12 - finished - running) + ["running"] * running
            assert states_in_table(page) == shown
            told = lively.get(f"/sparrow/jobs/{id}")["tasks"]
            assert {number: task["state"] for number, task in enumerate(told)} == shown
        report = future.result(10)
    page.wait_for_function("() => document.querySelectorAll('.timeline .serve:not(.open)').length === 12")
    assert set(states_in_timeline(page).values()) == {"done"}
    assert report.response_s > 6.0
