"""Details of a job and of a worker: from the tally of a scheduler to what the dashboard hands out."""

import asyncio
import json
from typing import Any

import pytest

from src.dashboard.answers import parsed_details
from src.dashboard.details import DetailCache, jobs_to_search, tasks_of_worker
from src.dashboard.settings import MonitorSettings
from src.dashboard.views import WorkerTask
from src.sparrow import messages as m
from src.sparrow.reports import AskedReservation, Decision, JobDetails, JobLine, TaskRow
from src.sparrow.settings import SchedulerSettings, TallyLimits
from tests.dashboard.samples import job
from tests.support.books import LATE, at, says, spec, table_with


def details(table, id="job", now=10.0, to_wall_s=1_000.0):
    return table.tally.details(id, table.jobs.get(id), now, to_wall_s)


def limited(**limits):
    """A table of two workers that remembers and says no more than these limits allow."""
    return table_with("a", "b", settings=SchedulerSettings(tally=TallyLimits(**limits)))


def states(table):
    return [(task["state"], task["wait_s"], task["started_s"], task["service_s"]) for task in details(table)["tasks"]]


def test_a_task_goes_from_unplaced_to_done_and_has_a_start_only_once_it_is_known_to_run():
    table = table_with()
    table.submitted(spec("RANDOM", 0.5, 0.5), 1.0)
    assert states(table) == [("unplaced", None, None, None)] * 2
    table.joined(at("a"), 1, 1.5)
    table.tick(2.0)
    assert states(table) == [("placed", None, None, None)] * 2
    says(table, "a", m.Holdings([], [], [], [], [(("job", 0, 1), 0.5)]), now=3.5)
    assert states(table) == [("running", 2.0, 2.0, None), ("placed", None, None, None)]
    says(table, "a", m.Done("job", 0, 1, queued_s=1.0, service_s=0.5), now=3.6)
    assert states(table) == [("done", 2.0, 2.0, 0.5), ("placed", None, None, None)]


def test_a_task_that_failed_says_why_and_where_it_was_lost():
    table = table_with("a")
    table.submitted(spec("RANDOM"), 0.0)
    for n in range(4):
        table.lost("a", n + 0.5)
        table.joined(at("a", str(n + 2)), 1, n + 0.6)
        table.tick(n + 0.9)
    (row,) = details(table)["tasks"]
    assert row == {
        "worker": None,
        "state": "failed",
        "attempts": 4,
        "wait_s": None,
        "started_s": None,
        "service_s": None,
        "lost_on": ["a"] * 4,
        "reason": row["reason"],
    }
    assert "lost with its worker 4 times" in row["reason"]
    assert details(table)["state"] == "failed"


def test_rows_have_the_fields_of_their_types_and_go_through_the_dashboard_unchanged():
    table = table_with("a", "b")
    table.submitted(spec("BATCH", 0.1, 0.1), 0.0)
    says(table, "a", m.Load("job", 0, 5))
    says(table, "b", m.Load("job", 0, 2))
    sampled = details(table)
    assert set(sampled) == set(JobDetails.__annotations__)
    assert set(sampled["tasks"][0]) == set(TaskRow.__annotations__)
    assert set(sampled["decisions"][0]) == set(Decision.__annotations__)
    (decision,) = sampled["decisions"]
    assert (decision["tasks"], sorted(decision["probed"]), decision["loads"]) == ([0, 1], ["a", "b"], {"a": 5, "b": 2})
    assert decision["chosen"] == [task["worker"] for task in sampled["tasks"]]
    (line,) = table.tally.newest(table.jobs.values(), 10.0, 1_000.0)
    assert set(line) == set(JobLine.__annotations__)
    assert (line["tasks"], line["submitted"], sampled["num_tasks"]) == (2, 1_000.0, 2)
    assert parsed_details(json.dumps({"details": {"job": sampled}})) == {"job": sampled}


def test_reservations_are_named_rows():
    table = table_with("a", "b")
    table.submitted(spec(LATE, 0.1), 1.0)
    (number, worker), *_ = table.jobs["job"].reserved.items()
    says(table, worker, m.Ask("job", number), now=1.25)
    (row,) = details(table)["asked"]
    assert set(row) == set(AskedReservation.__annotations__)
    assert row == {"reservation": number, "worker": worker, "after_s": 0.25, "task": 0}


