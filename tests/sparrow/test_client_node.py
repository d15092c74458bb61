"""A client's jobs, event by event: handing over, how far they are, the end."""

import random
from collections import Counter

import pytest

from src.sparrow.client_node import NO_WORKER, ClientNode
from src.sparrow.names import SCHEDULERS
from src.sparrow.settings import ClientSettings
from tests.support.clientnode import REPORT, SETTINGS, A, B, C, client_with, find, new_client, other_than, scheduler_of, submit
from tests.support.fakehost import FakeClientHost


@pytest.fixture
def host():
    return FakeClientHost()


# Handing over


def test_a_job_is_handed_over_as_soon_as_a_scheduler_is_found(host):
    node = new_client(host)
    assert host.listings == [], "nobody is looked for before there is a job"
    submit(node, "a")
    assert (host.listings, host.handed) == ([SCHEDULERS], [])
    assert node.unmet == "no answer yet from a name server at ns:9090"
    find(host, node, A)
    assert (host.handed, node.unmet) == ([(A, "a")], None)
    node.reported(A, "a", REPORT)
    assert host.finished == {"a": REPORT}
    assert node.jobs == {}


def test_a_job_whose_scheduler_is_lost_is_counted_as_handed_over(host):
    node = client_with(host, A, B)
    submit(node, "a")
    first = scheduler_of(host, "a")
    node.disconnected(first, "closed")
    second = scheduler_of(host, "a")
    node.reported(first, "a", REPORT)  # it is no longer its scheduler
    assert "a" not in host.finished
    node.reported(second, "a", REPORT)
    assert host.handed_over == {"first": 0, "a": 1}


@pytest.mark.parametrize(("incarnation", "handed_over"), [("1", 0), ("2", 1)])
def test_a_job_that_goes_to_the_same_process_again_is_not_handed_over(host, incarnation, handed_over):
    node = client_with(host, A)
    submit(node, "a")
    for _ in range(2):
        node.disconnected(A, "closed")
        find(host, node, A, incarnation=incarnation)
    assert host.handed == [(A, "a")] * 3
    node.reported(A, "a", REPORT)
    assert host.handed_over["a"] == handed_over
    assert host.said == [f"lost the connection to {A}: closed; its jobs go to the next scheduler that is found"] * 2


def test_a_job_that_comes_back_to_the_process_that_had_it_was_lost_with_the_other_one_alone(host):
    node = client_with(host, A, B)
    submit(node, "a")
    first = scheduler_of(host, "a")
    second = other_than(first)
    node.disconnected(first, "closed")
    find(host, node, first)
    node.disconnected(second, "closed")
    assert [scheduler for scheduler, _ in host.handed] == [first, second, first]
    node.reported(first, "a", REPORT)
    assert host.handed_over["a"] == 1


def test_jobs_go_to_the_schedulers_in_turn(host):
    node = client_with(host, A, B, C)
    submit(node, *map(str, range(30)))
    turns = [scheduler for scheduler, _ in host.handed]
    assert Counter(turns) == {A: 10, B: 10, C: 10}
    assert all(one != following for one, following in zip(turns, turns[1:]))


def test_clients_do_not_all_begin_with_the_same_scheduler():
    first = set()
    for seed in range(20):
        host = FakeClientHost()
        node = ClientNode(host, random.Random(seed))
        submit(node, "a")
        node.names_seen({A: "PYRO:a@127.0.0.1:1"})
        node.connected(A, "1")
        node.reported(A, "a", REPORT)
        node.connected(B, "1")
        submit(node, "b")
        first.add(scheduler_of(host, "b"))
    assert first == {A, B}


def test_no_more_are_handed_over_at_once_than_a_client_should(host):
    node = client_with(host, A, settings=ClientSettings(max_at_once=3))
    submit(node, *"abcdef")
    assert [job for _, job in host.handed] == ["a", "b", "c"]
    node.reported(A, "b", REPORT)
    assert [job for _, job in host.handed] == ["a", "b", "c", "d"]
    node.rejected(A, "a", ValueError("no"))
    assert [job for _, job in host.handed][4:] == ["e"]
    node.refused(A, "c", "try later")
    assert [job for _, job in host.handed][5:] == []
    host.advance(2 * SETTINGS.pause_s)
    assert [job for _, job in host.handed][5:] == ["c"], "it has kept its place"
    for job in "cde":
        node.reported(A, job, REPORT)
    assert [job for _, job in host.handed][6:] == ["f"]


def test_jobs_of_a_lost_scheduler_leave_their_places(host):
    node = client_with(host, A, B, settings=ClientSettings(max_at_once=4))
    submit(node, *"abcdef")
    lost = scheduler_of(host, "a")
    node.disconnected(lost, "closed")
    assert len(host.handed) == 6
    for _ in range(6):
        for job in list(node.jobs):
            node.reported(other_than(lost), job, REPORT)
    assert set(host.finished) == {"first", *"abcdef"}


# A scheduler that will not have it


def test_a_job_for_which_there_is_no_room_is_handed_over_again_in_a_while(host):
    node = client_with(host, A)
    submit(node, "a", "b")
    node.refused(A, "a", "try later: full")
    node.refused(A, "b", "try later: full")
    host.advance(0.49 * SETTINGS.pause_s)
    assert len(host.handed) == 2
    host.advance(1.02 * SETTINGS.pause_s)
    assert [job for _, job in host.handed[2:]] == ["a", "b"]
    assert host.said == ["waiting: try later: full"], "it is said once"


def test_clients_do_not_all_come_back_at_the_same_time():
    times = set()
    for seed in range(20):
        host = FakeClientHost()
        node = ClientNode(host, random.Random(seed))
        submit(node, "a")
        find(host, node, A)
        node.refused(A, "a", "try later")
        while len(host.handed) == 1:
            host.advance(0.01)
        times.add(round(host.now(), 2))
    assert len(times) > 10


