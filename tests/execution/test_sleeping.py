"""Tasks that sleep."""

import asyncio

import pytest

from src.execution.sleeping import Sleeping


def running(use):
    """Runs ``use(sleeping, loop)`` in an event loop, in which nothing may go wrong where nobody is asked."""
    unheard = []

    async def begin():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: unheard.append(context))
        await use(Sleeping(loop), loop)

    asyncio.run(begin())
    assert unheard == []


def test_a_task_ends_when_it_has_slept():
    async def use(sleeping, loop):
        ended = loop.create_future()
        began_s = loop.time()
        sleeping.start("key", 0.05, lambda *how: ended.set_result(how), "owner", "run")
        assert await ended == ("owner", "run")
        assert loop.time() - began_s >= 0.05

    running(use)


def test_tasks_sleep_side_by_side_and_end_in_the_order_of_their_times():
    async def use(sleeping, loop):
        ended: list[object] = []
        last = loop.create_future()
        for duration_s in (0.06, 0.0, 0.03):
            sleeping.start(duration_s, duration_s, ended.append, duration_s)
        sleeping.start("last", 0.09, last.set_result, None)
        await last
        assert ended == [0.0, 0.03, 0.06]

    running(use)


def test_a_task_that_is_stopped_does_not_end():
    async def use(sleeping, loop):
        ended: list[object] = []
        last = loop.create_future()
        sleeping.start("stopped", 0.02, ended.append, "stopped")
        sleeping.start("other", 0.02, ended.append, "other")
        sleeping.stop("stopped")
        sleeping.start("last", 0.05, last.set_result, None)
        await last
        assert ended == ["other"]

    running(use)


def test_what_does_not_run_cannot_be_stopped():
    async def use(sleeping, loop):
        ended = loop.create_future()
        sleeping.start("key", 0.0, ended.set_result, None)
        await ended
        for key in ("key", "never started"):
            with pytest.raises(KeyError):
                sleeping.stop(key)

    running(use)


def test_a_key_may_be_used_again_from_within_the_end_of_its_task():
    async def use(sleeping, loop):
        last = loop.create_future()
        sleeping.start("key", 0.0, lambda: sleeping.start("key", 0.01, last.set_result, "again"))
        assert await last == "again"

    running(use)
