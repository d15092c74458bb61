"""What the client says of the jobs of one command."""

import math

import pytest

from src.cli.summary import left_behind_text, summary, summary_table
from src.cli.terminal import counted
from src.cluster.submissions import Work
from src.Job import JobReport, TaskReport
from src.sparrow.reports import Report


def report(id, response_s, ideal_s=1.0, failed=(), retried=0, handed_over=0, tasks=2):
    rows = tuple(TaskReport(None if n in failed else "host1", 0.0, ideal_s, 1) for n in range(tasks))
    reasons = dict.fromkeys(failed, "lost 4 times, on host1\nand others")
    return JobReport(id, "BATCH", 0.0, response_s, response_s, ideal_s, retried, rows, reasons, handed_over)


def table(reports, jobs):
    result = summary("BATCH", jobs, 2, reports, 9.0)
    return {line[2:22].strip(): line[22:].strip() for line in summary_table(result, reports).splitlines()[1:]}


def test_a_job_that_failed_does_not_count_as_fast():
    reports = [report("a", 2.0), report("b", 0.1, 0.5, failed=[0, 1]), report("c", 4.0)]
    result = summary("BATCH", 3, 2, reports, 9.0)
    assert result["response_s"] == {"p50": 3.0, "p95": pytest.approx(3.9), "p99": pytest.approx(3.98), "mean": 3.0}
    assert result["slowdown"] == {"p50": 3.0, "p95": pytest.approx(3.9)}
    assert (result["completed"], result["failed"]) == (4, 2)
    told = table(reports, 3)
    assert told["job response"].endswith("(without 1 failed job)")
    assert told["failed"] == "2 tasks of 1 job"
    assert told[""] == r"job b, task 0: lost 4 times, on host1\nand others"


def test_without_a_job_that_is_done_there_are_no_figures_of_any():
    result = summary("BATCH", 1, 2, [report("a", 0.1, failed=[1])], 9.0)
    assert result["response_s"] == {"p50": None, "p95": None, "p99": None, "mean": None}
    assert result["slowdown"] == {"p50": None, "p95": None}
    assert (result["completed"], result["failed"]) == (1, 1)
    assert "job response" not in table([report("a", 0.1, failed=[1])], 1)


def test_such_a_job_has_no_slowdown():
    assert math.isnan(report("a", 0.41, failed=[0]).slowdown)
    assert report("a", 2.0).slowdown == 2.0


def test_a_table_of_a_part_of_the_jobs_says_so_and_has_no_makespan():
    assert summary("BATCH", 3, 2, [report("a", 2.0)], 9.0)["makespan_s"] is None
    told = table([report("a", 2.0)], 3)
    assert told["jobs"] == "1 of 3 have ended: what follows is of these"
    assert told["tasks done"] == "2 of 6"
    assert "makespan" not in told
    assert table([report("a", 2.0)], 1)["makespan"] == "9.00 s"


def test_what_was_handed_over_is_counted():
    reports = [report("a", 2.0, handed_over=1), report("b", 2.0, handed_over=2, retried=1)]
    result = summary("BATCH", 2, 2, reports, 9.0)
    assert (result["handed_over"], result["retried"]) == (3, 1)
    told = table(reports, 2)
    assert told["handed over"] == "2 jobs, 3 times, after their scheduler was lost"
    assert told["lost and run again"] == "1 task"
    assert "handed over" not in table([report("a", 2.0)], 1)


def test_attempts_count_the_schedulers_that_were_lost_with_the_job():
    wire: Report = {
        "id": "x",
        "method": "BATCH",
        "submitted": 0.0,
        "finished": 5.0,
        "response_s": 1.0,
        "ideal_s": 1.0,
        "retried": 1,
        "tasks": [
            {"worker": "host1", "wait_s": 0.0, "service_s": 1.0, "attempts": 1},
            {"worker": "host2", "wait_s": 0.0, "service_s": 1.0, "attempts": 2},
        ],
        "failed": [],
    }
    with pytest.raises(StopIteration) as read:
        next(JobReport.from_wire("mine", wire, 3.0, 2))
    told = read.value.value
    assert (told.id, told.handed_over, [task.attempts for task in told.tasks]) == ("mine", 2, [3, 4])


def test_numbers_and_their_nouns():
    assert [counted(number, "job") for number in (0, 1, 2, 1200)] == ["0 jobs", "1 job", "2 jobs", "1,200 jobs"]


def test_what_goes_on_without_the_client():
    assert left_behind_text(Work(0, 0, 0.0)) == "no scheduler has any of them, so nothing goes on"
    assert left_behind_text(Work(1, 1, 0.25)) == "1 job goes on at the schedulers: 1 task, about 250 ms of work"
    assert left_behind_text(Work(3, 1_000, 12.0)) == "3 jobs go on at the schedulers: 1,000 tasks, about 12.0 s of work"