def test_a_job_that_could_not_be_taken_goes_to_another_scheduler_at_once(host):
    node = client_with(host, A, B)
    submit(node, "a")
    first = scheduler_of(host, "a")
    node.refused(first, "a", "try later")
    assert host.handed[1:] == [(other_than(first), "a")]
    node.refused(other_than(first), "a", "try later")
    assert len(host.handed) == 2, "both pause"


def test_a_job_that_no_scheduler_will_ever_run_fails(host):
    node = client_with(host, A)
    submit(node, "a", "b")
    error = ValueError("the id 'a' belongs to another job")
    node.rejected(A, "a", error)
    assert host.failed == {"a": error}
    host.advance(10.0)
    assert [job for _, job in host.handed] == ["a", "b"]
    assert list(node.jobs) == ["b"]


@pytest.mark.parametrize("what", ["reported", "rejected", "refused"])
def test_what_a_scheduler_says_of_a_job_that_it_no_longer_has_is_ignored(host, what):
    node = client_with(host, A, B)
    submit(node, "a")
    former = scheduler_of(host, "a")
    now = other_than(former)
    node.disconnected(former, "closed")
    assert host.handed[-1] == (now, "a")
    handed = list(host.handed)
    getattr(node, what)(former, "a", ValueError("late") if what == "rejected" else "late")
    host.advance(2 * SETTINGS.ask_s)
    assert (host.handed, host.failed, "a" in host.finished) == (handed, {}, False)
    node.reported(now, "a", REPORT)
    assert host.finished["a"] == REPORT
    getattr(node, what)(now, "a", "twice")
    assert host.finished["a"] == REPORT


# How far the jobs are


def test_each_scheduler_is_asked_how_far_the_jobs_are_and_given_time(host):
    node = client_with(host, A, B)
    submit(node, *"abc")
    host.advance(SETTINGS.ask_s)
    assert host.asked == [(A, ["a", "b", "c"], SETTINGS.answer_s), (B, ["a", "b", "c"], SETTINGS.answer_s)]
    node.progress(A, {}, has_workers=True)
    host.advance(SETTINGS.ask_s)
    assert [scheduler for scheduler, _, _ in host.asked] == [A, B, A], "who has not answered is not asked again"
    node.progress_unknown(B)
    host.advance(SETTINGS.ask_s)
    assert [scheduler for scheduler, _, _ in host.asked[3:]] == [B]


def test_a_scheduler_that_is_back_is_asked_though_it_owes_an_answer(host):
    node = client_with(host, A)
    submit(node, "a")
    host.advance(SETTINGS.ask_s)
    node.disconnected(A, "it did not answer in time")
    find(host, node, A)
    host.advance(SETTINGS.ask_s)
    assert [scheduler for scheduler, _, _ in host.asked] == [A, A]


def test_the_only_scheduler_is_given_more_time(host):
    node = client_with(host, A)
    submit(node, "a")
    host.advance(SETTINGS.ask_s)
    assert host.asked == [(A, ["a"], SETTINGS.alone_answer_s)]


def test_a_question_names_no_more_jobs_than_a_scheduler_answers(host):
    node = client_with(host, A, settings=ClientSettings(max_asked_jobs=2))
    submit(node, "a", "b", "c")
    host.advance(SETTINGS.ask_s)
    assert host.asked == [(A, ["a", "b"], SETTINGS.alone_answer_s)]


def test_a_client_without_jobs_asks_nothing(host):
    node = client_with(host, A)
    submit(node, "a")
    node.reported(A, "a", REPORT)
    host.advance(10.0)
    assert (host.asked, host.timers) == ([], [])


def test_tasks_that_have_ended_are_counted_once(host):
    node = client_with(host, A)
    submit(node, "a", "b")
    node.progress(A, {"a": {"ended": 1, "tasks": 2}, "other": {"ended": 5, "tasks": 9}}, has_workers=True)
    assert node.tasks_ended == 1
    node.progress(A, {"a": {"ended": 2, "tasks": 2}, "b": {"ended": 1, "tasks": 2}}, has_workers=True)
    assert node.tasks_ended == 3
    node.reported(A, "a", REPORT)
    assert node.tasks_ended == 1, "those of reported jobs are counted elsewhere"
    node.rejected(A, "b", ValueError("no"))
    assert node.tasks_ended == 0


def test_whoever_waits_is_told_that_there_is_no_worker(host):
    node = client_with(host, A)
    submit(node, "a")
    node.progress(A, {}, has_workers=False)
    assert host.said == [], "this scheduler has none of our jobs"
    for _ in range(2):
        node.progress(A, {"a": {"ended": 0, "tasks": 2}}, has_workers=False)
    assert host.said == [NO_WORKER]


# Closing


def test_a_client_that_closes_lets_go_of_all_schedulers(host):
    node = client_with(host, A, B)
    submit(node, *"abcd")
    node.refused(*host.handed[0], "try later")
    node.close()
    assert sorted(host.hung_up) == [A, B]
    before = len(host.handed), len(host.listings)
    host.advance(100.0)
    assert (len(host.handed), len(host.listings), host.asked, host.timers) == (*before, [], [])
    assert (host.failed, set(host.finished)) == ({}, {"first"})


def test_a_client_may_be_closed_while_it_looks_for_a_scheduler(host):
    node = new_client(host)
    submit(node, "a")
    node.close()
    node.names_unavailable("no name server at ns:9090", hopeless=False)
    host.advance(100.0)
    assert (host.listings, host.failed, host.said) == ([SCHEDULERS], {}, [])
