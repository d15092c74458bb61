"""Whose turn it is to be connected: names that lead nowhere keep nobody waiting, and what is refused for long is removed."""

import random

import pytest

from src.sparrow.dialing import Dialing, Rate, some_of
from src.sparrow.settings import DialingSettings

SETTINGS = DialingSettings(at_once=4, per_host=2, new_per_s=1_000.0, failing_per_s=5.0)


def uri(name, host="a", port=1):
    return f"PYRO:{name}@{host}:{port}"


def names(count, host=None, start=0):
    """So many names, each on a host of its own or all on one."""
    return {f"w{n}": uri(f"w{n}", host or f"h{n}") for n in range(start, start + count)}


def begun(dialing, now=100.0):
    """The names that are begun now."""
    found = []
    while (one := dialing.next(now)) is not None:
        found.append(one[0])
    return found


def failing(count, **options):
    """A dialing whose names have all failed once, at 0 s."""
    dialing = Dialing(SETTINGS)
    dialing.seen(names(count, **options))
    now = 0.0
    while found := begun(dialing, now):
        for name in found:
            dialing.failed(name, 0.0, False)
        now += 0.001
    return dialing


def test_each_name_is_begun_once_in_the_order_of_the_listing():
    dialing = Dialing(SETTINGS)
    dialing.seen({name: uri(name, name) for name in "abc"})
    assert begun(dialing) == ["a", "b", "c"]
    dialing.seen({name: uri(name, name) for name in "abc"})
    assert begun(dialing) == []
    for name in "abc":
        dialing.up(name)
    dialing.seen({name: uri(name, name) for name in "abc"})
    assert begun(dialing) == []


def test_what_is_begun_at_once_is_bounded_in_all_and_for_each_host():
    dialing = Dialing(SETTINGS)
    dialing.seen({**names(5, host="one"), **names(5, start=5)})
    first = begun(dialing)
    assert len(first) == 4
    assert len([name for name in first if int(name[1:]) < 5]) <= 2
    dialing.failed(first[0], 100.0, False)
    assert len(begun(dialing)) == 1
    assert dialing.has_queued


def test_one_host_that_is_full_does_not_keep_the_others_waiting():
    dialing = Dialing(SETTINGS)
    dialing.seen({**names(1_000, host="one"), "other": uri("other", "b")})
    assert "other" in begun(dialing)


def test_new_names_go_before_those_that_fail_and_the_newest_goes_first():
    dialing = failing(100)
    dialing.seen({**names(100), **names(50, start=100)})
    assert [int(name[1:]) >= 100 for name in begun(dialing, 1.5)][:4] == [True] * 4
    dialing.seen({**names(150), "newest": uri("newest", "n")})
    dialing.failed("w100", 1.5, False)
    assert begun(dialing, 1.6)[0] == "newest"


def test_names_that_have_answered_and_names_that_greet_have_room_whatever_else_there_is():
    dialing = Dialing(SETTINGS)
    found = {"old": uri("old", "a")}
    dialing.seen(found)
    assert begun(dialing) == ["old"]
    dialing.up("old")
    dialing.failed("old", 100.0, False)
    found.update(names(1_000, host="a"))
    dialing.seen(found)
    assert len(begun(dialing, 100.1)) == 2
    assert begun(dialing, 101.0) == ["old"], "its second is over"
    found["greets"] = uri("greets", "a")
    dialing.seen(found, {"greets"})
    assert begun(dialing, 101.0) == ["greets"]


def test_a_name_that_waits_for_its_turn_goes_first_when_it_greets():
    dialing = Dialing(SETTINGS)
    dialing.seen(names(1_000))
    begun(dialing)
    assert dialing.is_queued("w999")
    dialing.seen(names(1_000), {"w999"})
    assert begun(dialing) == ["w999"]
    assert not dialing.is_queued("w999")


def test_a_name_with_another_uri_that_has_answered_before_is_not_new():
    dialing = failing(1_000)
    dialing.seen({"w": uri("w")})
    assert begun(dialing) == ["w"]
    dialing.up("w")
    dialing.failed("w", 101.0, False)
    dialing.seen({**names(1_000), "w": uri("w", port=2)})
    assert begun(dialing, 101.0)[0] == "w"


