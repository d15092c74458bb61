"""The scheduler's book, event by event."""

import random

import pytest

from books import LATE, finishes, of, says, spec, state_of, table_with
from sparrow import audit
from sparrow import messages as m
from sparrow.jobtable import DOUBTED_S, GATHER_S, HEARTBEAT_S, PROBE_TIMEOUT_S, JobTable, Send, UnknownIdError
from sparrow.queues import Owner
from sparrow.workqueue import WorkQueue


def test_random_launches_at_once():
    table = table_with("a", "b")
    launches = of(m.Launch, table.submitted(spec("RANDOM", 0.1, 0.2, 0.3), 0.0))
    assert [launch for _, launch in launches] == [m.Launch("job", i, 1, d) for i, d in enumerate((0.1, 0.2, 0.3))]
    assert audit.of_table(table) == []


def test_batch_probes_then_launches_on_the_less_loaded():
    table = table_with("a", "b")
    probes = of(m.Probe, table.submitted(spec("BATCH"), 0.0))
    assert sorted(worker for worker, _ in probes) == ["a", "b"]
    assert says(table, "a", m.Load("job", 0, 5)) == []
    assert says(table, "b", m.Load("job", 0, 2)) == [Send("b", m.Launch("job", 0, 1, 0.5))]


def test_a_probe_without_an_answer_does_not_hold_up_the_job():
    table = table_with("a", "b")
    table.submitted(spec("BATCH", 0.1, 0.1), 0.0)
    says(table, "a", m.Load("job", 0, 5))
    assert of(m.Launch, table.tick(PROBE_TIMEOUT_S - 0.01)) == []
    assert [worker for worker, _ in of(m.Launch, table.tick(PROBE_TIMEOUT_S))] == ["a", "a"]


def test_when_no_probe_is_answered_the_job_is_sampled_again():
    table = table_with("a", "b")
    table.submitted(spec("BATCH"), 0.0)
    assert {probe.round for _, probe in of(m.Probe, table.tick(PROBE_TIMEOUT_S))} == {1}
    assert says(table, "a", m.Load("job", 0, 0)) == []  # an answer to the round that was given up


def test_a_lost_worker_is_not_waited_for():
    table = table_with("a", "b")
    table.submitted(spec("BATCH"), 0.0)
    says(table, "a", m.Load("job", 0, 5))
    assert of(m.Launch, table.lost("b", 0.2)) == [("a", m.Launch("job", 0, 1, 0.5))]


def test_a_job_without_method_takes_the_default():
    table = JobTable(random.Random(1), "BATCH")
    table.submitted(spec(None), 0.0)
    assert table.jobs["job"].method.name == "BATCH"


def test_an_unknown_method_is_refused_and_changes_nothing():
    table = table_with("a")
    before = state_of(table)
    with pytest.raises(ValueError, match="unknown method"):
        table.submitted(spec("BEST"), 0.0)
    assert state_of(table) == before


def test_the_report():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2), 1.0)
    assert finishes(says(table, "a", m.Done("job", 0, 1, 0.0, 0.11), now=1.2)) == []
    ((job, report),) = says(table, "a", m.Done("job", 1, 1, 0.11, 0.21), now=1.5)
    assert job == "job"
    assert report == {
        "id": "job",
        "method": "RANDOM",
        "submitted_s": 1.0,
        "finished_s": 1.5,
        "response_s": 0.5,
        "ideal_s": 0.21,
        "retried": 0,
        "tasks": [["a", 0.0, 0.11, 1], ["a", pytest.approx(0.11), 0.21, 1]],
        "failed": [],
    }
    assert not table.busy
    assert table.progress(["job"]) == {}


def test_progress():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2), 1.0)
    says(table, "a", m.Done("job", 0, 1, 0.0, 0.1))
    assert table.progress(["job", "other"]) == {"job": [1, 2]}


# Late binding


def test_late_binding_reserves_and_sends_no_task():
    table = table_with("a", "b", "c")
    commands = table.submitted(spec(LATE), 0.0)
    assert len(of(m.Reserve, commands)) == len(commands) == 2
    assert len({worker for worker, _ in of(m.Reserve, commands)}) == 2


def test_who_asks_first_gets_the_task_and_the_other_reservation_is_cancelled():
    table = table_with("a", "b")
    (first, r1), (second, r2) = of(m.Reserve, table.submitted(spec(LATE), 0.0))
    ask = m.Ask("job", r2.reservation)
    assert says(table, second, ask) == [
        Send(second, m.Assign("job", r2.reservation, 0, 1, 0.5)),
        Send(first, m.Cancel("job", r1.reservation)),
    ]
    assert says(table, first, m.Ask("job", r1.reservation)) == [Send(first, m.NoTask("job", r1.reservation))]
    assert says(table, second, ask) == [Send(second, m.Assign("job", r2.reservation, 0, 1, 0.5))], "the same answer again"
    assert len(finishes(says(table, second, m.Done("job", 0, 1, 0.0, 0.5)))) == 1
    assert says(table, second, ask) == [Send(second, m.NoTask("job", r2.reservation))]
    assert table.tally.counts[LATE] == {"jobs": 1, "tasks": 1, "reservations": 2, "assigned": 1, "cancellations": 1, "done": 1}


