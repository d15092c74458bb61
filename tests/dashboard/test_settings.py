"""Times and limits of the dashboard are handed in, so tests of them need no more time than they say."""

import asyncio
import json
import socket
import time
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest

from src.dashboard.answers import parsed_load, worker_greeting
from src.dashboard.hosts import AllowedHosts
from src.dashboard.http_messages import Response, text_response
from src.dashboard.monitor import Monitor
from src.dashboard.settings import MonitorSettings
from src.dashboard.target import UNREGISTERED, Connector, Question, Target, TargetSettings
from src.dashboard.webserver import WebServer, WebServerLimits
from tests.support.live import eventually


async def ok(request):
    return text_response(HTTPStatus.OK)


async def listening(respond=ok, **limits):
    server = WebServer(respond, (("X-Always", "here"),), AllowedHosts([]), WebServerLimits(**limits))
    return server, await server.listen("127.0.0.1", 0)


async def ended(reader):
    """Everything until the server ends the connection, as it must soon."""
    try:
        return await asyncio.wait_for(reader.read(), 5.0)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        ({"first_s": 0.1}, b""),
        ({"head_s": 0.1}, b"GET /"),
        ({"head_s": 0.1}, b"\r\n"),
    ],
)
def test_who_says_nothing_or_not_all_in_time_is_let_go(limits, sent):
    async def main():
        server, port = await listening(**limits)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        began = time.monotonic()
        assert await ended(reader) == b""
        assert time.monotonic() - began > 0.08
        writer.close()
        server.close()

    asyncio.run(main())


def test_a_head_may_be_only_so_long():
    async def main():
        server, port = await listening(max_head_bytes=100)
        for extra, status in ((20, b"200 OK"), (200, b"431")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + extra * b"a" + b"\r\n\r\n")
            received = await ended(reader)
            assert received.startswith(b"HTTP/1.1 " + status)
            assert b"\r\nX-Always: here\r\n" in received
            writer.close()
        server.close()

    asyncio.run(main())


def test_the_longest_idle_connection_makes_room_for_a_new_one():
    async def main():
        server, port = await listening(max_connections=2)
        first, second, third = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert await ended(first[0]) == b""
        for _, writer in (second, third):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert all([(await ended(reader)).startswith(b"HTTP/1.1 200") for reader, _ in (second, third)])
        for _, writer in (first, second, third):
            writer.close()
        server.close()

    asyncio.run(main())


def test_what_a_client_has_not_read_takes_no_memory_of_its_own():
    body = b"x" * 20_000_000

    async def large(request):
        return Response(body, "text/plain")

    async def main():
        server, port = await listening(large, part_bytes=10_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(0.2)
        (connection,) = server.room
        assert 0 < connection._transport.get_write_buffer_size() <= 10_000
        received = b""
        while part := await reader.read(1_000_000):
            received += part
        assert received.endswith(body)
        writer.close()
        server.close()

    asyncio.run(main())


def test_a_monitor_samples_as_often_as_it_is_told_and_rarely_when_nobody_looks():
    settings = MonitorSettings(round_s=0.02, idle_round_s=0.5, viewed_s=0.3, answers_s=0.01, settle_s=0.0)
    monitor = Monitor("127.0.0.1:9", settings=settings).start()
    try:
        seen = set()

        def sampled(times):
            seen.add(monitor.latest.made_at)
            return len(seen) >= times

        monitor.view()
        eventually(lambda: monitor.view() and sampled(8), 3.9)  # 8 rounds at the idle pace take 4 s
        time.sleep(0.4)  # for longer than viewed_s nobody looks
        seen.clear()
        began = time.monotonic()
        eventually(lambda: sampled(3))
        assert time.monotonic() - began > 0.45
        assert monitor.is_sampling()
    finally:
        monitor.stop()
    data = monitor.latest.data
    assert json.loads(monitor.latest.stats.body) == json.loads(json.dumps(data))
    assert data["nameserver"]["up"] is False


def test_a_target_that_cannot_be_reached_is_tried_again_after_retry_s_and_has_left_once_it_is_unregistered():
    async def main():
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            changes = []
            connector = Connector(None, 4, TargetSettings(connect_s=0.5, retry_s=0.2, most_retry_s=0.2))
            uri = f"PYRO:sparrow.worker.x@127.0.0.1:{closed.getsockname()[1]}"
            question = Question("find_load", (), parsed_load, worker_greeting)
            target: Any = Target("sparrow.worker.x", uri, question, lambda: changes.append(target.state), connector)

            async def tried():
                while target.is_busy:
                    await asyncio.sleep(0.005)

            target.ask()
            assert target.is_busy
            await tried()
            assert (target.state, changes) == ("gone", ["gone"])
            assert "no connection" in target.reason
            target.ask()
            assert not target.is_busy
            until = time.monotonic() + 5.0
            while not target.is_busy:
                assert time.monotonic() < until
                await asyncio.sleep(0.01)
                target.ask()
            await tried()
            assert changes == ["gone"]  # it was gone before
            target.set_registered(False)
            assert target.reason == UNREGISTERED
            with pytest.raises(LookupError, match="is not connected"):
                await target.fetch("stats")
            target.close()

    asyncio.run(main())


def test_an_overdue_answer_makes_a_target_silent_and_a_late_one_makes_it_up_again():
    async def main():
        changes, calls = [], []
        connector = Connector(None, 4, TargetSettings(answer_s=0.05))
        question = Question("find_load", (), parsed_load, worker_greeting)
        target: Any = Target("w", "PYRO:w@h:1", question, lambda: changes.append(target.state), connector)
        target._channel = SimpleNamespace(begin=lambda *call: calls.append(call), drop=lambda: None)
        target.ask()
        target.ask()
        ((method, arguments, answered),) = calls  # one at a time
        assert (method, arguments, target.is_busy) == ("find_load", (), True)
        target.check_deadline()
        assert changes == []
        await asyncio.sleep(0.06)
        target.check_deadline()
        assert (changes, target.gone_since) == (["silent"], None)
        assert "has not answered for 0.05 s" in target.reason
        answered(None, 3)
        assert (changes, target.answer, target.reason, target.is_busy) == (["silent", "up"], 3, "", False)
        target.ask()
        calls[-1][2](None, "three")
        assert changes == ["silent", "up", "unreadable"]
        assert target.reason.startswith("w answers something that cannot be read: load must be a whole number")
        assert target.answer == 3
        target.ask()
        calls[-1][2](ValueError("boo\n" * 1_000), None)
        assert len(target.reason) <= 300
        assert target.reason.isprintable()
        assert changes == ["silent", "up", "unreadable"]
        target.close()

    asyncio.run(main())


def test_a_scheduler_is_found_though_more_names_that_lead_nowhere_come_first_than_are_sampled(clusters, monkeypatch):
    monitor = Monitor(clusters(2).nameserver, settings=MonitorSettings(names_s=0.05, max_schedulers=3, max_turns=1))
    listed = monitor.names.list

    async def with_dead_names(prefix):
        return {**{f"sparrow.scheduler.{100 + n}": f"PYRO:x@127.0.0.1:{1 + n}" for n in range(9)}, **await listed(prefix)}

    monkeypatch.setattr(monitor.names, "list", with_dead_names)
    monitor.start()
    try:
        snapshot = eventually(lambda: (one := monitor.view()).schedulers and one)
        assert list(snapshot.schedulers) == ["sparrow.scheduler.1"]
        assert any("7 names of schedulers are left out" in reason for reason in snapshot.data["cluster"]["reasons"])
    finally:
        monitor.stop()
