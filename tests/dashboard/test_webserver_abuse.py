"""The dashboard's server and those who ask wrongly, slowly or not at all: right answers, and nobody else waits."""

import socket
import time

import pytest

from scripts.testbed.dashboard import watch
from src.sparrow.metrics import percentile
from tests.support.live import eventually
from tests.support.webclient import ask, assert_prompt, raw, status_of

# Who asks for what is not there, or in the wrong way

TRAVERSALS = [
    "/web/../server.py",
    "/web/..%2fserver.py",
    "/web/%2e%2e/server.py",
    "/web/%2e%2e%2fserver.py",
    "/web/..%5cserver.py",
    "/web/..\\server.py",
    "/web/....//server.py",
    "/web/%252e%252e%252fserver.py",
    "/web//etc/passwd",
    "/web/%c0%ae%c0%ae/server.py",
    "/../../../../etc/passwd",
    "//etc/passwd",
    "/sparrow/../server.py",
    "/web/main.js%00.html",
    "/web/./main.js/../../server.py",
    "/web/screenshots/../index.html",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leaves_the_folder(dashboard, path):
    received = raw(dashboard, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert status_of(received) == 404
    assert b"import" not in received
    assert b"root:" not in received


NOT_THERE = [
    "/nothing",
    "/sparrow/nothing",
    "/web/",
    "/web",
    "/sparrow/jobs/",
    "/sparrow/jobs/none",
    "/sparrow/workers/none",
    "/favicon.ico",
]


@pytest.mark.parametrize(
    "path", [*NOT_THERE, "/sparrow/jobs/" + "x" * 4_000, "/sparrow/jobs/%00", "/sparrow/workers/%ff%fe", "/" + "%41" * 900]
)
def test_what_is_not_there_is_not_found(dashboard, path):
    assert ask(dashboard, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "BREW", "get", "__class__"])
def test_other_methods_are_refused(dashboard, method):
    received = raw(dashboard, f"{method} /sparrow HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert status_of(received) == 405
    assert b"\r\nAllow: GET, HEAD\r\n" in received


HOST = b"Host: x\r\nConnection: close\r\n\r\n"
MALFORMED = [
    (b"\0\0\0\0\r\n\r\n", 400),
    (b"GET /\0 HTTP/1.1\r\n" + HOST, 404),
    (b"GET /sparrow\r\n\r\n", 400),
    (b"GET\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n" + HOST, 505),
    (b"GET / HTTP/x\r\n" + HOST, 400),
    (b"GET / / HTTP/1.1\r\n" + HOST, 400),
    (b"GET nothing HTTP/1.1\r\n" + HOST, 404),
    (b"GET * HTTP/1.1\r\n" + HOST, 404),
    (b"GET http://[ HTTP/1.1\r\n" + HOST, 302),
    (b"GET /sparrow HTTP/1.1\r\n\r\n", 400),
    (b"GET /sparrow HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /sparrow HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 400),
    (b"GET /sparrow HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    (b"GET /sparrow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"GET /sparrow HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST, 431),
    (b"GET /sparrow HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n" + HOST, 431),
    (b"a" * 1_000_000, 431),
    (b"\xff" * 100 + b"\r\n\r\n", 400),
    (b"GET /sparrow HTTP/1.0\r\n\r\n", 200),
    (b"GET http://elsewhere/sparrow HTTP/1.1\r\n" + HOST, 200),
    (b"\r\nGET /sparrow HTTP/1.1\r\n" + HOST, 200),
]


@pytest.mark.parametrize(("data", "status"), MALFORMED, ids=lambda value: repr(value)[:40])
def test_malformed_requests_get_the_right_answer(dashboard, data, status):
    assert status_of(raw(dashboard, data)) == status
    assert_prompt(dashboard)


def test_requests_may_come_in_one_go_and_on_one_connection(dashboard):
    one = b"GET /sparrow/status HTTP/1.1\r\nHost: x\r\n\r\n"
    received = raw(dashboard, 50 * one + one.replace(b"Host", b"Connection: close\r\nHost"))
    assert received.count(b"HTTP/1.1 200 OK") == 51


# Many, slow and silent


def test_a_thousand_silent_connections_keep_nobody_waiting(dashboard):
    silent = []
    try:
        for _ in range(1_000):
            silent.append(socket.create_connection(("127.0.0.1", dashboard.port), timeout=5))
        assert_prompt(dashboard)
        for _ in range(100):  # more than it holds: the longest idle make room
            silent.append(socket.create_connection(("127.0.0.1", dashboard.port), timeout=5))
        assert_prompt(dashboard)
    finally:
        for one in silent:
            one.close()
    assert_prompt(dashboard)


def test_a_byte_a_second_is_given_up(dashboard):
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=10) as slow:
        began = time.monotonic()
        try:
            for byte in b"GET /sparrow/status HTTP/1.1\r\n":
                slow.sendall(bytes([byte]))
                assert_prompt(dashboard)
                time.sleep(0.5)
        except OSError:
            pass
        assert 3.0 < time.monotonic() - began < 7.0


def test_who_does_not_read_is_given_up(dashboard):
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=20) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(100 * b"GET /web/Chart.bundle.min.js HTTP/1.1\r\nHost: x\r\n\r\n")

        def is_closed():
            assert_prompt(dashboard)
            try:
                deaf.sendall(b"\r\n")
            except OSError:
                return True
            time.sleep(0.2)
            return False

        eventually(is_closed, 15.0)


def test_two_hundred_viewers(dashboard):
    latencies = watch(dashboard.port, 200, 3.0)
    assert len(latencies) > 400
    assert percentile(latencies, 95) < 0.05
