"""Details of a job and of a worker: from the tally of a scheduler to what the dashboard hands out."""

import asyncio
import json
import math
import random
from typing import Any

import pytest

from src.dashboard.answers import parsed_details
from src.dashboard.details import DetailReader, TryLaterError, jobs_to_search, tasks_of_worker
from src.dashboard.settings import DetailSettings
from src.dashboard.views import WorkerTask
from src.sparrow import messages as m
from src.sparrow.messages import Address
from src.sparrow.reports import AskedReservation, Decision, JobDetails, JobLine, LostAttempt, ReservationRow, TaskRow
from src.sparrow.scheduler_node import SchedulerNode
from src.sparrow.settings import SchedulerSettings, TallyLimits
from tests.dashboard.samples import job, task
from tests.support.books import LATE, at, says, spec, table_with
from tests.support.fakehost import FakeHost


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
        table.lost("a", 10.0 * n + 0.5)
        table.joined(at("a", str(n + 2)), 1, 10.0 * n + 0.6)
        table.tick(10.0 * n + 9.0)
    (row,) = details(table)["tasks"]
    assert row == {
        "worker": None,
        "state": "failed",
        "attempts": 4,
        "placed_s": None,
        "wait_s": None,
        "started_s": None,
        "service_s": None,
        "lost_on": ["a"] * 4,
        "lost": row["lost"],
        "reason": row["reason"],
    }
    assert [(lost["attempt"], lost["worker"], lost["lost_s"]) for lost in row["lost"]] == [
        (n + 1, "a", 10.0 * n + 0.5) for n in range(4)
    ]
    assert all(set(lost) == set(LostAttempt.__annotations__) for lost in row["lost"])
    assert all(lost["started_s"] is None and lost["placed_s"] < lost["lost_s"] for lost in row["lost"])
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
    assert parsed_details(json.dumps({"details": {"job": sampled}}), ["job"]) == ({"job": sampled}, None)


def test_reservations_are_named_rows():
    table = table_with("a", "b")
    table.submitted(spec(LATE, 0.1), 1.0)
    (number, worker), *_ = table.jobs["job"].reserved.items()
    says(table, worker, m.Ask("job", number), now=1.25)
    (row,) = details(table)["asked"]
    assert set(row) == set(AskedReservation.__annotations__)
    assert row == {"reservation": number, "worker": worker, "after_s": 0.25, "task": 0}


def test_a_late_bound_task_runs_once_it_is_assigned_and_a_lost_attempt_says_when_it_started():
    table = table_with("a", "b")
    table.submitted(spec(LATE, 0.1), 1.0)
    (number, worker), *_ = table.jobs["job"].reserved.items()
    says(table, worker, m.Ask("job", number), now=1.25)
    (row,) = details(table)["tasks"]
    assert (row["state"], row["placed_s"], row["started_s"], row["service_s"]) == ("running", 0.25, 0.25, None)
    table.lost(worker, 2.0)
    (row,) = details(table)["tasks"]
    assert (row["state"], row["placed_s"], row["started_s"]) == ("unplaced", None, None)
    assert row["lost"] == [{"attempt": 1, "worker": worker, "placed_s": 0.25, "started_s": 0.25, "lost_s": 1.0}]


def test_all_reservations_are_shown_also_those_that_were_cancelled_or_lost():
    table = table_with("a", "b", "c", "d", "e", "f")
    table.submitted(spec(LATE, 0.1, 0.1), 1.0)
    made = dict(table.jobs["job"].reserved)
    first, second, third, fourth = made
    table.lost(made[first], 1.5)  # two are made elsewhere: the fifth and sixth
    says(table, made[second], m.Ask("job", second), now=2.0)
    fifth = next(number for number in table.jobs["job"].reserved if number not in made)
    rows = {row["reservation"]: row for row in details(table)["reservations"]}
    assert [rows[number]["state"] for number in (first, second, third, fourth, fifth)] == ["lost", "assigned", *["queued"] * 3]
    assert (rows[fifth]["made_s"], rows[third]["ended_s"], rows[third]["task"]) == (0.5, None, None)
    says(table, made[third], m.Ask("job", third), now=3.0)  # the last task: the others are cancelled
    sampled = details(table)
    rows = {row["reservation"]: row for row in sampled["reservations"]}
    assert [(row["state"], row["ended_s"], row["task"]) for row in rows.values()] == [
        ("lost", 0.5, None),
        ("assigned", 1.0, 0),
        ("assigned", 2.0, 1),
        *[("cancelled", 2.0, None)] * 3,
    ]
    assert [row["worker"] for row in rows.values()][:4] == list(made.values())
    assert all(set(row) == set(ReservationRow.__annotations__) for row in rows.values())
    assert parsed_details(json.dumps({"details": {"job": sampled}}), ["job"])[0]["job"]["reservations"] == sampled["reservations"]


