"""The results of a client's jobs: a large report is read in steps, between which other events take place."""

import asyncio
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from src.cluster.submissions import Answer, Submissions
from src.Job import JobReport
from src.sparrow.errors import ClientClosedError, UnavailableError
from src.sparrow.jobspec import JobSpec
from src.sparrow.taskcolumns import TASKS_AT_ONCE, TaskColumns, encode

LARGE = 3 * TASKS_AT_ONCE + 1  # tasks


class Node:
    """The node of a client that does nothing."""

    def __init__(self):
        self.jobs = {}

    def submit(self, spec):
        pass


def answer(tasks, **changed):
    columns = TaskColumns.of(["w"] * tasks, [float(n) for n in range(tasks)], [0.5] * tasks, [1] * tasks)
    said: Any = {"id": "job", "method": "BATCH", "submitted": 7.0, "finished": 9.0, "response_s": 2.0, "ideal_s": 0.5, "retried": 0}
    report: Any = {**said, "tasks": columns, "failed": [], **changed}
    return Answer("sparrow.scheduler.1", encode(report))


def submitted(tasks):
    """-> (submissions with one job that was handed over, its future)"""
    submissions, future = Submissions(), Future[Any]()
    submissions.node = Node()  # type: ignore[assignment]  # it has what submissions use
    spec = JobSpec("job", (0.5,) * tasks)
    submissions.submit(spec, future, lambda report, handed_over: JobReport.from_wire("mine", report, 2.0, handed_over))
    assert submissions.leave("job")
    return submissions, future


async def rounds_until(done):
    """Returns how often the event loop goes round until then."""
    rounds = 0
    while not done():
        await asyncio.sleep(0)
        rounds += 1
    return rounds


def test_a_large_report_is_read_in_steps():
    async def run():
        submissions, future = submitted(LARGE)
        submissions.finish("job", answer(LARGE), 1)
        assert not future.done()
        assert await rounds_until(future.done) == 8  # the text, the head, four columns, and the tasks in parts
        tasks = future.result().tasks
        assert [task.wait_s for task in tasks] == list(range(LARGE))
        assert set(tasks) == {("w", task.wait_s, 0.5, 2) for task in tasks}
        assert (submissions.reported_tasks, submissions._open) == (LARGE, {})

    asyncio.run(run())


def test_a_report_of_a_few_tasks_is_read_at_once():
    submissions, future = submitted(3)
    submissions.finish("job", answer(3), 0)  # there is no event loop
    assert len(future.result().tasks) == 3


def test_who_submits_a_job_again_while_its_report_is_read_gets_the_same_result():
    async def run():
        submissions, first = submitted(LARGE)
        submissions.finish("job", answer(LARGE), 0)
        second = Future[Any]()
        submissions.submit(JobSpec("job", (0.5,) * LARGE), second, partial(pytest.fail, "the report is read already"))
        await rounds_until(second.done)
        assert first.result() is second.result()

    asyncio.run(run())


def test_a_client_that_is_closed_while_it_reads_a_report_reads_no_further():
    async def run():
        failures: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        submissions, future = submitted(LARGE)
        submissions.finish("job", answer(LARGE), 0)
        submissions.close()
        with pytest.raises(ClientClosedError):
            future.result(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert failures == []

    asyncio.run(run())


@pytest.mark.parametrize("tasks", [3, LARGE])
@pytest.mark.parametrize(
    "lie", [{"id": "other"}, {"ideal_s": "x"}, {"failed": None}, {"failed": [{"reason": "lost", "tasks": [LARGE]}]}]
)
def test_a_job_whose_report_cannot_be_read_fails_with_the_reason(tasks, lie):
    async def run():
        submissions, future = submitted(tasks)
        submissions.finish("job", answer(tasks, **lie), 0)
        await rounds_until(future.done)
        (field,) = lie
        with pytest.raises(UnavailableError, match=rf"^the answer of sparrow.scheduler.1 to a job cannot be read: {field}"):
            future.result(0)
        assert submissions._open == {}

    asyncio.run(run())
