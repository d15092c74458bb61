"""How a cluster that is attacked is protected: not at all, by a key, or by TLS."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import Pyro4

from scripts.testbed.local_cluster import ROOT
from src.rmi.security import KEY_FILE

OPEN, KEY, TLS = "open", "key", "tls"
PROTECTIONS = (OPEN, KEY, TLS)


@contextlib.contextmanager
def protected(protection: str) -> Iterator[None]:
    """Within the block this process, and what it starts, has one of PROTECTIONS. OPEN is what the environment says.

    The key is that of the environment, if that names one, or else a new one; certificates are new ones. Raises CalledProcessError
    if they cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="sparrow-") as folder, contextlib.ExitStack() as changed:
        if protection == KEY and KEY_FILE not in os.environ:
            _run("new-key", f"{folder}/key")
            changed.enter_context(_environment({KEY_FILE: f"{folder}/key"}))
        if protection == TLS:
            _run("new-certs", folder, "here,127.0.0.1")
            here = Path(folder) / "here"
            certificate, key = str(here / "host.pem"), str(here / "host.key")
            settings = {
                "SSL_CACERTS": str(here / "authority.pem"),
                "SSL_SERVERCERT": certificate,
                "SSL_SERVERKEY": key,
                "SSL_CLIENTCERT": certificate,
                "SSL_CLIENTKEY": key,
            }
            changed.enter_context(_environment({f"PYRO_{name}": value for name, value in settings.items()}))
            changed.enter_context(_environment({"PYRO_SSL": "1", "PYRO_SSL_REQUIRECLIENTCERT": "1"}))
            changed.enter_context(_configuration({**settings, "SSL": True, "SSL_REQUIRECLIENTCERT": True}))
        yield


def _run(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / script), *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _configuration(settings: dict[str, object]) -> Iterator[None]:
    """What Pyro4 has read from the environment when it was imported."""
    before = {name: getattr(Pyro4.config, name) for name in settings}
    for name, value in settings.items():
        setattr(Pyro4.config, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(Pyro4.config, name, value)
