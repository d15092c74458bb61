"""The start and the end of every program: its streams, its signals, its exit status, and the error line for the user."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from src.cli import streams
from src.cli.exit_status import ExitStatus
from src.cli.logs import log_nothing, printable
from src.cluster.signals import TerminatedError, ignore_signals, interrupt_once


def run_program(main: Callable[[], int]) -> NoReturn:
    """Runs the ``main`` of a program and ends the process with the status that it returns, or with that of what it raises.

    Signals that are ignored when the program starts, as SIGINT is in a background job of a shell script, stay ignored.
    """
    streams.prepare()
    log_nothing()
    interrupt_once()
    try:
        status = main()
    except SystemExit as end:  # of argparse
        status = _status_of(end)
    except KeyboardInterrupt as error:
        status = interruption(error)
    except streams.OutputError as error:
        status = _output_lost(error)
    except Exception as error:
        status = _unexpected(error)
    ignore_signals()
    try:
        sys.stdout.flush()
    except streams.OutputError as error:
        status = _output_lost(error)
    sys.exit(status)


def interruption(error: KeyboardInterrupt) -> ExitStatus:
    """Returns the exit status of a program that a signal has ended."""
    return ExitStatus.TERMINATED if isinstance(error, TerminatedError) else ExitStatus.INTERRUPTED


def _status_of(end: SystemExit) -> int:
    if isinstance(end.code, str):
        print(end.code, file=sys.stderr)
        return ExitStatus.TASK_FAILED
    return end.code or ExitStatus.OK


def _output_lost(error: streams.OutputError) -> ExitStatus:
    if not error.reader_gone:  # a reader that has enough, as ``head`` has, is no error to be told of
        print(f"error: {error}", file=sys.stderr)
    return ExitStatus.OUTPUT_LOST


def _unexpected(error: Exception) -> ExitStatus:
    """A defect of this program: one line for the user, the traceback for its developers."""
    print(printable(f"error: unexpected {type(error).__name__}: {error} (python3 -X dev shows where)"), file=sys.stderr)
    if sys.flags.dev_mode:
        traceback.print_exception(type(error), error, error.__traceback__)
    return ExitStatus.TASK_FAILED
