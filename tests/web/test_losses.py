"""What the page shows when a worker or the server itself is lost."""

import re
import signal

from scripts.testbed.dashboard import Dashboard
from src.Job import Job
from src.SparrowClient import SparrowClient
from tests.support.live import client, eventually


def test_a_killed_worker_is_marked(cluster, opened):
    with Dashboard(cluster.nameserver) as dashboard:
        eventually(lambda: len(dashboard.get("/sparrow/stats")["workers"]) == 3)
        one = opened(dashboard)
        submitter = SparrowClient(cluster.nameserver)
        future = submitter.submit(Job(None, 6, 1.0), "BATCH")
        eventually(lambda: cluster.load("host2") == 2)
        cluster.kill("host2")
        one.page.wait_for_function("() => document.querySelector('#now-gone').innerText.includes('host2')", polling=50)
        assert "last seen" in one.text("#now-gone")
        assert "1 gone" in one.text('[data-figure="workers"]')
        one.page.goto(f"{dashboard.origin}/sparrow#/workers/host2")
        one.page.wait_for_function("() => document.querySelector('#worker').innerText.includes('gone, last seen')")
        id = future.result(20).id
        submitter.close()
        one.page.goto(f"{dashboard.origin}/sparrow#/jobs/{id}")
        one.page.wait_for_function("() => document.querySelector('#job')?.innerText.includes('6 of 6')")
        attempts = one.page.locator(".timeline > rect.lost")
        assert attempts.count() == 2
        told = attempts.all_text_contents()
        assert all("attempt 1" in words and "on host2, and was lost with it" in words for words in told), told
        assert "attempt lost with its worker" in one.text("#job .legend")
        one.page.get_by_text("Tasks as a table").click()
        assert [text for text in one.page.locator("#job details td:last-child").all_inner_texts() if "host2 after" in text]


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
        eventually(lambda: one.text("#live") == "Live")
