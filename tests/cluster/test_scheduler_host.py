"""The answer to a call that waits for a report: a large one is written and sent in steps, between which other events take place."""

import asyncio
from typing import Any

from src.cluster.scheduler_host import LARGE_REPORT_TASKS, PendingReport


class Reply:
    """A reply that is owed to a connection."""

    connection = "a connection"

    def __init__(self, done):
        self._done = done

    def answer(self, value):
        self._done.append(f"sent: {value}")


def answered(tasks):
    """-> what is done in each round of the event loop until the report is sent"""

    async def run():
        done = []

        def write(report):
            done.append("written")
            return "text"

        report: Any = {"tasks": [None] * tasks}
        PendingReport(Reply(done), write).answer(report)  # type: ignore[arg-type]  # it has what the call uses
        rounds = [list(done)]
        while "sent: text" not in done:
            await asyncio.sleep(0)
            rounds.append(list(done))
        return rounds

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_a_large_report_is_written_in_a_step_of_its_own_and_sent_in_another():
    assert answered(LARGE_REPORT_TASKS + 1) == [[], ["written"], ["written", "sent: text"]]


def test_a_report_of_a_few_tasks_is_written_and_sent_at_once():
    assert answered(3) == [["written", "sent: text"]]
