"""PULL in the books: idle workers say so, get the oldest task, and send back what comes too late."""

import pytest

from src.simulation import audit
from src.sparrow import messages as m
from src.sparrow.commands import Send, Start
from src.sparrow.settings import SchedulerSettings, WorkerSettings
from src.sparrow.workqueue import WorkQueue
from tests.support.books import LATE, S1, S2, at, finishes, hears, of, says, spec, table_with

S3, S4 = (type(S1)(f"sparrow.scheduler.{number}", "c") for number in (3, 4))
LEASE_S = SchedulerSettings.subscribe_s


def idle(epoch, slots=1, told=0, schedulers=1):
    return m.Idle(epoch, slots, told, schedulers)


def subscribed(slots=1, schedulers=(S1,), now=0.0, **settings):
    """A worker's book of which these schedulers want to know when it is idle."""
    queue = WorkQueue(slots, WorkerSettings(**settings))
    for scheduler in schedulers:
        hears(queue, m.Subscribe(LEASE_S), owner=scheduler, now=now)
    return queue


def ends(queue, owner, run, now):
    """The messages that follow from the end of a run, without its Done: (receiver, message)."""
    commands = queue.ended(owner, run, now)
    assert audit.of_queue(queue) == []
    return [(command.to, command.message) for command in commands if isinstance(command, Send)][1:]


# The worker


def test_a_worker_says_that_it_is_idle_to_whoever_wants_to_know():
    queue = WorkQueue(2)
    assert hears(queue, m.Launch("job", 0, 1, 0.5)) == [Start(S1, ("job", 0, 1), 0.5)]
    assert hears(queue, m.Subscribe(LEASE_S)) == [Send(S1, idle(1, slots=1))]
    assert ends(queue, S1, ("job", 0, 1), 0.5) == [(S1, idle(2, slots=2))]


def test_without_a_subscription_nothing_is_said():
    queue = WorkQueue(1)
    hears(queue, m.Launch("job", 0, 1, 0.5))
    assert ends(queue, S1, ("job", 0, 1), 0.5) == []


def test_a_busy_worker_says_so_later():
    queue = WorkQueue(1)
    hears(queue, m.Launch("job", 0, 1, 0.5), m.Launch("job", 1, 1, 0.5))
    assert hears(queue, m.Subscribe(LEASE_S)) == []
    assert ends(queue, S1, ("job", 0, 1), 0.5) == []
    assert ends(queue, S1, ("job", 1, 1), 1.0) == [(S1, idle(1))]


def test_a_subscription_ends():
    queue = subscribed()
    hears(queue, m.Launch("job", 0, 1, 0.5), now=LEASE_S - 0.1)
    assert ends(queue, S1, ("job", 0, 1), LEASE_S + 0.4) == []


def test_the_end_of_a_task_and_the_free_slot_share_a_call():
    assert m.Idle.lane == m.Done.lane == m.Bounce.lane


def test_an_offer_starts_at_once_or_comes_back():
    queue = subscribed()
    assert hears(queue, m.Offer("job", 0, 1, 0.5)) == [Start(S1, ("job", 0, 1), 0.5)]
    assert hears(queue, m.Offer("job", 1, 1, 0.5)) == [Send(S1, m.Bounce("job", 1, 1))]
    assert queue.load == 1


def test_an_offer_that_comes_twice_counts_once():
    queue = subscribed()
    offer, late = m.Offer("job", 0, 1, 0.5), m.Offer("job", 1, 1, 0.5)
    hears(queue, offer)
    assert hears(queue, offer) == []
    assert hears(queue, late) == [Send(S1, m.Bounce("job", 1, 1))]
    assert ends(queue, S1, ("job", 0, 1), 0.5) == [(S1, idle(2))]
    assert hears(queue, late) == [Send(S1, m.Bounce("job", 1, 1))], "it was sent back, so it may run elsewhere by now"


def test_a_task_that_was_sent_back_is_sent_back_again_if_nobody_has_heard_so():
    queue = subscribed()
    hears(queue, m.Offer("job", 0, 1, 0.5), m.Offer("job", 1, 1, 0.5))
    queue.lost(S1, 1.0)  # with the Bounce that was on its way
    believed = m.Reconcile([("job", 1, 1)], [])
    assert [command.message for command in hears(queue, believed, now=2.0)][:1] == [m.Bounce("job", 1, 1)]


def test_schedulers_are_told_one_after_the_other_as_long_as_they_have_nothing():
    queue = subscribed(schedulers=(S1, S2, S3, S4), told_schedulers=3)
    hears(queue, m.Launch("job", 0, 1, 0.5))
    ((first, told),) = ends(queue, S1, ("job", 0, 1), 0.5)
    assert (told.told, told.schedulers) == (0, 4)
    asked = [first]
    while True:
        commands = hears(queue, m.Noted(told.epoch), owner=asked[-1])
        if not commands:
            break
        asked.append(commands[0].to)
        assert commands[0].message == told.replace(told=len(asked) - 1)
    assert len(asked) == len(set(asked)) == 3


