"""One job opened: its tasks in time, and why they went where they went."""

import re

from src.Job import Job
from src.SparrowClient import SparrowClient
from tests.support.live import eventually
from tests.support.page import jobs_of

# The bars of the timeline that can be seen, each with its class and what it says when it is hovered.
BARS = """() => [...document.querySelectorAll(".timeline > rect")].filter(bar => bar.getBoundingClientRect().width >= 1)
    .map(bar => [bar.getAttribute("class"), bar.textContent])"""


PROBE = """chip => [chip.firstChild.textContent, ...[...chip.querySelectorAll("b")].map(b => Number(b.textContent))]"""


def test_a_sampled_job_says_why_here(lively, opened):
    job = jobs_of(lively, "CHOOSE_TWO")[0]
    one = opened(lively, "#/jobs?method=CHOOSE_TWO")
    one.page.get_by_role("link", name=job["id"]).click()
    one.page.wait_for_selector(".timeline")
    assert one.page.url.endswith(f"#/jobs/{job['id']}")
    assert one.page.locator(".timeline > .serve").count() == 8
    rows = one.page.locator(".why tbody tr")
    assert rows.count() == 8
    told = lively.get(f"/sparrow/jobs/{job['id']}")
    for i in range(8):
        assert rows.nth(i).locator("td").nth(1).inner_text() == told["tasks"][i]["worker"]
        assert rows.nth(i).locator(".probe").count() == 2
        assert rows.nth(i).locator(".probe.taken").count() == 1
    one.page.go_back()
    one.page.locator("#jobs-table").wait_for(state="visible")


def test_the_loads_of_choose_two_have_the_jobs_own_earlier_tasks(lively, own_cluster, opened):
    with SparrowClient(own_cluster.nameserver) as client:
        id = client.submit(Job(None, 24, 0.01), "CHOOSE_TWO").result(20).id  # 24 on 8 workers: some go where one went before
    told = lively.get(f"/sparrow/jobs/{id}")
    one = opened(lively, f"#/jobs/{id}")
    one.page.wait_for_selector(".why")
    placed: dict[str, int] = {}
    for i, task in enumerate(told["tasks"]):
        chips = [chip.evaluate(PROBE) for chip in one.page.locator(".why tbody tr").nth(i).locator(".probe").all()]
        loads = {worker.strip(): load for worker, load, *_ in chips}
        own = {worker.strip(): sum(rest) for worker, _, *rest in chips}
        assert own == {worker: placed.get(worker, 0) for worker in own}
        assert loads[task["worker"]] + own[task["worker"]] == min(loads[name] + own[name] for name in loads)
        placed[task["worker"]] = placed.get(task["worker"], 0) + 1
    assert max(placed.values()) > 1
    assert "+ tasks of this job placed there before" in one.text(".why thead")


def test_a_late_bound_job_shows_all_its_reservations(lively, opened):
    job = jobs_of(lively, "BATCH+LATE_BINDING")[-1]
    one = opened(lively, f"#/jobs/{job['id']}")
    one.page.wait_for_selector(".why")
    told = sorted(lively.get(f"/sparrow/jobs/{job['id']}")["reservations"], key=lambda row: (row["ended_s"], row["reservation"]))
    assert len(told) == 16
    cells = [row.split("\t") for row in one.page.locator(".why tbody tr").all_inner_texts()]
    assert [worker for _, worker, *_ in cells] == [row["worker"] for row in told]
    got = {"assigned": "task", "no-op": "no-op: none was left", "cancelled": "cancelled"}
    assert all(text.startswith(got[row["state"]]) for (*_, text), row in zip(cells, told))
    assert sorted(text for *_, text in cells if text.startswith("task")) == [f"task {i}" for i in range(8)]
    assert "16 reservations: 8 got a task" in one.text("#job")
    one.page.get_by_text("Tasks as a table").click()
    assert one.page.locator("details table tbody tr").count() == 8


def test_a_pulled_job_says_who_was_idle(lively, opened):
    job = jobs_of(lively, "PULL")[-1]
    told = lively.get(f"/sparrow/jobs/{job['id']}")["pulled"]
    one = opened(lively, f"#/jobs/{job['id']}")
    one.page.wait_for_selector(".why")
    cells = [row.split("\t") for row in one.page.locator(".why tbody tr").all_inner_texts()]
    assert [worker for _, _, worker, _ in cells] == [row["worker"] for row in told]
    assert sorted(int(task) for _, task, _, _ in cells) == list(range(8))
    assert all(text.startswith("idle: ") for *_, text in cells)
    assert "8 tasks given to idle workers." in one.text("#job")


