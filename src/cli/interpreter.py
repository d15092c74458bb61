"""``enter``, the first step of every program of src/ and of server.py: it makes sure of a Python that has what the program needs.

The packages are in the project's ``.venv``, which scripts/setup makes. A program that is started by another Python goes on in that
one, so nobody has to activate it. This module imports nothing of the project and works with Python 3.7 and 3.8 too, so that a
Python that is too old is told from a defect.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LEAST = (3, 9)  # the oldest Python that the project supports
PACKAGES = ("Pyro4", "serpent")  # of requirements.txt
TRIED = "SPARROW_VENV_TRIED"  # an environment variable: the process that has gone on in .venv already, so that it does so only once
USAGE = 2  # the exit status for a configuration that cannot be used (``exit_status``, which is not imported yet)


def enter() -> None:
    """Returns if this Python can run the program. Otherwise the program starts again in .venv; without one, it ends with a line."""
    quiet_interrupts()
    why = too_old() or _missing()
    if why is None:
        arrived()
    elif os.path.exists(PYTHON):
        go_on_in_venv(why)
    else:
        end(f"{why}; run scripts/setup" if sys.version_info >= LEAST else why)


def quiet_interrupts() -> None:
    """Lets Ctrl-C end the program without a traceback while its modules are imported; ``program.run_program`` undoes it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def too_old() -> str | None:
    """Returns why this Python is too old, and what to do; None if it is not."""
    if sys.version_info >= LEAST:
        return None
    least, this = ".".join(map(str, LEAST)), ".".join(map(str, sys.version_info[:3]))
    return f"Python {least} or newer is needed, and this is {this}; run scripts/setup with a newer one: python{least} scripts/setup"


def _missing() -> str | None:
    """Returns which packages cannot be imported, or None."""
    missing = [name for name in PACKAGES if all(finder.find_spec(name, None) is None for finder in sys.meta_path)]
    return f"{' and '.join(missing)} cannot be imported by {sys.executable or 'this Python'}" if missing else None


def arrived() -> None:
    """Notes that this is the right Python, so that programs that this one starts may go on in .venv too."""
    os.environ.pop(TRIED, None)


def go_on_in_venv(why: str) -> NoReturn:
    """Starts this program again, with the same arguments and options, in the Python of .venv. It ends the program if that fails.

    ``why`` says what is wrong with this Python. If the program has gone on in .venv already, nothing is started.
    """
    if os.environ.pop(TRIED, None) == str(os.getpid()):  # an exec keeps the process id
        end(f"{why}, although this is the Python of .venv; remove .venv, and run scripts/setup")
    os.environ[TRIED] = str(os.getpid())
    try:
        os.execv(PYTHON, [PYTHON, *_command_line()])
    except OSError as error:
        end(f"{PYTHON} cannot be started ({error.strerror}); remove .venv, and run scripts/setup")


def _command_line() -> list[str]:
    """Returns the arguments with which this Python was started, its own options included where it tells them (from 3.10 on)."""
    original: list[str] = getattr(sys, "orig_argv", [])
    if original:
        return original[1:]
    main = sys.modules["__main__"]
    return [*(["-m", main.__spec__.name] if main.__spec__ else [sys.argv[0]]), *sys.argv[1:]]


def end(line: str) -> NoReturn:
    """Ends the program with this line, and the exit status for a configuration that cannot be used."""
    if sys.stderr is not None:
        try:
            print(f"error: {line}", file=sys.stderr, flush=True)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # for the flush at the end of the process
    sys.exit(USAGE)
