"""The environment of the peers, ``.venv-peers`` beside ``.venv``: made on demand, so that none of their packages is in ours."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from scripts.testbed.local_cluster import ROOT, StartError
from scripts.testbed.peers.catalogue import CATALOGUE, OURS

VENV = ROOT / ".venv-peers"
PYTHON = VENV / "bin" / "python"
INSTALL_TIMEOUT_S = 900.0


class MissingPeerError(StartError):
    """A peer cannot be installed; the text says why, in one line."""


def interpreter(name: str) -> Path:
    """Returns the Python that has what this system needs. For ours that is the one that runs."""
    return PYTHON if name != OURS else Path(sys.executable)


def version(name: str) -> str:
    """Returns the installed version of a peer, or that of Python if that has it. Raises MissingPeerError."""
    entry = CATALOGUE[name]
    if not entry.requirement:
        return "Python {}.{}.{}".format(*sys.version_info)
    found = _installed(entry.package)
    if found is None:
        raise MissingPeerError(f"{entry.package} is not installed")
    return found


def install(name: str) -> None:
    """Install what a peer needs, unless it is there. Raises MissingPeerError."""
    _make()
    entry = CATALOGUE[name]
    wanted = entry.requirement.partition("==")[2]
    if not entry.requirement or _installed(entry.package) == wanted:
        return
    print(f"benchmark: installing {entry.requirement} in {VENV.name}", file=sys.stderr)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", entry.requirement]
    try:
        done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise MissingPeerError(f"pip has not installed {entry.requirement} in {INSTALL_TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")] or ["it did not say why"]
        raise MissingPeerError(f"pip could not install {entry.requirement}: {said[-1].replace('ERROR: ', '')}")


def _installed(package: str) -> str | None:
    path = list(map(str, VENV.glob("lib/python*/site-packages")))
    return next((found.version for found in metadata.distributions(name=package, path=path)), None)


def _make() -> None:
    """Make the environment, with our own Python. One that another Python has made is made anew."""
    if PYTHON.exists() and list(VENV.glob("lib/python{}.{}/site-packages".format(*sys.version_info))):
        return
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise MissingPeerError(f"Python could not make {VENV.name}: on Debian and Ubuntu, apt install python3-venv")
