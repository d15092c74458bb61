"""The scheduler's book, event by event."""

import random

import pytest

from src.simulation import audit
from src.sparrow import messages as m
from src.sparrow.commands import Send
from src.sparrow.errors import UnknownIdError
from src.sparrow.jobtable import JobTable
from src.sparrow.settings import SchedulerSettings
from tests.support.books import LATE, SETTINGS, at, finishes, of, says, spec, state_of, table_with


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
    assert says(table, "b", m.Load("job", 0, 2)) == [Send(at("b"), m.Launch("job", 0, 1, 0.5))]


def test_a_probe_without_an_answer_does_not_hold_up_the_job():
    table = table_with("a", "b")
    table.submitted(spec("BATCH", 0.1, 0.1), 0.0)
    says(table, "a", m.Load("job", 0, 5))
    assert of(m.Launch, table.tick(SETTINGS.probe_timeout_s - 0.01)) == []
    assert [worker for worker, _ in of(m.Launch, table.tick(SETTINGS.probe_timeout_s))] == ["a", "a"]


def test_when_no_probe_is_answered_the_job_is_sampled_again():
    table = table_with("a", "b")
    table.submitted(spec("BATCH"), 0.0)
    assert {probe.round for _, probe in of(m.Probe, table.tick(SETTINGS.probe_timeout_s))} == {1}
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
    ((job, report),) = finishes(says(table, "a", m.Done("job", 1, 1, 0.11, 0.21), now=1.5))
    assert job == "job"
    assert report == {
        "id": "job",
        "method": "RANDOM",
        "submitted": 1.0,
        "finished": 1.5,
        "response_s": 0.5,
        "ideal_s": 0.21,
        "retried": 0,
        "tasks": [
            {"worker": "a", "wait_s": 0.0, "service_s": 0.11, "attempts": 1},
            {"worker": "a", "wait_s": pytest.approx(0.11), "service_s": 0.21, "attempts": 1},
        ],
        "failed": [],
    }
    assert not table.busy
    assert table.progress(["job"]) == {}


def test_progress():
    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1, 0.2), 1.0)
    says(table, "a", m.Done("job", 0, 1, 0.0, 0.1))
    assert table.progress(["job", "other"]) == {"job": {"ended": 1, "tasks": 2}}


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
        Send(at(second), m.Assign("job", r2.reservation, 0, 1, 0.5)),
        Send(at(first), m.Cancel("job", r1.reservation)),
    ]
    assert says(table, first, m.Ask("job", r1.reservation)) == [Send(at(first), m.NoTask("job", r1.reservation))]
    assert says(table, second, ask) == [Send(at(second), m.Assign("job", r2.reservation, 0, 1, 0.5))], "the same answer again"
    assert len(finishes(says(table, second, m.Done("job", 0, 1, 0.0, 0.5)))) == 1
    assert says(table, second, ask) == [Send(at(second), m.NoTask("job", r2.reservation))]
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
    assert table.joined(at("a"), 1, 0.0) == []
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
        table.received(at("a"), [m.Done("job", 0, 1, 0.0, 0.5), unknown], 1.0)
    assert state_of(table) == before


def test_what_is_held_of_the_unheard_of_is_to_be_dropped():
    table = table_with("a")
    held = m.Holdings([("other", 0, 1)], [("other", 0)], [("other", 1, 1)], [("other", 1)], [(("other", 2, 1), 0.5)])
    assert says(table, "a", held) == [Send(at("a"), m.Drop("other", 1, 1)), Send(at("a"), m.Cancel("other", 1))]


def test_ended_jobs_are_remembered_in_bounded_memory():
    table = table_with("a", settings=SchedulerSettings(remembered_jobs=10))
    for number in range(100):
        table.submitted(spec("RANDOM", id=f"job-{number}"), 0.0)
        says(table, "a", m.Done(f"job-{number}", 0, 1, 0.0, 0.5))
    assert len(table._ended) == 10
    assert table.jobs == {}
    assert not table.workers["a"].holds_anything
