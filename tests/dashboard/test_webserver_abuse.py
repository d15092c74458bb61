"""The dashboard's server and those who ask wrongly, slowly or not at all: right answers, and nobody else waits."""

import socket
import time

import pytest

from scripts.testbed.dashboard import Dashboard, watch
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
    received = raw(dashboard, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1"))
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
    received = raw(dashboard, f"{method} /sparrow HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert status_of(received) == 405
    assert b"\r\nAllow: GET, HEAD\r\n" in received


HOST = b"Host: localhost\r\nConnection: close\r\n\r\n"
MALFORMED = [
    (b"\0\0\0\0\r\n\r\n", 400),
    (b"GET /\0 HTTP/1.1\r\n" + HOST, 400),
    (b"GET /sparrow\r\n\r\n", 400),
    (b"GET\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n" + HOST, 505),
    (b"GET / HTTP/x\r\n" + HOST, 400),
    (b"GET / / HTTP/1.1\r\n" + HOST, 400),
    (b"GET  / HTTP/1.1\r\n" + HOST, 400),
    (b" GET / HTTP/1.1\r\n" + HOST, 400),
    (b"GET\t/ HTTP/1.1\r\n" + HOST, 400),
    (b"G(T / HTTP/1.1\r\n" + HOST, 400),
    (b"GET / HTTP/1.1 \r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\n\r\n", 400),
    (b"GET /sparrow HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /sparrow HTTP/1.1\r\n" + b"a: b\r\n" * 200 + HOST, 431),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST, 431),
    (b"GET /sparrow HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n" + HOST, 431),
    (b"a" * 1_000_000, 431),
    (b"\xff" * 100 + b"\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET /sparrow HTTP/1.0\r\n\r\n", 200),
    (b"\r\nGET /sparrow HTTP/1.1\r\n" + HOST, 200),
    (b"\r\n\r\nGET /sparrow HTTP/1.1\r\n" + HOST, 400),
    # targets that are no paths
    (b"GET nothing HTTP/1.1\r\n" + HOST, 400),
    (b"GET * HTTP/1.1\r\n" + HOST, 400),
    (b"GET http://[ HTTP/1.1\r\n" + HOST, 400),
    (b"GET localhost:80 HTTP/1.1\r\n" + HOST, 400),
    (b"GET https://localhost/sparrow HTTP/1.1\r\n" + HOST, 400),
    (b"GET http://localhost:1/sparrow HTTP/1.1\r\n" + HOST, 200),
    (b"GET HTTP://LOCALHOST/sparrow HTTP/1.1\r\n" + HOST, 200),
    (b"GET http://elsewhere/sparrow HTTP/1.1\r\n" + HOST, 421),  # it counts, not the Host field
    (b"GET http://localhost/sparrow HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n", 200),
    (b"GET http://user@localhost/sparrow HTTP/1.1\r\n" + HOST, 400),
    # bodies, and what may be taken for one by somebody else
    (b"GET /sparrow HTTP/1.1\r\nContent-Length: 5\r\n" + HOST + b"hello", 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length: -1\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length: +0\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length: 0, 0\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length:\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length: \xb2\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length : 5\r\n" + HOST + b"hello", 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length\t: 5\r\n" + HOST + b"hello", 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n" + HOST + b"hello", 400),
    (b"GET /sparrow HTTP/1.1\r\nContent-Length: 0\r\n" + HOST, 200),
    (b"GET /sparrow HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"0\r\n\r\n", 400),
    (b"GET /sparrow HTTP/1.1\r\nTransfer-Encoding:\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nTransfer-Encoding : chunked\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n" + HOST, 400),
    # lines and fields
    (b"GET /sparrow HTTP/1.1\nHost: localhost\n\n", 400),
    (b"GET /sparrow HTTP/1.1\r\nHost: localhost\n\r\n", 400),
    (b"GET /sparrow HTTP/1.1\r\nA: b\rContent-Length: 5\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nA: b\r\n c: folded\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nA: b\r\n\tfolded\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\n A: b\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nno colon\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\n: no name\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nA: \0\r\n" + HOST, 400),
    (b"GET /sparrow HTTP/1.1\r\nA: \xe9\r\nB:\tc\t\r\nC:\r\n" + HOST, 200),
]


@pytest.mark.parametrize(("data", "status"), MALFORMED, ids=lambda value: repr(value)[:40])
def test_malformed_requests_get_the_right_answer(dashboard, data, status):
    assert status_of(raw(dashboard, data)) == status
    assert_prompt(dashboard)


def test_nothing_after_a_refused_request_is_taken_for_a_request(dashboard):
    smuggled = b"GET /sparrow/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for first in (b"Content-Length: %d\r\n" % len(smuggled), b"Transfer-Encoding: chunked\r\n", b"Content-Length : 9\r\n"):
        received = raw(dashboard, b"GET /sparrow HTTP/1.1\r\nHost: localhost\r\n" + first + b"\r\n" + smuggled)
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in received


HOSTS = [
    ("localhost", 200),
    ("localhost:8901", 200),
    ("LocalHost.", 200),
    ("127.0.0.1", 200),
    ("127.0.0.1:1", 200),
    ("[::1]:8901", 200),
    ("192.0.2.7", 200),
    ("lab7.example", 200),  # --allow-host
    ("evil.example", 421),
    ("localhost.evil.example", 421),
    ("127.0.0.1.evil.example", 421),
    ("2130706433", 421),
    ("0x7f.1", 421),
    ("", 400),
    ("a b", 400),
    ("user@localhost", 400),
    ("localhost:x", 400),
    ("localhost/", 400),
    ("evil.example#localhost", 400),
]


@pytest.fixture(scope="module")
def named(clusters):
    """A dashboard that is reached under another name as well."""
    with Dashboard(clusters(8).nameserver, options=("--allow-host", "lab7.example")) as one:
        yield one


@pytest.mark.parametrize(("host", "status"), HOSTS)
def test_only_names_that_lead_here_are_answered(named, host, status):
    """Else a page whose name is made to lead here could read everything in the browser of somebody who may."""
    for path in ("/sparrow/stats", "/nothing") if status == 421 else ("/sparrow/stats",):
        received = raw(named, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert status_of(received) == status
        if status == 421:
            assert f"start it with --allow-host {host}".encode() in received
            assert b"workers" not in received


def test_requests_may_come_in_one_go_and_on_one_connection(dashboard):
    one = b"GET /sparrow/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
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


def test_connections_that_sent_one_byte_keep_nobody_out(dashboard):
    """They are renewed all the while, and they are more than the server holds."""
    begun = []
    try:
        for number in range(1_500):
            one = socket.create_connection(("127.0.0.1", dashboard.port), timeout=5)
            one.sendall(b"G")
            begun.append(one)
            if number % 50 == 49:
                assert ask(dashboard, "/sparrow/status")[0] == 200
        assert_prompt(dashboard)
    finally:
        for one in begun:
            one.close()


def test_who_sends_nothing_more_gets_the_whole_answer(dashboard):
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=5) as one:
        one.sendall(b"GET /web/Chart.bundle.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        one.shutdown(socket.SHUT_WR)
        received = b""
        while part := one.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert len(body) > 100_000


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
        assert 3.0 < time.monotonic() - began < 14.0  # and not the 15 s that all of it takes


def test_who_does_not_read_is_given_up(dashboard):
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=20) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(100 * b"GET /web/Chart.bundle.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n")

        def is_closed():
            assert_prompt(dashboard)
            try:
                deaf.sendall(b"\r\n")
            except OSError:
                return True
            time.sleep(0.2)
            return False

        eventually(is_closed)


def test_two_hundred_viewers(dashboard):
    alone = watch(dashboard.port, 1, 3.0)
    latencies = watch(dashboard.port, 200, 3.0)
    assert len(latencies) > 400
    assert percentile(latencies, 95) < max(0.05, 20 * percentile(alone, 95))  # scripts/viewers measures it
