"""One node's way to one peer when the peer refuses, has no room or is lost, when it is closed, and whatever else happens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.sparrow import messages as m
from src.sparrow.link import UP
from src.sparrow.settings import LinkSettings
from tests.support.fakehost import CONNECTED, FakeHost
from tests.support.links import SETTINGS, Owner, assert_over, batches, launch, new_link, reserve, send

# A peer that will not have it


def test_a_message_that_is_refused_is_told_and_dropped(owner, host, link):
    send(host, link, launch(0))
    send(host, link, launch(1))
    host.end_call(link, "refused", "unknown")
    assert owner.of("refused") == [launch(0)]
    assert host.noted("warning") == [f"peer refuses {launch(0)}: unknown"]
    assert batches(host)[1:] == [[launch(1)]]


def test_the_bad_one_of_a_batch_is_found_with_nothing_newer_in_between(owner, host, link):
    send(host, link, launch(0), launch(1), launch(2))
    send(host, link, reserve(0), launch(3))
    host.end_call(link, "refused")
    assert owner.of("refused") == []
    send(host, link, launch(4))
    for number in range(3):
        assert batches(host)[-1] == [launch(number)]
        if number == 1:
            host.end_call(link, "refused")
        else:
            host.answer(link)
    assert owner.of("refused") == [launch(1)]
    assert batches(host)[-1] == [reserve(0)]
    host.answer(link)
    assert batches(host)[-1] == [launch(3), launch(4)]
    host.answer(link)
    assert len(link) == 0


def test_the_search_for_the_bad_one_goes_on_after_a_broken_connection(owner, host, link):
    send(host, link, launch(0), launch(1))
    host.end_call(link, "refused")
    host.break_off(link)
    send(host, link, launch(2))
    host.let_in(link)
    assert batches(host)[-1] == [launch(0)]
    host.end_call(link, "refused")
    assert batches(host)[-1] == [launch(1)]
    host.answer(link)
    assert batches(host)[-1] == [launch(2)]
    assert owner.of("refused") == [launch(0)]


# What a lost peer has taken


def test_what_was_never_sent_was_not_taken(owner, host, link):
    send(host, link, launch(0))
    send(host, link, launch(1), reserve(0))
    host.break_off(link)
    assert list(link.untaken()) == [launch(1), reserve(0)], "what was under way when the connection ended may have arrived"
    host.fail(link, "unreachable")
    assert owner.of("lost")
    assert list(link.untaken()) == [launch(1), reserve(0)]


def test_what_was_acknowledged_or_is_under_way_may_have_been_taken(owner, host, link):
    send(host, link, launch(0))
    host.break_off(link)
    host.let_in(link)
    host.answer(link)
    send(host, link, launch(0))
    send(host, link, launch(1))
    assert list(link.untaken()) == [launch(1)]
    host.end_call(link, "unreadable")
    assert list(link.untaken()) == [launch(1)]


@pytest.mark.parametrize("how", ["silent", "no_room", "refused"])
def test_what_a_peer_is_silent_about_or_does_not_take_was_not_taken(host, link, how):
    send(host, link, launch(0), launch(1))
    if how != "silent":  # else it may have taken them before the connection ended
        host.break_off(link)
        host.let_in(link)
    host.end_call(link, how)
    left = host.under_way.get(link, []) + list(link.untaken())
    assert left == [launch(0), launch(1)]


def test_what_was_sent_after_the_connection_had_ended_was_not_taken(host, link):
    send(host, link, launch(0))
    host.break_off(link)
    send(host, link, launch(1))
    link.give_up("it is gone")
    assert list(link.untaken()) == [launch(1)]


# A peer that has no room


def test_a_peer_without_room_is_told_again_with_what_came_up_meanwhile(owner, host, link):
    send(host, link, launch(0))
    host.end_call(link, "no_room", "full")
    send(host, link, launch(1))
    host.advance(SETTINGS.no_room_retry_s - 0.01)
    assert (batches(host), host.noted("info")) == ([[launch(0)]], ["peer has no room: full"])
    host.advance(0.01)
    assert batches(host)[1:] == [[launch(0), launch(1)]]
    host.answer(link)
    assert (len(link), owner.told[1:], host.timers) == (0, [], [])


def test_what_makes_room_does_not_wait_behind_what_needs_it(owner, host, link):
    cancel, drop, reconcile = m.Cancel("job", 0), m.Drop("job", 9, 1), m.Reconcile([], [])
    send(host, link, m.Probe("job", 0))
    send(host, link, reserve(1), cancel, launch(0), reconcile)
    host.answer(link)
    assert batches(host)[-1] == [reserve(1), cancel]
    host.end_call(link, "no_room", "full")
    assert batches(host)[-1] == [cancel], "at once"
    host.answer(link)
    assert batches(host)[-1] == [reconcile]
    host.answer(link)
    send(host, link, drop, launch(1), reserve(2), launch(0))
    assert batches(host)[-1] == [drop]
    host.answer(link)
    assert (len(link), len(host.calls)) == (4, 5), "a message that is held already is held once"
    host.advance(SETTINGS.no_room_retry_s)
    assert batches(host)[-1] == [reserve(1), reserve(2)]
    host.answer(link)
    assert batches(host)[-1] == [launch(0), launch(1)]
    host.answer(link)
    assert (len(link), host.timers, host.noted("info")) == (0, [], ["peer has no room: full"])


def test_much_that_waits_is_held_in_steps_and_sent_in_its_order_later(owner, host):
    link = new_link(owner, host, settings=LinkSettings(largest_batch=10, no_room_retry_s=1.0))
    host.let_in(link)
    launches = [launch(number) for number in range(95)]
    send(host, link, *launches, m.Reconcile([], []), launch(99))
    del host.under_way[link]
    link.no_room("full")
    held = [len(link._held_once)]
    for _ in range(9):
        host._touched.clear()
        link.flush()
        held.append(len(link._held_once))
    assert (held, len(link)) == ([10, 20, 30, 40, 50, 60, 70, 80, 90, 96], 97)
    assert host.under_way[link] == [m.Reconcile([], [])]
    host.answer(link)
    host.advance(1.0)
    while link in host.under_way:
        assert len(host.under_way[link]) <= 10
        host.answer(link)
    sent = [message for batch in batches(host)[2:] for message in batch]
    assert (sent, len(link)) == ([*launches, launch(99)], 0)


def test_a_peer_that_has_room_for_nothing_is_called_once_in_each_pause(owner, host, link):
    send(host, link, m.Cancel("job", 0))
    for _ in range(3):
        calls = len(host.calls)
        host.end_call(link, "no_room")
        send(host, link, m.Cancel("job", len(host.calls)))
        host.advance(SETTINGS.no_room_retry_s - 0.01)
        assert len(host.calls) == calls
        host.advance(0.01)
        assert len(host.calls) == calls + 1
    assert len(host.timers) == 0


def test_a_peer_without_room_that_takes_the_rest_is_lost_after_a_minute_too(owner, host, link):
    send(host, link, launch(0))
    for second in range(100):
        if link.state == UP:
            host.end_call(link, "no_room")
            send(host, link, m.Cancel("job", second))
        if link.state == UP:
            host.answer(link)
            host.advance(SETTINGS.no_room_retry_s)
    assert owner.of("lost") == ["it has had no room for 60 s"]


def test_what_is_held_counts_as_not_taken(host, link):
    send(host, link, launch(0))
    host.end_call(link, "no_room")
    send(host, link, launch(1))
    assert list(link.untaken()) == [launch(0), launch(1)]
    host.break_off(link)
    host.let_in(link)
    assert batches(host)[-1] == [launch(0), launch(1)]


def test_the_search_for_the_bad_one_waits_for_room_too(host, link):
    send(host, link, launch(0), launch(1))
    host.end_call(link, "refused")
    host.end_call(link, "no_room")
    send(host, link, launch(2))
    host.advance(SETTINGS.no_room_retry_s)
    assert batches(host)[-1] == [launch(0)]


def test_a_peer_without_room_for_a_minute_is_lost(owner, host, link):
    began = host.now()
    send(host, link, launch(0))
    while link in host.under_way:
        host.end_call(link, "no_room")
        if link.state == UP:
            host.advance(SETTINGS.no_room_retry_s)
    assert SETTINGS.no_room_for_s < host.now() - began <= SETTINGS.no_room_for_s + SETTINGS.no_room_retry_s
    assert owner.of("lost") == ["it has had no room for 60 s"]
    assert_over(host, link)


def test_a_peer_that_has_room_now_and_then_is_kept(owner, host, link):
    for number in range(100):
        send(host, link, launch(number))
        for _ in range(3):
            host.end_call(link, "no_room")
            host.advance(SETTINGS.no_room_retry_s)
        host.answer(link)
    assert (link.state, owner.of("lost"), len(link)) == (UP, [], 0)


def test_a_broken_connection_and_no_room_leave_one_call_and_no_timer(host, link):
    send(host, link, launch(0))
    host.end_call(link, "no_room")
    host.break_off(link)
    host.let_in(link)
    assert batches(host) == [[launch(0)]] * 2
    host.advance(SETTINGS.no_room_retry_s)
    host.answer(link)
    host.advance(10.0)
    assert (len(host.calls), len(link), host.timers) == (2, 0, [])


# A peer that is lost


@pytest.mark.parametrize(
    ("how", "reason"),
    [("silent", "no answer in 2.5 s"), ("unreadable", "it sent an answer that cannot be read: no answer in 2.5 s")],
)
def test_whoever_is_silent_or_cannot_be_understood_is_lost(owner, host, link, how, reason):
    send(host, link, launch(0))
    host.end_call(link, how, "no answer in 2.5 s")
    assert owner.of("lost") == [reason]
    assert host.hung_up == ["peer"]
    assert_over(host, link)


def test_a_peer_is_lost_once(owner, host, link):
    link.give_up("one reason")
    link.give_up("another")
    assert owner.of("lost") == ["one reason"]
    assert_over(host, link)


# Closing


def test_closing_is_nothing_to_tell(owner, host, link):
    send(host, link, launch(0))
    link.close()
    assert owner.told[1:] == []
    assert_over(host, link)


@pytest.mark.parametrize("end", [lambda link: link.close(), lambda link: link.give_up("enough")], ids=["close", "give_up"])
@pytest.mark.parametrize("when", ["up", "up again", "down", "answered", "refused", "lost"])
def test_it_may_be_ended_from_within_whatever_it_tells(owner, host, when, end):
    link = new_link(owner, host)
    if when != "up":
        host.let_in(link)
        host.advance(1.0)
    owner.then[when.split()[0]] = end
    send(host, link, m.Ask("job", 0))
    send(host, link, m.Ask("job", 1), launch(0))
    calls = len(host.calls)
    if when in ("up again", "down"):
        host.break_off(link)
    if when.startswith("up"):
        host.let_in(link)
    elif when == "answered":
        host.answer(link, m.NoTask("job", 0))
    elif when == "refused":
        host.end_call(link, "refused")
    elif when == "lost":
        host.end_call(link, "silent")
    assert len(host.calls) == calls, "nothing is said any more"
    assert len(owner.of("lost")) <= 1
    assert_over(host, link)


@pytest.mark.parametrize(
    "before", ["", "let_in", "let_in break_off", "not_yet", "let_in no_room", "let_in refused", "let_in refused no_room"]
)
def test_it_may_be_closed_at_any_time(owner, host, before):
    link = new_link(owner, host)
    send(host, link, launch(0), launch(1))
    for step in before.split():
        if step in ("let_in", "break_off"):
            getattr(host, step)(link)
        elif step == "not_yet":
            host.fail(link, step)
        else:
            host.end_call(link, step)
    link.close()
    assert owner.of("lost") == []
    assert_over(host, link)


# Whatever happens

STEPS = st.lists(
    st.one_of(
        st.lists(
            st.tuples(st.sampled_from([launch, launch, reserve]), st.sampled_from([False, False, True])), min_size=1, max_size=4
        ),
        st.sampled_from(["take", "take", "take", "no_room", "break", "break after taking"]),
        st.sampled_from(["connect", "connect", "not_yet"]),
        st.sampled_from([0.005, 0.1, 1.0]),
    ),
    max_size=40,
)


class Peer:
    """The other end: it takes a batch whole or, if one message in it is bad, not at all."""

    def __init__(self):
        self.bad, self.taken = set(), []

    def take(self, batch):
        if self.bad.isdisjoint(batch):
            self.taken += batch
            return True
        return False


def happen(step, host, link, peer, sent):
    """Something happens, unless it cannot just now."""
    state = host.connections.get(link)
    if isinstance(step, list):
        messages = [kind(number) for number, (kind, _) in enumerate(step, len(sent))]
        peer.bad.update(message for message, (_, bad) in zip(messages, step) if bad)
        sent += messages
        send(host, link, *messages)
    elif isinstance(step, float):
        host.advance(step)
    elif step in ("take", "no_room", "break after taking") and link in host.under_way:
        took = step != "no_room" and peer.take(host.under_way[link])
        if step == "break after taking":
            host.break_off(link)
        elif step == "no_room":
            host.end_call(link, "no_room")
        elif took:
            host.answer(link)
        else:
            host.end_call(link, "refused")
    elif step == "break" and state == CONNECTED:
        host.break_off(link)
    elif step == "connect" and state == "connecting":
        host.let_in(link)
    elif step == "not_yet" and state == "connecting":
        host.fail(link, "not_yet")


@settings(max_examples=400)
@given(STEPS, st.sampled_from([1, 2, 10_000]))
def test_nothing_is_lost_or_comes_out_of_order(steps, largest_batch):
    host, owner, peer = FakeHost(), Owner(), Peer()
    sent: list[m.Message] = []
    link = new_link(owner, host, settings=LinkSettings(largest_batch=largest_batch, lost_after_s=1e6, no_room_for_s=1e6))
    ending = ["connect", "take", 1.0] * (2 * len(steps) * 4 + 2)  # all is well
    for step in [*steps, *ending]:
        happen(step, host, link, peer, sent)
    assert (len(link), host.timers, owner.of("lost")) == (0, [], [])
    assert sorted(owner.of("refused")) == sorted(peer.bad), "each of the bad ones is found, once"
    for lane in {message.lane for message in sent}:
        wanted = [message for message in sent if message.lane == lane and message not in peer.bad]
        first_times = list(dict.fromkeys(message for message in peer.taken if message.lane == lane))
        assert first_times == wanted
