"""The scheduler's book when workers are lost, leave, or hold something else than it believes."""

from src.simulation import audit
from src.sparrow import messages as m
from src.sparrow.commands import Send
from src.sparrow.jobs import FAILED, PLACED
from src.sparrow.workqueue import WorkQueue
from tests.support.books import LATE, RECONCILE, S1, SETTINGS, at, finishes, of, says, spec, state_of, table_with

# Lost workers


def test_the_tasks_of_a_lost_worker_are_placed_again():
    table = table_with("a", "b")
    ((first, _),) = of(m.Launch, table.submitted(spec("RANDOM"), 0.0))
    other = "b" if first == "a" else "a"
    assert of(m.Launch, table.lost(first, 1.0)) == [(other, m.Launch("job", 0, 2, 0.5))]
    ((_, report),) = finishes(says(table, other, m.Done("job", 0, 2, 0.0, 0.5)))
    assert report["retried"] == 1
    assert report["tasks"][0]["attempts"] == 2


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
    table.joined(at("a"), 1, 2.0)
    assert of(m.Launch, table.tick(2.0 + SETTINGS.gather_s)) == [("a", m.Launch("job", 0, 2, 0.5))]
    assert says(table, "a", m.Done("job", 0, 1, 0.0, 0.5)) == []
    assert len(finishes(says(table, "a", m.Done("job", 0, 2, 0.0, 0.5)))) == 1


def test_a_stale_incarnation_is_answered_and_not_believed():
    table = table_with("a")
    table.submitted(spec("RANDOM", id="one"), 0.0)
    reserves = of(m.Reserve, table.submitted(spec(LATE, id="two"), 0.0))
    table.joined(at("a", "2"), 1, 1.0)
    before = state_of(table)
    ask = m.Ask("two", reserves[0][1].reservation)
    assert says(table, "a", m.Done("one", 0, 1, 0.0, 0.5), ask, m.Leave([]), life="1") == [
        Send(at("a"), m.NoTask(ask.job, ask.reservation))
    ]
    assert says(table, "stranger", m.Done("one", 0, 1, 0.0, 0.5)) == []
    assert state_of(table) == before


def test_the_fourth_loss_fails_the_task_and_says_where():
    table = table_with(*"abcd")
    ((worker, launch),) = of(m.Launch, table.submitted(spec("RANDOM"), 0.0))
    lost, now = [], 1.0
    for attempt, pause_s in ((2, 0.0), (3, 0.5), (4, 1.0)):
        lost.append(worker)
        commands = table.lost(worker, now)
        if pause_s:
            assert commands == table.tick(now + 0.9 * pause_s) == [], "not at once, where others may be as dead"
            now += pause_s
            commands = table.tick(now)
        ((worker, launch),) = of(m.Launch, commands)
        assert launch.attempt == attempt
    lost.append(worker)
    ((_, report),) = finishes(table.lost(worker, now))
    (failure,) = report["failed"]
    assert failure["tasks"] == [0]
    assert ", ".join(lost) in failure["reason"]
    assert report["tasks"][0]["worker"] is None
    assert report["retried"] == 3
    assert not table.jobs
    assert audit.of_table(table) == []


def lose(table, worker, now, untaken=()):
    """A worker is lost and comes back, and what was postponed is placed."""
    commands = table.lost(worker, now, untaken)
    table.joined(at(worker, str(now + 1)), 1, now + 5.0)
    for second in range(5, 9):
        table.tick(now + second)
    assert audit.of_table(table) == []
    return commands


def test_only_the_task_that_a_worker_may_have_begun_fails_with_it():
    """One slot: the oldest of the three may run. When it has failed, the next is the oldest."""
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2, 0.3), 0.0)
    for now in 10.0, 20.0, 30.0:
        assert finishes(lose(table, "a", now)) == []
    job = table.jobs["job"]
    assert [(len(task.lost_on), task.losses) for task in job.tasks] == [(3, 3), (0, 3), (0, 3)]
    lose(table, "a", 40.0)
    assert [task.state for task in job.tasks] == [FAILED, PLACED, PLACED]
    for now in 50.0, 60.0, 70.0, 80.0:
        lose(table, "a", now)
    assert [task.state for task in job.tasks] == [FAILED, FAILED, PLACED]


