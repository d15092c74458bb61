"""Only a uri with a host and a port leads anywhere; whatever else is bound to a name is told as what it is."""

import asyncio

import Pyro4
import pytest

from src.rmi.channel import Channel
from src.rmi.errors import UnreachableError
from src.rmi.nameserver import BoundedNameServer
from src.rmi.uri import MAX_CHARACTERS, parse_uri


def uri_with(*state):
    """A uri as a peer may have sent it: with anything in its fields."""
    uri = Pyro4.URI("PYRO:a@b:1")
    uri.__setstate__(state)
    return uri


TEXTS = (
    "PYRONAME:x",
    "PYRONAME:x@127.0.0.1:9",
    "PYROMETA:a,b@127.0.0.1:9",
    "PYRO:o@./u:sock",
    "PYRO:o@:5",
    "PYRO:o@h",
    "PYRO:o@h:0",
    "PYRO:o@h:65536",
    "PYRO:o@h:-1",
    "PYRO:o",
    "http://h:1",
    "",
)
OBJECTS = (
    uri_with("PYRO", "o", None, None, None),
    uri_with("PYRO", "o", None, ["h"], "x"),
    uri_with("PYRO", None, None, "h", 5),
    uri_with([], {}, (), 5, []),
    Pyro4.URI("PYRONAME:x"),
    None,
    5,
)


@pytest.mark.parametrize("uri", [*TEXTS, *OBJECTS, "PYRO:o@h\n:5", "PYRO:o@" + "h" * MAX_CHARACTERS + ":5"])
def test_a_channel_to_no_host_and_port_is_unreachable(uri):
    with pytest.raises(UnreachableError, match="not an address: a uri is PYRO:OBJECT@HOST:PORT"):
        asyncio.run(Channel.open(uri))


@pytest.mark.parametrize("uri", ["PYRO:o@h..x:5", "PYRO:o@" + "h" * 64 + ":5", "PYRO:o@\u0660:5"])
def test_a_channel_to_a_host_that_cannot_be_is_unreachable(uri):
    with pytest.raises(UnreachableError):
        asyncio.run(Channel.open(uri))


def test_whatever_a_connection_meets_is_an_error_of_ours(monkeypatch):
    async def meets(*arguments):
        raise TypeError("of another kind")

    monkeypatch.setattr("src.rmi.channel.connect", meets)
    with pytest.raises(UnreachableError, match="no connection to h:5: TypeError: of another kind") as caught:
        asyncio.run(Channel.open("PYRO:o@h:5"))
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("uri", TEXTS)
def test_our_name_server_refuses_them(uri):
    names = BoundedNameServer()
    for bind in (names.register, lambda name, uri: names.claim("sparrow." + name, uri)):
        with pytest.raises(ValueError, match="a uri is PYRO:OBJECT@HOST:PORT"):
            bind("a", uri)
    assert (names.count(), names._leases) == (0, {})


def test_what_leads_somewhere_is_taken():
    for text in ("PYRO:o@h:1", "PYRO:o@[::1]:65535", "pyro:a.b@127.0.0.1:5"):
        assert parse_uri(text) == parse_uri(Pyro4.URI(text)) == Pyro4.URI(text)
        BoundedNameServer().register("a", text)
