"""The base class of the project's errors, and the errors that the algorithm itself raises (those of Pyro4 are in ``src/rmi``).

The text of each error says what was tried and what to do next.
"""

from __future__ import annotations


class SparrowError(Exception):
    """The base class of all errors of this project."""


class UnavailableError(SparrowError):
    """Raised if a needed name server, scheduler, name or port is not available. A command then exits with status 69."""


class AccessDeniedError(UnavailableError):
    """Raised if a peer answers but has another key or other TLS settings than this process. A retry does not help."""


class NameTakenError(UnavailableError):
    """Raised if the wanted name is bound to another process that is alive."""


class ClientClosedError(SparrowError, RuntimeError):
    """Raised if a client is used after ``close()``, and by the futures of jobs that go on at a scheduler without their client."""


class UnknownIdError(LookupError):
    """Raised if a message names a job, task or reservation that this scheduler does not know. Nothing was changed."""