def test_the_task_that_its_worker_has_said_to_run_is_the_one_that_counts():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2), 0.0)
    says(table, "a", m.Holdings([], [], [], [], [(("job", 1, 1), 0.5)]))
    table.lost("a", 10.0)
    assert [task.lost_on for task in table.jobs["job"].tasks] == [(), ("a",)]


def test_a_task_that_a_reservation_got_counts_because_its_slot_was_free():
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    table.submitted(spec(LATE, id="late"), 0.5)
    says(table, "a", m.Ask("late", 0))
    table.lost("a", 10.0)
    assert table.jobs["late"].tasks[0].lost_on == ("a",)
    assert table.jobs["job"].tasks[0].lost_on == (), "there is one slot"


def test_a_task_that_never_left_the_scheduler_never_fails_and_was_not_run_again():
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    for attempt in range(1, 11):
        assert finishes(lose(table, "a", 10.0 * attempt, untaken=[m.Launch("job", 0, attempt, 0.5)])) == []
    assert table.jobs["job"].retried == 0
    says(table, "a", m.Done("job", 0, 11, 0.0, 0.5), now=120.0, life="101.0")
    assert not table.jobs


def test_the_pauses_double_up_to_a_limit():
    table, pauses = table_with("a", "b"), []
    table.submitted(spec("RANDOM"), 0.0)
    now = 0.0
    for attempt in range(1, 8):
        worker = table.jobs["job"].tasks[0].worker
        table.lost(worker, now, [m.Launch("job", 0, attempt, 0.5)])
        table.joined(at(worker), 1, now)
        lost_at_s = now
        while table.jobs["job"].tasks[0].state != PLACED:
            now += 0.125
            table.tick(now)
        pauses.append(now - lost_at_s)
    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_nothing_new_goes_to_a_worker_whose_connection_has_ended_and_it_keeps_what_it_has():
    table = table_with("a", "b")
    ((first, _), *_) = of(m.Launch, table.submitted(spec("RANDOM", *[0.1] * 20), 0.0))
    other = "b" if first == "a" else "a"
    table.disconnected(first)
    for method in "RANDOM", "CHOOSE_TWO", "BATCH", LATE:
        sent = table.submitted(spec(method, *[0.1] * 9, id=method), 1.0)
        assert {command.to.name for command in sent} == {other}
    assert first in table.workers
    assert [task.worker for task in table.jobs["job"].tasks].count(first) > 0
    table.joined(at(first), 1, 2.0)
    assert {command.to.name for command in table.submitted(spec("RANDOM", *[0.1] * 20, id="more"), 2.0)} == {"a", "b"}


def test_a_load_that_came_before_its_worker_was_disconnected_is_not_used():
    table = table_with("a", "b")
    table.submitted(spec("BATCH"), 0.0)
    says(table, "a", m.Load("job", 0, 0))
    table.disconnected("a")
    assert [to for to, _ in of(m.Launch, says(table, "b", m.Load("job", 0, 9)))] == ["b"]


def test_a_job_waits_for_a_connection_when_all_have_ended():
    table = table_with("a")
    table.disconnected("a")
    assert table.submitted(spec("BATCH"), 0.0) == []
    assert table.joined(at("a"), 1, 3.0) == []
    assert [to for to, _ in of(m.Probe, table.tick(3.0 + SETTINGS.gather_s))] == ["a"]


