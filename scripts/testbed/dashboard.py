"""A dashboard server as a process of its own, and many viewers of it, for scripts and tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from scripts.testbed.local_cluster import ROOT, StartError, end_with_parent

START_S = 20.0
POLL_S = 1.0  # between two polls of one viewer


class Dashboard:
    """A context manager: ``server.py`` on that port of this machine, by default on any free one, with these options."""

    def __init__(self, nameserver: str, port: int = 0, options: Sequence[str] = ()) -> None:
        self._nameserver = nameserver
        self._options = options
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open for as long as the process)
        self.port = port
        self.process: subprocess.Popen[str]
        self.start()

    def start(self) -> None:
        """Start the process and wait for its address. Raises StartError if there is none."""
        command = [sys.executable, "-u", str(ROOT / "server.py"), "--host", "127.0.0.1", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--nameserver", self._nameserver, *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line.startswith("http://"):
            self.process.wait(START_S)
            raise StartError(f"the dashboard did not start: {self.log()}")
        self.url = line
        self.origin = line.rpartition("/")[0]
        self.port = int(self.origin.rpartition(":")[2])

    def log(self) -> str:
        """Returns what it has logged so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def get(self, path: str) -> Any:
        """Returns the JSON at this path. Raises OSError if there is none to be had."""
        with urllib.request.urlopen(self.origin + path, timeout=10) as answer:
            return json.load(answer)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end. Returns its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(5.0)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def __enter__(self) -> Dashboard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if self.process.poll() is None:
                self.stop()
        self._log.close()


async def _viewer(port: int, begins_s: float, until: float, latencies: list[float]) -> None:
    await asyncio.sleep(begins_s)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    etag = b"none"
    try:
        while time.monotonic() < until:
            began = time.perf_counter()
            writer.write(
                b"GET /sparrow/stats HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\nIf-None-Match: " + etag + b"\r\n\r\n"
            )
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            await reader.readexactly(int(fields.get(b"Content-Length", b"0")))
            latencies.append(time.perf_counter() - began)
            etag = fields[b"ETag"]
            await asyncio.sleep(POLL_S - (time.perf_counter() - began))
    finally:
        writer.close()


def watch(port: int, viewers: int, for_s: float) -> list[float]:
    """Poll as so many open pages do, for so many seconds. Returns the seconds that each poll took."""

    async def all_of_them() -> list[float]:
        latencies: list[float] = []
        until = time.monotonic() + for_s
        await asyncio.gather(*(_viewer(port, POLL_S * i / viewers, until, latencies) for i in range(viewers)))
        return latencies

    return asyncio.run(all_of_them())
