"""Which connection ends when there are too many, and which hosts a server answers to: no socket, no clock."""

import pytest

from src.dashboard.hosts import AllowedHosts
from src.dashboard.request_head import HeadReader, RefusedRequestError, parsed
from src.dashboard.room import BUSY, FRESH, IDLE, READING, Room


def filled(most, **connections):
    """A room with connections named after their address and state, as in ``a=[FRESH, IDLE]``: they are called a0, a1."""
    room: Room[str] = Room(most)
    for address, states in connections.items():
        for number, state in enumerate(states):
            assert room.enter(f"{address}{number}", address) is None
            room.move(f"{address}{number}", state)
    return room


@pytest.mark.parametrize(
    ("connections", "newcomer", "leaves"),
    [
        ({"a": [FRESH, FRESH, FRESH]}, "b", "a0"),  # the oldest of those that have sent no whole request
        ({"a": [IDLE, FRESH, IDLE]}, "b", "a1"),
        ({"a": [IDLE, IDLE], "b": [FRESH]}, "c", "b0"),
        ({"a": [FRESH], "b": [FRESH, FRESH]}, "c", "b0"),  # of the address with the most
        ({"a": [FRESH, FRESH], "b": [FRESH]}, "b", "a0"),
        ({"a": [IDLE, IDLE], "b": [IDLE]}, "c", "a0"),
        ({"a": [IDLE, IDLE, IDLE]}, "a", "a0"),  # an address alone makes room from its own
        ({"a": [IDLE], "b": [READING, READING]}, "a", "a0"),
        ({"a": [READING, BUSY, BUSY]}, "b", "a0"),
        ({"a": [BUSY, BUSY, BUSY]}, "b", "a0"),  # so one address never keeps another out
        ({"a": [BUSY, BUSY, BUSY]}, "a", "new"),
        ({"a": [BUSY], "b": [BUSY], "c": [BUSY]}, "a", "new"),
        ({"a": [IDLE], "b": [IDLE], "c": [IDLE]}, "d", "a0"),
    ],
)
def test_room_is_made_from_who_is_of_least_use(connections, newcomer, leaves):
    room = filled(3, **connections)
    assert room.enter("new", newcomer) == leaves
    assert len(room) == 3
    assert ("new" in room) == (leaves != "new")


def test_who_comes_to_a_state_again_is_its_newest():
    room = filled(2, a=[IDLE, IDLE])
    room.move("a0", BUSY)
    room.move("a0", IDLE)
    assert room.enter("new", "a") == "a1"


def test_an_address_gets_as_much_as_any_other_has():
    room = filled(100, crowd=[IDLE] * 100)
    for number in range(200):
        room.enter(f"b{number}", "other")
        room.move(f"b{number}", IDLE)
    owners = [one[0] for one in room]
    assert 49 <= owners.count("b") <= 51


def test_who_has_left_takes_no_room_and_may_leave_again():
    room = filled(1, a=[IDLE])
    room.leave("a0")
    room.leave("a0")
    room.move("a0", BUSY)
    assert len(room) == 0
    assert room.enter("new", "b") is None


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "lab7", "Lab7", "127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"])
def test_our_names_and_all_addresses_are_answered(host):
    assert AllowedHosts(["lab7"]).allows(host)


@pytest.mark.parametrize("host", ["evil", "lab7.evil", "evil.localhost", "127.1", "127.0.0.01", "localhost..", ""])
def test_no_other_name_is_answered(host):
    assert not AllowedHosts(["lab7"]).allows(host)


def heads(data, step, most=1_000):
    """The heads that a reader takes from data that comes in parts of so many bytes."""
    reader, found = HeadReader(most), []
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
        while (head := reader.take()) is not None:
            found.append(head)
    return found


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000])
def test_a_head_is_taken_however_it_comes_apart(step):
    one, two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /2 HTTP/1.1\r\n\r\n"
    assert heads(one + b"\r\n" + two + one, step) == [one, b"\r\n" + two, one]
    assert [parsed(head).path for head in heads(one + b"\r\n" + one, step)] == ["/1", "/1"]
    for wrong in (b"GET / HTTP/1.1\nHost: a\r\n\r\n", b"\n\n", b"\r\n\r\n\r\n", b"a" * 1_001, b"a: b\r\n" * 200):
        with pytest.raises(RefusedRequestError):
            heads(wrong, step)


def test_a_head_has_begun_from_its_first_byte_to_its_last():
    reader = HeadReader(1_000)
    said = [reader.begun]
    reader.feed(b"\r\n")
    assert reader.take() is None
    said.append(reader.begun)
    reader.feed(b"GET / HTTP/1.1\r\n\r\nG")
    reader.take()
    assert ([*said, reader.begun], len(reader)) == ([False, True, True], 1)


def test_what_is_asked_for_is_read():
    head = parsed(b"GET http://LAB7:80/a?b HTTP/1.1\r\nHost: other\r\nA: 1\r\na:2 \r\n\r\n")
    assert head == ("GET", "/a?b", "LAB7", {"host": "other", "a": "1, 2"})
    assert parsed(b"HEAD / HTTP/1.0\r\n\r\n").host is None
    assert parsed(b"GET / HTTP/1.1\r\nHost: [::1]:8901\r\n\r\n").host == "::1"
    assert parsed(b"GET http://lab7?x HTTP/1.1\r\nHost: lab7\r\n\r\n").path == "/?x"
