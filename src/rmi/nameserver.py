"""Pyro4's name server with bounds on what anybody may register, and the storage of its names."""

from __future__ import annotations

from typing import Any

import Pyro4
from Pyro4 import naming
from Pyro4.naming_storage import SqlStorage

from src.rmi.daemon import Daemon, expose
from src.rmi.settings import NameServerLimits


class BoundedNameServer(naming.NameServer):
    """The remote object ``Pyro.NameServer``. It bounds the number of names, and the length of each name and uri."""

    def __init__(self, storage: Any = None, limits: NameServerLimits = NameServerLimits()) -> None:
        """Serve the names in ``storage``, which is one of Pyro4's; None keeps them in memory."""
        super().__init__(storage)
        self._limits = limits

    @expose
    def register(self, name: Any, uri: Any, safe: Any = False, metadata: Any = None) -> None:
        """Register a name, as in Pyro4.

        Raises ValueError if an argument is too long or there are too many names, and NamingError if ``safe`` and the name is taken.
        """
        limits = self._limits
        if max(len(str(name)), len(str(uri)), len(str(metadata))) > limits.max_characters:
            raise ValueError(f"a name, its uri and its metadata have at most {limits.max_characters} characters each")
        if self.count() >= limits.max_names and name not in self.storage:
            raise ValueError(f"there are {limits.max_names} names already: remove some first")
        super().register(name, uri, safe, metadata)

    @expose
    def list(self, prefix: Any = None, regex: Any = None, **others: Any) -> Any:
        """Returns the registered names, as in Pyro4.

        Raises ValueError if a regular expression is given: some take exponential time, and the caller chooses them.
        """
        if regex is not None:
            raise ValueError("names are listed by prefix here, not by regular expression")
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
