"""Who speaks: what a call says of its caller is compared with what the caller's connection said in its handshake.

A process may speak only for itself: a call that names another process than the connection's greeting did is refused, and changes
nothing. A client that greets with nothing of its own may submit jobs and ask, but speaks for no scheduler and no worker. Whether a
greeting is true is the business of the driver, which knows keys and addresses.

Each life of a process is an incarnation, and incarnations are ordered: each begins with the wall-clock time of its start, in
nanoseconds and hexadecimal digits of a fixed number, so that the order of the strings is that of time. A newer incarnation shows
that the older one of the same name is over. An older one never ends a newer one: it is told to try later as long as the newer one
is known, so a message that comes late, or a process that had been suspended, cannot undo what its successor did.

A clock that is set back makes a new process look older than its predecessor. That is safe: it has to wait until the predecessor is
lost, which takes as long as it takes to notice that its connection has ended: at once if its machine runs, else some seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TIME_DIGITS = 16  # nanoseconds since 1970 up to the year 2554


def incarnation(wall_ns: int, distinction: str) -> str:
    """Returns the incarnation of a process that starts at ``wall_ns``, in nanoseconds since 1970.

    ``distinction`` tells it from others that start at the same time.
    """
    return f"{max(0, wall_ns):0{TIME_DIGITS}x}{distinction}"


def check_speaker(greeting: Mapping[str, Any], name: str, incarnation: str) -> None:
    """Raises ValueError if a connection that greeted so may not speak for that incarnation of that name."""
    if greeting.get("incarnation") != incarnation or greeting.get("name") != name:
        greeted = greeting.get("name")
        by = f"greeted as {greeted:.100}" if isinstance(greeted, str) else "greeted without a name"
        of = "in another incarnation" if greeted == name else "and may not speak for it"
        raise ValueError(f"not from {name}: this connection {by}, {of}")
