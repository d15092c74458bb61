"""What can go wrong between processes. Each says in its text what was tried and what to do next."""

from __future__ import annotations

from Pyro4.errors import NamingError as NamingError  # what a name server says of a name that it has not, or has already


class SparrowError(Exception):
    """The base of all errors of this package."""


class UnavailableError(SparrowError):
    """Something that is needed cannot be had: a name server, a scheduler, a name, a port. A command ends with exit status 69."""


class TurnedAwayError(UnavailableError):
    """Somebody answers, but not to us: we have not its key, or not its kind of TLS. Waiting does not help."""


class ConfigurationError(SparrowError):
    """A setting is missing or cannot be used: a key file, a certificate. A command ends with exit status 2."""


class LostError(SparrowError):
    """A connection is gone, or its other end has not answered in time. What was under way may or may not have been done."""


class SilentError(LostError):
    """A call was not answered in time, though the connection stands."""


class UnreachableError(LostError):
    """No connection could be made: refused, no such host, or no answer."""


class RefusedError(SparrowError):
    """The other end answered, but will not talk to us: it is full, or has not the object."""


class WrongCredentialsError(RefusedError):
    """The other end has another key than we, or no certificate that we trust, or one of us has none."""
