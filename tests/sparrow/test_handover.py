"""How fast a scheduler gets the jobs of a client: the bytes without an answer, the pauses, and who goes first."""

import pytest

from src.sparrow.jobspec import JobSpec
from src.sparrow.settings import ClientSettings
from tests.support.clientnode import REPORT, SETTINGS, A, B, client_with, submit
from tests.support.fakehost import FakeClientHost

SMALL = ClientSettings(first_window_bytes=3 * JobSpec("job", (0.1, 0.1)).wire_bytes, least_window_bytes=1, most_window_bytes=10_000)


@pytest.fixture
def host():
    return FakeClientHost()


def handed(host):
    return [job for _, job in host.handed]


def answer(node):
    node.progress(A, {}, has_workers=True)


def test_only_so_many_bytes_go_without_an_answer(host):
    node = client_with(host, A, settings=SMALL)
    submit(node, *"abcdefgh")
    assert handed(host) == ["a", "b", "c"]
    assert [jobs for _, jobs, _ in host.asked][-1] == [], "a question, whose answer says that they were taken"
    node.reported(A, "b", REPORT)
    assert handed(host)[3:] == ["d"], "a report is an answer too"
    answer(node)
    assert handed(host)[4:] == ["e", "f", "g", "h"], "what is taken makes the window larger, but c and d are unanswered"


def test_the_question_says_nothing_of_jobs_that_were_sent_after_it(host):
    node = client_with(host, A, settings=SMALL)
    submit(node, "a")
    host.advance(SMALL.ask_s)  # the question for progress
    submit(node, *"bcdefgh")
    assert handed(host) == ["a", "b", "c"]
    answer(node)
    assert handed(host)[3:] == ["d", "e", "f", "g"], "a was taken, b and c may not have been: six are unanswered"


def test_the_question_for_progress_is_asked_as_soon_as_the_other_is_answered(host):
    node = client_with(host, A, settings=SMALL)
    host.asked.clear()
    submit(node, *"abcdefgh")
    host.advance(SMALL.ask_s)
    assert [jobs for _, jobs, _ in host.asked] == [[]], "one question at a time"
    answer(node)
    assert [jobs for _, jobs, _ in host.asked] == [[], list("abcdefgh")]


def test_a_job_that_is_larger_than_the_window_goes_alone(host):
    node = client_with(host, A, settings=SMALL)
    node.submit(JobSpec("large", (0.1,) * 10_000))
    submit(node, "a")
    assert handed(host) == ["large"]
    answer(node)
    assert handed(host) == ["large", "a"]


def test_a_late_answer_makes_the_window_smaller(host):
    node = client_with(host, A, settings=SMALL)
    submit(node, *map(str, range(9)))
    host.advance(SMALL.slow_answer_s + 0.1)
    answer(node)
    assert handed(host)[3:] == [], "the third is unanswered, and half of three is not two"
    answer(node)
    assert handed(host)[3] == "3"


def test_the_pause_doubles_while_nothing_is_taken(host):
    node = client_with(host, A)
    submit(node, "a")
    pauses = []
    for _ in range(8):
        began_s, before = host.now(), len(host.handed)
        node.refused(A, "a", "try later")
        while len(host.handed) == before:
            host.advance(0.01)
        pauses.append(host.now() - began_s)
    for n, pause_s in enumerate(pauses):
        expected_s = min(SETTINGS.pause_s * 2**n, SETTINGS.most_pause_s)
        assert 0.5 * expected_s - 0.02 < pause_s < 1.5 * expected_s + 0.02
    answer(node)  # the last one was taken
    submit(node, "b")
    node.refused(A, "b", "try later")
    host.advance(1.5 * SETTINGS.pause_s + 0.02)
    assert handed(host)[-1] == "b"


def test_a_large_job_that_is_refused_holds_up_no_small_one(host):
    node = client_with(host, A)
    node.submit(JobSpec("large", (0.1,) * 1000))
    node.refused(A, "large", "try later")
    submit(node, "a")
    node.submit(JobSpec("large too", (0.1,) * 1000))
    assert handed(host) == ["large", "a"]
    node.refused(A, "a", "try later")
    submit(node, "b")
    assert handed(host) == ["large", "a"], "now small ones pause too"


def test_a_scheduler_that_has_nothing_left_of_ours_gets_the_next_job_at_once(host):
    node = client_with(host, A)
    submit(node, "a", "b")
    node.refused(A, "b", "try later")
    assert handed(host) == ["a", "b"]
    node.reported(A, "a", REPORT)
    assert handed(host) == ["a", "b", "b"]
    host.advance(10 * SETTINGS.pause_s)
    assert handed(host) == ["a", "b", "b"]


def test_a_job_that_is_withdrawn_and_submitted_again_is_handed_over_once(host):
    node = client_with(host, A, B, settings=ClientSettings(max_at_once=1))
    submit(node, *"abc")
    node.withdraw("b")
    submit(node, "b")
    for job in "acb":
        node.reported(host.handed[-1][0], job, REPORT)
    assert handed(host) == ["a", "c", "b"]
