"""Attacks on the dashboard's port, and members of a cluster that tell the dashboard what is not of the declared form."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time
from collections.abc import Callable, Generator
from typing import Any

from scripts.testbed.liar import NAME, Liar
from scripts.testbed.target import Target, held, send
from src.cluster.service import Service
from src.dashboard.webserver import WebServerLimits
from src.rmi.daemon import expose
from src.rmi.errors import SparrowError
from src.rmi.security import Security
from src.sparrow.names import SCHEDULERS
from src.sparrow.settings import NamingSettings

MORE = WebServerLimits().max_connections + 200  # connections than the dashboard holds
UNREAD = 300  # connections that do not read what they have asked for
ASKING = 500  # connections with a question each
SHOWN_S = 1.5  # for the dashboard to find a member and to ask it

Steps = Generator[None, None, None]


def one_byte(target: Target, rng: random.Random) -> Steps:
    """More connections than the server holds, which have sent one byte; the oldest are made again."""
    with held() as peers:
        while True:
            if len(peers) >= MORE:
                peers.pop(0).close()
            peer = target.connect()
            peers.append(peer)
            with contextlib.suppress(OSError):  # others have made it go by now
                peer.sendall(b"G")
            yield


def unread(target: Target, rng: random.Random) -> Steps:
    """Connections that ask for the largest file and do not read it."""
    with held() as peers:
        while True:
            if len(peers) >= UNREAD:
                peers.pop(0).close()
            peer = socket.socket()
            peers.append(peer)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect((target.host, target.port))
            with contextlib.suppress(OSError):
                peer.sendall(20 * b"GET /web/Chart.bundle.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
            yield


def questions(target: Target, rng: random.Random) -> Steps:
    """Questions for the details of jobs that nobody knows, faster than they are answered."""
    with held() as peers:
        while True:
            if len(peers) >= ASKING:
                peers.pop(0).close()
            peer = target.connect()
            peers.append(peer)
            with contextlib.suppress(OSError):
                peer.sendall(b"GET /sparrow/jobs/%016x HTTP/1.1\r\nHost: localhost\r\n\r\n" % rng.getrandbits(64))
            yield


def ambiguous(target: Target, rng: random.Random) -> Steps:
    """Requests that two programs may read differently, and requests for another host. RuntimeError if one is answered."""
    inner = b"GET /sparrow/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    host = b"Host: localhost\r\n"
    fields = (
        b"Content-Length : %d\r\n" % len(inner) + host,
        b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(inner) + host,
        b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % len(inner) + host,
        b"Transfer-Encoding:\r\n" + host,
        b"A: b\r\n Content-Length: %d\r\n" % len(inner) + host,
        b"A: b\nContent-Length: %d\r\n" % len(inner) + host,
        b"Host: evil.example\r\n",
        host + b"Host: evil.example\r\n",
    )
    while True:
        answer = send(target, b"GET /sparrow HTTP/1.1\r\n" + rng.choice(fields) + b"\r\n" + inner)
        if b" 200 OK" in answer:
            raise RuntimeError(f"answered: {answer[:100]!r}")
        yield


class LyingWorker(Liar):
    """A worker that claims these slots and has this load. What it reports of tasks is false as well."""

    def __init__(self, nameserver: str, key: bytes | None, slots: Any = 1, load: Any = 0, name: str = NAME) -> None:
        super().__init__(nameserver, f"{SCHEDULERS}1", key, random.Random(1), name)
        self._slots, self._load = slots, load

    def _who(self) -> dict[str, Any]:
        return {**super()._who(), "slots": self._slots}

    @expose
    def find_load(self) -> Any:
        """Returns what it was told to return."""
        return self._load


class LyingScheduler(Service):
    """A scheduler that answers this to every question for its state, and takes no job."""

    def __init__(self, nameserver: str, key: bytes | None, number: int, answer: Any) -> None:
        super().__init__([f"{SCHEDULERS}{number}"], nameserver, None, 0, Security(key), NamingSettings())
        self.answer = answer

    @expose
    def stats(self, job_ids: Any = (), details: Any = False, brief: Any = False) -> Any:
        """Returns what it was told to return."""
        return self.answer

    @expose
    def schedule(self, job: Any) -> Any:
        """Raises BlockingIOError."""
        raise BlockingIOError("try later: this is no scheduler")


WORKER_LIES: tuple[dict[str, Any], ...] = (
    {"slots": 10**4000},
    {"slots": "many"},
    {"slots": None},
    {"slots": [[[[[]]]]]},
    {"load": -1},
    {"load": 10**4000},
    {"load": 1e300},
    {"load": [[[[[]]]]]},
    {"load": "x" * 1_000_000},
)


def lying_members(target: Target, rng: random.Random) -> Steps:
    """Workers that come, say what cannot be, and go. Without the key of the cluster they are not let in."""
    lies = list(WORKER_LIES)
    while True:
        rng.shuffle(lies)
        for lie in lies:
            with contextlib.suppress(SparrowError), LyingWorker(target.nameserver, target.key, **lie):
                until = time.monotonic() + SHOWN_S
                while time.monotonic() < until and not _is_shown(target):
                    time.sleep(0.05)
            yield


def _is_shown(target: Target) -> bool:
    head, _, body = send(target, b"GET /sparrow/stats HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    return bool(body) and json.loads(body)["workers"].get(NAME, {}).get("state") == "unreadable"


Act = Callable[[Target, random.Random], Steps]
# (act, acts a second, on the dashboard, on workers, occupies them, on schedulers), as the fields of an Attack
DASHBOARD_ATTACKS: dict[str, tuple[Act, float, bool, bool, bool, bool]] = {
    "one-byte": (one_byte, 1_000, True, False, False, False),
    "unread": (unread, 300, True, False, False, False),
    "questions": (questions, 1_000, True, False, False, False),
    "ambiguous": (ambiguous, 200, True, False, False, False),
    "lying-members": (lying_members, 2, True, False, False, False),
}