def test_reservations_beyond_those_that_are_remembered_in_order_still_say_what_became_of_them():
    table = limited(shown_placements=4)
    table.submitted(spec(LATE, *[0.1] * 10), 0.0)
    numbers = dict(table.jobs["job"].reserved)
    for number in [*list(numbers)[10:14], *list(numbers)[:3]]:  # of the last three only what they got is remembered
        says(table, numbers[number], m.Ask("job", number))
    rows = details(table)["reservations"]
    assert [(row["reservation"], row["state"], row["task"]) for row in rows] == [
        *((number, "assigned", task) for number, task in zip(numbers, (4, 5, 6))),
        (list(numbers)[3], "queued", None),
    ]
    for number in list(numbers)[14:17]:  # with the tenth task the other reservations are cancelled
        says(table, numbers[number], m.Ask("job", number))
    assert [row["state"] for row in details(table)["reservations"]] == ["assigned"] * 3 + ["cancelled"]


def test_the_loads_that_choose_two_compared_count_the_jobs_own_earlier_tasks():
    table = table_with("a", "b")
    table.submitted(spec("CHOOSE_TWO", *[0.1] * 4), 0.0)
    says(table, "a", m.Load("job", 0, 2))
    says(table, "b", m.Load("job", 0, 0))
    (decision,) = details(table)["decisions"]
    own = dict.fromkeys(("a", "b"), 0)
    for number, (chosen, counted) in enumerate(zip(decision["chosen"], decision["counted"])):
        probed = decision["probed"][2 * number : 2 * number + 2]
        assert counted == [decision["loads"][worker] + own[worker] for worker in probed]
        assert counted[probed.index(chosen)] == min(counted), "why here: it was the least of what was compared"
        own[chosen] += 1
    assert max(own.values()) < 4


def test_a_worker_that_has_not_answered_has_no_load_to_compare_and_other_methods_compare_otherwise():
    table = table_with("a", "b")
    table.submitted(spec("CHOOSE_TWO", 0.1), 0.0)
    says(table, "a", m.Load("job", 0, 2))
    table.tick(10.0)
    (decision,) = details(table)["decisions"]
    assert sorted(zip(decision["probed"], decision["counted"][0])) == [("a", 2), ("b", None)]
    batch = table_with("a", "b")
    batch.submitted(spec("BATCH", 0.1), 0.0)
    says(batch, "a", m.Load("job", 0, 2))
    says(batch, "b", m.Load("job", 0, 2))
    assert details(batch)["decisions"][0]["counted"] is None


def test_a_job_with_a_failed_task_has_no_part_in_the_times_of_its_method():
    """It ended early, without its work being done, and so looked 0.41 times as long as an ideal one."""
    table = table_with("a")
    table.submitted(spec("RANDOM", 10.0), 0.0)
    for n in range(4):
        table.lost("a", 10.0 * n + 0.5)
        table.joined(at("a", str(n + 2)), 1, 10.0 * n + 0.6)
        table.tick(10.0 * n + 9.0)
    (line,) = table.tally.newest([], 99.0, 0.0)
    assert (line["state"], line["slowdown"]) == ("failed", None)
    told = table.tally.methods([])["RANDOM"]
    assert (told["counts"]["failed_jobs"], told["counts"]["jobs"], told["demanded_s"]) == (1, 1, 10.0)
    assert [told[name]["count"] for name in ("response_s", "slowdown", "last_wait_s")] == [0, 0, 0]


