"""A whole cluster of real processes on this machine, for scripts and tests: name server, schedulers, workers host1 .. hostN.

It has a key if SPARROW_KEY_FILE names one, and TLS if PYRO_SSL and what belongs to it is set.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import Pyro4

from scripts.testbed.proxy import proxy_of

ROOT = Path(__file__).resolve().parents[2]
START_S = 60.0  # for all of it to be there, on a slow machine
STOP_S = 3.0  # between asking a process to stop and killing it
_PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """Raised when a process of the cluster ends or does not get ready; the text has the end of its log."""


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however that happens (Linux only). For ``preexec_fn``.

    SIGINT ends it too, although that is ignored, and inherited so, where a shell runs the parent in the background.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def client_command(nameserver: str, *arguments: object) -> list[str]:
    """Returns the client's command line for the cluster with that name server."""
    return [sys.executable, str(ROOT / "src" / "SparrowClient.py"), *map(str, arguments), "--nameserver", nameserver]


class LocalCluster:
    """A context manager: the processes start with the block and end with it. ``logs`` is a folder with a log for each.

    The name server is pyro4-ns, or with a key or ``own_nameserver`` the one of src/NameServer.py.
    """

    def __init__(
        self,
        workers: int = 10,
        slots: int = 1,
        schedulers: int = 1,
        log_level: str = "info",
        python: str = sys.executable,
        own_nameserver: bool = False,
    ) -> None:
        self._wanted = (workers, slots, schedulers)
        self._log_level = log_level
        self._python = python
        self.address = "127.0.0.1"  # of the name server
        self.outputs: dict[str, Path] = {}  # process -> file for its output, instead of one in ``logs``
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.logs = Path()
        self.nameserver = ""
        key_file = os.environ.get("SPARROW_KEY_FILE")
        try:
            self.key = Path(key_file).read_bytes().strip() if key_file else None
        except OSError as error:
            raise StartError(f"the key file cannot be read: {key_file}: {error.strerror}") from None
        self._own_nameserver = own_nameserver or self.key is not None  # stock Pyro4 has no sessions
        self.variables: dict[str, str] = {}  # in the environment of what starts from now on
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> LocalCluster:
        self._folder = tempfile.TemporaryDirectory(prefix="sparrow-")
        self.logs = Path(self._folder.name)
        workers, slots, schedulers = self._wanted
        try:
            self.start_nameserver()
            for number in range(1, schedulers + 1):
                self.start_scheduler(number)
            for number in range(1, workers + 1):
                self.start_worker(f"host{number}", slots)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def environment(self) -> dict[str, str]:
        """Returns the environment for a command that is to use this cluster."""
        host, _, port = self.nameserver.rpartition(":")
        path = f"{Path(self._python).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**os.environ, "PYRO_NS_HOST": host, "PYRO_NS_PORT": port, "PATH": path}

    def start_nameserver(self, port: int = 0, storage: str = "memory") -> None:
        """Start the name server and wait for its address. Port 0 is any free one; ``storage`` as pyro4-ns has it."""
        if self._own_nameserver:
            options = ("--host", self.address, "--port", str(port), "--storage", storage)
            self._spawn("nameserver", str(ROOT / "src" / "NameServer.py"), *options)
        else:
            self._spawn("nameserver", "-m", "Pyro4.naming", "-n", self.address, "-p", str(port), "-x", "-s", storage)
        self.nameserver = self._await_log("nameserver", r"(?:NS running on|name server is ready at) ([0-9.]+:\d+)")

    def start_scheduler(self, number: int = 1, *options: str) -> None:
        """Start a scheduler, with options of its command line."""
        self._serve(f"scheduler{number}", "Scheduler.py", "--number", str(number), *options)

    def start_worker(self, name: str, slots: int = 1, *options: str) -> None:
        """Start a worker, with options of its command line."""
        self._serve(name, "Worker.py", "--name", name, "--slots", str(slots), *options)

    def _serve(self, name: str, script: str, *options: str) -> None:
        common = ("--nameserver", self.nameserver, "--log-level", self._log_level)
        self._spawn(name, str(ROOT / "src" / script), *common, *options)

    def _spawn(self, name: str, *arguments: str) -> None:
        with self.outputs.get(name, self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [self._python, "-u", *arguments],
                env={**os.environ, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C reaches only us, and we end them in order
                preexec_fn=end_with_parent,
            )

    def log(self, name: str) -> str:
        """Returns what that process has logged so far."""
        return (self.logs / f"{name}.log").read_text(errors="replace")

    def _await_log(self, name: str, pattern: str) -> str:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            found = re.search(pattern, self.log(name))
            if found:
                return found.group(1)
            self._must_run(name)
            time.sleep(0.02)
        raise StartError(f"{name} was not ready in {START_S:.0f} s:\n{self.log(name)[-2000:]}")

    def _must_run(self, name: str) -> None:
        status = self.processes[name].poll()
        if status is not None:
            raise StartError(f"{name} ended with status {status}:\n{self.log(name)[-2000:]}")

    def wait_ready(self) -> None:
        """Return when every scheduler knows every worker that runs."""
        workers = {name for name in self.processes if name.startswith("host")}
        for name in [name for name in self.processes if name.startswith("scheduler")]:
            deadline = time.monotonic() + START_S
            while not self._knows(int(name[len("scheduler") :]), workers):
                for each in (name, *workers):
                    self._must_run(each)
                if time.monotonic() > deadline:
                    raise StartError(f"{name} has not found all workers in {START_S:.0f} s:\n{self.log(name)[-2000:]}")
                time.sleep(0.05)

    def _knows(self, scheduler: int, workers: set[str]) -> bool:
        stats = self.stats(scheduler)
        return bool(stats) and workers <= set(stats["workers"])

    def stats(self, scheduler: int = 1) -> dict[str, Any]:
        """Returns the stats of that scheduler; empty while it cannot be reached."""
        try:
            with self.proxy(f"sparrow.scheduler.{scheduler}") as proxy:
                return dict(proxy.stats())
        except Pyro4.errors.PyroError:
            return {}

    def load(self, worker: str) -> int:
        """Returns the number of tasks and reservations that the worker has."""
        with self.proxy(f"sparrow.worker.{worker}") as proxy:
            return int(proxy.find_load())

    def holds_nothing(self) -> bool:
        """Returns whether nothing is left of any job: neither with the schedulers nor on the workers."""
        for name in [name for name in self.processes if name.startswith("scheduler")]:
            stats = self.stats(int(name[len("scheduler") :]))
            if not stats or stats["open_jobs"] or any(w["runs"] or w["reservations"] for w in stats["workers"].values()):
                return False
        try:
            return all(self.load(name) == 0 for name in self.processes if name.startswith("host"))
        except Pyro4.errors.PyroError:
            return False

    def proxy(self, name: str) -> Any:
        """Returns a proxy of a remote object of this cluster. Raises NamingError if there is none of that name."""
        return proxy_of(self.nameserver, name, self.key)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to a process; after SIGKILL it is also forgotten."""
        self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self.processes.pop(name).wait()

    def stop(self) -> None:
        """End every process: workers first, the name server last."""
        order = sorted(self.processes, key=lambda name: (name == "nameserver", name.startswith("scheduler")))
        for group in (order[:-1], order[-1:]) if "nameserver" in self.processes else (order,):
            for name in group:
                with contextlib.suppress(ProcessLookupError):
                    self.processes[name].send_signal(signal.SIGCONT)
                    self.processes[name].terminate()
            deadline = time.monotonic() + STOP_S
            for name in group:
                try:
                    self.processes[name].wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    self.processes[name].kill()
                    self.processes[name].wait()
        self.processes.clear()
        if self._folder is not None:
            self._folder.cleanup()
