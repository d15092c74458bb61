"""Programs whose name server has a host name that the resolver does not answer about: they wait, and stop when they are told to."""

import os
import signal
import subprocess
import sys
import time

import pytest

from scripts.testbed.local_cluster import ROOT
from tests.support.live import as_in_the_foreground, eventually

SILENT_S = 60.0  # of the resolver


@pytest.fixture
def silent(tmp_path):
    """The variables with which a program gets no answer about ``ns.silent``, and the file that says that it has asked."""
    asked = tmp_path / "asked"
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib, socket, time\n"
        "real = socket.getaddrinfo\n"
        "def getaddrinfo(host, *arguments, **options):\n"
        "    if host == 'ns.silent':\n"
        f"        pathlib.Path({str(asked)!r}).touch()\n"
        f"        time.sleep({SILENT_S})\n"
        "    return real(host, *arguments, **options)\n"
        "socket.getaddrinfo = getaddrinfo\n"
    )
    return {"PYTHONPATH": str(tmp_path)}, asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", ["src/Worker.py", "src/Scheduler.py", "src/SparrowClient.py BATCH 1 1 1", "server.py --port 0"])
def test_a_program_stops_while_a_host_name_is_looked_up(silent, program, number):
    variables, asked = silent
    command = [sys.executable, *program.split(), "--nameserver", "ns.silent"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        preexec_fn=as_in_the_foreground,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            eventually(asked.exists)
            began = time.monotonic()
            process.send_signal(number)
            _, said = process.communicate(timeout=SILENT_S)
        finally:
            process.kill()
    assert time.monotonic() - began < SILENT_S / 4
    assert process.returncode == (128 + number if "Client" in program else 0), said
    assert "Traceback" not in said