def test_ids_are_compared_by_value():
    """The original compared them by identity, so over the network a cancellation never matched."""
    table = table_with("a", "b")
    (worker, reserve), _ = of(m.Reserve, table.submitted(spec(LATE, id="job-1000"), 0.0))
    assert of(m.Assign, says(table, worker, m.Ask("".join(["job-", "1000"]), reserve.reservation)))


def test_nobody_gets_a_task_for_the_reservation_of_another():
    table = table_with("a", "b", "c")
    (owner, reserve), _ = of(m.Reserve, table.submitted(spec(LATE), 0.0))
    thief = next(worker for worker in "abc" if worker != owner)
    assert of(m.Assign, says(table, thief, m.Ask("job", reserve.reservation))) == []


def test_a_job_that_is_submitted_again_after_its_end_reserves_under_new_numbers():
    """Workers recognize the old ones as ended, and would never ask."""
    table = table_with("a")
    numbers = set()
    for _ in range(2):
        reserves = of(m.Reserve, table.submitted(spec(LATE), 0.0))
        numbers |= {reserve.reservation for _, reserve in reserves}
        says(table, "a", m.Ask("job", reserves[0][1].reservation))
        assert finishes(says(table, "a", m.Done("job", 0, 1, 0.0, 0.5)))
    assert len(numbers) == 4


# Once is enough


def test_every_message_may_come_twice():
    table = table_with("a", "b")
    assert table.submitted(spec(LATE, 0.1, 0.1), 0.0)
    assert table.submitted(spec(LATE, 0.1, 0.1), 0.0) == []
    assert table.joined("a", "1", 1, 0.0) == []
    reserved = dict(table.jobs["job"].reserved)
    number = next(number for number, worker in reserved.items() if worker == "a")
    says(table, "a", m.Ask("job", number))
    before = state_of(table)
    says(table, "a", m.Ask("job", number))
    assert state_of(table) == before
    says(table, "a", m.Done("job", 0, 1, 0.0, 0.1))
    before = state_of(table)
    assert says(table, "a", m.Done("job", 0, 1, 0.0, 0.1), m.Done("job", 0, 1, 9.0, 9.0)) == []
    assert state_of(table) == before
    says(table, "b", m.Leave([]))
    before = state_of(table)
    assert says(table, "b", m.Leave([])) == []
    assert state_of(table) == before
    table.lost("b", 1.0)
    before = state_of(table)
    assert table.lost("b", 1.0) == []
    assert state_of(table) == before


def test_a_load_that_comes_twice_counts_once():
    table = table_with("a", "b")
    table.submitted(spec("BATCH"), 0.0)
    assert says(table, "a", m.Load("job", 0, 0), m.Load("job", 0, 0)) == []
    assert len(of(m.Launch, says(table, "b", m.Load("job", 0, 1), m.Load("job", 0, 1)))) == 1


# Lost workers


def test_the_tasks_of_a_lost_worker_are_placed_again():
    table = table_with("a", "b")
    ((first, _),) = of(m.Launch, table.submitted(spec("RANDOM"), 0.0))
    other = "b" if first == "a" else "a"
    assert of(m.Launch, table.lost(first, 1.0)) == [(other, m.Launch("job", 0, 2, 0.5))]
    ((_, report),) = finishes(says(table, other, m.Done("job", 0, 2, 0.0, 0.5)))
    assert report["retried"] == 1
    assert report["tasks"][0][3] == 2


def test_the_reservations_of_a_lost_worker_are_made_again():
    table = table_with("a", "b", "c")
    reserves = of(m.Reserve, table.submitted(spec(LATE), 0.0))
    again = of(m.Reserve, table.lost(reserves[0][0], 1.0))
    assert again
    assert reserves[0][0] not in {worker for worker, _ in again}
    assert {number for _, number in again}.isdisjoint({number for _, number in reserves})
    assert audit.of_table(table) == []


def test_a_superseded_run_does_not_count():
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    table.lost("a", 1.0)
    table.joined("a", "1", 1, 2.0)
    assert of(m.Launch, table.tick(2.0 + GATHER_S)) == [("a", m.Launch("job", 0, 2, 0.5))]
    assert says(table, "a", m.Done("job", 0, 1, 0.0, 0.5)) == []
    assert len(finishes(says(table, "a", m.Done("job", 0, 2, 0.0, 0.5)))) == 1


