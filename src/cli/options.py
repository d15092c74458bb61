"""The options that several commands have, and the types of their values for argparse."""

from __future__ import annotations

import argparse
from typing import Any

from src.cluster.registry import parse_address
from src.rmi.security import KEY_FILE, STOCK_LOSS, STOCK_OPTION, STOCK_VARIABLE

VERSION = "1.0.0"


def nameserver_address(text: str) -> str:
    """Returns ``text`` if it is HOST[:PORT]. Raises ArgumentTypeError if it is not; for argparse."""
    try:
        parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def port_number(text: str) -> int:
    """Returns a port, from 0 (any that is free) to 65535. Raises ArgumentTypeError if it is out of range; for argparse."""
    return whole_number(text, 0, 65535)


def whole_number(text: str, least: int, most: int) -> int:
    """Returns a whole number from ``least`` to ``most``. Raises ArgumentTypeError if it is out of range; for argparse."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a whole number") from None
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must be from {least:,} to {most:,}, not {value}")
    return value


def new_parser(description: str, epilog: str, nameserver: bool = True) -> argparse.ArgumentParser:
    """Returns a parser with the options that every command has. Wrong usage ends the program with exit status 2."""
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    if nameserver:
        parser.add_argument(
            "--nameserver",
            metavar="HOST[:PORT]",
            type=nameserver_address,
            help="the name server (default: $PYRO_NS_HOST:$PYRO_NS_PORT, or else localhost:9090)",
        )
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help=f"the key that all of a cluster share, made by scripts/new-key (default: ${KEY_FILE}, or else none)",
    )
    parser.add_argument(
        STOCK_OPTION,
        action="store_true",
        help=f"with a key, also talk with pyro4-ns and Pyro4 clients that have it; then {STOCK_LOSS} (or {STOCK_VARIABLE}=1)",
    )
    parser.add_argument("--version", action="version", version=f"Sparrow on Pyro4 {VERSION}")
    return parser


def add_service_options(parser: argparse.ArgumentParser, host: str | None = None, port: int = 0) -> None:
    """Adds the options of a program that listens for connections.

    ``host`` and ``port`` are the defaults; None stands for the address from which the name server is reached, 0 for any free port.
    """
    host_text = host or "$PYRO_HOST, or else the one that reaches the name server"
    parser.add_argument("--host", default=host, help=f"the address to listen on (default: {host_text})")
    port_text = port or "any that is free"
    parser.add_argument("--port", type=port_number, default=port, help=f"the port to listen on (default: {port_text})")
    parser.add_argument("--insecure", action="store_true", help="listen where others can reach it, without a key")
    add_log_level(parser)


def add_log_level(parser: argparse.ArgumentParser) -> None:
    """Adds --log-level, for ``logs.log_to_stderr``."""
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="how much to say on standard error (default: info, a line for each change of state)",
    )


def service_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the values of ``add_service_options``, and those that concern the key, as keyword arguments of a service."""
    return {name: getattr(options, name) for name in ("host", "port", "key_file", "insecure", "allow_stock_pyro4")}
