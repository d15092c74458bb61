"""What the tests of links begin with."""

import pytest

from tests.support.fakehost import FakeHost
from tests.support.links import Owner, new_link


@pytest.fixture
def host():
    return FakeHost()


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def link(owner, host):
    """One whose peer has been connected for a while."""
    link = new_link(owner, host)
    host.let_in(link)
    host.advance(1.0)
    return link
