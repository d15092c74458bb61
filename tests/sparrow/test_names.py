"""How a name is had, kept and given back, over a name server and a clock of the test's own."""

import random
from typing import Any

import pytest

from src.simulation.nameserver import Step, run
from src.sparrow.errors import AccessDeniedError, NameTakenError, UnavailableError
from src.sparrow.names import HeldName, Reached, claim_first
from src.sparrow.settings import NamingSettings
from tests.support.fakehost import FakeTime

SETTINGS = NamingSettings()
NAME = "sparrow.worker.w1"
OURS, THEIRS = "PYRO:sparrow.worker.w1@127.0.0.1:1", "PYRO:sparrow.worker.w1@127.0.0.1:2"


class FakeNaming(FakeTime):
    """A name server, which may be away, and processes that may be there; whatever waits takes its time."""

    def __init__(self, taken=False):
        super().__init__()
        self.names = {NAME: THEIRS} if taken else {}
        self.error = None  # what whoever asks the name server is told instead
        self.there = {}  # uri -> what whoever is there is found to be
        self.asked = []  # what the name server was asked
        self.looks = []  # (uri, within_s)

    def _ask(self, *question):
        self.asked.append(question)
        if self.error is not None:
            raise self.error

    async def register(self, name, uri, safe):
        self._ask("register", uri, safe)
        if safe and name in self.names:
            return False
        self.names[name] = uri
        return True

    async def lookup(self, name):
        self._ask("lookup")
        return self.names.get(name)

    async def unregister(self, name, uri):
        self._ask("unregister", name, uri)

    async def wait_for_name_server(self):
        while self.error is not None:
            await self.sleep(0.25)

    async def reach(self, uri, within_s):
        self.looks.append((uri, within_s))
        return self.there.get(uri, Reached(False, None))

    async def sleep(self, seconds):
        def begin(resume):
            self.later(seconds, resume, None)

        await Step(begin)

    def begin(self, coroutine):
        """Runs it; returns a list that gets what comes of it."""
        ended: list[Any] = []
        run(coroutine, ended.append)
        return ended


def held_by(host, name=NAME, uri=OURS):
    return HeldName(host, name, uri, random.Random(1), SETTINGS)


def claim(host):
    """Claims the name at once; returns the error if there is one."""
    (result,) = host.begin(held_by(host).claim())
    return result


# Claiming


def test_a_name_that_nobody_has_is_ours():
    host = FakeNaming()
    assert claim(host) is None
    assert host.names == {NAME: OURS}
    assert claim(host) is None, "and still is"
    assert host.looks == []


def test_a_name_is_not_taken_from_the_living():
    host = FakeNaming(taken=True)
    host.there[THEIRS] = Reached(True, NAME)
    error = claim(host)
    assert isinstance(error, NameTakenError)
    assert str(error).startswith(f"the name {NAME} is taken by a live process at 127.0.0.1:2; choose another with --number")
    assert host.names == {NAME: THEIRS}
    assert host.looks == [(THEIRS, SETTINGS.look_s)]


def test_whoever_does_not_answer_just_now_counts_as_living():
    host = FakeNaming(taken=True)
    host.there[THEIRS] = Reached(True, None)
    assert isinstance(claim(host), NameTakenError)
    assert host.names == {NAME: THEIRS}


@pytest.mark.parametrize("found", [Reached(False, None), Reached(True, "sparrow.worker.other"), Reached(True, "")])
def test_a_name_is_taken_over_from_the_dead(found):
    """Nobody is at its address any more, or somebody else is."""
    host = FakeNaming(taken=True)
    host.there[THEIRS] = found
    assert claim(host) is None
    assert host.names == {NAME: OURS}


def test_a_name_that_is_given_back_during_the_claim_is_ours():
    host = FakeNaming(taken=True)

    async def lookup(name):
        host.names.clear()
        return

    host.lookup = lookup
    assert claim(host) is None
    assert host.names == {NAME: OURS}
    assert host.looks == []


def test_a_claim_fails_while_the_name_server_is_away():
    host = FakeNaming()
    host.error = UnavailableError("no name server")
    assert claim(host) is host.error


# Claiming the first to be had


def first_of(host, *names):
    return host.begin(claim_first((held_by(host, name) for name in names), SETTINGS, host))


def test_the_first_name_that_is_to_be_had_is_claimed():
    host = FakeNaming(taken=True)
    host.there[THEIRS] = Reached(True, NAME)
    (held,) = first_of(host, NAME, f"{NAME}.2", f"{NAME}.3")
    assert held.name == f"{NAME}.2"
    assert host.names == {NAME: THEIRS, f"{NAME}.2": OURS}


