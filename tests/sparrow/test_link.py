"""One node's way to one peer, event by event: connections and calls."""

import pytest

from src.sparrow import messages as m
from src.sparrow.link import CONNECTING, UP
from src.sparrow.settings import LinkSettings
from tests.support.fakehost import CONNECTED
from tests.support.links import SETTINGS, assert_over, batches, launch, new_link, reserve, send

# Connecting


def test_it_connects_at_once_and_tells_what_the_peer_says_of_itself(owner, host):
    link = new_link(owner, host)
    assert (link.state, host.connects) == (CONNECTING, [("peer", host.now())])
    host.let_in(link, slots=4)
    assert (link.state, owner.told) == (UP, [("up", {"name": "peer", "incarnation": "1", "slots": 4})])
    host.advance(100.0)
    assert (link.state, host.connections[link]) == (UP, CONNECTED)
    assert host.timers == []


def test_what_is_said_before_the_connection_stands_goes_out_when_it_does(owner, host):
    link = new_link(owner, host)
    send(host, link, launch(0), launch(1))
    assert host.calls == []
    host.let_in(link)
    assert batches(host) == [[launch(0), launch(1)]]


def test_whoever_refuses_the_connection_is_lost_at_once(owner, host):
    link = new_link(owner, host)
    host.fail(link, "unreachable", "nobody listens there")
    assert owner.told == [("lost", "nobody listens there")]
    assert_over(host, link)


def test_whoever_does_not_answer_yet_is_tried_again_at_growing_intervals_and_then_given_up(owner, host):
    link = new_link(owner, host)
    began = host.now()
    while link.state == CONNECTING:
        host.fail(link, "not_yet")
        assert host.connections == {}
        tries = len(host.connects)
        while link.state == CONNECTING and len(host.connects) == tries:
            host.advance(0.005)
    times = [at_s - began for _, at_s in host.connects]
    pauses = [later - earlier for earlier, later in zip(times, times[1:])]
    assert pauses[:6] == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.1, 0.1])
    assert max(pauses) == pytest.approx(SETTINGS.retry_s)
    assert times[-1] > SETTINGS.lost_after_s - 2 * SETTINGS.retry_s
    assert host.now() - began == pytest.approx(SETTINGS.lost_after_s, abs=0.006)
    assert owner.told == [("lost", "no connection in 2.5 s")]
    assert_over(host, link)


def test_whoever_neither_takes_nor_refuses_the_connection_is_given_up(owner, host):
    link = new_link(owner, host)
    host.advance(SETTINGS.lost_after_s - 0.01)
    assert (link.state, owner.told) == (CONNECTING, [])
    host.advance(0.01)
    assert owner.of("lost") == ["no connection in 2.5 s"]
    assert_over(host, link)


def test_the_first_life_that_answers_is_the_peer(owner, host):
    link = new_link(owner, host, incarnation=None)
    host.let_in(link, incarnation="7")
    assert (link.state, link.incarnation) == (UP, "7")
    host.break_off(link)
    host.advance(SETTINGS.retry_s)
    host.let_in(link, incarnation="8")
    assert owner.of("lost") == ["it was restarted"]
    assert_over(host, link)


def test_another_life_of_the_peer_is_another_peer(owner, host):
    link = new_link(owner, host, incarnation="1")
    send(host, link, launch(0))
    host.let_in(link, incarnation="2")
    assert owner.told == [("lost", "it was restarted")]
    assert host.calls == []
    assert_over(host, link)


@pytest.mark.parametrize(
    "greeting",
    [None, "peer", {}, {"name": "peer"}, {"name": "peer", "incarnation": 1}, {"name": "other", "incarnation": "1"}],
    ids=str,
)
@pytest.mark.parametrize("incarnation", [None, "1"])
def test_whoever_does_not_say_that_he_is_the_peer_is_not(owner, host, greeting, incarnation):
    link = new_link(owner, host, incarnation)
    host.connections[link] = CONNECTED
    link.connected(greeting)
    assert owner.told == [("lost", "another process answers at its address")]
    assert_over(host, link)


# Calls


def test_what_comes_up_while_a_call_is_under_way_gathers_for_the_next(owner, host, link):
    send(host, link, launch(0))
    send(host, link, launch(1))
    send(host, link, launch(2))
    assert batches(host) == [[launch(0)]]
    assert (len(link), link.waiting) == (3, 2)
    host.answer(link)
    assert batches(host) == [[launch(0)], [launch(1), launch(2)]]
    assert (len(link), link.waiting) == (2, 0)
    host.answer(link)
    assert (len(link), len(host.calls)) == (0, 2)
    assert owner.of("answered") == [], "an acknowledgement is nothing to tell"


