"""Connections to the members of a cluster: who goes first when many lead nowhere, and who hangs up at once."""

import asyncio
import time
from typing import Any

import pytest

from src.dashboard.answers import parsed_load, worker_greeting
from src.dashboard.target import Gate, Question, Target, TargetSettings

ASK = Question("find_load", (), parsed_load, worker_greeting)


def test_of_those_who_wait_the_lowest_rank_goes_first():
    async def main():
        gate, order = Gate(1), []
        first_in = asyncio.Event()

        async def enter(name, rank):
            async with gate.enter(rank):
                order.append(name)
                first_in.set()
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(enter("inside", 9))]
        await first_in.wait()
        for name, rank in (("tried often", 5), ("new", 1), ("tried", 2), ("new too", 1), ("has answered", 0), ("gave up", 0)):
            tasks.append(asyncio.create_task(enter(name, rank)))
            await asyncio.sleep(0)
        tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == ["inside", "has answered", "new", "new too", "tried", "tried often"]
        async with gate.enter(9):
            pass

    asyncio.run(main())


class FakeConnector:
    """Its connections are those that the test makes; it notes with which rank each was wanted."""

    def __init__(self, **settings):
        self.settings = TargetSettings(**settings)
        self.ranks: list[int] = []
        self.channels: list[Any] = []

    async def open(self, uri, rank):
        self.ranks.append(rank)
        if not self.channels:
            raise LookupError("nobody is there")
        return self.channels[0]


class FakeChannel:
    def __init__(self, peer):
        self.peer, self.on_lost, self.asked = peer, None, []

    def begin(self, method, arguments, ended, timeout_s=None):
        self.asked.append(ended)

    def close(self):
        pass

    drop = close


GREETING = {"name": "sparrow.worker.x", "incarnation": "1", "uri": "PYRO:sparrow.worker.x@h:1", "slots": 2}


def target(connector):
    made: Any = Target("sparrow.worker.x", "PYRO:sparrow.worker.x@h:1", ASK, lambda: None, connector)
    return made


async def settle(one):
    while one._connecting is not None:
        await asyncio.sleep(0)


def test_a_name_that_has_never_answered_is_tried_later_and_later_and_after_the_others():
    async def main():
        connector: Any = FakeConnector(retry_s=0.02, most_retry_s=0.05)
        one = target(connector)
        began = time.monotonic()
        while len(connector.ranks) < 4:
            one.ask()
            await asyncio.sleep(0.001)
        assert time.monotonic() - began >= 0.02 + 0.03 + 0.045
        assert connector.ranks == [1, 2, 3, 4]
        assert one.state == "gone"

    asyncio.run(main())


def test_who_hangs_up_at_once_is_not_connected_again_without_a_pause():
    async def main():
        connector: Any = FakeConnector(retry_s=0.2)
        connector.channels = [FakeChannel(GREETING)]
        one = target(connector)
        for _ in range(50):
            one.ask()
            await settle(one)
            if one._channel is not None:
                one._channel.on_lost()
        assert len(connector.ranks) == 1
        assert (one.state, one.reason) == ("gone", "it closed the connection")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("greeting", "state", "words"),
    [
        ({**GREETING, "slots": 10**4000}, "unreadable", "its greeting: slots must be a whole number from 1 to 1024"),
        ({**GREETING, "slots": True}, "unreadable", "slots must be a whole number"),
        ({key: value for key, value in GREETING.items() if key != "slots"}, "unreadable", "slots is missing"),
        ("hello", "unreadable", "its greeting: must be an object, not 'hello'"),
        ({**GREETING, "name": "sparrow.worker.y"}, "gone", "another process answers at its address"),
        (GREETING, "new", ""),
    ],
)
def test_a_greeting_is_read_before_anything_is_asked(greeting, state, words):
    async def main():
        connector: Any = FakeConnector()
        connector.channels = [FakeChannel(greeting)]
        one = target(connector)
        one.ask()
        await settle(one)
        assert one.state == state
        assert words in one.reason
        assert len(connector.channels[0].asked) == (state == "new")

    asyncio.run(main())


def test_calls_outside_of_the_rounds_are_few_and_one_that_is_given_up_counts_until_it_is_answered():
    async def main():
        connector: Any = FakeConnector(max_fetches=2)
        connector.channels = [FakeChannel(GREETING)]
        one = target(connector)
        one.ask()
        await settle(one)
        asked = connector.channels[0].asked
        asked.pop()
        for _ in range(2):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(one.fetch("stats"), 0.01)
        with pytest.raises(LookupError, match="has not answered the last questions"):
            await one.fetch("stats")
        asked[0](None, "late")
        waiting = asyncio.create_task(one.fetch("stats"))
        await asyncio.sleep(0)
        asked[-1](None, "in time")
        assert await waiting == "in time"

    asyncio.run(main())
