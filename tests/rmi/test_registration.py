"""What may be registered with our name server: texts of bounded size, all of which fit into one answer."""

import time

import pytest

from src.rmi.nameserver import BoundedNameServer
from src.rmi.serializer import dump
from src.rmi.settings import NameServerLimits, WireLimits


def test_a_name_server_keeps_its_limits():
    names = BoundedNameServer(
        limits=NameServerLimits(max_names=2, max_name_characters=30, max_uri_characters=40, max_characters=50)
    )
    for name in ("a", "b", "a"):
        names.register(name, "PYRO:x@127.0.0.1:1")
    with pytest.raises(ValueError, match="there are 2 names already"):
        names.register("c", "PYRO:x@127.0.0.1:1")
    with pytest.raises(ValueError, match="at most 30 characters"):
        names.register("a" * 31, "PYRO:x@127.0.0.1:1")
    with pytest.raises(ValueError, match="at most 40 characters"):
        names.register("a", "PYRO:x@" + "h" * 40 + ":1")
    for metadata in (["a" * 51], ["a"] * 20, {"a" * 30, "b" * 30}):
        with pytest.raises(ValueError, match="at most 50 characters"):
            names.register("a", "PYRO:x@127.0.0.1:1", metadata=metadata)
        with pytest.raises(ValueError, match="at most 50 characters"):
            names.set_metadata("a", metadata)
    names.set_metadata("a", ["b", "c"])
    assert names.lookup("a", return_metadata=True)[1] in (["b", "c"], ["c", "b"])


ALIKE = [(2**61 - 1) * factor for factor in range(20_000)]  # whole numbers that all hash alike: a set of them takes seconds


@pytest.mark.parametrize(
    "use",
    [
        lambda names: names.list(metadata_all=ALIKE),
        lambda names: names.list(metadata_any=ALIKE),
        lambda names: names.set_metadata("a", ALIKE),
        lambda names: names.register("a", "PYRO:x@127.0.0.1:1", metadata=ALIKE),
        lambda names: names.register(ALIKE, "PYRO:x@127.0.0.1:1"),
        lambda names: names.register("a", ALIKE),
    ],
)
def test_a_name_server_takes_only_texts(use):
    names = BoundedNameServer()
    names.register("a", "PYRO:x@127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(TypeError):
        use(names)
    assert time.monotonic() - began < 0.5


def test_all_names_that_may_be_registered_fit_into_one_answer():
    limits = NameServerLimits()
    each = len(dump({"n" * limits.max_name_characters: "u" * limits.max_uri_characters}))
    assert each * limits.max_names < WireLimits.max_payload_bytes
    names = BoundedNameServer()
    for bad in ("a\\b", "a'b", "é", "a\nb"):
        with pytest.raises(ValueError, match="printable ASCII"):
            names.register(bad, "PYRO:x@127.0.0.1:1")
