"""The errors that are raised between processes, all under ``SparrowError``.

The type of an error says what failed and whose fault it is, so no caller has to read its text. The text says to people what was
tried and what to do next.
"""

from __future__ import annotations

from Pyro4.errors import NamingError as NamingError  # raised by a name server for a name that is unknown, or registered already

from src.sparrow.errors import AccessDeniedError as AccessDeniedError
from src.sparrow.errors import SparrowError as SparrowError
from src.sparrow.errors import UnavailableError as UnavailableError


class ConfigurationError(SparrowError):
    """Raised if a setting is missing or cannot be used: a key file, a certificate. A command exits with 2."""


class LostError(SparrowError):
    """Raised if a connection is gone or its peer does not answer. The peer may or may not have executed the calls in flight."""


class SilentError(LostError):
    """Raised if a call was not answered in time, although the connection stands."""


class UnreachableError(LostError):
    """Raised if no connection could be made: it was refused, the host does not exist, or nobody answered."""


class RefusedError(SparrowError):
    """Raised if the peer answered and refuses the connection or the call."""


class ServerFullError(RefusedError):
    """Raised if a Pyro4 daemon refuses the connection because each of its threads serves another one already."""


class WrongCredentialsError(RefusedError):
    """Raised if the peer has another key or no trusted certificate, or if only one of the two sides has a key or uses TLS."""


class StockPeerError(WrongCredentialsError):
    """Raised if the peer has our key, but is stock Pyro4, which signs in a way that protects no conversation."""


class NotHereError(RefusedError):
    """Raised if a process with our key answers at the address, and proves that the object that was asked for is not there."""


class NameStorageError(SparrowError):
    """Raised if a name server cannot read or write the file with its names: the disk is full, or the file is damaged."""


class MalformedError(SparrowError):
    """Raised if received bytes are not a message of Pyro4's protocol, or one that is larger than allowed or of an unwanted kind."""


class TamperedError(MalformedError):
    """Raised if a message does not bear the seal of its session as the next one: it was changed, repeated, left out or made up."""
