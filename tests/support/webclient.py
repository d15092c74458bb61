"""Requests to a dashboard's server, for its tests."""

import http.client
import socket
import time

PAGE_S = 2.0  # for a normal request, whatever others do: far less than the shortest time that a silent one is waited for (5 s)


def ask(dashboard, path, method="GET", headers=None, body=None):
    """-> (status, headers in lower case, body)"""
    connection = http.client.HTTPConnection("127.0.0.1", dashboard.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def raw(dashboard, data, for_s=5.0):
    """Send bytes and read until the server closes."""
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=for_s) as one:
        one.sendall(data)
        received = b""
        while part := one.recv(65536):
            received += part
    return received


def status_of(received):
    return int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.1 ") else None


def assert_prompt(dashboard):
    began = time.monotonic()
    assert ask(dashboard, "/sparrow/stats")[0] == 200
    assert time.monotonic() - began < PAGE_S
