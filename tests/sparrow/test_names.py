"""How a name is had, kept and given back, over a name server and a clock of the test's own."""

import random
from typing import Any

import pytest

from src.simulation.nameserver import Step, run
from src.sparrow.errors import AccessDeniedError, NameTakenError, UnavailableError
from src.sparrow.names import CLAIMING, HeldName, claim_first
from src.sparrow.settings import NamingSettings
from tests.support.fakehost import FakeTime

SETTINGS = NamingSettings()
NAME = "sparrow.worker.w1"
OURS, THEIRS, OTHERS = (f"PYRO:sparrow.worker.w1@127.0.0.1:{port}" for port in (1, 2, 3))
HOLDER = {"name": NAME, "uri": THEIRS, "incarnation": "7"}
NO_HOLDERS = {
    "nobody, or silence": None,
    "nothing": {},
    "another program": {"name": "another"},
    "another name": {**HOLDER, "name": "sparrow.worker.other"},
    "another address": {**HOLDER, "uri": OTHERS},
    "no incarnation": {"name": NAME, "uri": THEIRS},
    "no text": {**HOLDER, "incarnation": 7},
}


class FakeNaming(FakeTime):
    """A name server, which may be away, and processes that may be there; whatever waits takes its time.

    ``atomic``: it claims in one step. ``takes_s``: for each answer.
    """

    def __init__(self, taken=False, atomic=False, takes_s=0.0):
        super().__init__()
        self.names = {NAME: THEIRS} if taken else {}
        self.atomic, self.takes_s = atomic, takes_s
        self.error = None  # what whoever asks the name server is told instead
        self.there = {}  # uri -> what whoever is there says of itself
        self.asked = []  # what the name server was asked
        self.looks = []  # (uri, within_s)

    async def _ask(self, *question):
        self.asked.append(question)
        if self.takes_s:
            await self.sleep(self.takes_s)
        if self.error is not None:
            raise self.error

    async def claim(self, name, uri, instead_of):
        if not self.atomic:
            return None
        await self._ask("claim", uri, instead_of)
        before = self.names.get(name, "")
        if before in ("", instead_of):
            self.names[name] = uri
        return before

    async def register(self, name, uri, safe):
        await self._ask("register", uri, safe)
        if safe and name in self.names:
            return False
        self.names[name] = uri
        return True

    async def lookup(self, name):
        await self._ask("lookup")
        return self.names.get(name)

    async def unregister(self, name, uri):
        await self._ask("unregister", name, uri)

    async def wait_for_name_server(self):
        while self.error is not None:
            await self.sleep(0.25)

    async def greet(self, uri, within_s):
        self.looks.append((uri, within_s))
        return self.there.get(uri)

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
    """Claims the name; returns the error if there is one."""
    ended = host.begin(held_by(host).claim())
    if not ended:
        host.advance(SETTINGS.settle_s)
    return ended[0]


@pytest.fixture(params=[False, True], ids=["pyro4-ns", "ours"])
def atomic(request):
    """Whether the name server claims in one step."""
    return request.param


# Claiming


def test_a_name_that_nobody_has_is_ours_at_once(atomic):
    host = FakeNaming(atomic=atomic)
    held = held_by(host)
    assert not held.certain
    assert host.begin(held.claim()) == [None]
    assert held.certain
    assert host.names == {NAME: OURS}
    assert claim(host) is None, "and still is"
    assert host.looks == []


def test_a_name_is_not_taken_from_the_living(atomic):
    host = FakeNaming(taken=True, atomic=atomic)
    host.there[THEIRS] = HOLDER
    error = claim(host)
    assert isinstance(error, NameTakenError)
    assert str(error).startswith(f"the name {NAME} is taken by a live process at 127.0.0.1:2; choose another with --number")
    assert host.names == {NAME: THEIRS}
    assert host.looks == [(THEIRS, SETTINGS.look_s)]


def test_of_two_that_claim_a_name_the_other_one_gets_it_if_it_is_bound(atomic):
    host = FakeNaming(taken=True, atomic=atomic)
    host.there[THEIRS] = {**HOLDER, CLAIMING: True}
    assert isinstance(claim(host), NameTakenError)
    assert host.names == {NAME: THEIRS}


@pytest.mark.parametrize("said", NO_HOLDERS.values(), ids=NO_HOLDERS)
def test_whatever_does_not_answer_as_the_name_does_not_have_it(atomic, said):
    host = FakeNaming(taken=True, atomic=atomic)
    host.there[THEIRS] = said
    assert claim(host) is None
    assert host.names == {NAME: OURS}


@pytest.mark.parametrize("when", ["before it is bound again", "afterwards"])
def test_a_name_that_another_one_takes_over_first_is_its_own(when):
    """A name server that cannot take over in one step is looked at again."""
    host = FakeNaming(taken=True, takes_s=0.01)
    host.there[OTHERS] = {**HOLDER, "uri": OTHERS, CLAIMING: True}
    held = held_by(host)
    ended = host.begin(held.claim())
    host.advance(0.015 if when == "before it is bound again" else 0.035)
    assert host.names == {NAME: THEIRS if when == "before it is bound again" else OURS}
    assert not held.certain
    host.names[NAME] = OTHERS
    host.advance(1.0)
    assert isinstance(ended[0], NameTakenError)
    assert (host.names, held.certain) == ({NAME: OTHERS}, False)


def test_who_has_a_name_takes_it_back_from_those_that_only_claim_it(atomic):
    host = FakeNaming(atomic=atomic)
    ended = hold(host)
    host.names[NAME] = THEIRS
    host.there[THEIRS] = {**HOLDER, CLAIMING: True}
    host.advance(1.25 * SETTINGS.renew_s)
    assert (ended, host.names) == ([], {NAME: OURS})


