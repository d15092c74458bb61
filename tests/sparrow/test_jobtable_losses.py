"""The scheduler's book when workers are lost, leave, or hold something else than it believes."""

from src.simulation import audit
from src.sparrow import messages as m
from src.sparrow.jobtable import DOUBTED_S, GATHER_S, HEARTBEAT_S, Send
from src.sparrow.queues import Owner
from src.sparrow.workqueue import WorkQueue
from tests.support.books import LATE, finishes, of, says, spec, state_of, table_with

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
