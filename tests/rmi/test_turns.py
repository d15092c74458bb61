"""Connections are served in turns, and what they cost is theirs."""

import asyncio
import random
import time

import pytest

from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.settings import TurnSettings, WireLimits
from src.rmi.turns import Turns
from tests.rmi.costly import GREETING, request, served

SETTINGS = TurnSettings(turn_s=0.002, modest_debt_s=0.01, newcomer_debt_s=0.02, decay=0.1, most_debt_s=1.0)


class Clock:
    """A time that passes as a test says, and by itself only if it is to."""

    def __init__(self, passes=False):
        self.added_s = 0.0
        self._passes = passes

    def __call__(self):
        return (time.monotonic() if self._passes else 100.0) + self.added_s


class Guest:
    """Asks questions of a known cost each, and notes when each was answered."""

    def __init__(self, turns, clock, cost_s, answered):
        self.account = turns.account()
        self.questions = 0
        self._clock, self._cost_s, self._answered = clock, cost_s, answered

    def take_turn(self, until):
        while self.questions:
            self.questions -= 1
            self._clock.added_s += self._cost_s
            self._answered.append(self)
            if self._clock() >= until:
                break
        return self.questions > 0


def asked(turns, guest, count):
    guest.questions += count
    if not guest.account.waits:
        turns.asks(guest)


def test_whoever_asks_much_waits_while_the_loop_goes_round():
    async def scenario():
        clock = Clock()
        answered: list[Guest] = []
        turns = Turns(SETTINGS, clock, clock)
        greedy = Guest(turns, clock, 0.0005, answered)
        asked(turns, greedy, 100)
        assert len(answered) == 4  # one turn
        others = []
        for _ in range(30):
            asyncio.get_running_loop().call_soon(lambda: others.append(len(answered)))
            await asyncio.sleep(0)
        assert len(answered) == 100
        assert max(later - sooner for sooner, later in zip(others, others[1:])) <= 4
        assert not greedy.account.waits

    asyncio.run(scenario())


def test_whoever_costs_little_is_served_before_whoever_costs_much():
    async def scenario():
        clock = Clock()
        answered: list[Guest] = []
        turns = Turns(SETTINGS, clock, clock)
        modest = Guest(turns, clock, 0.0001, answered)
        clock.added_s += 60.0  # its debt as a newcomer is paid
        greedy = [Guest(turns, clock, 0.05, answered) for _ in range(100)]
        for one in greedy:
            asked(turns, one, 20)
        await asyncio.sleep(0)
        before = len(answered)
        for round in range(20):
            served = len(answered)
            asked(turns, modest, 1)
            await asyncio.sleep(0)
            assert answered[served] is modest, round  # though a hundred wait since before
        assert len(answered) - before <= 2 * 20  # one question of the greedy a turn

    asyncio.run(scenario())


def test_a_debt_is_bounded_and_decays_so_nobody_waits_for_ever():
    async def scenario():
        clock = Clock(passes=True)
        answered: list[Guest] = []
        turns = Turns(SETTINGS, clock, clock)
        heavy = Guest(turns, clock, 30.0, answered)
        asked(turns, heavy, 1)
        assert heavy.account.debt_s(clock()) == pytest.approx(SETTINGS.most_debt_s, abs=0.05)
        clock.added_s += 5.0
        assert heavy.account.debt_s(clock()) == pytest.approx(0.5, abs=0.05)
        asked(turns, heavy, 1)  # the time that was spent is over the turn: it waits
        assert heavy.account.waits
        began, others = time.monotonic(), 0
        while answered.count(heavy) < 2 and others < 500:  # newcomers come again and again
            asked(turns, Guest(turns, clock, 0.05, answered), 1)
            others += 1
            await asyncio.sleep(0.01)
        assert answered.count(heavy) == 2
        assert len(answered) < 60  # 0.5 s of debt, and newcomers of 0.05 s
        assert time.monotonic() - began < 10

    asyncio.run(scenario())


