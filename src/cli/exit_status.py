"""The exit statuses of all commands, as the README documents them."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit status of a command. If several apply, OUTPUT_LOST goes first, then what the command met first."""

    OK = 0
    TASK_FAILED = 1  # a task failed, or a service failed for a reason that is none of the others
    USAGE = 2  # the arguments or the configuration cannot be used; argparse uses the same status
    UNAVAILABLE = 69  # the name server, a scheduler or an address is not available
    OUTPUT_LOST = 74  # standard output cannot be written: it is closed, full, or nobody reads it any more
    TIMED_OUT = 124  # the time of --timeout is up
    INTERRUPTED = 130  # Ctrl-C was pressed (SIGINT)
    TERMINATED = 143  # SIGTERM came, and the program has no other way to stop
