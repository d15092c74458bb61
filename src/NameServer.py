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

if not __package__:
    import _root  # noqa: F401

from src.cli import command
from src.cluster.registry import parse_address
from src.rmi.daemon import Daemon
from src.rmi.nameserver import serve_names, storage_of
from src.rmi.security import Security

log = logging.getLogger("sparrow.nameserver")


def _storage(text: str) -> Any:
    """For argparse."""
    try:
        return storage_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


async def serve(host: str, port: int, storage: Any, security: Security) -> None:
    """Until SIGINT or SIGTERM. UnavailableError if the address cannot be had, ConfigurationError if it must not be."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    daemon = Daemon(host, port, security)
    names = serve_names(daemon, storage)
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
