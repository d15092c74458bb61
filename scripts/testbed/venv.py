"""Runs a script in the project's own virtual environment, which is made on first use.

``from testbed import venv; venv.enter(__file__)`` are the first lines of a script; after them it imports from the project's root.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
RUNTIME = ("requirements.txt",)
TESTS = ("requirements.txt", "tests/requirements.txt")


def make(wanted: tuple[str, ...] = RUNTIME) -> None:
    """Make .venv if it is missing, and install what these requirement files name unless that is done."""
    if sys.version_info < (3, 9):  # noqa: UP036  (older ones get this far, and should hear why they get no further)
        sys.exit(f"setup: Python 3.9 or newer is needed, and this is {sys.version.split()[0]}")
    if not PYTHON.exists():
        print("setup: making .venv", file=sys.stderr)
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False)
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


def enter(script: str, wanted: tuple[str, ...] = RUNTIME) -> None:
    """Go on in .venv, with the project's root on the path: returns at once if we are in it, else starts the script again there."""
    make(wanted)
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(PYTHON, [str(PYTHON), script, *sys.argv[1:]])
    sys.path.insert(0, str(ROOT))


def _stamp(name: str) -> Path:
    return VENV / f".installed-{name.replace('/', '-')}"


def _digest(name: str) -> str:
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()


def _is_installed(name: str) -> bool:
    return _stamp(name).exists() and _stamp(name).read_text() == _digest(name)