def test_a_failed_task_does_not_take_its_job_along():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2), 0.0)
    says(table, "a", m.Done("job", 0, 1, 0.0, 0.1))
    for now in range(10, 50, 10):
        commands = table.lost("a", float(now))
        table.joined(at("a", str(now + 1)), 1, now + 5.0)
        table.tick(now + 5.0)
        table.tick(now + 6.0)
    ((_, report),) = finishes(commands)
    assert [failure["tasks"] for failure in report["failed"]] == [[1]]
    assert report["tasks"][0] == {"worker": "a", "wait_s": 0.0, "service_s": 0.1, "attempts": 1}


def test_a_job_waits_for_workers_and_does_not_go_to_the_first_alone():
    for method in "RANDOM", "CHOOSE_TWO", "BATCH", LATE:
        table = table_with()
        assert table.submitted(spec(method, 0.1, 0.1), 0.0) == []
        assert table.joined(at("a"), 1, 5.0) == []
        assert table.tick(5.0) == []
        table.joined(at("b"), 1, 5.05)
        assert table.tick(5.0 + SETTINGS.gather_s)
        assert audit.of_table(table) == []


def test_a_job_that_waits_for_workers_is_not_sampled_for_while_it_waits():
    """Its tasks are placed by the feeding, once, and not when another task of it fails just before."""
    table = table_with("a")
    table.submitted(spec("BATCH", 0.1, 0.2), 0.0)
    for number in range(4):
        says(table, "a", m.Load("job", number, 0))
        if number < 3:
            table.lost("a", 10.0 * number)
            table.joined(at("a"), 2, 10.0 * number + 5.0)
            table.tick(10.0 * number + 5.0)
            table.tick(10.0 * number + 5.5)
    says(table, "a", m.Leave([("job", 0, 4)]))
    table.joined(at("b"), 1, 40.0)
    commands = table.lost("a", 40.05)
    assert commands == []
    assert table.jobs["job"].rounds == {}
    assert of(m.Probe, table.tick(40.0 + SETTINGS.gather_s)) == [("b", m.Probe("job", 4))]


# Leaving


def test_who_leaves_hands_back_all_but_what_it_still_finishes():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 5.0), 0.0)
    table.submitted(spec(LATE, id="late"), 0.0)
    table.joined(at("b"), 1, 0.0)
    commands = says(table, "a", m.Leave([("job", 0, 1)]))
    assert of(m.Launch, commands) == [("b", m.Launch("job", 1, 2, 5.0))]
    assert {worker for worker, _ in of(m.Reserve, commands)} == {"b"}
    assert says(table, "a", m.Done("job", 0, 1, 0.0, 0.1)) == []
    ((_, report),) = finishes(says(table, "b", m.Done("job", 1, 2, 0.0, 5.0)))
    assert report["retried"] == 0, "nothing was lost"
    assert {task["worker"] for task in report["tasks"]} == {"a", "b"}


def test_nothing_more_goes_to_who_leaves():
    table = table_with("a", "b")
    table.submitted(spec("BATCH"), 0.0)
    says(table, "a", m.Load("job", 0, 0))
    says(table, "a", m.Leave([]))
    assert {worker for worker, _ in of(m.Launch, says(table, "b", m.Load("job", 0, 9)))} == {"b"}
    assert {worker for worker, _ in of(m.Launch, table.submitted(spec("RANDOM", *[0.1] * 20, id="more"), 1.0))} == {"b"}


# Reconciling


def test_a_reconcile_names_what_was_given_a_while_ago():
    table = table_with("a")
    table.submitted(spec("RANDOM", id="old"), 0.0)
    (reserve, _) = of(m.Reserve, table.submitted(spec(LATE, id="late"), 0.0))
    table.submitted(spec("RANDOM", id="new"), 0.9)
    table.tick(0.5)
    number = reserve[1].reservation
    assert of(m.Reconcile, table.tick(1.2)) == [("a", m.Reconcile([("old", 0, 1)], [("late", number), ("late", number + 1)]))]
    assert of(m.Reconcile, table.tick(1.2 + RECONCILE.every_s / 2)) == []


