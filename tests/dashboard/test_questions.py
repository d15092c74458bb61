"""Questions for the details of jobs and workers: how many are under way, who waits, and what is said when there is no answer."""

import asyncio
import json
import time
from typing import Any

import pytest

from src.dashboard.details import DetailCache, DetailReader, Lane, TryLaterError, UnknownError
from src.dashboard.documents import Document
from src.dashboard.settings import DetailSettings
from tests.dashboard.samples import details

QUICK = DetailSettings(pause_s=0.0, pause_share=0.0, kept_s=0.05, unknown_s=0.05, answer_s=0.05, deadline_s=0.2)


class FakeScheduler:
    """It knows these jobs; it answers at once, or never."""

    def __init__(self, name="sparrow.scheduler.1", known=(), answers=True, state="up"):
        self.name, self.known, self.answers, self.state = name, known, answers, state
        self.asked: list[list[str]] = []

    async def fetch(self, method, ids, with_details, brief, first):
        assert (method, with_details, brief, first) == ("stats", True, True, 0)
        self.asked.append(json.loads(ids))
        if not self.answers:
            await asyncio.sleep(60)
        return json.dumps({"details": {id: details(id) for id in self.asked[-1] if id in self.known}})


def reader(*schedulers):
    targets: Any = {one.name: one for one in schedulers}
    return DetailReader(targets, QUICK)


def test_many_viewers_of_the_same_details_cost_one_question():
    async def main():
        cache = DetailCache(QUICK)
        questions: list[None] = []

        async def read():
            questions.append(None)
            await asyncio.sleep(0)
            return Document.of({"n": len(questions)})

        key = ("job", "a")
        first = Document.of({"n": 1})
        assert await asyncio.gather(*(cache.get(key, read) for _ in range(50))) == [first] * 50
        assert await cache.get(("worker", "a"), read) == Document.of({"n": 2})
        assert await cache.get(key, read) == first
        until = asyncio.get_running_loop().time() + 5.0
        while await cache.get(key, read) == first:  # until it is older than kept_s
            assert asyncio.get_running_loop().time() < until
            await asyncio.sleep(0.01)
        assert len(questions) == 3

    asyncio.run(main())


def test_that_a_job_is_unknown_is_remembered_for_a_moment():
    async def main():
        cache = DetailCache(DetailSettings(unknown_s=60.0, max_unknown=2))
        questions: list[str] = []

        async def ask(id):
            async def read():
                questions.append(id)
                raise UnknownError(f"nobody knows {id}")

            with pytest.raises(UnknownError, match=f"nobody knows {id}"):
                await cache.get(("job", id), read)

        for id in ("a", "a", "b", "a", "c", "c", "a"):
            await ask(id)
        assert questions == ["a", "b", "c", "a"]  # for c, a was forgotten

    asyncio.run(main())


def test_nobody_waits_beyond_the_deadline_and_the_question_is_not_asked_again_meanwhile():
    async def main():
        cache = DetailCache(QUICK)
        questions: list[None] = []

        async def read():
            questions.append(None)
            await asyncio.sleep(60)

        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(TryLaterError, match="have not answered in time"):
                await cache.get(("job", "a"), read)
        assert 0.3 < time.monotonic() - began < 3.0
        assert len(questions) == 1

    asyncio.run(main())


def test_few_wait_for_their_turn_and_the_others_are_told_at_once_to_ask_again():
    async def main():
        lane = Lane(DetailSettings(max_waiting=3, pause_s=0.0, pause_share=0.0))
        inside: list[int] = []
        free = asyncio.Event()

        async def question(number):
            async with lane.enter():
                inside.append(number)
                await free.wait()

        asked = [asyncio.create_task(question(number)) for number in range(10)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused = [one for one in asked if one.done()]
        assert inside == [0]
        assert len(refused) == 6
        assert all(isinstance(one.exception(), TryLaterError) for one in refused)
        free.set()
        await asyncio.gather(*asked, return_exceptions=True)
        assert inside == [0, 1, 2, 3]
        async with lane.enter():
            pass

    asyncio.run(main())


def test_a_pause_follows_that_grows_with_the_time_that_a_question_took():
    async def main():
        lane = Lane(DetailSettings(pause_s=0.0, pause_share=2.0))
        began = time.monotonic()
        async with lane.enter():
            await asyncio.sleep(0.05)
        assert time.monotonic() - began < 0.1
        async with lane.enter():
            assert time.monotonic() - began >= 0.15

    asyncio.run(main())


def test_made_up_ids_do_not_delay_jobs_that_are_in_the_list():
    async def main():
        one = FakeScheduler(known={"listed"}, answers=False)
        made_up = DetailReader({one.name: one}, DetailSettings(answer_s=5.0, pause_s=0.0))  # type: ignore[dict-item]
        waiting = [asyncio.create_task(made_up.job(f"made-up{n}", None)) for n in range(10)]
        await asyncio.sleep(0.01)
        one.answers = True
        found = await asyncio.wait_for(made_up.job("listed", one.name), 1.0)
        assert (found["id"], found["scheduler"]) == ("listed", one.name)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("schedulers", "owner", "error", "words"),
    [
        ([FakeScheduler()], None, UnknownError, "no scheduler knows a job of that id"),
        ([FakeScheduler(), FakeScheduler("s2", state="gone")], None, UnknownError, "s2 does not answer any more"),
        ([FakeScheduler("s2", {"j"}, state="gone"), FakeScheduler()], "s2", UnknownError, "s2 does not answer any more"),
        ([FakeScheduler("s2", {"j"}, answers=False), FakeScheduler()], None, TryLaterError, "s2 has not answered: ask again"),
        ([FakeScheduler(state="silent")], None, TryLaterError, "no scheduler answers"),
        ([], None, TryLaterError, "no scheduler answers"),
    ],
)
def test_why_there_are_no_details_is_said(schedulers, owner, error, words):
    with pytest.raises(error, match=words):
        asyncio.run(reader(*schedulers).job("j", owner))


def test_only_the_scheduler_of_a_listed_job_is_asked():
    one, other = FakeScheduler("s1", {"j"}), FakeScheduler("s2")
    assert asyncio.run(reader(one, other).job("j", "s1"))["id"] == "j"
    assert (one.asked, other.asked) == ([["j"]], [])


def test_one_who_says_what_cannot_be_read_does_not_hide_what_another_knows():
    class Liar(FakeScheduler):
        async def fetch(self, method, ids, with_details, brief, first):
            return '{"details": {"j": {"id": "j"}}}'

    assert asyncio.run(reader(Liar("s1"), FakeScheduler("s2", {"j"})).job("j", None))["scheduler"] == "s2"
