"""What a program prints: results on standard output, which must arrive, and lines on standard error, which may be lost.

Either may be closed, on a full disk, or a pipe that nobody reads any more. After ``prepare``, what is printed to standard output
and cannot be written raises OutputError. What cannot be written to standard error is dropped: nobody is left to be told.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import BinaryIO, TextIO

from src.sparrow.errors import SparrowError


class OutputError(SparrowError):
    """Raised if standard output cannot be written. ``reader_gone`` says that it is a pipe whose reader has closed it."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"the output cannot be written: {error.strerror}")
        self.reader_gone = error.errno == errno.EPIPE


class _Output(io.TextIOWrapper):
    """Standard output. What is printed after an OutputError is dropped, so that Python does not fail once more when it exits."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            _open_null(self.fileno(), os.O_WRONLY)
            raise OutputError(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            _open_null(self.fileno(), os.O_WRONLY)
            raise OutputError(error) from None


class _Lines(io.TextIOWrapper):
    """Standard error."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            _open_null(self.fileno(), os.O_WRONLY)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _open_null(self.fileno(), os.O_WRONLY)


def prepare() -> None:
    """Makes standard output and standard error as this module says; the first step of a program.

    Descriptors that are closed are opened, since sockets would get their numbers. Characters that an encoding lacks are printed as
    escapes.
    """
    if sys.stdin is None:
        _open_null(0, os.O_RDONLY)
    if sys.stdout is None:
        _open_null(1, os.O_RDONLY)  # writing fails, as it did before
    if sys.stderr is None:
        _open_null(2, os.O_WRONLY)
    sys.stdout = _Output(*_properties(sys.stdout, 1))
    sys.stderr = _Lines(*_properties(sys.stderr, 2))


def _properties(stream: TextIO | None, descriptor: int) -> tuple[BinaryIO, str, str, None, bool]:
    """Returns the arguments of a TextIOWrapper in place of ``stream``, which is None if its descriptor was closed."""
    if stream is None:
        return open(descriptor, "wb", closefd=False), "utf-8", "backslashreplace", None, True
    in_lines = stream.isatty() or bool(getattr(stream, "write_through", False))  # a terminal, and the option -u of Python
    return stream.buffer, stream.encoding, "backslashreplace", None, in_lines or descriptor == 2


def _open_null(descriptor: int, flags: int) -> None:
    null = os.open(os.devnull, flags)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
