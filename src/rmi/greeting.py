"""What is kept of what a peer says of itself in its greeting, for as long as its connection stands."""

from __future__ import annotations

from src.rmi.settings import WireLimits

_PLAIN = (str, int, float, bool, type(None))


def kept(said: object, limits: WireLimits) -> object:
    """Returns what a peer has said, if it is a text, or a dict of few texts and numbers as our programs send it; else None.

    A greeting of 4 KB may be a thousand lists, which take 100 KB of memory on each of thousands of connections.
    """
    if isinstance(said, str):
        return said
    if isinstance(said, dict) and len(said) <= limits.max_greeting_fields and all(type(one) in _PLAIN for one in said.values()):
        return said
    return None
