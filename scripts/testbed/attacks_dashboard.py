"""Attacks on the dashboard's port, and members of a cluster that tell the dashboard what is not of the declared form."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time
from typing import Any

from scripts.testbed.attacks_base import Attack, GotThroughError, Steps
from scripts.testbed.liar import NAME, Liar
from scripts.testbed.proxy import proxy_of
from scripts.testbed.target import PATIENCE_S, Target, held, one_more, send
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
LIARS_FROM = 7001  # the numbers of schedulers that lie
SHOWN_S = 1.5  # for the dashboard to find a member and to ask it

DASHBOARD = ("dashboard",)


def one_byte(target: Target, rng: random.Random) -> Steps:
    """More connections than the server holds, which have sent one byte; the oldest are made again."""
    with held() as peers:
        while True:
            peer = one_more(peers, target, MORE)
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


def unknown_jobs(target: Target, rng: random.Random) -> Steps:
    """Questions for the details of jobs that nobody knows, faster than they are answered."""
    with held() as peers:
        while True:
            peer = one_more(peers, target, ASKING)
            with contextlib.suppress(OSError):
                peer.sendall(b"GET /sparrow/jobs/%016x HTTP/1.1\r\nHost: localhost\r\n\r\n" % rng.getrandbits(64))
            yield


def ambiguous(target: Target, rng: random.Random) -> Steps:
    """Requests that two programs may read differently, and requests for another host. GotThroughError if one is answered."""
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
            raise GotThroughError(f"answered: {answer[:100]!r}")
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


def lying_schedulers(target: Target, rng: random.Random) -> Steps:
    """Schedulers that come, answer what is not of the declared form, and go: the page stays, and goes on as before."""
    with proxy_of(target.nameserver, f"{SCHEDULERS}1", target.key) as real:
        good = real.stats("[]")
    lies = [
        good.replace('"uptime_s":', '"uptime_s":NaN,"was":'),
        good.replace('"open_jobs":', '"open_jobs":' + "9" * 7_000 + ',"was":'),
        good.replace('"jobs":[', '"jobs":[' + "[" * 5_000, 1),
        "[" * 100_000,
        good.replace('"workers":', '"no_workers":'),
        good.replace('"methods":', '"no_methods":'),
        7,
        None,
    ]
    if any(lie == good for lie in lies):
        raise ValueError("a lie that is true: the form of stats has changed")
    while True:
        rng.shuffle(lies)
        for number, lie in enumerate(lies, LIARS_FROM):
            name = f"{SCHEDULERS}{number}"
            with contextlib.suppress(SparrowError), LyingScheduler(target.nameserver, target.key, number, lie):
                _await_state(target, name, ("unreadable",))
            _await_state(target, name, ("gone", None))
            yield


def _await_state(target: Target, scheduler: str, states: tuple[str | None, ...]) -> None:
    """Wait until the page shows the scheduler so. GotThroughError if it does not, or is spoilt for the others."""
    until = time.monotonic() + PATIENCE_S
    while (state := (data := _page(target))["schedulers"].get(scheduler, {}).get("state")) not in states:
        if data["schedulers"][f"{SCHEDULERS}1"]["state"] != "up" or time.monotonic() > until:
            raise GotThroughError(f"a scheduler that lies is shown as {state}, the real one as {data['schedulers']}")
        time.sleep(0.05)


def _page(target: Target) -> Any:
    """Returns what the page shows, read as a browser reads it: NaN is no JSON. Raises GotThroughError if that cannot be read."""
    head, _, body = send(target, b"GET /sparrow/stats HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")

    def refuse(name: str) -> None:
        raise GotThroughError(f"{name} is no JSON")

    try:
        return json.loads(body, parse_constant=refuse)
    except ValueError as error:
        raise GotThroughError(f"the page cannot be read: {head[:100]!r}: {error}") from None


DASHBOARD_ATTACKS = {
    "one-byte": Attack(one_byte, 1_000, DASHBOARD),
    "unread": Attack(unread, 300, DASHBOARD),
    "unknown-jobs": Attack(unknown_jobs, 1_000, DASHBOARD),
    "ambiguous": Attack(ambiguous, 200, DASHBOARD),
    "lying-members": Attack(lying_members, 2, DASHBOARD),
    "lying-schedulers": Attack(lying_schedulers, 2, DASHBOARD),
}