def test_who_has_not_been_told_for_longest_is_told_first():
    queue = subscribed(schedulers=(S1, S2, S3, S4))
    first = []
    for task in range(8):
        hears(queue, m.Launch("job", task, 1, 0.5))
        ((to, _),) = ends(queue, S1, ("job", task, 1), 0.5)
        first.append(to)
    assert sorted(first[:4]) == sorted(first[4:]) == [S1, S2, S3, S4]


def test_what_an_older_idle_time_was_noted_for_does_not_matter():
    queue = subscribed(schedulers=(S1, S2))
    hears(queue, m.Offer("job", 0, 1, 0.5))
    assert hears(queue, m.Noted(1), owner=S2) == [], "it is busy by now"
    ((_, told),) = ends(queue, S1, ("job", 0, 1), 0.5)
    assert hears(queue, m.Noted(told.epoch - 1), owner=S2) == []


def test_a_reservation_at_the_front_comes_before_the_idle_word():
    queue = subscribed()
    hears(queue, m.Launch("job", 0, 1, 0.5), m.Reserve("late", 3))
    assert ends(queue, S1, ("job", 0, 1), 0.5) == [(S1, m.Ask("late", 3))]
    assert hears(queue, m.NoTask("late", 3)) == [Send(S1, idle(2))]


def test_a_lost_scheduler_is_told_nothing_more():
    queue = subscribed(schedulers=(S1, S2))
    queue.lost(S2, 0.0)
    hears(queue, m.Launch("job", 0, 1, 0.5))
    ((to, told),) = ends(queue, S1, ("job", 0, 1), 0.5)
    assert (to, told.schedulers) == (S1, 1)


def test_a_worker_that_leaves_takes_and_tells_nothing():
    queue = subscribed()
    queue.leave([S1], 0.0, 0.5)
    assert hears(queue, m.Subscribe(LEASE_S), m.Offer("job", 0, 1, 0.5)) == []


# The scheduler


def offers(commands):
    return [(worker, offer.job, offer.task, offer.attempt) for worker, offer in of(m.Offer, commands)]


def test_a_job_asks_the_workers_to_tell_and_waits_for_them():
    table = table_with("a", "b")
    commands = table.submitted(spec("PULL", 0.5, 0.5, 0.5), 0.0)
    assert of(m.Subscribe, commands) == [("a", m.Subscribe(LEASE_S)), ("b", m.Subscribe(LEASE_S))]
    assert of(m.Reserve, commands) == []
    assert offers(says(table, "a", idle(1))) == [("a", "job", 0, 1)]
    assert offers(says(table, "b", idle(1, slots=2))) == [("b", "job", 1, 1), ("b", "job", 2, 1)]


def test_other_methods_ask_no_worker_to_tell():
    table = table_with("a", "b")
    for method in "RANDOM", "CHOOSE_TWO", "BATCH", LATE:
        assert of(m.Subscribe, table.submitted(spec(method, id=method), 0.0)) == []
    assert of(m.Subscribe, table.joined(at("c"), 1, 1.0)) == []


def test_idle_workers_are_remembered_for_the_next_job_and_each_gets_its_share():
    table = table_with("a", "b")
    table.submitted(spec("PULL", 0.5, id="first"), 0.0)
    says(table, "b", idle(1))
    says(table, "a", idle(1), now=2.0)
    assert offers(says(table, "b", m.Done("first", 0, 1, 0.0, 0.5), idle(2), now=3.0)) == []
    assert offers(table.submitted(spec("PULL", 0.5, 0.5, 0.5), 4.0)) == [("a", "job", 0, 1), ("b", "job", 1, 1)]


def test_the_oldest_job_comes_first():
    table = table_with("a")
    for number, id in enumerate(("x", "b", "m")):
        table.submitted(spec("PULL", 0.5, 0.5, id=id), float(number))
    given = [offers(says(table, "a", idle(epoch), now=5.0))[0] for epoch in range(1, 7)]
    assert [job for _, job, _, _ in given] == ["x", "x", "b", "b", "m", "m"]


def test_a_new_epoch_replaces_an_old_one_and_an_old_one_says_nothing():
    table = table_with("a")
    table.submitted(spec("PULL", 0.5, id="first"), 0.0)
    says(table, "a", idle(3))
    says(table, "a", idle(4, slots=2))
    says(table, "a", idle(2, slots=9))
    assert len(offers(table.submitted(spec("PULL", *[0.5] * 9), 2.0))) == 2


