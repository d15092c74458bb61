"""A scheduler without its I/O, event by event: who is used as a worker, and when it is looked for."""

import pytest

from src.sparrow import messages as m
from src.sparrow.checks import shown
from src.sparrow.link import CONNECTING, UP
from src.sparrow.messages import Address
from src.sparrow.names import WORKERS
from src.sparrow.settings import SchedulerSettings
from tests.support.books import at, says_of_itself
from tests.support.schedulernode import SETTINGS, Scheduler

# Who is a worker


def test_whoever_is_in_the_name_server_is_connected_and_used():
    scheduler = Scheduler()
    assert scheduler.host.listings == [WORKERS]
    scheduler.see("w1", "w2")
    assert scheduler.node.table.workers == {}
    scheduler.host.let_in(scheduler.link("w1"), incarnation="7", slots=4)
    (entry,) = scheduler.node.table.workers.values()
    assert (entry.address, entry.slots) == (Address("w1", "7"), 4)
    assert scheduler.host.noted("info") == ["worker w1 joined (4 slots)"]
    scheduler.look("w1", "w2")
    assert len(scheduler.tries("w1")) == len(scheduler.tries("w2")) == 1


@pytest.mark.parametrize("slots", [None, 0, -1, "4", 1.5, True, 1025, 10**4000], ids=shown)
def test_a_worker_that_does_not_say_how_many_slots_it_has_counts_as_one(slots):
    scheduler = Scheduler()
    scheduler.see("w1")
    scheduler.host.let_in(scheduler.link("w1"), slots=slots)
    assert scheduler.node.table.workers["w1"].slots == 1


def test_a_worker_whose_connection_breaks_is_not_lost_and_joins_once():
    scheduler = Scheduler("w1")
    scheduler.schedule()
    scheduler.host.break_off(scheduler.link("w1"))
    scheduler.host.advance(SETTINGS.link.retry_s)
    scheduler.host.let_in(scheduler.link("w1"))
    assert scheduler.host.noted("info") == ["worker w1 joined (2 slots)"]
    assert scheduler.launches("w1") == [m.Launch("job", 0, 1, 0.5)] * 2, "the same again"


def test_what_a_lost_worker_held_goes_to_another():
    scheduler = Scheduler("w1", "w2")
    scheduler.schedule()
    ((first, other),) = [(a, b) for a, b in (("w1", "w2"), ("w2", "w1")) if scheduler.told(a)]
    scheduler.host.end_call(scheduler.link(first), "silent", "no answer in 2.5 s")
    assert scheduler.told(other) == [m.Launch("job", 0, 2, 0.5)]
    assert list(scheduler.node.links) == list(scheduler.node.table.workers) == [other]
    assert scheduler.host.noted("warning") == [f"worker {first} is lost, with 1 tasks: no answer in 2.5 s"]


def test_what_a_lost_worker_had_not_taken_was_not_lost_with_it():
    scheduler = Scheduler("w1")
    scheduler.schedule("one")
    scheduler.schedule("two")  # waits, for the first call is under way
    scheduler.host.break_off(scheduler.link("w1"))
    scheduler.host.advance(SETTINGS.link.retry_s)
    scheduler.host.fail(scheduler.link("w1"), "unreachable", "nobody listens there")
    assert [scheduler.node.table.jobs[id].tasks[0].lost_on for id in ("one", "two")] == [("w1",), ()]
    assert [scheduler.node.table.jobs[id].retried for id in ("one", "two")] == [1, 0]
    assert scheduler.host.noted("warning")[-1] == "no worker is left: 2 jobs wait for one"


def test_a_worker_whose_connection_has_ended_gets_nothing_new_before_it_is_back():
    scheduler = Scheduler("w1", "w2")
    scheduler.host.break_off(scheduler.link("w1"))
    for number in range(9):
        scheduler.schedule(f"job{number}")
    assert scheduler.launches("w1") == []
    scheduler.host.advance(SETTINGS.link.retry_s)
    scheduler.host.let_in(scheduler.link("w1"))
    for number in range(9, 18):
        scheduler.schedule(f"job{number}")
    assert scheduler.launches("w1")


def test_a_worker_that_leaves_is_not_called_lost():
    scheduler = Scheduler("w1")
    scheduler.says("w1", m.Leave([]))
    scheduler.link("w1").give_up("it closed the connection")
    assert scheduler.host.noted("warning") == []
    assert scheduler.host.noted("info")[-1] == "worker w1 has left"


def test_a_worker_that_cannot_be_reached_is_tried_again_after_1_2_4_8_10_seconds():
    scheduler = Scheduler()
    scheduler.see("w1")
    pauses = []
    for _ in range(6):
        failed_at_s = scheduler.host.now()
        scheduler.host.fail(scheduler.link("w1"), "unreachable", "nobody listens there")
        while "w1" not in scheduler.node.links:
            scheduler.look("w1")
        pauses.append(scheduler.tries("w1")[-1] - failed_at_s)
    assert pauses == pytest.approx([1.0, 2.0, 4.0, 8.0, 10.0, 10.0])
    assert scheduler.host.noted("warning") == ["worker w1 is registered but cannot be used: nobody listens there"], (
        "it is said once"
    )


def test_a_worker_with_another_uri_is_tried_at_once():
    scheduler = Scheduler()
    scheduler.see("w1")
    for _ in range(4):
        scheduler.host.fail(scheduler.link("w1"), "unreachable")
        while "w1" not in scheduler.node.links:
            scheduler.look("w1")
    scheduler.host.fail(scheduler.link("w1"), "unreachable")
    scheduler.look("w1")
    assert "w1" not in scheduler.node.links
    scheduler.look("w1", port=2)
    assert scheduler.link("w1").uri.endswith(":2")


