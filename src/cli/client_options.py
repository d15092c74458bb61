"""The command line of the client."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from src.cli.methods import methods_help
from src.cli.options import new_parser, whole_number
from src.Job import seeded_jobs
from src.sparrow.checks import seconds
from src.sparrow.jobspec import MAX_TASKS
from src.sparrow.placement import method_named
from src.sparrow.settings import ClientSettings

LIMITS = ClientSettings()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Returns the options, and the jobs that they describe as ``jobs``. Wrong usage ends the program with exit status 2."""
    parser = new_parser(
        "Submit jobs, all at once, wait for them and print how it went.",
        "example: 10 jobs of 10 tasks of 1 s each\n  python SparrowClient.py BATCH+LATE_BINDING 10 10 1\n\n"
        f"methods\n{methods_help()}\n\n"
        "exit status: 0 all tasks done; 1 a task failed; 2 usage; 69 no name server or scheduler to be had;\n"
        "74 the output cannot be written; 124 --timeout reached; 130 Ctrl-C; 143 SIGTERM",
    )
    parser.add_argument("method", help="one of the methods below, in upper or lower case")
    parser.add_argument("no_of_jobs", type=_count(LIMITS.max_jobs), help=f"1 to {LIMITS.max_jobs:,}")
    parser.add_argument("no_of_tasks", type=_count(MAX_TASKS), help=f"of each job, 1 to {MAX_TASKS:,}")
    parser.add_argument("duration", type=_number_of_seconds, help="of each task, in seconds")
    parser.add_argument(
        "task_spread",
        type=_number_of_seconds,
        nargs="?",
        default=0.0,
        help="draw each from duration ± task_spread (default: 0)",
    )
    parser.add_argument("--seed", type=_seed, metavar="N", help="draw the same durations again")
    parser.add_argument("--timeout", type=_number_of_seconds, metavar="S", help="give up waiting after so many seconds")
    parser.add_argument("--no-wait", action="store_true", help="submit the jobs and leave")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors (and the object of --json)")
    parsed = parser.parse_args(arguments)
    try:
        parsed.method = method_named(parsed.method).name
        if parsed.no_of_jobs * parsed.no_of_tasks > LIMITS.max_tasks:
            raise ValueError(
                f"no_of_jobs times no_of_tasks must be at most {LIMITS.max_tasks:,}: submit the rest when these have ended"
            )
        parsed.jobs = seeded_jobs(parsed.no_of_jobs, parsed.no_of_tasks, parsed.duration, parsed.task_spread, parsed.seed)
    except ValueError as error:
        parser.error(str(error).replace("length_spread", "task_spread").replace("task_length", "duration"))
    return parsed


def _count(most: int) -> Callable[[str], int]:
    return lambda text: whole_number(text, 1, most)


def _seed(text: str) -> int:
    return whole_number(text, -(2**63), 2**63)


def _number_of_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a number of seconds") from None
    try:
        return seconds(value, "a time")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