def test_when_every_name_is_taken_the_last_error_says_so():
    host = FakeNaming(taken=True)
    host.there[THEIRS] = Reached(True, NAME)
    (error,) = first_of(host, NAME)
    assert isinstance(error, NameTakenError)
    assert NAME in str(error)


def test_a_name_is_waited_for_as_long_as_the_name_server_is_away():
    host = FakeNaming()
    host.error = UnavailableError("no name server")
    ended = first_of(host, NAME, f"{NAME}.2")
    host.advance(1000.0)
    assert ended == []
    assert len(host.asked) == 1, "whether it is back is found out by whoever waits for it"
    host.error = None
    host.advance(1.0)
    assert [held.name for held in ended] == [NAME], "the first name is not lost over this"


def test_a_name_server_that_is_not_for_us_is_not_waited_for():
    host = FakeNaming()
    host.error = AccessDeniedError("it has another key")
    assert first_of(host, NAME) == [host.error]


# Keeping


def hold(host):
    """A name that is ours and is kept from now on; returns what comes of that."""
    claim(host)
    host.asked.clear()
    return host.begin(held_by(host).hold())


def test_a_name_that_is_ours_is_looked_at_now_and_then_and_not_bound_again():
    host = FakeNaming()
    ended = hold(host)
    host.advance(0.74 * SETTINGS.renew_s)
    assert host.asked == []
    host.advance(40.0 * SETTINGS.renew_s)
    assert set(host.asked) == {("lookup",)}
    assert 40 / 1.25 <= len(host.asked) <= 41 / 0.75
    assert (ended, host.notes) == ([], [])


def test_the_looks_of_many_who_started_together_spread():
    host = FakeNaming()
    for seed in range(50):
        host.begin(HeldName(host, NAME, OURS, random.Random(seed), SETTINGS).hold())
    times = [timer.due[0] for timer in host.timers]
    assert max(times) - min(times) > 0.4 * SETTINGS.renew_s


def test_a_name_that_the_name_server_forgot_is_bound_again():
    host = FakeNaming()
    hold(host)
    host.names.clear()
    host.advance(1.25 * SETTINGS.renew_s)
    assert host.names == {NAME: OURS}
    assert host.noted("info") == [f"{NAME}: registered again, the name server did not have it"]


def test_a_name_that_a_living_process_has_got_meanwhile_is_lost():
    host = FakeNaming()
    ended = hold(host)
    host.names[NAME] = THEIRS
    host.there[THEIRS] = Reached(True, NAME)
    host.advance(1.25 * SETTINGS.renew_s)
    assert isinstance(ended[0], NameTakenError)
    assert host.names == {NAME: THEIRS}
    assert host.timers == []


def test_a_name_that_a_dead_process_has_got_meanwhile_is_taken_back():
    host = FakeNaming()
    ended = hold(host)
    host.names[NAME] = THEIRS
    host.advance(1.25 * SETTINGS.renew_s)
    assert (ended, host.names) == ([], {NAME: OURS})


@pytest.mark.parametrize("error", [UnavailableError("no name server"), AccessDeniedError("it has another key")], ids=repr)
def test_while_the_name_server_is_away_it_is_tried_often_and_told_once(error):
    host = FakeNaming()
    ended = hold(host)
    host.error = error
    host.advance(1.25 * SETTINGS.renew_s)
    host.asked.clear()
    host.advance(10.0)
    assert len(host.asked) == 10.0 / SETTINGS.retry_s
    assert host.notes == [("warning", f"{NAME}: {error}; trying again until it is back")]
    host.error = None
    host.advance(SETTINGS.retry_s)
    assert host.notes[1:] == [("info", f"{NAME}: the name server is back")]
    host.asked.clear()
    host.advance(0.7 * SETTINGS.renew_s)
    assert (ended, host.asked) == ([], []), "and from now on it is looked at as before"


def test_a_name_server_that_is_back_without_our_name_gets_it_and_the_next_outage_is_told_again():
    host = FakeNaming()
    hold(host)
    for _ in range(2):
        host.error = UnavailableError("no name server")
        host.advance(1.25 * SETTINGS.renew_s)
        host.error = None
        host.names.clear()
        host.advance(SETTINGS.retry_s)
        assert host.names == {NAME: OURS}
    assert [level for level, _ in host.notes] == ["warning", "info"] * 2


# Giving back


def test_a_name_is_given_back_if_it_is_still_bound_to_us():
    host = FakeNaming()
    claim(host)
    assert host.begin(held_by(host).release()) == [None]
    assert host.asked[-1] == ("unregister", NAME, OURS)