def test_a_worker_that_was_connected_begins_anew_with_a_second():
    scheduler = Scheduler()
    scheduler.see("w1")
    for _ in range(3):
        scheduler.host.fail(scheduler.link("w1"), "unreachable")
        while "w1" not in scheduler.node.links:
            scheduler.look("w1")
    scheduler.host.let_in(scheduler.link("w1"))
    scheduler.link("w1").give_up("silent")
    scheduler.look("w1")
    assert scheduler.link("w1").state == CONNECTING


def test_a_worker_that_is_no_longer_registered_is_no_longer_remembered():
    scheduler = Scheduler()
    scheduler.see("w1")
    for _ in range(3):
        scheduler.host.fail(scheduler.link("w1"), "unreachable")
        while "w1" not in scheduler.node.links:
            scheduler.look("w1")
    scheduler.host.fail(scheduler.link("w1"), "unreachable")  # not to be tried for eight seconds
    scheduler.look()
    scheduler.look("w1")
    assert scheduler.link("w1").state == CONNECTING


# Looking at the name server


def test_the_name_server_is_looked_at_once_a_second_and_less_often_when_that_takes_long():
    scheduler = Scheduler()
    scheduler.see(took_s=0.001)
    for _ in range(3):
        scheduler.look()
    scheduler.host.advance(SETTINGS.refresh_s)
    scheduler.see(took_s=0.05)
    looks = len(scheduler.host.listings)
    scheduler.host.advance(SETTINGS.refresh_share * 0.05 - 0.01)
    assert len(scheduler.host.listings) == looks
    scheduler.host.advance(0.01)
    assert len(scheduler.host.listings) == looks + 1
    scheduler.host.advance(100.0)
    assert len(scheduler.host.listings) == looks + 1, "one at a time"


def test_a_name_server_that_was_slow_once_is_looked_at_again_soon():
    scheduler = Scheduler()
    scheduler.host.advance(SETTINGS.refresh_s)
    scheduler.see(took_s=2.0)
    looks = len(scheduler.host.listings)
    scheduler.host.advance(SETTINGS.refresh_most_s)
    assert len(scheduler.host.listings) == looks + 1


def test_a_name_server_that_is_away_changes_nothing_and_is_asked_again():
    scheduler = Scheduler("w1")
    scheduler.host.advance(SETTINGS.refresh_s)
    scheduler.node.names_unavailable()
    assert scheduler.link("w1").state == UP
    scheduler.look("w1", "w2")
    assert sorted(scheduler.node.links) == ["w1", "w2"]


# Greetings


def greet(scheduler, worker, caller=None):
    welcomed = []
    greeting = says_of_itself(WORKERS + worker)
    scheduler.node.greeted(at(worker), greeting, caller or object(), lambda: welcomed.append(worker))
    return welcomed


def test_a_worker_that_greets_is_looked_for_at_once_and_welcomed_when_it_has_joined():
    scheduler = Scheduler()
    scheduler.see()
    looks = len(scheduler.host.listings)
    welcomed = greet(scheduler, "w1")
    assert len(scheduler.host.listings) == looks + 1
    scheduler.see("w1")
    assert welcomed == []
    scheduler.host.let_in(scheduler.link("w1"))
    assert welcomed == ["w1"]
    assert "w1" in scheduler.node.table.workers
    scheduler.host.advance(SETTINGS.refresh_s)
    assert len(scheduler.host.listings) == looks + 2, "the look that was planned before did not take place as well"


def test_a_worker_that_greets_during_a_look_is_looked_for_after_it():
    scheduler = Scheduler()
    scheduler.host.advance(SETTINGS.refresh_s)
    welcomed = greet(scheduler, "w1")
    assert len(scheduler.host.listings) == 2
    scheduler.see()
    assert (len(scheduler.host.listings), welcomed) == (3, []), "that look may have missed it"
    scheduler.see("w1")
    scheduler.host.let_in(scheduler.link("w1"))
    assert welcomed == ["w1"]


def test_a_worker_that_is_known_already_is_welcomed():
    scheduler = Scheduler("w1")
    welcomed = greet(scheduler, "w1")
    scheduler.see("w1")
    assert welcomed == ["w1"]


@pytest.mark.parametrize("why", ["cannot be reached", "is not registered", "the name server is away"])
def test_a_worker_that_cannot_be_used_does_not_wait_for_ever(why):
    scheduler = Scheduler()
    scheduler.see()
    welcomed = greet(scheduler, "w1")
    if why == "cannot be reached":
        scheduler.see("w1")
        scheduler.host.fail(scheduler.link("w1"), "unreachable")
    elif why == "is not registered":
        scheduler.see()
    else:
        scheduler.node.names_unavailable()
    assert welcomed == ["w1"]


def test_a_worker_that_greets_is_tried_though_it_could_not_be_reached_before():
    scheduler = Scheduler()
    scheduler.see("w1")
    scheduler.host.fail(scheduler.link("w1"), "unreachable")
    greet(scheduler, "w1")
    scheduler.see("w1")
    assert len(scheduler.tries("w1")) == 2


def test_not_more_wait_for_a_welcome_than_there_is_memory_for():
    scheduler = Scheduler(settings=SchedulerSettings(max_greetings=3))
    for _ in range(3):
        greet(scheduler, "w1")
    with pytest.raises(BlockingIOError, match="try later"):
        greet(scheduler, "w2")
    scheduler.see()
    scheduler.see()
    greet(scheduler, "w2")