def test_the_last_wait_of_a_job_is_that_of_the_task_that_started_last():
    table = table_with("a", "b")
    table.submitted(spec("RANDOM", 0.1, 0.1), 0.0)
    first, second = (task.worker for task in table.jobs["job"].tasks)
    says(table, first, m.Done("job", 0, 1, queued_s=0.5, service_s=0.1), now=1.0)
    says(table, second, m.Done("job", 1, 1, queued_s=2.0, service_s=0.1), now=3.0)
    told = table.tally.methods([])["RANDOM"]
    assert told["last_wait_s"]["count"] == 1
    assert told["last_wait_s"]["mean"] == pytest.approx(2.0)


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


def test_the_tasks_of_a_worker_are_those_that_it_has_or_was_lost_with():
    rows = [task("a"), task("b"), task("b", "running", lost_on=["a"], started_s=0.5, wait_s=0.5)]
    one: Any = {"id": "j", "method": "BATCH", "submitted": 7.0, "tasks": rows}  # all that is needed of a job's details
    found = tasks_of_worker("a", [one])
    assert [(one["task"], one["lost_here"], one["state"], one["started_s"]) for one in found] == [
        (0, False, "placed", None),
        (2, True, "running", 0.5),
    ]
    assert all(set(one) == set(WorkerTask.__annotations__) for one in found)


def test_open_jobs_are_searched_first_and_only_so_many_tasks():
    s1, s2 = "sparrow.scheduler.1", "sparrow.scheduler.2"
    jobs: Any = [
        {**job("ended", tasks=3), "scheduler": s1},
        {**job("open", state="running", tasks=4), "scheduler": s2},
        {**job("older", tasks=1), "scheduler": s1},
    ]
    assert jobs_to_search(jobs, 100) == {s2: ["open"], s1: ["ended", "older"]}
    assert jobs_to_search(jobs, 7) == {s2: ["open"], s1: ["ended"]}
    assert jobs_to_search(jobs, 3) == {}


class InParts:
    """A scheduler that answers a question for details in parts."""

    name = "sparrow.scheduler.1"
    state = "up"

    def __init__(self, table, at_once):
        self.node = SchedulerNode(Address(self.name, "s"), FakeHost(), random.Random(1))
        self.node.table = table
        table.tally.limits = TallyLimits(shown_at_once=at_once)
        self.questions = 0

    async def fetch(self, method, ids, has_details, brief, first):
        self.questions += 1
        return json.dumps(self.node.stats(json.loads(ids), has_details, brief, 1_000.0, first))


def read_by_the_dashboard(scheduler: Any, **settings):
    reader = DetailReader({scheduler.name: scheduler}, DetailSettings(**settings))
    return asyncio.run(reader.job("job", scheduler.name))


def test_the_details_of_a_large_job_are_read_in_parts():
    for method, each in (("RANDOM", 1), (LATE, 2)):
        table = table_with("a", "b")
        table.submitted(spec(method, *[0.1] * 25), 0.0)
        scheduler = InParts(table, at_once=10)
        read, whole = read_by_the_dashboard(scheduler), details(table, now=0.0, to_wall_s=0.0)
        for part in ("tasks", "decisions", "asked", "pulled", "reservations", "num_tasks"):
            assert read[part] == whole[part], (method, part)
        assert scheduler.questions == math.ceil(each * 25 / 10)


def test_a_scheduler_whose_details_never_end_is_left():
    class Endless(InParts):
        async def fetch(self, method, ids, has_details, brief, first):
            answer = json.loads(await super().fetch(method, ids, has_details, brief, 0))
            return json.dumps({**answer, "next": {"job": "job", "first": 1}})

    table = table_with("a")
    table.submitted(spec("RANDOM", 0.1), 0.0)
    with pytest.raises(TryLaterError, match="has not answered"):
        read_by_the_dashboard(Endless(table, at_once=10), all_answers_s=0.2)