def test_a_stale_incarnation_is_answered_and_not_believed():
    table = table_with("a")
    table.submitted(spec("RANDOM", id="one"), 0.0)
    reserves = of(m.Reserve, table.submitted(spec(LATE, id="two"), 0.0))
    table.joined("a", "2", 1, 1.0)
    before = state_of(table)
    ask = m.Ask("two", reserves[0][1].reservation)
    assert says(table, "a", m.Done("one", 0, 1, 0.0, 0.5), ask, m.Leave([]), incarnation="1") == [Send("a", m.NoTask(*ask))]
    assert says(table, "stranger", m.Done("one", 0, 1, 0.0, 0.5)) == []
    assert state_of(table) == before


def test_the_fourth_loss_fails_the_task_and_says_where():
    table = table_with(*"abcd")
    ((worker, launch),) = of(m.Launch, table.submitted(spec("RANDOM"), 0.0))
    lost = []
    for attempt in (2, 3, 4):
        lost.append(worker)
        ((worker, launch),) = of(m.Launch, table.lost(worker, 1.0))
        assert launch.attempt == attempt
    lost.append(worker)
    ((_, report),) = finishes(table.lost(worker, 2.0))
    ((reason, (task,)),) = report["failed"]
    assert task == 0
    assert ", ".join(lost) in reason
    assert report["retried"] == 3
    assert not table.jobs
    assert audit.of_table(table) == []


def test_a_failed_task_does_not_take_its_job_along():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2), 0.0)
    says(table, "a", m.Done("job", 0, 1, 0.0, 0.1))
    for now in range(1, 5):
        commands = table.lost("a", float(now))
        table.joined("a", str(now + 1), 1, float(now))
        table.tick(now + GATHER_S)
    ((_, report),) = finishes(commands)
    assert [tasks for _, tasks in report["failed"]] == [[1]]
    assert report["tasks"][0] == ["a", 0.0, 0.1, 1]


def test_a_job_waits_for_workers_and_does_not_go_to_the_first_alone():
    for method in "RANDOM", "CHOOSE_TWO", "BATCH", LATE:
        table = table_with()
        assert table.submitted(spec(method, 0.1, 0.1), 0.0) == []
        assert table.joined("a", "1", 1, 5.0) == []
        assert table.tick(5.0) == []
        table.joined("b", "1", 1, 5.05)
        assert table.tick(5.0 + GATHER_S)
        assert audit.of_table(table) == []


def test_a_starving_job_is_not_sampled_for_while_it_waits():
    """Its tasks are placed by the feeding, once, and not when another task of it fails just before."""
    table = table_with("a")
    table.submitted(spec("BATCH", 0.1, 0.2), 0.0)
    for now in range(1, 5):
        says(table, "a", m.Load("job", now - 1, 0))
        if now < 4:
            table.lost("a", float(now))
            table.joined("a", "1", 1, float(now))
            table.tick(now + GATHER_S)
    says(table, "a", m.Leave([("job", 0, 4)]))
    table.joined("b", "1", 1, 5.0)
    commands = table.lost("a", 5.05)
    assert commands == []
    assert table.jobs["job"].rounds == {}
    assert of(m.Probe, table.tick(5.0 + GATHER_S)) == [("b", m.Probe("job", 4))]


# Leaving


def test_who_leaves_hands_back_all_but_what_it_still_finishes():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 5.0), 0.0)
    table.submitted(spec(LATE, id="late"), 0.0)
    table.joined("b", "1", 1, 0.0)
    commands = says(table, "a", m.Leave([("job", 0, 1)]))
    assert of(m.Launch, commands) == [("b", m.Launch("job", 1, 2, 5.0))]
    assert {worker for worker, _ in of(m.Reserve, commands)} == {"b"}
    assert says(table, "a", m.Done("job", 0, 1, 0.0, 0.1)) == []
    ((_, report),) = finishes(says(table, "b", m.Done("job", 1, 2, 0.0, 5.0)))
    assert report["retried"] == 0, "nothing was lost"
    assert {row[0] for row in report["tasks"]} == {"a", "b"}


def test_nothing_more_goes_to_who_leaves():
    table = table_with("a", "b")
    table.submitted(spec("BATCH"), 0.0)
    says(table, "a", m.Load("job", 0, 0))
    says(table, "a", m.Leave([]))
    assert {worker for worker, _ in of(m.Launch, says(table, "b", m.Load("job", 0, 9)))} == {"b"}
    assert {worker for worker, _ in of(m.Launch, table.submitted(spec("RANDOM", *[0.1] * 20, id="more"), 1.0))} == {"b"}


# Unheard of


