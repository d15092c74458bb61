"""What a host that is given to listen on means, and what is said about it."""

import pytest

from src.rmi.errors import ConfigurationError
from src.rmi.listening import described, is_meant_for_others, is_wildcard, loopback_warning
from src.rmi.security import Security


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "127.0.1.1", "::1", "localhost", "LOCALHOST.", "a.localhost", "localhost.localdomain"]
)
def test_these_are_for_this_machine_alone(host):
    assert not is_meant_for_others(host)
    assert loopback_warning(host, "127.0.0.1") is None


@pytest.mark.parametrize(
    "host", ["ns", "ns.example", "localhost.example", "10.0.0.1", "0.0.0.0", "::", "2001:db8::1", "fe80::1%eth0"]
)
def test_these_are_meant_for_others(host):
    assert is_meant_for_others(host)


@pytest.mark.parametrize(
    ("host", "wildcard"), [("0.0.0.0", True), ("::", True), ("0", True), ("127.0.0.1", False), ("a..b", False)]
)
def test_what_stands_for_all_addresses(host, wildcard):
    assert is_wildcard(host) == wildcard


def test_a_name_that_is_loopback_here_needs_the_key_decision_and_is_warned_about():
    with pytest.raises(ConfigurationError, match="without a key"):
        Security().check_listen_address("127.0.1.1", for_others=True)
    Security(insecure=True).check_listen_address("127.0.1.1", for_others=True)
    Security(key=b"0123456789abcdef").check_listen_address("127.0.1.1", for_others=True)
    said = loopback_warning("ns", "127.0.1.1")
    assert said is not None
    assert said.startswith("ns is 127.0.1.1 on this machine, where other machines cannot reach it; ")
    assert "--host" in said
    assert loopback_warning("ns", "10.0.0.1") is None


@pytest.mark.parametrize(
    ("location", "address", "said"),
    [
        ("ns:9090", "127.0.1.1", "ns:9090 (127.0.1.1)"),
        ("10.0.0.1:9090", "10.0.0.1", "10.0.0.1:9090"),
        ("[::1]:9090", "::1", "[::1]:9090"),
    ],
)
def test_a_place_is_said_with_its_address_unless_it_is_one(location, address, said):
    assert described(location, address) == said