def test_what_is_said_in_one_go_goes_out_together(host, link):
    for number in range(5):
        link.send(launch(number))
    assert host.calls == [], "not before what is going on is over"
    host.settle()
    assert batches(host) == [[launch(number) for number in range(5)]]


def test_each_lane_has_its_calls_and_no_lane_waits_for_ever(host, link):
    send(host, link, launch(0), reserve(0), launch(1), m.Reconcile([], []), m.Cancel("job", 0), m.Probe("job", 0))
    while link in host.under_way:
        host.answer(link)
    assert batches(host) == [
        [launch(0), launch(1), m.Reconcile([], [])],
        [reserve(0), m.Cancel("job", 0)],
        [m.Probe("job", 0)],
    ]
    send(host, link, launch(2))
    send(host, link, reserve(1), launch(3))
    host.answer(link)
    assert batches(host)[-1] == [reserve(1)], "it came up before the next of the first lane did"
    host.answer(link)
    assert batches(host)[-1] == [launch(3)]


def test_what_is_too_much_for_one_call_goes_in_several(owner, host):
    link = new_link(owner, host, settings=LinkSettings(largest_batch=3))
    send(host, link, *map(launch, range(8)))
    host.let_in(link)
    while link in host.under_way:
        host.answer(link)
    assert batches(host) == [[launch(0), launch(1), launch(2)], [launch(3), launch(4), launch(5)], [launch(6), launch(7)]]


def test_answers_are_told_with_the_batch_that_they_answer(owner, host, link):
    ask, assign = m.Ask("job", 0), m.Assign("job", 0, 0, 1, 0.5)
    send(host, link, ask)
    owner.then["answered"] = lambda link: link.send(m.Done("job", 0, 1, 0.0, 0.0))
    host.answer(link, assign)
    assert owner.of("answered") == [[[ask], [assign]]]
    assert batches(host)[1:] == [[m.Done("job", 0, 1, 0.0, 0.0)]], "what an answer gives rise to goes out"


# A connection that ends


def test_what_was_under_way_goes_out_again_before_anything_newer(host, link):
    send(host, link, launch(0), launch(1))
    send(host, link, reserve(0), launch(2))
    host.break_off(link)
    assert (link.state, len(link)) == (CONNECTING, 4)
    send(host, link, launch(3))
    host.let_in(link)
    assert batches(host)[1:] == [[launch(0), launch(1), launch(2), launch(3)]]
    host.answer(link)
    assert batches(host)[2:] == [[reserve(0)]]


def test_what_was_acknowledged_does_not_go_out_again(host, link):
    send(host, link, launch(0))
    host.answer(link)
    host.break_off(link)
    host.let_in(link)
    assert batches(host) == [[launch(0)]]


def test_a_connection_that_ends_is_made_again_at_once_but_not_in_a_tight_loop(owner, host, link):
    host.break_off(link)
    assert host.connects[-1] == ("peer", host.now())
    host.let_in(link)
    assert len(owner.of("up")) == 2
    host.advance(SETTINGS.retry_s / 2)
    host.break_off(link)
    tries = len(host.connects)
    host.advance(SETTINGS.retry_s - 0.001)
    assert len(host.connects) == tries
    host.advance(0.001)
    assert len(host.connects) == tries + 1
    host.let_in(link)
    assert (link.state, host.timers) == (UP, [])


def test_a_connection_that_ends_again_and_again_is_no_reason_to_give_up(owner, host, link):
    for task in range(50):
        send(host, link, launch(task))
        for _ in range(2):
            host.break_off(link)
            host.advance(SETTINGS.retry_s)
            host.let_in(link)
        host.answer(link)
    assert owner.of("lost") == []


def test_a_peer_that_ends_the_connection_at_every_call_is_lost_in_time(owner, host, link):
    send(host, link, launch(0))
    began_s = host.now()
    while not owner.of("lost"):
        host.break_off(link)
        if not owner.of("lost"):
            host.advance(SETTINGS.retry_s)
            host.let_in(link)
    assert owner.of("lost") == ["it ends the connection at every call"]
    assert SETTINGS.lost_after_s < host.now() - began_s < SETTINGS.lost_after_s + 0.3


def test_a_peer_that_cannot_be_connected_again_is_lost_in_time(owner, host, link):
    host.break_off(link)
    host.advance(SETTINGS.lost_after_s - 0.01)
    assert owner.of("lost") == []
    host.advance(0.01)
    assert owner.of("lost") == ["no connection in 2.5 s"]
    assert_over(host, link)
