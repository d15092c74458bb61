"""Stands in for the host of a node: it notes what is asked for, and the test says what comes of it and when.

It holds a node to the contract of ``sparrow.link.Host`` as well: each link has one connection and one call at a time, and no call
without a connection.
"""

import itertools
from typing import Any, NamedTuple

CONNECTING, CONNECTED = "connecting", "connected"


class FakeTimer:
    """What ``later`` returns."""

    def __init__(self, at_s, serial, action, args):
        self.due = (at_s, serial)
        self.action, self.args = action, args
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class FakeTime:
    """A clock that the test moves, and timers that fire when their time comes."""

    def __init__(self):
        self.now_s = 1000.0
        self.notes = []  # (level, text)
        self._timers = []
        self._serial = itertools.count()

    def now(self):
        return self.now_s

    def later(self, delay_s, action, *args):
        assert delay_s >= 0
        timer = FakeTimer(self.now_s + delay_s, next(self._serial), action, args)
        self._timers.append(timer)
        return timer

    def note(self, level, text):
        assert level in ("debug", "info", "warning")
        self.notes.append((level, text))

    def noted(self, level):
        return [text for noted, text in self.notes if noted == level]

    @property
    def timers(self):
        """Those that are still to fire."""
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        return self._timers

    def advance(self, seconds=0.0):
        """So much time passes, and everything happens that is due by then."""
        self.settle()
        until_s = self.now_s + seconds
        while due := [timer for timer in self.timers if timer.due[0] <= until_s + 1e-9]:
            timer = min(due, key=lambda timer: timer.due)
            self._timers.remove(timer)
            self.now_s = max(self.now_s, timer.due[0])
            timer.action(*timer.args)
            self.settle()
        self.now_s = max(self.now_s, until_s)

    def settle(self):
        """What is going on now is over."""


class Called(NamedTuple):
    """A call, as it was begun."""

    name: str  # of the peer
    batch: list[Any]


class FakeHost(FakeTime):
    """The host of links, and of the node of a scheduler or of a worker."""

    def __init__(self):
        super().__init__()
        self.connections = {}  # link -> CONNECTING or CONNECTED
        self.under_way = {}  # link -> the batch of its call
        self.connects = []  # (name, time) of every try
        self.calls = []
        self.hung_up = []  # names
        self.forgotten = []  # (name, uri) that the name server is to remove
        self.listings = []  # prefixes that the name server was asked for
        self.ended_jobs = []
        self.runs = []  # in slots: (owner, run, duration)
        self.greetings = []  # (scheduler, uri)
        self.goodbyes = 0  # how often the node has left
        self._touched = {}

    # What a link asks

    def connect(self, link):
        assert link not in self.connections, "two connections of one link"
        self.connections[link] = CONNECTING
        self.connects.append((link.name, self.now_s))

    def hang_up(self, link):
        self.connections.pop(link, None)
        self.under_way.pop(link, None)
        self.hung_up.append(link.name)

    def call(self, link, batch):
        assert self.connections.get(link) == CONNECTED, "a call without a connection"
        assert link not in self.under_way, "two calls at a time"
        assert batch
        self.under_way[link] = batch
        self.calls.append(Called(link.name, list(batch)))

    def flush_soon(self, link):
        self._touched[link] = None

    def settle(self):
        while self._touched:
            touched, self._touched = self._touched, {}
            for link in touched:
                link.flush()

    # What comes of it

    def let_in(self, link, incarnation="1", name=None, **greeting):
        """The connection stands, and this is what its other end says of itself."""
        assert self.connections[link] == CONNECTING
        self.connections[link] = CONNECTED
        link.connected({"name": name or link.name, "incarnation": incarnation, **greeting})
        self.settle()

    def fail(self, link, how, reason="no luck"):
        """A try to connect fails; ``how`` is the method of the link that is told."""
        assert self.connections.pop(link) == CONNECTING
        getattr(link, how)(reason)
        self.settle()

    def break_off(self, link):
        """A connection ends, and with it a call."""
        assert self.connections.pop(link) == CONNECTED
        self.under_way.pop(link, None)
        link.disconnected()
        self.settle()

    def answer(self, link, *answers):
        """The call is answered."""
        del self.under_way[link]
        link.answered(list(answers))
        self.settle()

    def end_call(self, link, how, reason="no luck"):
        """The call ends otherwise; ``how`` is the method of the link that is told."""
        del self.under_way[link]
        getattr(link, how)(reason)
        self.settle()

    # What a scheduler and a worker ask

    def list_names(self, prefix):
        self.listings.append(prefix)

    def forget_name(self, name, uri):
        self.forgotten.append((name, uri))

    def job_ended(self, report):
        self.ended_jobs.append(report["id"])
        return report

    def start_run(self, owner, run, duration_s):
        self.runs.append((owner, run, duration_s))

    def stop_run(self, owner, run):
        (started,) = [one for one in self.runs if one[:2] == (owner, run)]
        self.runs.remove(started)

    def empty_run(self, owner, run):
        """A task of no length."""

    def left(self):
        self.goodbyes += 1

    def greet(self, scheduler, uri):
        self.greetings.append((scheduler, uri))


class FakeClientHost(FakeTime):
    """The host of a client's node."""

    def __init__(self):
        super().__init__()
        self.listings = []  # prefixes that the name server was asked for
        self.connecting = {}  # scheduler -> uri
        self.hung_up = []
        self.handed = []  # (scheduler, job) for each time that a job was handed over
        self.asked = []  # (scheduler, jobs, within_s)
        self.finished = {}  # job -> report
        self.handed_over = {}  # job -> how often it went to another scheduler
        self.failed = {}  # job -> error
        self.said = []

    def list_names(self, prefix):
        self.listings.append(prefix)

    def connect(self, scheduler, uri, within_s):
        assert scheduler not in self.connecting
        self.connecting[scheduler] = uri

    def hang_up(self, scheduler):
        self.hung_up.append(scheduler)

    def schedule(self, scheduler, spec):
        self.handed.append((scheduler, spec.id))

    def ask_progress(self, scheduler, jobs, within_s):
        self.asked.append((scheduler, jobs, within_s))

    def finish(self, job, report, handed_over):
        assert job not in self.finished
        assert job not in self.failed
        self.finished[job] = report
        self.handed_over[job] = handed_over

    def fail(self, job, error):
        assert job not in self.finished
        assert job not in self.failed
        self.failed[job] = error

    def say(self, line):
        self.said.append(line)
