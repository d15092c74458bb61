"""Pyro4's name server behind the daemon of this project, for networks where not everybody means well.

    python NameServer.py [--host HOST] [--storage sql:FILE]

It is found, asked and filled like ``pyro4-ns``. That is enough among friends; but it has a thread for each of forty
connections, so forty that say nothing keep everybody else out.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from typing import Any

from rmi import command  # isort: skip  (it says what is wrong with the environment, before Pyro4 trips over it)

import Pyro4
from Pyro4 import naming
from Pyro4.naming_storage import SqlStorage

from rmi.daemon import Daemon
from rmi.naming import parse_address
from rmi.security import Security

MAX_NAMES = 20_000

log = logging.getLogger("sparrow.nameserver")


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


def _storage(text: str) -> Any:
    """For argparse: memory, or sql:FILE, which keeps the names over a restart."""
    if text == "memory":
        return naming.MemoryStorage()
    if text.startswith("sql:") and len(text) > len("sql:"):
        try:
            return SqlStorage(text[len("sql:") :])
        except Exception as error:  # whatever sqlite has against that file
            raise argparse.ArgumentTypeError(f"cannot keep names in {text[len('sql:') :]}: {error}") from None
    raise argparse.ArgumentTypeError(f"memory or sql:FILE, not {text!r:.60}")


async def serve(host: str, port: int, storage: Any, security: Security) -> None:
    """Until SIGINT or SIGTERM. UnavailableError if the address cannot be had, ConfigurationError if it must not be."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    daemon = Daemon(host, port, security)
    names = BoundedNameServer(storage)
    names.register(Pyro4.constants.NAMESERVER_NAME, daemon.register(names, Pyro4.constants.NAMESERVER_NAME))
    await daemon.serve()
    log.info("the name server is ready at %s, with %d names", daemon.locationStr, names.count())
    await stopping.wait()
    daemon.stop()
    storage.close()
    log.info("the name server has stopped")


def run() -> None:
    host, port = parse_address(None)
    parser = command.parser(
        "Run a name server, in place of pyro4-ns, that silent, slow and noisy connections do not stop.",
        "The others find it with --nameserver HOST[:PORT].",
        nameserver=False,
    )
    command.add_service_options(parser, os.environ.get("PYRO_HOST") or host, port)
    parser.add_argument(
        "--storage", type=_storage, default="memory", help="memory, or sql:FILE to keep the names (default: memory)"
    )
    arguments = parser.parse_args()
    command.log_to_stderr(arguments.log_level)
    security = Security.of(arguments.key_file, arguments.insecure)
    asyncio.run(serve(arguments.host, arguments.port, arguments.storage, security))


def main() -> None:
    command.serve(run)


if __name__ == "__main__":
    main()