def test_a_name_that_was_bound_slowly_is_waited_for_longer():
    """Another process may have got it meanwhile, and must have had the time to see ours and to take it back."""
    host = FakeNaming(taken=True, takes_s=3.0)
    held = held_by(host)
    host.begin(held.claim())
    host.advance(9.0)
    assert host.names == {NAME: OURS}
    host.advance(1.25 * SETTINGS.renew_s)
    assert not held.certain
    host.advance(SETTINGS.look_s + 2 * 6.0 + 3.0)
    assert held.certain


def test_a_name_whose_binding_was_not_acknowledged_is_waited_for_too():
    host = FakeNaming(taken=True)
    register = host.register

    async def lost(name, uri, safe):
        await register(name, uri, safe)
        raise UnavailableError("no answer")

    host.register = lost
    held = held_by(host)
    ended = host.begin(claim_first([held], SETTINGS, host))
    host.advance(1.25 * SETTINGS.renew_s)
    assert ended == []
    host.advance(SETTINGS.look_s + 2 * SETTINGS.retry_s)
    assert ended == [held]


def test_a_name_that_is_given_back_during_the_claim_is_ours():
    host = FakeNaming(taken=True)
    answers = [THEIRS, None]

    async def lookup(name):
        host.names.pop(name, None) if len(answers) == 1 else None
        return answers.pop(0) if answers else host.names.get(name)

    host.lookup = lookup
    assert claim(host) is None
    assert host.names == {NAME: OURS}


def test_a_claim_fails_while_the_name_server_is_away(atomic):
    host = FakeNaming(atomic=atomic)
    host.error = UnavailableError("no name server")
    assert claim(host) is host.error


# Claiming the first to be had


def first_of(host, *names):
    return host.begin(claim_first((held_by(host, name) for name in names), SETTINGS, host))


def test_the_first_name_that_is_to_be_had_is_claimed():
    host = FakeNaming(taken=True)
    host.there[THEIRS] = HOLDER
    (held,) = first_of(host, NAME, f"{NAME}.2", f"{NAME}.3")
    assert held.name == f"{NAME}.2"
    assert host.names == {NAME: THEIRS, f"{NAME}.2": OURS}


def test_when_every_name_is_taken_the_last_error_says_so():
    host = FakeNaming(taken=True)
    host.there[THEIRS] = HOLDER
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
    held = held_by(host)
    assert host.begin(held.claim()) == [None]
    host.asked.clear()
    return host.begin(held.hold())


def test_a_name_that_is_ours_is_looked_at_soon_and_then_now_and_then_and_not_bound_again(atomic):
    host = FakeNaming(atomic=atomic)
    ended = hold(host)
    host.advance(SETTINGS.look_again_s)
    assert len(host.asked) == 1
    host.advance(0.74 * SETTINGS.renew_s)
    assert len(host.asked) == 1
    host.advance(40.0 * SETTINGS.renew_s)
    assert set(host.asked) == {("claim", OURS, None) if atomic else ("lookup",)}
    assert 40 / 1.25 <= len(host.asked) - 1 <= 41 / 0.75
    assert (ended, host.notes) == ([], [])


def test_the_looks_of_many_who_started_together_spread():
    host = FakeNaming()
    host.names[NAME] = OURS
    for seed in range(50):
        host.begin(HeldName(host, NAME, OURS, random.Random(seed), SETTINGS).hold())
    host.advance(SETTINGS.look_again_s)
    times = [timer.due[0] for timer in host.timers]
    assert max(times) - min(times) > 0.4 * SETTINGS.renew_s


def test_a_name_that_the_name_server_forgot_is_bound_again():
    host = FakeNaming()
    hold(host)
    host.names.clear()
    host.advance(1.25 * SETTINGS.renew_s)
    assert host.names == {NAME: OURS}
    assert host.noted("info") == [f"{NAME}: registered again, the name server did not have it"]


@pytest.mark.parametrize("error", [TypeError("no host"), RuntimeError(), KeyError("x")], ids=repr)
def test_a_name_is_held_whatever_else_goes_wrong(error):
    host = FakeNaming()
    ended = hold(host)
    host.error = error
    host.advance(10.0 * SETTINGS.renew_s)
    assert ended == []
    assert host.noted("warning") == [f"{NAME}: {type(error).__name__}: {error}; trying again until it is back"]
    host.error = None
    host.names.clear()
    host.advance(1.25 * SETTINGS.renew_s)
    assert host.names == {NAME: OURS}


def test_a_name_that_a_living_process_has_got_meanwhile_is_lost():
    host = FakeNaming()
    ended = hold(host)
    host.names[NAME] = THEIRS
    host.there[THEIRS] = HOLDER
    host.advance(1.25 * SETTINGS.renew_s)
    assert isinstance(ended[0], NameTakenError)
    assert host.names == {NAME: THEIRS}
    assert host.timers == []


@pytest.mark.parametrize("said", NO_HOLDERS.values(), ids=NO_HOLDERS)
def test_a_name_that_leads_elsewhere_meanwhile_is_taken_back_and_ends_nobody(atomic, said):
    host = FakeNaming(atomic=atomic)
    ended = hold(host)
    host.names[NAME] = THEIRS
    host.there[THEIRS] = said
    host.advance(1.25 * SETTINGS.renew_s)
    assert (ended, host.names) == ([], {NAME: OURS})
    assert host.noted("warning") == [f"{NAME}: registered again, nobody answers as {NAME} at {THEIRS}"]


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