@pytest.mark.parametrize(
    "unknown",
    [
        m.Done("other", 0, 1, 0.0, 0.1),
        m.Done("job", 7, 1, 0.0, 0.1),
        m.Ask("other", 0),
        m.Ask("job", 999),
        m.Load("other", 0, 0),
    ],
    ids=str,
)
def test_what_is_unheard_of_is_refused_with_its_whole_batch(unknown):
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    before = state_of(table)
    with pytest.raises(UnknownIdError, match="unknown"):
        table.received("a", "1", [m.Done("job", 0, 1, 0.0, 0.5), unknown], 1.0)
    assert state_of(table) == before


def test_what_is_held_of_the_unheard_of_is_to_be_dropped():
    table = table_with("a")
    held = m.Held([("other", 0, 1)], [("other", 0)], [("other", 1, 1)], [("other", 1)])
    assert says(table, "a", held) == [Send("a", m.Drop("other", 1, 1)), Send("a", m.Cancel("other", 1))]


# Heartbeats


def test_a_heartbeat_names_what_was_given_a_while_ago():
    table = table_with("a")
    table.submitted(spec("RANDOM", id="old"), 0.0)
    (reserve, _) = of(m.Reserve, table.submitted(spec(LATE, id="late"), 0.0))
    table.submitted(spec("RANDOM", id="new"), 0.9)
    table.tick(0.5)
    number = reserve[1].reservation
    assert of(m.Heartbeat, table.tick(1.2)) == [("a", m.Heartbeat([("old", 0, 1)], [("late", number), ("late", number + 1)]))]
    assert of(m.Heartbeat, table.tick(1.2 + HEARTBEAT_S / 2)) == []


def test_an_idle_worker_gets_no_heartbeat():
    table = table_with("a", "b")
    ((worker, _),) = of(m.Launch, table.submitted(spec("RANDOM"), 0.0))
    assert {to for to, _ in of(m.Heartbeat, table.tick(5.0))} == {worker}
    says(table, worker, m.Done("job", 0, 1, 0.0, 0.5))
    assert table.tick(10.0) == []


def test_what_is_missing_is_sent_again():
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    table.submitted(spec(LATE, id="late"), 0.0)
    missing = m.Held([("job", 0, 1), ("job", 0, 7)], [("late", 0), ("late", 99)], [], [])
    assert says(table, "a", missing) == [Send("a", m.Launch("job", 0, 1, 0.5)), Send("a", m.Reserve("late", 0))]


def test_what_should_be_held_is_not_taken_away():
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    table.submitted(spec(LATE, id="late"), 0.0)
    assert says(table, "a", m.Held([], [], [("job", 0, 1)], [("late", 0)])) == []


def test_a_worker_that_was_given_up_and_is_back_is_asked_what_it_still_holds():
    table = table_with("a")
    table.lost("a", 0.0)
    table.joined("a", "1", 1, 1.0)
    assert table.busy
    assert table.tick(1.1) == [Send("a", m.Heartbeat([], []))]
    table.tick(1.0 + DOUBTED_S)
    assert not table.busy
    table.lost("a", 9.0)
    table.joined("a", "2", 1, 10.0)
    assert not table.busy, "a new incarnation holds nothing"


def test_ended_jobs_are_remembered_in_bounded_memory(monkeypatch):
    monkeypatch.setattr("sparrow.jobtable.REMEMBERED_JOBS", 10)
    table = table_with("a")
    for number in range(100):
        table.submitted(spec("RANDOM", id=f"job-{number}"), 0.0)
        says(table, "a", m.Done(f"job-{number}", 0, 1, 0.0, 0.5))
    assert len(table._ended) == 10
    assert table.jobs == {}
    assert not table.workers["a"].holds_anything()


def test_heartbeats_stay_small_and_still_confirm_everything_in_turn():
    table, queue = table_with("a"), WorkQueue(slots=1)
    owner = Owner("sparrow.scheduler.1", "1")
    many = 3 * m.MAX_CONFIRMED
    table.submitted(m.JobSpec("job", (9.0,) * many, "RANDOM", True), 0.0)
    queue.received(owner, [m.Launch("stale", task, 1, 9.0) for task in range(many)], 0.0)
    named, held = set(), set()
    now = 5.0
    for _ in range(6):
        now += HEARTBEAT_S
        (heartbeat,) = [send.message for send in table.tick(now) if isinstance(send.message, m.Heartbeat)]
        assert len(heartbeat.runs) <= m.MAX_CONFIRMED
        named.update(heartbeat.runs)
        (answer,) = [tell.message for tell in queue.received(owner, [heartbeat], now) if isinstance(tell.message, m.Held)]
        assert len(answer.extra_runs) <= m.MAX_CONFIRMED + queue.slots
        assert set(answer.missing_runs) == set(heartbeat.runs)
        held.update(answer.extra_runs)
    assert named == {("job", task, 1) for task in range(many)}
    assert held == {("stale", task, 1) for task in range(many)}