@pytest.mark.parametrize("gone", ["disconnected", "lost", "leave"])
def test_who_is_gone_is_not_idle(gone):
    table = table_with("a", "b")
    table.submitted(spec("PULL", 0.5, id="first"), 0.0)
    says(table, "b", idle(1))
    says(table, "a", idle(1))
    if gone == "disconnected":
        table.disconnected("a")
    elif gone == "lost":
        table.lost("a", 1.0)
    else:
        says(table, "a", m.Leave([]))
    assert offers(table.submitted(spec("PULL", 0.5), 2.0)) == []


def test_who_joins_while_jobs_pull_is_asked_to_tell():
    table = table_with("a")
    table.submitted(spec("PULL"), 0.0)
    assert of(m.Subscribe, table.joined(at("b"), 1, 1.0)) == [("b", m.Subscribe(LEASE_S))]
    assert of(m.Subscribe, table.joined(at("c"), 1, 2 * LEASE_S)) == []


def test_a_bounced_task_is_the_next_one_and_counts_as_one_attempt():
    table = table_with("a", "b")
    table.submitted(spec("PULL", 0.5, 0.5), 0.0)
    assert offers(says(table, "a", idle(1))) == [("a", "job", 0, 1)]
    assert offers(says(table, "a", m.Bounce("job", 0, 1))) == []
    assert offers(says(table, "b", idle(1, slots=2))) == [("b", "job", 0, 2), ("b", "job", 1, 1)]
    assert says(table, "a", m.Bounce("job", 0, 1)) == [], "it is placed again by now"
    ((_, report),) = finishes(says(table, "b", m.Done("job", 0, 2, 0.0, 0.5), m.Done("job", 1, 1, 0.0, 0.5)))
    assert [task["attempts"] for task in report["tasks"]] == [1, 1]
    counts = table.tally.counts["PULL"]
    assert (counts["pulled"], counts["bounced"], counts["retried"]) == (3, 1, 0)


def test_a_task_of_a_lost_worker_goes_to_the_next_idle_one():
    table = table_with("a", "b")
    table.submitted(spec("PULL", 0.5), 0.0)
    says(table, "a", idle(1))
    table.lost("a", 1.0)
    assert offers(says(table, "b", idle(1))) == [("b", "job", 0, 2)]


def test_an_answer_that_got_lost_is_found_missing():
    table = table_with("a")
    table.submitted(spec("PULL", 0.5), 0.0)
    says(table, "a", idle(1))
    says(table, "a", idle(1))  # the call came again, because its answer has not arrived
    lost = m.Holdings([("job", 0, 1)], [], [], [], [])
    assert of(m.Launch, table.answered(at("a"), [lost], 2.0)) == [("a", m.Launch("job", 0, 1, 0.5))]


def test_among_several_schedulers_what_is_left_gets_reservations():
    table = table_with("a", "b", "c")
    table.submitted(spec("PULL", 0.5, id="first"), 0.0)
    says(table, "a", idle(1, schedulers=2))
    commands = says(table, "b", idle(1, schedulers=2))
    assert of(m.Noted, commands) == [("b", m.Noted(1))]
    commands = table.submitted(spec("PULL", 0.5, 0.5), 2.0)
    assert len(offers(commands)) == 1
    assert len(of(m.Reserve, commands)) == 2


def test_an_ask_of_a_job_with_nothing_left_gets_the_oldest_task():
    table = table_with("a", "b")
    table.submitted(spec("PULL", 0.5, id="zeroth"), 0.0)
    says(table, "a", idle(1, schedulers=2))
    commands = table.submitted(spec("PULL", 0.5, id="first"), 1.0)
    number = next(reserve.reservation for worker, reserve in of(m.Reserve, commands) if worker == "b")
    table.submitted(spec("PULL", 0.5, id="second"), 2.0)
    other = next(n for n, worker in table.jobs["first"].reserved.items() if n != number)
    says(table, table.jobs["first"].reserved[other], m.Ask("first", other))
    assert [command.message for command in says(table, "b", m.Ask("first", number))][:2] == [
        m.NoTask("first", number),
        m.Offer("second", 0, 1, 0.5),
    ]


def test_workers_are_asked_again_if_nobody_says_that_it_is_idle():
    table = table_with("a", "b")
    table.submitted(spec("PULL", 0.5), 0.0)
    table.tick(0.5)
    assert {worker for worker, _ in of(m.Subscribe, table.tick(0.5 + 1.1))} == {"a", "b"}


def test_the_details_say_who_was_idle_since_when_and_what_was_sent_back():
    table = table_with("a", "b")
    table.submitted(spec("PULL", 0.5, id="first"), 0.0)
    says(table, "a", idle(1, told=2, schedulers=4), now=1.0)
    says(table, "b", idle(1, schedulers=4), now=2.0)
    table.submitted(spec("PULL", 0.5), 5.0)
    says(table, "b", m.Bounce("job", 0, 1), now=6.0)
    job = table.jobs["job"]
    assert job.pulled == [{"task": 0, "worker": "b", "after_s": 0.0, "idle_s": 3.0, "told": 0, "bounced": True}]
