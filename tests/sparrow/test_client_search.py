"""A client's jobs when schedulers come and go, and when there is none."""

from collections import Counter

import pytest

from src.sparrow.errors import UnavailableError
from src.sparrow.names import SCHEDULERS
from tests.support.clientnode import SETTINGS, A, B, C, client_with, find, new_client, other_than, scheduler_of, submit
from tests.support.fakehost import FakeClientHost


@pytest.fixture
def host():
    return FakeClientHost()


# Schedulers that come and go


def test_the_jobs_of_a_lost_scheduler_are_handed_over_to_another(host):
    node = client_with(host, A, B)
    submit(node, *"abcd")
    had = [job for scheduler, job in host.handed if scheduler == A]
    host.handed.clear()
    node.disconnected(A, "it closed the connection")
    assert host.handed == [(B, job) for job in had]
    assert host.said == ["lost the scheduler: it closed the connection; handing its jobs over"]


def test_a_lost_scheduler_without_jobs_is_nothing_to_tell(host):
    node = client_with(host, A, B)
    submit(node, "a")
    node.disconnected(other_than(scheduler_of(host, "a")), "it closed the connection")
    assert (len(host.handed), host.said) == (1, [])


def test_when_the_only_scheduler_is_lost_its_jobs_wait_for_it_without_end(host):
    node = client_with(host, A)
    submit(node, "a")
    node.disconnected(A, "it closed the connection")
    for _ in range(100):
        node.names_seen({A: "PYRO:a@127.0.0.1:1"})
        assert host.connecting.pop(A)
        node.unreachable(A, "nobody listens there", hopeless=False)
        host.advance(SETTINGS.patience_s / 10)
    assert host.failed == {}
    find(host, node, A)
    assert host.handed == [(A, "a")] * 2
    waiting = [line for line in host.said if line.startswith("waiting")]
    assert waiting == [
        f"waiting: {A} is registered but cannot be reached: nobody listens there; start it again with: python Scheduler.py"
    ]


def test_a_scheduler_that_is_added_gets_jobs_within_a_second(host):
    node = client_with(host, A)
    submit(node, "a")
    host.advance(SETTINGS.ask_s)
    assert host.listings[1:] == [SCHEDULERS]
    node.names_seen({A: "PYRO:a@127.0.0.1:1", B: "PYRO:b@127.0.0.1:1"})
    assert list(host.connecting) == [B], "who is connected is not connected again"
    node.connected(B, "1")
    submit(node, "b", "c")
    assert B in [scheduler for scheduler, _ in host.handed]


def test_there_is_one_look_at_a_time(host):
    node = client_with(host, A)
    submit(node, "a")
    for _ in range(5):
        host.advance(SETTINGS.ask_s)
    assert len(host.listings) == 2, "the second is not over"
    node.names_seen({A: "PYRO:a@127.0.0.1:1"})
    host.advance(SETTINGS.ask_s)
    assert len(host.listings) == 3


# Nobody is found


def test_without_a_scheduler_within_patience_the_jobs_fail(host):
    node = new_client(host)
    submit(node, "a", "b")
    began = host.now()
    while node.jobs:
        node.names_seen({})
        assert host.failed == {} or not node.jobs
        host.advance(SETTINGS.retry_s)
    why = "no scheduler is registered with the name server at ns:9090; start one with: python Scheduler.py"
    assert host.now() - began == pytest.approx(SETTINGS.patience_s, abs=2 * SETTINGS.retry_s)
    assert [(type(error), str(error)) for error in host.failed.values()] == [(UnavailableError, why)] * 2
    assert (node.unmet, host.said) == (why, [f"waiting: {why}"])
    looks = len(host.listings)
    host.advance(10.0)
    assert len(host.listings) == looks, "nobody is looked for in vain"


def test_a_job_that_comes_after_the_others_have_failed_is_waited_for_as_long(host):
    node = new_client(host)
    submit(node, "a")
    host.advance(SETTINGS.patience_s)
    node.names_seen({})
    assert "a" in host.failed
    submit(node, "b")
    node.names_seen({})
    host.advance(SETTINGS.retry_s)
    assert "b" not in host.failed
    find(host, node, A)
    assert host.handed == [(A, "b")]


