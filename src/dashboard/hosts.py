"""Which names a web server answers to.

A page of a stranger cannot read what another server says, since its origin is another one. Unless the name of the stranger's own
server is made to lead to this one a moment later (DNS rebinding): then the browser of somebody who can reach this server hands the
page all that it says. The request still bears the stranger's name in its Host field, so a name that is not known to be ours is
refused. An address cannot be made to lead elsewhere, so each is allowed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class AllowedHosts:
    """The names that lead to this server, and all addresses."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {_plain(name) for name in ("localhost", *names)}

    def allows(self, host: str) -> bool:
        """Returns whether a request for this host is answered. ``host`` is a name or an address, without a port."""
        if _plain(host) in self._names:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _plain(name: str) -> str:
    """Returns the name in lower case, without the dot that a whole name may end with."""
    return name.lower().removesuffix(".")
