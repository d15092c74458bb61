"""The answers to calls that wait for a report: each form is written once, a large one in steps, and each goes out in its turn."""

import asyncio
from typing import Any

import pytest

from src.cluster.scheduler_host import LARGE_REPORT_TASKS, PendingReport, as_text
from src.rmi.serializer import dump
from src.rmi.settings import DaemonSettings, TurnSettings
from tests.rmi.lines import Caller, Post

CALLS = 60


class Reply:
    """A reply that is owed to a connection."""

    connection = "a connection"
    steps: list[object]

    def answer_in_turn(self, written):
        self.steps = [written()]
        while self.steps[-1] is None:
            self.steps.append(written())


def report(tasks) -> Any:
    return {"id": "job", "tasks": [None] * tasks}


def short(report):
    return f"{len(report['tasks'])} tasks"


@pytest.mark.parametrize(("tasks", "before"), [(3, []), (LARGE_REPORT_TASKS + 1, [None, None])])
def test_a_large_report_is_written_serialized_and_sent_in_steps(tasks, before):
    reply: Any = Reply()
    PendingReport(reply, short).answer(report(tasks))
    assert reply.steps == [*before, dump(f"{tasks} tasks")]


def test_a_form_of_a_report_is_written_once_for_all_who_want_it():
    written = []

    def form(report):
        written.append(report)
        return short(report)

    class Later(Reply):
        def answer_in_turn(self, written):
            self.written = written

    first, second = report(1), report(2)
    replies: list[Any] = [Later() for _ in range(6)]
    for reply, one in zip(replies, (first, first, first, second, second, second)):
        PendingReport(reply, as_text if reply is replies[1] else form).answer(one)
    payloads = [reply.written() for reply in replies]
    assert payloads == [dump("1 tasks"), dump(as_text(first)), dump("1 tasks"), *[dump("2 tasks")] * 3]
    assert written == [first, second]


def test_the_calls_of_one_job_are_answered_in_turns_in_which_others_are_served():
    """As many calls as one connection has are answered at its cost: another one asks meanwhile and is answered first."""

    async def scenario():
        post = Post(key=None, settings=DaemonSettings(turns=TurnSettings(turn_s=0.0)))
        owed, line = await known(post)
        other, other_line = await known(post)
        replies = []
        for _ in range(CALLS):
            line.protocol.data_received(owed.call("owe"))
            await rounds(2)
            replies.append(post.ledger.owed)
        one = report(3)
        for reply in replies:
            PendingReport(reply, short).answer(one)
        assert not line.written, "nothing is sent in the step in which the job ends"
        other_line.protocol.data_received(other.call("put", "me"))
        await rounds(CALLS // 2)
        other.hear(other_line.take())
        owed.hear(line.take())
        assert other.ended == [(None, "had me")]
        assert 0 < len(owed.ended) < CALLS
        await rounds(2 * CALLS)
        owed.hear(line.take())
        assert owed.ended == [(None, "3 tasks")] * CALLS
        assert not line.protocol.busy
        post.daemon.stop()

    async def rounds(number):
        for _ in range(number):
            await asyncio.sleep(0)

    async def known(post):
        caller, line = Caller(post.uri, None), post.accept()
        line.protocol.data_received(await caller.greet())
        await rounds(3)
        caller.hear(line.take())
        await caller.greeting
        line.protocol.data_received(caller.line.take())
        await rounds(3)
        return caller, line

    asyncio.run(asyncio.wait_for(scenario(), 30))
