"""Messages and commands know their kind."""

import copy
import itertools
import pickle

import pytest
from hypothesis import given

from src.sparrow import messages as m
from src.sparrow.commands import Send, Start, Stop
from src.sparrow.messages import Address
from tests.support.batches import BY_KIND, KINDS, messages


def test_messages_of_different_kinds_are_never_equal():
    assert m.Cancel("j", 3) != m.NoTask("j", 3)
    assert m.Cancel("j", 3) == m.Cancel("j", 3)
    assert len({m.Cancel("j", 3), m.NoTask("j", 3), m.Cancel("j", 3)}) == 2
    to = Address("worker", "1")
    assert Send(to, m.Cancel("j", 3)) != Send(to, m.NoTask("j", 3))
    assert Stop(to, ("j", 0, 1)) != Start(to, ("j", 0, 1), 0.5)


@pytest.mark.parametrize(("one", "other"), itertools.combinations(KINDS, 2), ids=lambda kind: kind.kind)
def test_no_two_kinds_can_be_taken_for_each_other(one, other):
    values = ["job", 1, 1, 1, 1]
    assert one.make(values[: len(one.fields)]) != other.make(values[: len(other.fields)])


def test_a_message_cannot_be_changed_but_copied_with_changes():
    launch = m.Launch("job", 0, 1, 0.5)
    with pytest.raises(AttributeError):
        launch.attempt = 2
    assert launch.replace(attempt=2, duration_s=0.1) == m.Launch("job", 0, 2, 0.1)
    assert launch == m.Launch("job", 0, 1, 0.5)
    assert repr(launch) == "Launch(job='job', task=0, attempt=1, duration_s=0.5)"


@given(messages)
def test_a_copy_of_a_message_is_of_its_kind(message):
    for again in (copy.deepcopy(message), pickle.loads(pickle.dumps(message)), message.replace()):
        assert type(again) is type(message)
        assert again == message


@BY_KIND
def test_a_message_has_its_fields_by_name_and_no_others(kind):
    values = [object() for _ in kind.fields]
    message = kind(*values)
    assert [getattr(message, field) for field in kind.fields] == values
    assert kind(**dict(zip(kind.fields, values))) == message
    for wrong in (values[:-1], [*values, None]):
        with pytest.raises(TypeError):
            kind(*wrong)
