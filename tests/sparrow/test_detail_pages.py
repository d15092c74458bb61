"""What one question for details may cost, and how the parts of an answer fit together."""

import json

import pytest

from src.sparrow import messages as m
from src.sparrow.settings import SchedulerSettings, TallyLimits
from tests.support.books import LATE, at, spec, table_with
from tests.support.schedulernode import Scheduler

LIMITS = TallyLimits(shown_at_once=40, shown_tasks=250, shown_placements=120)


def ended(*jobs, method="BATCH", tasks=100):
    """A scheduler's node with jobs that have ended."""
    scheduler = Scheduler("w1", settings=SchedulerSettings(tally=LIMITS))
    for job in jobs:
        scheduler.schedule(job, [0.1] * tasks, method)
        while scheduler.node.table.has_work:
            scheduler.host.advance(0.0)
        if method == "BATCH":
            scheduler.host.answer(scheduler.link("w1"), m.Load(job, 0, 0))
        for launch in [launch for launch in scheduler.launches("w1") if launch.job == job]:
            scheduler.says("w1", m.Done(job, launch.task, 1, 0.0, 0.1))
    return scheduler.node


def parts(node, jobs):
    """All answers to a question for the details of these jobs."""
    answers, first = [], 0
    while jobs:
        answer = node.stats(jobs, True, True, 0.0, first)
        answers.append(answer)
        if answer["next"] is None:
            break
        jobs, first = jobs[jobs.index(answer["next"]["job"]) :], answer["next"]["first"]
    return answers


@pytest.mark.parametrize("method", ["RANDOM", "BATCH"])
def test_the_parts_of_one_job_are_its_details(method):
    node = ended("a", method=method)
    answers = [answer["details"]["a"] for answer in parts(node, ["a"])]
    whole = node.table.tally.details("a", None, 0.0, 0.0)
    assert [len(answer["tasks"]) for answer in answers] == [40, 40, 20]
    for rows in ("tasks", "decisions", "asked"):
        assert [row for answer in answers for row in answer[rows]] == whole[rows]
    assert whole["decisions"]
    assert all(answer["num_tasks"] == 100 for answer in answers)


def test_what_is_remembered_of_a_job_does_not_grow_with_the_losses_of_its_workers():
    table = table_with(settings=SchedulerSettings(tally=LIMITS))
    table.submitted(spec(LATE, *[9.0] * 100), 0.0)
    for life in "123":
        table.joined(at("a", life), 1, 0.0)
        table.tick(1.0)
        table.lost("a", 1.0)
    job = table.jobs["job"]
    assert sum(len(made.workers) for made in job.reservations) == LIMITS.shown_placements
    assert sum(len(taken.numbers) for taken in job.taken_back) == LIMITS.shown_placements
    whole = table.tally.details("job", job, 1.0, 0.0)["reservations"]
    assert [row["reservation"] for row in whole] == list(range(LIMITS.shown_placements))
    assert {row["state"] for row in whole} == {"lost"}
    for first in (0, 40, 100, 120, 300):
        assert table.tally.details("job", job, 1.0, 0.0, first, 40)["reservations"] == whole[first : first + 40]


def test_several_jobs_share_an_answer_and_go_on_in_the_next():
    node = ended("a", "b", "c", tasks=30)
    answers = parts(node, ["a", "nobody's", "b", "c"])
    assert [{id: len(job["tasks"]) for id, job in answer["details"].items()} for answer in answers] == [
        {"a": 30, "b": 10},
        {"b": 20, "c": 20},
        {"c": 10},
    ]
    assert parts(node, ["nobody's"])[0]["details"] == {}


def test_one_answer_is_small_whatever_the_size_of_the_job():
    node = ended("a", tasks=5_000, method="RANDOM")
    node.table.tally.limits = TallyLimits()
    answers = parts(node, ["a"])
    assert sum(len(answer["details"]["a"]["tasks"]) for answer in answers) == 5_000
    assert max(len(json.dumps(answer)) for answer in answers) < 300_000
    assert len(answers) == 10


def test_the_list_of_jobs_looks_at_no_task():
    node = ended("a")
    job = node.table.tally._kept["a"].job
    job.tasks = None  # whoever looks at it fails
    (line,) = node.stats([], False, False, 0.0)["jobs"]
    assert (line["id"], line["tasks"], line["ideal_s"], line["ended"]) == ("a", 100, 0.0, 100)