def test_long_lists_are_cut_and_the_number_of_tasks_is_not():
    table = limited(shown_tasks=3, shown_placements=2)
    table.submitted(spec("RANDOM", *[0.1] * 5), 0.0)
    cut = details(table)
    assert (cut["num_tasks"], len(cut["tasks"])) == (5, 3)
    (decision,) = cut["decisions"]
    assert decision["tasks"] == [0, 1]
    assert decision["probed"] == decision["chosen"] == [task["worker"] for task in cut["tasks"][:2]]


def test_a_decision_that_is_cut_keeps_the_probes_of_the_tasks_that_are_left():
    table = limited(shown_placements=2)
    table.submitted(spec("CHOOSE_TWO", *[0.1] * 4), 0.0)
    says(table, "a", m.Load("job", 0, 1))
    says(table, "b", m.Load("job", 0, 1))
    (decision,) = details(table)["decisions"]
    assert (len(decision["tasks"]), len(decision["chosen"]), len(decision["probed"])) == (2, 2, 4)
    batch = limited(shown_placements=1)
    batch.submitted(spec("BATCH", 0.1, 0.1), 0.0)
    says(batch, "a", m.Load("job", 0, 1))
    says(batch, "b", m.Load("job", 0, 1))
    (decision,) = details(batch)["decisions"]
    assert (len(decision["tasks"]), sorted(decision["probed"])) == (1, ["a", "b"])


def test_jobs_that_are_too_many_or_too_large_are_forgotten_the_oldest_first():
    table = limited(kept_jobs=2, listed_jobs=1)
    for number in range(3):
        id = f"job{number}"
        table.submitted(spec("RANDOM", 0.0, id=id), float(number))
        says(table, table.jobs[id].tasks[0].worker, m.Done(id, 0, 1, 0.0, 0.0), now=number + 0.5)
    assert [details(table, f"job{number}") is None for number in range(3)] == [True, False, False]
    assert [line["id"] for line in table.tally.newest([], 9.0, 0.0)] == ["job2"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "[]",
        "{}",
        '{"details": []}',
        '{"details": {"job": 3}}',
        '{"details": {"job": {}}}',
        '{"details": {"job": {"id": "job", "method": "BATCH", "submitted": 1.0, "tasks": 3}}}',
        '{"details": {"job": {"id": "job", "method": "BATCH", "submitted": 1.0, "tasks": [["host1", 0.1, 0.2, 1, "done"]]}}}',
        '{"details": {"job": {"id": "job", "method": "BATCH", "submitted": 1.0, "tasks": [{"worker": "host1"}]}}}',
    ],
)
def test_what_is_no_details_is_refused(answer):
    with pytest.raises((TypeError, ValueError)):
        parsed_details(answer)


def test_the_tasks_of_a_worker_are_those_that_it_has_or_was_lost_with():
    row = {"worker": "a", "state": "placed", "attempts": 1, "wait_s": None, "started_s": None, "service_s": None, "lost_on": []}
    rows = [
        row,
        {**row, "worker": "b"},
        {**row, "worker": "b", "lost_on": ["a"], "state": "running", "started_s": 0.5, "wait_s": 0.5},
    ]
    one: Any = {"id": "j", "method": "BATCH", "submitted": 7.0, "tasks": rows}  # all that is needed of a job's details
    found = tasks_of_worker("a", [one])
    assert [(task["task"], task["lost_here"], task["state"], task["started_s"]) for task in found] == [
        (0, False, "placed", None),
        (2, True, "running", 0.5),
    ]
    assert all(set(task) == set(WorkerTask.__annotations__) for task in found)


def test_open_jobs_are_searched_first_and_only_so_many_tasks():
    jobs = [job("ended", tasks=3), job("open", state="running", tasks=4), job("older", tasks=1)]
    assert jobs_to_search(jobs, 100) == ["open", "ended", "older"]
    assert jobs_to_search(jobs, 7) == ["open", "ended"]
    assert jobs_to_search(jobs, 3) == []


def test_many_viewers_of_the_same_details_cost_one_question():
    async def main():
        cache = DetailCache(MonitorSettings(details_s=0.05, max_details=2))
        questions: list[None] = []

        async def read():
            questions.append(None)
            await asyncio.sleep(0)
            return len(questions)

        key = ("job", "a")
        assert await asyncio.gather(*(cache.get(key, read) for _ in range(50))) == [1] * 50
        assert await cache.get(("worker", "a"), read) == 2
        assert await cache.get(key, read) == 1
        until = asyncio.get_running_loop().time() + 5.0
        while await cache.get(key, read) == 1:  # until it is older than details_s
            assert asyncio.get_running_loop().time() < until
            await asyncio.sleep(0.01)
        assert len(questions) == 3

    asyncio.run(main())