def test_names_that_fail_are_tried_at_a_bounded_rate_each_in_its_turn():
    dialing = failing(200, host="one")
    tried = []
    for tenth in range(10, 700):
        for name in begun(dialing, tenth / 10):
            tried.append(name)
            dialing.failed(name, tenth / 10, False)
    assert len(tried) <= 10 + 70 * SETTINGS.failing_per_s
    assert set(tried) == set(names(200)), "all had a turn"


def test_a_name_that_is_gone_is_forgotten_and_begins_anew():
    dialing = failing(3)
    dialing.seen({})
    dialing.seen(names(3))
    assert begun(dialing, 0.1) == ["w0", "w1", "w2"]


def test_a_name_that_is_gone_while_it_is_connected_does_not_break_anything():
    dialing = Dialing(SETTINGS)
    dialing.seen(names(1))
    assert begun(dialing) == ["w0"]
    dialing.seen({})
    dialing.up("w0")
    dialing.failed("w0", 101.0, False)
    dialing.seen({})
    assert begun(dialing, 200.0) == []


def test_a_name_whose_port_refuses_for_long_is_to_be_removed():
    dialing = Dialing(SETTINGS)
    dialing.seen(names(1))
    now, told = 0.0, []
    for step in range(3_000):
        now = float(step)
        for name in begun(dialing, now):
            told.append((now, dialing.failed(name, now, refused=not 300 <= step < 320)))
    since_s = next(at_s for at_s, _ in told if at_s >= 320)
    assert [at_s for at_s, remove in told if remove][0] >= since_s + SETTINGS.refused_for_s
    assert not any(remove for at_s, remove in told if at_s < since_s + SETTINGS.refused_for_s)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_bounds_hold_and_every_name_has_its_turn(seed):
    rng = random.Random(seed)
    dialing, now = Dialing(SETTINGS), 0.0
    found: dict[str, str] = {}
    under_way: dict[str, str] = {}
    up, tried = set(), set()
    for _ in range(3_000):
        now += rng.random() * 0.2
        event = rng.random()
        if event < 0.1 and len(found) < 60:
            name = f"w{rng.randrange(100)}"
            found[name] = uri(name, f"h{rng.randrange(6)}", rng.randrange(3))
        elif event < 0.15 and found:
            del found[rng.choice(list(found))]
        elif event < 0.5 and under_way:
            name = rng.choice(list(under_way))
            del under_way[name]
            if rng.random() < 0.3:
                dialing.up(name)
                up.add(name)
            else:
                dialing.failed(name, now, rng.random() < 0.5)
        elif event < 0.6 and up:
            name = rng.choice(list(up))
            up.discard(name)
            dialing.failed(name, now, False)
        dialing.seen(found, {name for name in found if rng.random() < 0.02})
        while (one := dialing.next(now)) is not None:
            assert one[0] not in under_way
            assert one[0] not in up
            under_way[one[0]] = one[1]
            tried.add(one[0])
        assert len(under_way) <= 4 * SETTINGS.at_once
        hosts = [where.rpartition("@")[2].partition(":")[0] for where in under_way.values()]
        assert all(hosts.count(host) <= 4 * SETTINGS.per_host for host in hosts)
    for _ in range(2_000):
        now += 0.5
        dialing.seen(found)
        while (one := dialing.next(now)) is not None:
            tried.add(one[0])
            dialing.failed(one[0], now, False)
        for name in list(under_way):
            del under_way[name]
            dialing.failed(name, now, False)
    assert set(found) - up <= tried


def test_a_rate_allows_a_burst_and_then_so_many_a_second():
    rate = Rate(2.0, 3.0)
    allowed = []
    for tenth in range(1_000, 1_030):
        while rate.allows(tenth / 10):
            rate.take()
            allowed.append(tenth)
    assert allowed[:3] == [1_000] * 3
    assert len(allowed) == 3 + 5


# A look of a client


def test_few_names_are_all_taken_in_their_order():
    found = names(10)
    assert list(some_of(found, 10, (), random.Random(1))) == list(found)


@pytest.mark.parametrize("seed", range(10))
def test_of_many_names_those_that_answered_and_the_hosts_in_turn_are_taken(seed):
    found = {
        **names(10_000, host="flood"),
        "known": uri("known", "flood"),
        **{f"r{n}": uri(f"r{n}", f"real{n}") for n in range(20)},
    }
    taken = some_of(found, 64, {"known"}, random.Random(seed))
    assert len(taken) == 64
    assert next(iter(taken)) == "known"
    assert {f"r{n}" for n in range(20)} <= set(taken)
    assert all(found[name] == where for name, where in taken.items())
