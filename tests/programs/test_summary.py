"""What a command says of its jobs, above all of those with a failed task. They ended early, without their work being done."""

import json
import math

from src.cli.summary import summary, summary_table
from src.Job import JobReport, TaskReport


def report(response_s, ideal_s, failed=()):
    tasks = (TaskReport(None if 0 in failed else "host1", 0.0, ideal_s, 1), TaskReport("host2", 0.0, ideal_s, 1))
    return JobReport("j", "BATCH", 0.0, response_s, response_s, ideal_s, 0, tasks, dict.fromkeys(failed, "lost"))


def test_a_job_with_a_failed_task_counts_for_no_response_and_no_slowdown():
    result = summary("BATCH", 3, 2, [report(2.0, 1.0), report(4.0, 1.0), report(0.41, 1.0, failed=(0,))], 4.0)
    assert (result["jobs"], result["completed"], result["failed"]) == (3, 5, 1)
    assert result["response_s"]["p50"] == result["response_s"]["mean"] == 3.0
    assert result["slowdown"]["p50"] == 3.0
    assert "1 tasks: their jobs are not in the response" in summary_table(result)
    assert "not in the response" not in summary_table(summary("BATCH", 1, 2, [report(2.0, 1.0)], 2.0))


def test_without_a_job_that_ended_well_there_are_no_percentiles():
    result = summary("BATCH", 1, 2, [report(0.41, 1.0, failed=(0,))], 1.0)
    assert set(result["response_s"].values()) == set(result["slowdown"].values()) == {None}
    assert "response / ideal" not in summary_table(result)
    json.dumps(result, allow_nan=False)


def test_such_a_job_has_no_slowdown():
    assert math.isnan(report(0.41, 1.0, failed=(0,)).slowdown)
    assert report(2.0, 1.0).slowdown == 2.0
