"""Which names are sampled if there are too many: whoever answers is found and stays, whatever else is listed."""

import random

import pytest

from src.dashboard.lineup import Lineup
from tests.dashboard.samples import build

MOST, TURNS = 20, 5


class Sampled:
    """What a monitor samples; only the names in ``alive`` answer, and each look is a round."""

    def __init__(self, alive=()):
        self.lineup = Lineup(MOST, TURNS, random.Random(1))
        self.uris: dict[str, str] = {}
        self.alive, self.answered, self.ever = set(alive), set[str](), set[str]()

    def look(self, listed):
        """-> the names that are sampled no longer"""
        gone = [name for name in self.uris if name not in listed]
        failed = [name for name in self.uris if name in listed and name not in self.answered]
        chosen, left = self.lineup.choose(listed, dict(self.uris), gone, failed)
        for name in left:
            del self.uris[name]
        self.uris.update({name: listed[name] for name in chosen})
        assert len(self.uris) <= MOST
        self.ever |= set(chosen)
        self.answered |= self.alive & set(chosen)
        return left


def dead(number, host="127.0.0.1"):
    return {f"dead{n}": f"PYRO:x@{host}:{n}" for n in range(number)}


ALIVE = {"alive": "PYRO:a@127.0.0.1:7"}


def test_all_names_are_sampled_if_there_is_room():
    sampled = Sampled(["alive"])
    assert sampled.look({**dead(MOST - 1), **ALIVE}) == []
    assert (len(sampled.uris), sampled.lineup.left_out) == (MOST, 0)
    assert sampled.look({**dead(MOST - 1), **ALIVE}) == []


def test_a_name_that_answers_is_found_among_those_that_lead_nowhere_and_stays():
    sampled, listed = Sampled(["alive"]), {**dead(200), **ALIVE}
    for _ in range((201 - MOST) // TURNS + 2):
        sampled.look(listed)
        assert sampled.lineup.left_out == 201 - MOST
    assert "alive" in sampled.uris
    assert sampled.ever == set(listed), "each has had its turn"
    for _ in range(100):
        assert len(sampled.look(listed)) == TURNS
        assert "alive" in sampled.uris


def test_who_is_new_is_next_however_many_wait():
    sampled = Sampled(["alive"])
    sampled.look(dead(10_000))
    sampled.look({**dead(10_000), **ALIVE})
    assert "alive" in sampled.uris


def test_hosts_take_turns():
    sampled = Sampled()
    sampled.look({**dead(10_000, "flood"), **ALIVE})
    assert "alive" in sampled.uris


def test_a_name_that_was_tried_in_vain_is_tried_again():
    sampled, listed = Sampled(), {**dead(100), **ALIVE}
    for _ in range(200):
        sampled.look(listed)
    sampled.alive.add("alive")
    for _ in range((101 - MOST) // TURNS + 2):
        sampled.look(listed)
    assert "alive" in sampled.answered


def test_names_that_have_left_give_way_at_once_and_only_if_their_room_is_needed():
    sampled = Sampled()
    sampled.look(dead(MOST))
    assert sampled.look(ALIVE) == ["dead0"]
    assert sampled.look(ALIVE) == []
    others = {f"other{n}": f"PYRO:o@127.0.0.1:{n}" for n in range(MOST)}
    sampled.look(others)
    assert set(sampled.uris) == set(others)


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ({"scheduler": 1, "worker": 0}, "1 name of a scheduler is left out: "),
        ({"scheduler": 0, "worker": 1_200}, "1,200 names of workers are left out: "),
    ],
)
def test_the_page_says_that_names_are_left_out(left_out, words):
    cluster = build(up=True, left_out=left_out)["cluster"]
    assert any(reason.startswith(words) for reason in cluster["reasons"])
