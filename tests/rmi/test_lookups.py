"""Host names are looked up in threads that nobody waits for, and a name that is not resolved keeps no other waiting."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time

import pytest

from src.rmi import lookups
from src.rmi.lookups import addresses

SILENT = ".silent"  # the end of names whose look-up does not end


@pytest.fixture
def resolver(monkeypatch):
    """The names that were looked up. What ends with ``SILENT`` is answered at the end of the test."""
    asked: list[str] = []
    end, real = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        asked.append(host)
        if host.endswith(SILENT):
            assert end.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        if host == "none.test":
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return real("127.0.0.5" if host.endswith(".test") else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield asked
    end.set()


async def begun(*hosts):
    """Begin to look these up. Returns the tasks."""
    tasks = [asyncio.ensure_future(addresses(host, 5)) for host in hosts]
    await asyncio.sleep(0.05)
    return tasks


async def ended(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_name_and_an_address(resolver):
    async def scenario():
        (found,) = await addresses("a.test", 5)
        assert (found.family, found.address) == (socket.AF_INET, ("127.0.0.5", 5))
        with pytest.raises(socket.gaierror, match="no such name"):
            await addresses("none.test", 5)

    asyncio.run(scenario())


def test_an_address_takes_no_thread(resolver, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", lambda thread: pytest.fail("a thread for an address"))

    async def scenario():
        assert [one.address for one in await addresses("127.0.0.1", 5)] == [("127.0.0.1", 5)]
        assert [one.address for one in await addresses("::1", 5)] == [("::1", 5, 0, 0)]

    asyncio.run(scenario())


def test_a_name_has_one_look_up_at_a_time(resolver):
    async def scenario():
        tasks = await begun(*["a" + SILENT] * 50)
        await ended(tasks[:49])
        again = await begun("a" + SILENT)
        assert resolver == ["a" + SILENT]
        await ended([*tasks, *again])

    asyncio.run(scenario())


def test_names_without_an_answer_take_few_threads_and_keep_no_known_name_waiting(resolver):
    async def scenario():
        await addresses("known.test", 5)
        del resolver[:]
        tasks = await begun(*(f"{number}{SILENT}" for number in range(500)))
        assert len(resolver) == lookups._OTHER_THREADS
        assert sum(thread.name == "look-up" for thread in threading.enumerate()) == lookups._OTHER_THREADS
        assert await asyncio.wait_for(addresses("known.test", 5), 10)
        await ended(tasks)

    asyncio.run(scenario())


def test_what_nobody_waits_for_any_more_is_not_looked_up(resolver, monkeypatch):
    monkeypatch.setattr(lookups, "_OTHER_THREADS", 1)

    async def scenario():
        release = threading.Event()
        real = socket.getaddrinfo

        def slow(host, *arguments, **options):
            if host == "slow.test":
                assert release.wait(60)
            return real(host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        slow_one = await begun("slow.test")
        await ended(await begun("b.test", "c.test"))
        late = await begun("d.test")
        release.set()
        assert await asyncio.gather(*slow_one, *late)
        assert resolver == ["slow.test", "d.test"]
        assert await addresses("b.test", 5)

    asyncio.run(scenario())


def test_an_event_loop_and_a_process_end_while_a_name_is_looked_up(resolver):
    async def scenario():
        await ended(await begun("a" + SILENT))

    began = time.monotonic()
    asyncio.run(scenario())
    assert time.monotonic() - began < 10  # the look-up would take 60
    program = (
        "import asyncio, socket, time\n"
        "from src.rmi.lookups import addresses\n"
        "socket.getaddrinfo = lambda *a, **k: time.sleep(60)\n"
        "async def main():\n"
        "    await asyncio.wait({asyncio.ensure_future(addresses('a', 5))}, timeout=0.1)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)


def test_no_thread_is_told_as_a_resolver_that_is_not_there(resolver, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    async def scenario():
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(socket.gaierror) as caught:
                await addresses("a.test", 5)
        assert caught.value.errno == socket.EAI_AGAIN
        assert await addresses("a.test", 5)

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(scenario())
