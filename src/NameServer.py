"""The name server program: Pyro4's name server behind the daemon of this project.

    python NameServer.py [--host HOST] [--storage sql:FILE]

Its remote object is that of ``pyro4-ns``, which is enough in a trusted network without a key. But that has a thread for each of at
most forty connections, so forty silent connections block it, and with a key its conversations are not protected (``rmi.session``).
Here the name of a scheduler or worker is removed when it has not been renewed for a minute, and is taken over from a dead one in
one step.
"""

from __future__ import annotations

if not __package__:
    import _root  # noqa: F401
if __name__ == "__main__":
    from src.cli import interpreter

    interpreter.enter()

import argparse
import asyncio
import logging
import os
from typing import Any

from src.cli.logs import log_to_stderr
from src.cli.options import add_service_options, new_parser
from src.cli.process import run_service
from src.cli.program import run_program
from src.cluster.registry import parse_address
from src.cluster.signals import StopSignals
from src.rmi.daemon import Daemon
from src.rmi.listening import described
from src.rmi.nameserver import serve_names, storage_of
from src.rmi.security import Security

log = logging.getLogger("sparrow.nameserver")


def _storage(text: str) -> Any:
    """Returns the storage that ``text`` names; for argparse."""
    try:
        return storage_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


async def serve(host: str, port: int, storage: Any, security: Security, signals: StopSignals) -> None:
    """Serves until one of these signals comes.

    Raises UnavailableError if it cannot listen on the address, and ConfigurationError if that needs a key or ``--insecure``.
    """
    stopping = asyncio.Event()
    signals.call(lambda number: stopping.set())
    daemon = Daemon(host, port, security)
    names = serve_names(daemon, storage)
    await daemon.serve()
    where = described(daemon.locationStr, daemon.sock.getsockname()[0])
    log.info("the name server is ready at %s, with %d names", where, names.count())
    await stopping.wait()
    daemon.stop()
    storage.close()
    log.info("the name server has stopped")


def run() -> None:
    """Parses the command line and serves."""
    host, port = parse_address(None)
    parser = new_parser(
        "Run a name server, in place of pyro4-ns, that silent, slow and noisy connections do not stop.",
        "The others find it with --nameserver HOST[:PORT].",
        nameserver=False,
    )
    add_service_options(parser, os.environ.get("PYRO_HOST") or host, port)
    parser.add_argument(
        "--storage", type=_storage, default="memory", help="memory, or sql:FILE to keep the names (default: memory)"
    )
    arguments = parser.parse_args()
    log_to_stderr(arguments.log_level)
    security = Security.of(arguments.key_file, arguments.insecure, arguments.allow_stock_pyro4)
    with StopSignals() as signals:
        asyncio.run(serve(arguments.host, arguments.port, arguments.storage, security, signals))


def main() -> int:
    """Runs the command, and returns its exit status."""
    return run_service(run)


if __name__ == "__main__":
    run_program(main)