def test_an_idle_worker_is_not_asked_what_it_holds():
    table = table_with("a", "b")
    ((worker, _),) = of(m.Launch, table.submitted(spec("RANDOM"), 0.0))
    assert {to for to, _ in of(m.Reconcile, table.tick(5.0))} == {worker}
    says(table, worker, m.Done("job", 0, 1, 0.0, 0.5))
    assert table.tick(10.0) == []


def test_what_is_missing_is_sent_again():
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    table.submitted(spec(LATE, id="late"), 0.0)
    missing = m.Holdings([("job", 0, 1), ("job", 0, 7)], [("late", 0), ("late", 99)], [], [], [])
    assert says(table, "a", missing) == [Send(at("a"), m.Launch("job", 0, 1, 0.5)), Send(at("a"), m.Reserve("late", 0))]


def test_what_should_be_held_is_not_taken_away():
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    table.submitted(spec(LATE, id="late"), 0.0)
    assert says(table, "a", m.Holdings([], [], [("job", 0, 1)], [("late", 0)], [])) == []


def test_a_run_that_is_in_a_slot_counts_as_started():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2, 0.3), 2.0)
    running = [(("job", 0, 1), 0.5), (("job", 1, 1), 9.0), (("job", 2, 7), 0.5), (("other", 0, 1), 0.5)]
    assert says(table, "a", m.Holdings([], [], [], [], running), now=3.0) == []
    tasks = table.tally.details("job", table.jobs["job"], 3.0, 0.0)["tasks"]
    assert [(task["state"], task["started_s"]) for task in tasks] == [
        ("running", 0.5),
        ("running", 0.0),  # no task starts before it was placed, whatever its worker says
        ("placed", None),  # that was another attempt
    ]
    table.lost("a", 4.0)
    table.joined(at("b"), 1, 5.0)
    table.tick(5.0 + SETTINGS.gather_s)
    assert [task.started_s for task in table.jobs["job"].tasks] == [None] * 3


def test_only_the_worker_of_a_run_can_say_that_it_runs():
    table = table_with("a", "b")
    ((worker, _),) = of(m.Launch, table.submitted(spec("RANDOM"), 0.0))
    other = "b" if worker == "a" else "a"
    says(table, other, m.Holdings([], [], [], [], [(("job", 0, 1), 0.5)]))
    assert table.jobs["job"].tasks[0].started_s is None


def test_a_worker_that_was_given_up_and_is_back_is_asked_what_it_still_holds():
    table = table_with("a")
    table.lost("a", 0.0)
    table.joined(at("a"), 1, 1.0)
    assert table.busy
    assert table.tick(1.1) == [Send(at("a"), m.Reconcile([], []))]
    table.tick(1.0 + SETTINGS.doubted_s)
    assert not table.busy
    table.lost("a", 9.0)
    table.joined(at("a", "2"), 1, 10.0)
    assert not table.busy, "a new incarnation holds nothing"


def test_questions_about_what_is_held_stay_small_and_still_confirm_everything_in_turn():
    table, queue = table_with("a"), WorkQueue(slots=1)
    many = 3 * RECONCILE.max_named
    table.submitted(spec("RANDOM", *[9.0] * many), 0.0)
    while table.has_work:
        table.work(0.0)
    queue.received(S1, [m.Launch("stale", task, 1, 9.0) for task in range(many)], 0.0)
    named, held = set(), set()
    now = 5.0
    for _ in range(6):
        now += RECONCILE.every_s
        (reconcile,) = [send.message for send in table.tick(now) if isinstance(send.message, m.Reconcile)]
        assert len(reconcile.runs) <= RECONCILE.max_named
        named.update(reconcile.runs)
        (answer,) = [send.message for send in queue.received(S1, [reconcile], now) if isinstance(send.message, m.Holdings)]
        assert len(answer.extra_runs) <= RECONCILE.max_named + queue.slots
        assert set(answer.missing_runs) == set(reconcile.runs)
        held.update(answer.extra_runs)
    assert named == {("job", task, 1) for task in range(many)}
    assert held == {("stale", task, 1) for task in range(many)}
