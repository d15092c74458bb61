"""Who may speak for whom, and which incarnation of a process is the newer one."""

import pytest

from src.sparrow import messages as m
from src.sparrow.checks import identifier
from src.sparrow.identity import check_speaker, incarnation
from src.sparrow.messages import Address
from src.sparrow.names import WORKERS
from src.sparrow.settings import SchedulerSettings, WorkerSettings
from tests.support.books import S1, S2, at, says_of_itself, state_of
from tests.support.schedulernode import Scheduler
from tests.support.workernode import URI, Worker, launch


def test_the_order_of_incarnations_is_that_of_their_starts():
    starts_ns = [0, 1, 999, 10**9, 1_764_000_000 * 10**9, 1_764_000_000 * 10**9 + 1, 2**63]
    made = [incarnation(start_ns, "f" if number % 2 else "0") for number, start_ns in enumerate(starts_ns)]
    assert made == sorted(made)
    assert len(set(map(len, made))) == 1
    assert all(identifier(one, "incarnation") == one for one in made)
    assert incarnation(5, "a") != incarnation(5, "b")
    assert incarnation(-1, "a") == incarnation(0, "a"), "a clock that stands before 1970"


NOT_S1 = [
    {},
    {"name": S1.name},
    {"incarnation": S1.incarnation},
    {"name": S1.name, "incarnation": "another"},
    {"name": S2.name, "incarnation": S1.incarnation},
    {"name": "a client", "incarnation": S1.incarnation},
    {"name": [S1.name], "incarnation": [S1.incarnation]},
    {"name": "x" * 10_000, "incarnation": None},
]


@pytest.mark.parametrize("greeting", NOT_S1, ids=lambda greeting: repr(greeting)[:60])
def test_a_connection_speaks_for_nobody_but_who_it_greeted_as(greeting):
    check_speaker({**says_of_itself(*S1), "slots": 3}, *S1)
    with pytest.raises(ValueError, match=f"not from {S1.name}: this connection greeted") as refusal:
        check_speaker(greeting, *S1)
    assert len(str(refusal.value)) < 300


# Schedulers, to a worker


@pytest.mark.parametrize("greeting", NOT_S1, ids=lambda greeting: repr(greeting)[:60])
def test_a_worker_heeds_no_stranger(greeting):
    worker = Worker()
    worker.hears(launch(0), launch(1), m.Reserve("late", 0))
    before, links = state_of(worker.node.queue), dict(worker.node.links)
    for address, said in ((S1, greeting), (S1._replace(incarnation="zzz"), says_of_itself(*S1)), (S2, says_of_itself(*S1))):
        for batch in [], [m.Drop("job", 0, 1), m.Cancel("late", 0)], [launch(7)]:
            with pytest.raises(ValueError, match="not from"):
                worker.node.received(address, said, batch)
    assert state_of(worker.node.queue) == before
    assert worker.node.links == links


def test_an_older_incarnation_of_a_scheduler_waits_until_the_newer_one_is_lost():
    """It may be the real one: a clock was set back, or its machine has another clock."""
    worker = Worker()
    worker.hears(launch(0, 9.0))
    older = S1._replace(incarnation="A")
    assert older.incarnation < S1.incarnation
    with pytest.raises(BlockingIOError, match="try later: w1 still knows a newer incarnation of sparrow.scheduler.1"):
        worker.hears(launch(1), scheduler=older)
    assert list(worker.node.links) == [S1]
    assert worker.in_slots() == [("job", 0, 1)]
    worker.host.break_off(worker.node.links[S1])
    worker.host.advance(WorkerSettings().link.lost_after_s)
    worker.hears(launch(1), scheduler=older)
    assert list(worker.node.links) == [older]
    assert worker.in_slots() == [("job", 1, 1)]


def test_a_worker_that_leaves_tells_the_newest_incarnation():
    worker = Worker()
    worker.hears()
    worker.node.leave([(S1._replace(incarnation="A"), None), (S1, URI)])
    assert list(worker.node.links) == [S1]


# Workers, to a scheduler

NOT_W1 = [
    {},
    {"name": "w1", "incarnation": "1"},
    {"name": WORKERS + "w1", "incarnation": "2"},
    {"name": WORKERS + "w2", "incarnation": "1"},
    {"name": S1.name, "incarnation": "1"},
]


@pytest.mark.parametrize("greeting", NOT_W1, ids=repr)
def test_a_scheduler_heeds_no_stranger(greeting):
    scheduler = Scheduler("w1")
    scheduler.schedule()
    before = state_of(scheduler.node.table)
    for batch in [m.Done("job", 0, 1, 0.0, 0.5)], [m.Leave([])], [m.Ask("job", 0)]:
        with pytest.raises(ValueError, match="not from sparrow.worker.w1"):
            scheduler.node.received(at("w1"), greeting, batch)
    with pytest.raises(ValueError, match="not from sparrow.worker.w1"):
        scheduler.node.greeted(at("w1"), greeting, "a caller", lambda: None)
    assert state_of(scheduler.node.table) == before
    assert len(scheduler.host.listings) == 1


# Greetings that nobody waits for


def welcomes(scheduler, worker, caller, welcomed):
    greeting = says_of_itself(WORKERS + worker)
    scheduler.node.greeted(at(worker), greeting, caller, lambda: welcomed.append((worker, caller)))


def test_whoever_hangs_up_takes_no_place_of_those_who_wait_for_a_welcome():
    scheduler = Scheduler(settings=SchedulerSettings(max_greetings=3))
    welcomed: list[tuple[str, str]] = []
    for number in range(100):
        welcomes(scheduler, f"w{number}", f"caller {number}", welcomed)
        if number >= 2:
            scheduler.node.caller_gone(f"caller {number}")
    welcomes(scheduler, "w100", "caller 100", welcomed)
    with pytest.raises(BlockingIOError, match="try later"):
        welcomes(scheduler, "w101", "caller 101", welcomed)
    scheduler.see()
    scheduler.see()
    assert welcomed == [("w0", "caller 0"), ("w1", "caller 1"), ("w100", "caller 100")]
    assert not any(scheduler.node._welcomes.values())
    assert not scheduler.node._greeters


def test_a_connection_that_greets_a_thousand_times_has_one_place():
    scheduler = Scheduler(settings=SchedulerSettings(max_greetings=2))
    welcomed: list[tuple[str, str]] = []
    for _ in range(1000):
        welcomes(scheduler, "w1", "one caller", welcomed)
    assert welcomed == []
    scheduler.host.advance()
    assert len(welcomed) == 999, "all but the newest are answered"
    welcomes(scheduler, "w2", "another", welcomed)
    scheduler.see()
    scheduler.see()
    assert welcomed[999:] == [("w1", "one caller"), ("w2", "another")]


def test_a_caller_that_is_gone_twice_or_was_welcomed_is_forgotten_once():
    scheduler = Scheduler("w1")
    welcomed: list[tuple[str, str]] = []
    welcomes(scheduler, "w1", "caller", welcomed)
    scheduler.see("w1")
    assert len(welcomed) == 1
    scheduler.node.caller_gone("caller")
    welcomes(scheduler, "w1", "caller", welcomed)
    scheduler.node.caller_gone("caller")
    scheduler.node.caller_gone("caller")
    scheduler.see("w1")
    assert len(welcomed) == 1
    assert Address("w1", "1") == scheduler.node.table.workers["w1"].address