def test_a_name_server_that_is_away_is_waited_for(host):
    node = new_client(host)
    submit(node, "a")
    for _ in range(3):
        node.names_unavailable("no name server at ns:9090", hopeless=False)
        host.advance(SETTINGS.retry_s)
    assert len(host.listings) == 4
    assert (node.unmet, host.said) == ("no name server at ns:9090", ["waiting: no name server at ns:9090"])
    find(host, node, A)
    assert host.handed == [(A, "a")]


def test_a_name_server_that_can_never_be_had_is_not_waited_for(host):
    node = new_client(host)
    submit(node, "a")
    node.names_unavailable("its host does not resolve", hopeless=True)
    assert str(host.failed["a"]) == node.unmet == "its host does not resolve"
    assert node.jobs == {}


def test_a_name_server_that_can_not_be_had_any_more_ends_nothing(host):
    node = client_with(host, A)
    submit(node, "a")
    node.disconnected(A, "closed")
    node.names_unavailable("its host does not resolve", hopeless=True)
    assert host.failed == {}
    host.advance(SETTINGS.retry_s)
    find(host, node, A)
    assert host.handed[-1] == (A, "a")


def test_a_scheduler_that_has_another_key_is_not_waited_for(host):
    node = new_client(host)
    submit(node, "a")
    node.names_seen({A: "PYRO:a@127.0.0.1:1"})
    node.unreachable(A, "127.0.0.1:1 has another key", hopeless=True)
    assert str(host.failed["a"]) == f"{A} at 127.0.0.1:1 has another key"


def test_a_scheduler_that_has_another_key_does_not_matter_when_there_is_one_that_has_not(host):
    node = new_client(host)
    submit(node, "a")
    node.names_seen({A: "PYRO:a@127.0.0.1:1", B: "PYRO:b@127.0.0.1:1"})
    node.connected(B, "1")
    node.unreachable(A, "127.0.0.1:1 has another key", hopeless=True)
    assert (host.failed, host.handed) == ({}, [(B, "a")])


def test_jobs_that_wait_are_shared_by_all_schedulers_that_a_look_finds(host):
    node = new_client(host)
    submit(node, *map(str, range(30)))
    node.names_seen({name: f"PYRO:{name}@127.0.0.1:1" for name in (A, B, C)})
    for scheduler in (A, B, C):
        node.connected(scheduler, "1")
        host.advance(0.001)
    host.advance(0.5)
    assert Counter(scheduler for scheduler, _ in host.handed) == {A: 10, B: 10, C: 10}


def test_a_scheduler_that_does_not_answer_holds_up_the_others_for_a_moment_only(host):
    node = new_client(host)
    submit(node, "a", "b")
    node.names_seen({name: f"PYRO:{name}@127.0.0.1:1" for name in (A, B)})
    node.connected(A, "1")
    assert host.handed == []
    host.advance(SETTINGS.gather_s)
    assert sorted(host.handed) == [(A, "a"), (A, "b")]


def test_nothing_is_handed_over_after_the_end(host):
    node = new_client(host)
    submit(node, "a")
    node.names_seen({A: f"PYRO:{A}@127.0.0.1:1"})
    node.close()
    node.connected(A, "1")
    assert host.handed == []
    assert host.hung_up == [A]


def test_many_jobs_that_come_one_after_the_other_make_one_search_after_the_other(host):
    node = new_client(host)
    for job in map(str, range(50)):
        submit(node, job)
        if host.listings:
            host.advance(0.002)
            if node._looking:
                node.names_seen({})
        host.advance(0.015)
    assert len(host.listings) <= 12  # in 0.85 s, with a pause of 0.1 s between two


def test_a_withdrawn_job_is_not_handed_over(host):
    node = client_with(host, A)
    submit(node, "a")
    node.disconnected(A, "it closed the connection")
    submit(node, "b")
    node.withdraw("a")
    node.withdraw("unheard of")
    find(host, node, A)
    assert [job for _, job in host.handed[1:]] == ["b"]


def test_a_search_among_ten_thousand_names_is_bounded_and_begins_with_what_has_answered_before(host):
    node = client_with(host, A)
    submit(node, "a")
    node.disconnected(A, "it closed the connection")
    nowhere = {f"{SCHEDULERS}{n}": f"PYRO:x@flood:{n}" for n in range(100, 10_100)}
    node.names_seen({**nowhere, A: "PYRO:a@flood:1"})
    assert len(host.connecting) == SETTINGS.max_connecting
    assert host.connecting[A] == "PYRO:a@flood:1"
