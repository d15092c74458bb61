"""Runs a script in the project's own virtual environment, which is made on first use.

``from testbed import venv; venv.enter()`` are the first lines of a script; after them it imports from the project's root.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from src.cli import interpreter  # noqa: E402  (it imports the standard library alone, as everything of src/cli/program.py does)

VENV = Path(interpreter.VENV)
PYTHON = Path(interpreter.PYTHON)
RUNTIME = ("requirements.txt",)
TESTS = ("requirements.txt", "tests/requirements.txt")


def make(wanted: tuple[str, ...] = RUNTIME) -> None:
    """Make .venv if it is missing, and install what these requirement files name unless that is done."""
    if not PYTHON.exists():
        why = interpreter.too_old()
        if why is not None:
            interpreter.end(why)
        print("setup: making .venv", file=sys.stderr)
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False)  # clear: its Python may be gone
        if made.returncode != 0:
            sys.exit("setup: Python could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv")
    missing = [name for name in wanted if not _is_installed(name)]
    if missing:
        print(f"setup: installing {' and '.join(missing)}", file=sys.stderr)
        files = [part for name in missing for part in ("-r", str(ROOT / name))]
        install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *files]
        if subprocess.run(install, check=False).returncode != 0:
            sys.exit("setup: pip could not install the requirements; what it said is above")
        for name in missing:
            _stamp(name).write_text(_digest(name))


def enter(wanted: tuple[str, ...] = RUNTIME) -> None:
    """Go on in .venv, with the project's root on the path: returns at once if this is it, else starts the script again there."""
    interpreter.quiet_interrupts()
    make(wanted)
    why = interpreter.too_old()
    if why is not None or Path(sys.prefix).resolve() != VENV.resolve():
        interpreter.go_on_in_venv(why or f"{sys.executable} does not use the packages of .venv")
    interpreter.arrived()


def _stamp(name: str) -> Path:
    return VENV / f".installed-{name.replace('/', '-')}"


def _digest(name: str) -> str:
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()


def _is_installed(name: str) -> bool:
    return _stamp(name).exists() and _stamp(name).read_text() == _digest(name)
