"""What the command lines have in common: options, logging, exit statuses. No traceback ever reaches a user."""

from __future__ import annotations

import argparse
import logging
import resource
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from src.cluster.registry import parse_address
from src.rmi.connection import MAX_CONNECTIONS
from src.rmi.errors import ConfigurationError, SparrowError, UnavailableError
from src.rmi.security import KEY_FILE

VERSION = "1.0.0"

OK = 0
TASK_FAILED = 1
USAGE = 2
UNAVAILABLE = 69
TIMED_OUT = 124
INTERRUPTED = 130

MAX_LINE = 2_000  # characters

log = logging.getLogger("sparrow")


def nameserver_address(text: str) -> str:
    """For argparse: HOST[:PORT]."""
    try:
        parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def port_number(text: str) -> int:
    """For argparse: 0 (any free port) to 65535."""
    return whole_number(text, 0, 65535)


def whole_number(text: str, least: int, most: int) -> int:
    """For argparse: a whole number in range."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a whole number") from None
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must be from {least:,} to {most:,}, not {value}")
    return value


def parser(description: str, epilog: str, nameserver: bool = True) -> argparse.ArgumentParser:
    """A parser with the options that every command has. Its errors end with exit status 2, as argparse does it."""
    made = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    if nameserver:
        made.add_argument(
            "--nameserver",
            metavar="HOST[:PORT]",
            type=nameserver_address,
            help="the name server (default: $PYRO_NS_HOST:$PYRO_NS_PORT, or else localhost:9090)",
        )
    made.add_argument(
        "--key-file",
        metavar="FILE",
        help=f"the key that all of a cluster share, made by scripts/new-key (default: ${KEY_FILE}, or else none)",
    )
    made.add_argument("--version", action="version", version=f"Sparrow on Pyro4 {VERSION}")
    return made


def add_service_options(made: argparse.ArgumentParser, host: str | None = None, port: int = 0) -> None:
    """``host`` and ``port`` are the defaults; None: the address from which the name server is reached, 0: any that is free."""
    host_text = host or "$PYRO_HOST, or else the one that reaches the name server"
    made.add_argument("--host", default=host, help=f"the address to listen on (default: {host_text})")
    port_text = port or "any that is free"
    made.add_argument("--port", type=port_number, default=port, help=f"the port to listen on (default: {port_text})")
    made.add_argument("--insecure", action="store_true", help="listen where others can reach it, without a key")
    add_log_level(made)


def add_log_level(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="how much to say on standard error (default: info, a line for each change of state)",
    )


def service(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of ``add_service_options`` and of the key, as keyword arguments of a service."""
    return {name: getattr(arguments, name) for name in ("host", "port", "key_file", "insecure")}


def printable(text: str) -> str:
    """``text`` as it may go to a terminal or a log, whoever sent it: on one line, without control characters, not too long."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[:MAX_LINE])


class _Printable(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))

    def formatException(self, error: Any) -> str:  # noqa: N802
        return "\n".join(printable(line) for line in super().formatException(error).splitlines())


def log_to_stderr(level: str) -> None:
    """One line an event: when, how grave, who and what."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False


def allow_many_connections() -> None:
    """Use as many descriptors as we may have: a scheduler holds one for each worker, and systems grant 1,024 at first."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS  # to us, and from us to others
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, wanted) if most != resource.RLIM_INFINITY else wanted, most))


def serve(run: Callable[[], None]) -> NoReturn:
    """Run a service to its end and leave with the documented exit status."""
    allow_many_connections()
    try:
        run()
    except UnavailableError as error:
        log.error("%s", error)
        sys.exit(UNAVAILABLE)
    except ConfigurationError as error:
        log.error("%s", error)
        sys.exit(USAGE)
    except SparrowError as error:
        log.error("%s", error)
        sys.exit(TASK_FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # a defect of ours: one line for the user, the rest for whoever looks for it
        log.error("unexpected %s: %s (--log-level debug shows where)", type(error).__name__, error)
        log.debug("where it happened", exc_info=error)
        sys.exit(TASK_FAILED)
    sys.exit(OK)
