"""The log of commands and services: one line for each event on standard error, without control characters from other processes."""

from __future__ import annotations

import logging
import sys
from typing import Any

MAX_LINE = 2_000  # characters of a text that are printed

log = logging.getLogger("sparrow")


def printable(text: str) -> str:
    """Returns ``text`` on one line, with control characters escaped, and cut to ``MAX_LINE`` characters."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[:MAX_LINE])


class PrintableFormatter(logging.Formatter):
    """A formatter that makes every line printable."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Returns the line of a record."""
        return printable(super().formatMessage(record))

    def formatException(self, error: Any) -> str:  # noqa: N802
        """Returns the lines of a traceback."""
        return "\n".join(printable(line) for line in super().formatException(error).splitlines())


def log_nothing() -> None:
    """Has a command log nothing until ``log_to_stderr``: logging itself would print errors, with tracebacks, on the terminal."""
    if not sys.flags.dev_mode:
        for one in (log, logging.getLogger("asyncio")):
            one.handlers[:] = [logging.NullHandler()]


def log_to_stderr(level: str) -> None:
    """Logs to standard error what is at least of this level ("debug" to "error"): a line with time, level and text each.

    asyncio's errors come there too: what they are about may have been said by another process.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    log.handlers[:] = [handler]
    logging.getLogger("asyncio").handlers[:] = [handler]
    log.setLevel(level.upper())
    log.propagate = False
    logging.raiseExceptions = False  # a line that cannot be written is lost; logging would print a traceback, where it failed
