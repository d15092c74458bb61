"""The uris that this project connects to: ``PYRO:OBJECT@HOST:PORT``.

Pyro4 has more: those that a name server resolves (``PYRONAME:x``, ``PYROMETA:x``), and sockets of this machine's file system
(``PYRO:x@./u:NAME``). They name no host, and may be bound to any name in a name server.
"""

from __future__ import annotations

from typing import Any

import Pyro4

MAX_CHARACTERS = 1024  # of a uri: Pyro4 reads one in a time that grows with the square of its length


def parse_uri(uri: Any) -> Pyro4.URI:
    """Returns the uri that a text or an object of Pyro4 describes. Raises ValueError if it is not PYRO:OBJECT@HOST:PORT."""
    try:
        text = uri.asString() if isinstance(uri, Pyro4.URI) else uri  # a peer may have sent an object with anything in its fields
        if isinstance(text, str) and len(text) <= MAX_CHARACTERS and text.isprintable():
            parsed = Pyro4.URI(text)
            if parsed.protocol == "PYRO" and parsed.host and 0 < parsed.port < 65536:
                return parsed
    except Exception as error:  # Pyro4 raises errors of several types, and of any type for such an object
        raise ValueError(f"a uri is PYRO:OBJECT@HOST:PORT, which this is not: {error!s:.100}") from None
    raise ValueError(f"a uri is PYRO:OBJECT@HOST:PORT, not {text!r:.100}")