def test_a_failed_task_shows_its_reason_and_each_lost_attempt(lively, still):
    """The server's answer about a job that ended well, changed into one of which a task was lost four times."""
    row = jobs_of(lively, "BATCH")[0]
    path = f"/sparrow/jobs/{row['id']}"
    job = lively.get(path)
    attempts = [("host7", 0.1), ("host2", 0.6), ("host7", None), ("host3", 2.1)]
    lost = [
        {"attempt": i + 1, "worker": worker, "placed_s": 0.5 * i, "started_s": started_s, "lost_s": 0.5 * i + 0.4}
        for i, (worker, started_s) in enumerate(attempts)
    ]
    reason = "it was lost with four workers, one after the other"
    lost_on = [worker for worker, _ in attempts]
    job["tasks"][2].update(
        worker=None, state="failed", attempts=4, placed_s=None, wait_s=None, started_s=None, service_s=None, lost=lost,
        lost_on=lost_on, reason=reason,
    )  # fmt: skip
    job.update(state="failed", failed=1, retried=1, slowdown=None, response_s=2.5)
    one = still({"/sparrow/stats": (200, lively.get("/sparrow/stats")), path: (200, job)}, f"#/jobs/{row['id']}")
    one.has("#job", f"1 task failed: {reason}")
    assert "none: it failed" in one.page.locator(".facts").inner_text()
    drawn = one.page.locator(".timeline > rect.lost")
    assert drawn.count() == 4
    for i, (worker, started_s) in enumerate(attempts):
        words = drawn.nth(i).text_content()
        assert words.startswith(f"task 2, attempt {i + 1}: ")
        assert ("ran for" in words) == (started_s is not None)
        assert f"on {worker}, and was lost with it" in words
    assert one.page.locator(".timeline .worker.bad").text_content() == "failed"
    one.page.get_by_text("Tasks as a table").click()
    cells = one.page.locator("#job details tbody tr").nth(2).inner_text().split("\t")
    assert cells[2] == f"failed: {reason}"
    assert cells[-1] == "host7 after 400 ms, host2 after 900 ms, host7 after 1.40 s, host3 after 1.90 s"


SAID = {"queued or running on": ("held", "placed"), "has run for": ("open", "running"), "ran": ("serve", "done")}


def states_in_timeline(page):
    """The state of each task by its number, as the bars of the timeline say, and by their colours and words alike."""
    states = {}
    for bar, words in page.evaluate(BARS):
        ((number, said),) = re.findall(r"^task (\d+): (queued or running on|waited|has run for|ran) .+$", words)
        if said == "waited":
            assert bar == "wait"
            continue
        colour, states[int(number)] = SAID[said]
        assert bar == colour
    return states


def states_in_table(page):
    rows = page.locator("#job details tbody tr").all_inner_texts()
    return {int(row.split("\t")[0]): row.split("\t")[2].replace("queued or running", "placed") for row in rows}


def test_what_runs_and_what_is_queued_are_told_apart_while_a_job_runs(lively, own_cluster, opened):
    """The scheduler learns from the workers what runs, about a second after it has begun."""
    with SparrowClient(own_cluster.nameserver) as one:
        job = Job.from_durations([6.0] * 8 + [4.0] * 4)  # on 8 workers: the last 4 have to wait
        future = one.submit(job, "BATCH")
        id = eventually(lambda: [job["id"] for job in jobs_of(lively, "BATCH") if job["state"] == "running"])[0]
        page = opened(lively, f"#/jobs/{id}").page
        page.wait_for_selector(".timeline")
        page.get_by_text("Tasks as a table").click()
        for finished, running in ((0, 8), (8, 4)):
            page.wait_for_function(
                """([done, open]) => document.querySelectorAll(".timeline > .open").length === open
                    && document.querySelectorAll(".timeline > .serve").length === done""",
                arg=[finished, running],
            )
            shown = states_in_timeline(page)
            assert sorted(shown.values()) == ["done"] * finished + ["placed"] * (12 - finished - running) + ["running"] * running
            assert states_in_table(page) == shown
            told = lively.get(f"/sparrow/jobs/{id}")["tasks"]
            assert {number: task["state"] for number, task in enumerate(told)} == shown
        report = future.result(30)
    page.wait_for_function("() => document.querySelectorAll('.timeline > .serve').length === 12")
    assert set(states_in_timeline(page).values()) == {"done"}
    assert report.response_s > 6.0
