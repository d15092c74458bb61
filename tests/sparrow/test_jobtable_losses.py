"""The scheduler's book when workers are lost, leave, or hold something else than it believes."""

from src.simulation import audit
from src.sparrow import messages as m
from src.sparrow.commands import Send
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
    lost = []
    for attempt in (2, 3, 4):
        lost.append(worker)
        ((worker, launch),) = of(m.Launch, table.lost(worker, 1.0))
        assert launch.attempt == attempt
    lost.append(worker)
    ((_, report),) = finishes(table.lost(worker, 2.0))
    (failure,) = report["failed"]
    assert failure["tasks"] == [0]
    assert ", ".join(lost) in failure["reason"]
    assert report["tasks"][0]["worker"] is None
    assert report["retried"] == 3
    assert not table.jobs
    assert audit.of_table(table) == []


def test_a_failed_task_does_not_take_its_job_along():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2), 0.0)
    says(table, "a", m.Done("job", 0, 1, 0.0, 0.1))
    for now in range(1, 5):
        commands = table.lost("a", float(now))
        table.joined(at("a", str(now + 1)), 1, float(now))
        table.tick(now + SETTINGS.gather_s)
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
    for now in range(1, 5):
        says(table, "a", m.Load("job", now - 1, 0))
        if now < 4:
            table.lost("a", float(now))
            table.joined(at("a"), 1, float(now))
            table.tick(now + SETTINGS.gather_s)
    says(table, "a", m.Leave([("job", 0, 4)]))
    table.joined(at("b"), 1, 5.0)
    commands = table.lost("a", 5.05)
    assert commands == []
    assert table.jobs["job"].rounds == {}
    assert of(m.Probe, table.tick(5.0 + SETTINGS.gather_s)) == [("b", m.Probe("job", 4))]


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
