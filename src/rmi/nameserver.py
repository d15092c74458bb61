"""Pyro4's name server with bounds on what anybody may register, and the storage of its names.

It has two methods more than Pyro4's, which the processes of this project use: ``claim`` and ``release``. A name that is claimed is
leased: it is removed when it has not been claimed again, by the same process, for ``NameServerLimits.lease_s``. Names that are only
registered, as Pyro4's programs do it, stay until they are removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import Pyro4
from Pyro4 import naming
from Pyro4.naming_storage import SqlStorage

from src.rmi.daemon import Daemon, expose
from src.rmi.registration import check_metadata, check_registration
from src.rmi.settings import NameServerLimits
from src.sparrow.names import PREFIX


class BoundedNameServer(naming.NameServer):
    """The remote object ``Pyro.NameServer``. It bounds the number of names, and the length of each name and uri."""

    def __init__(
        self,
        storage: Any = None,
        limits: NameServerLimits = NameServerLimits(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Serve the names in ``storage``, which is one of Pyro4's; None keeps them in memory. ``now()`` is the time in seconds."""
        super().__init__(storage)
        self._limits, self._now = limits, now
        self._leases: dict[str, float] = {}  # claimed name -> when its lease ends; the first to end is the first
        for name in super().list(PREFIX):  # those that were kept over a restart
            self._leases[name] = now() + limits.lease_s

    @expose
    def claim(self, name: Any, uri: Any, instead_of: Any = None) -> str:
        """Bind a name to a uri if it is free, or bound to ``instead_of``, and renew it if it is bound to this uri already.

        Returns the uri that the name was bound to before, or "". Raises ValueError if it is not a name of this project, and what
        ``register`` raises.
        """
        if not isinstance(name, str) or not name.startswith(PREFIX):
            raise ValueError(f"only names that begin with {PREFIX} are leased")
        self._expire()
        before = self._bound_to(name)
        if before not in ("", instead_of, uri):
            return before
        if not before or before != uri:
            self.register(name, uri)
        self._leases.pop(name, None)
        self._leases[name] = self._now() + self._limits.lease_s
        return before

    @expose
    def release(self, name: Any, uri: Any) -> bool:
        """Remove a name if it is bound to this uri. Returns whether it was."""
        return self._bound_to(name) == uri and bool(self.remove(name))

    def _bound_to(self, name: Any) -> str:
        try:
            return str(self.storage[name][0])
        except KeyError:
            return ""

    def _expire(self) -> None:
        """Remove the names whose leases have ended."""
        now = self._now()
        while self._leases:
            name, ends = next(iter(self._leases.items()))
            if ends > now:
                break
            del self._leases[name]
            self.remove(name)

    @expose
    def remove(self, name: Any = None, prefix: Any = None, regex: Any = None) -> int:
        """Remove a name, or all names with a prefix, as in Pyro4. Returns how many. Raises ValueError for a regular expression."""
        removed: int = super().remove(name, prefix, regex)
        gone = [leased for leased in self._leases if leased.startswith(prefix)] if prefix else [name]
        for leased in gone:
            self._leases.pop(leased, None)
        return removed

    @expose
    def lookup(self, name: Any, return_metadata: Any = False) -> Any:
        """Returns the uri of a name, as in Pyro4. Raises NamingError if it is unknown."""
        self._expire()
        return super().lookup(name, return_metadata)

    @expose
    def register(self, name: Any, uri: Any, safe: Any = False, metadata: Any = None) -> None:
        """Register a name, as in Pyro4.

        Raises TypeError or ValueError if an argument is not acceptable or there are too many names, and NamingError if ``safe`` and
        the name is taken.
        """
        limits = self._limits
        self._expire()
        check_registration(name, uri, metadata, limits)
        if self.count() >= limits.max_names and name not in self.storage:
            raise ValueError(f"there are {limits.max_names} names already: remove some first")
        super().register(name, uri, safe, metadata)
        self._leases.pop(name, None)

    @expose
    def set_metadata(self, name: Any, metadata: Any) -> None:
        """Change the metadata of a name, as in Pyro4. Raises TypeError or ValueError if they are not acceptable."""
        check_metadata(metadata, self._limits)
        super().set_metadata(name, metadata)

    @expose
    def list(self, prefix: Any = None, regex: Any = None, **others: Any) -> Any:
        """Returns the registered names, as in Pyro4.

        Raises ValueError if a regular expression is given: some take exponential time, and the caller chooses them. Raises
        TypeError or ValueError for metadata that cannot be registered.
        """
        if regex is not None:
            raise ValueError("names are listed by prefix here, not by regular expression")
        for metadata in (others.get("metadata_all"), others.get("metadata_any")):
            check_metadata(metadata, self._limits)
        self._expire()
        return super().list(prefix, None, **others)


def storage_of(text: str) -> Any:
    """Returns the storage that ``text`` names: ``memory``, or ``sql:FILE``, which keeps the names over a restart.

    Raises ValueError if it names no storage, or if the file cannot be used.
    """
    if text == "memory":
        return naming.MemoryStorage()
    if text.startswith("sql:") and len(text) > len("sql:"):
        try:
            return SqlStorage(text[len("sql:") :])
        except Exception as error:  # Pyro4 and sqlite raise errors of several types for a file that is no database
            raise ValueError(f"cannot keep names in {text[len('sql:') :]}: {error}") from None
    raise ValueError(f"memory or sql:FILE, not {text!r:.60}")


def serve_names(daemon: Daemon, storage: Any, limits: NameServerLimits = NameServerLimits()) -> BoundedNameServer:
    """Register a name server with this storage at a daemon, and its own name with itself. Returns the name server."""
    names = BoundedNameServer(storage, limits)
    names.register(Pyro4.constants.NAMESERVER_NAME, daemon.register(names, Pyro4.constants.NAMESERVER_NAME))
    return names