def test_whoever_asks_what_takes_long_leaves_most_of_the_time_to_others():
    async def scenario():
        clock = Clock(passes=True)
        answered: list[Guest] = []
        turns = Turns(SETTINGS, clock, clock)
        modest = Guest(turns, clock, 0.0001, answered)
        clock.added_s += 60.0
        greedy = [Guest(turns, clock, 0.02, answered) for _ in range(50)]
        began = clock()
        for one in greedy:
            asked(turns, one, 20)
        while clock() - began < 1.0:
            asked(turns, modest, 1)
            await asyncio.sleep(0.0005)
        took_s = 0.02 * sum(one is not modest for one in answered)
        assert 0.1 < took_s < 0.4  # a quarter of the time, and what is idle is not made up for
        assert answered.count(modest) > 50

    asyncio.run(scenario())


def test_whoever_is_alone_never_rests():
    async def scenario():
        clock = Clock()
        answered: list[Guest] = []
        turns = Turns(SETTINGS, clock, clock)
        alone = Guest(turns, clock, 0.05, answered)
        asked(turns, alone, 200)
        for _ in range(210):
            await asyncio.sleep(0)
        assert len(answered) == 200
        assert not alone.account.waits

    asyncio.run(scenario())


def test_questions_of_everybody_are_all_answered_once():
    async def scenario():
        rng, clock = random.Random(1), Clock(passes=True)
        answered: list[Guest] = []
        turns = Turns(SETTINGS, clock, clock)
        guests = [Guest(turns, clock, rng.choice((0.00001, 0.0005, 0.004)), answered) for _ in range(30)]
        asked_of = dict.fromkeys(guests, 0)
        for _ in range(300):
            guest, count = rng.choice(guests), rng.randrange(1, 5)
            asked_of[guest] += count
            asked(turns, guest, count)
            if rng.random() < 0.5:
                await asyncio.sleep(0)
        while any(guest.account.waits for guest in guests):
            await asyncio.sleep(0)
        assert {guest: answered.count(guest) for guest in guests} == asked_of

    asyncio.run(scenario())


# Real connections


def test_two_thousand_questions_in_one_segment_do_not_keep_others_waiting():
    async def use(uri, daemon, costly):
        modest = await Channel.open(uri)
        reader, writer = await asyncio.open_connection(*daemon.sock.getsockname())
        writer.write(GREETING + request("think", 0.001) * 2_000)
        await writer.drain()
        times = []
        while costly.calls < 300:
            began = time.monotonic()
            await modest.call("text", 1)
            times.append(time.monotonic() - began)
        writer.close()
        modest.close()
        assert len(times) > 30
        assert sorted(times)[len(times) // 2] < 0.05  # the questions take 2 s

    served(use)


@pytest.mark.parametrize("count", [1, 500])
def test_whoever_says_no_more_still_gets_all_answers(count):
    async def use(uri, daemon, costly):
        reader, writer = await asyncio.open_connection(*daemon.sock.getsockname())
        writer.write(GREETING + request("think", 0.0002) * count)
        writer.write_eof()
        data = await asyncio.wait_for(reader.read(-1), 20)
        frames = list(wire.FrameReader(WireLimits.max_payload_bytes).feed(data))
        assert len(frames) == 1 + count
        writer.close()

    served(use)


def test_what_waits_for_its_turn_is_bounded_and_read_no_further():
    async def use(uri, daemon, costly):
        reader, writer = await asyncio.open_connection(*daemon.sock.getsockname())
        writer.write(GREETING + request("think", 0.002, "x" * 1000) * 20_000)
        most = 0
        while costly.calls < 50:
            await asyncio.sleep(0.001)
            most = max([most, *(connection.partial_bytes for connection in daemon.connections)])
        assert 0 < most <= 600_000
        writer.close()

    served(use)
