"""How a command of scripts/ ends: with the exit statuses of the programs, and one line about what went wrong."""

from __future__ import annotations

import sys
from typing import Callable, NoReturn

from scripts.testbed.local_cluster import StartError
from src.cli import program, streams
from src.cli.exit_status import ExitStatus
from src.rmi.errors import SparrowError


def run_program(name: str, main: Callable[[], int]) -> NoReturn:
    """Run a command's ``main`` and end the process with its exit status.

    69 if a cluster did not start or cannot be reached, or jobs do not end; 130 after Ctrl-C. ``name`` begins the line that says so.
    """

    def run() -> int:
        try:
            return main()
        except streams.OutputError:
            raise
        except (StartError, SparrowError, TimeoutError) as error:
            print(f"{name}: {error or type(error).__name__}", file=sys.stderr)
            return ExitStatus.UNAVAILABLE
        except KeyboardInterrupt as error:
            print(f"{name}: interrupted", file=sys.stderr)
            return program.interruption(error)

    program.run_program(run)
