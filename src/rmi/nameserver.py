"""Pyro4's name server as a remote object that is bounded, whoever registers names there, and the storage of its names."""

from __future__ import annotations

from typing import Any

import Pyro4
from Pyro4 import naming
from Pyro4.naming_storage import SqlStorage

from src.rmi.daemon import Daemon

MAX_NAMES = 20_000


class BoundedNameServer(naming.NameServer):
    """The remote object ``Pyro.NameServer``. Names, uris and their number are bounded, whoever registers them."""

    @Pyro4.expose
    def register(self, name: Any, uri: Any, safe: Any = False, metadata: Any = None) -> None:
        """As in Pyro4. ValueError for what is too long or one too many; NamingError for a name that is taken, if ``safe``."""
        if max(len(str(name)), len(str(uri)), len(str(metadata))) > 1024:
            raise ValueError("a name, its uri and its metadata have at most 1024 characters each")
        if self.count() >= MAX_NAMES and name not in self.storage:
            raise ValueError(f"there are {MAX_NAMES} names already: remove some first")
        super().register(name, uri, safe, metadata)

    @Pyro4.expose
    def list(self, prefix: Any = None, regex: Any = None, **others: Any) -> Any:
        """As in Pyro4, but for regular expressions: one of a caller's may take for ever. ValueError for those."""
        if regex is not None:
            raise ValueError("names are listed by prefix here, not by regular expression")
        return super().list(prefix, None, **others)


def storage_of(text: str) -> Any:
    """The storage that ``text`` names: memory, or sql:FILE, which keeps the names over a restart. ValueError for anything else."""
    if text == "memory":
        return naming.MemoryStorage()
    if text.startswith("sql:") and len(text) > len("sql:"):
        try:
            return SqlStorage(text[len("sql:") :])
        except Exception as error:  # whatever sqlite has against that file
            raise ValueError(f"cannot keep names in {text[len('sql:') :]}: {error}") from None
    raise ValueError(f"memory or sql:FILE, not {text!r:.60}")


def serve_names(daemon: Daemon, storage: Any) -> BoundedNameServer:
    """A name server with that storage, under its own name at that daemon."""
    names = BoundedNameServer(storage)
    names.register(Pyro4.constants.NAMESERVER_NAME, daemon.register(names, Pyro4.constants.NAMESERVER_NAME))
    return names
