"""``Contestant``: one system in a child process of its own (``scripts/testbed/peers/child.py``), with all that it has started."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from scripts.testbed import processes
from scripts.testbed.local_cluster import ROOT, StartError, end_with_parent
from scripts.testbed.peers import environment

ANSWER_S = 900.0  # the longest time until an answer: a start of a hundred workers, or a minute's jobs and the end of them
LOOK_S = 0.5  # between two looks at whether the child process still runs
STOP_S = 20.0  # between asking a system to stop and killing it
_PR_SET_CHILD_SUBREAPER = 36


class ContestantError(StartError):
    """A system could not be started, or could not do what it was asked for; the text is one line."""


class Contestant:
    """A context manager; with the block everything ends that the system has started, however it was started."""

    def __init__(self, name: str) -> None:
        """``name`` is that of the catalogue."""
        self.name = name
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self._log = Path(self._folder.name) / "log"
        self._unread = b""

    def __enter__(self) -> Contestant:
        _adopt_orphans()
        self._others = set(processes.descendants(os.getpid()))
        # What a peer would tell its makers, or leave in the current folder, is not wanted.
        variables = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "1", "IPYTHONDIR": self._folder.name}
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [str(environment.interpreter(self.name)), "-m", "scripts.testbed.peers.child", self.name],
                cwd=self._folder.name,
                env={**os.environ, **variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # so that Ctrl-C reaches only us, and we end it in order
                preexec_fn=end_with_parent,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended
            self._child.stdin.close()
        if kind is not None:
            self._child.terminate()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()
        _end_descendants(but=self._others)
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """The id of the child process."""
        return self._child.pid

    def ask(self, what: str, **details: object) -> Any:
        """Returns the answer to a request (``wire.py``). Raises ContestantError."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps({"do": what, **details}).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise ContestantError(self._last_words()) from None
        answer = json.loads(self._line())
        if "error" in answer:
            raise ContestantError(answer["error"])
        return answer

    def _line(self) -> bytes:
        assert self._child.stdout is not None
        deadline = time.monotonic() + ANSWER_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                ready = selector.select(LOOK_S)
                read = os.read(self._child.stdout.fileno(), 1 << 16) if ready else b""
                if not read and (ready or self._child.poll() is not None):  # what it has started may keep the pipe open
                    raise ContestantError(self._last_words())
                self._unread += read
                if time.monotonic() > deadline:
                    raise ContestantError(f"it has not answered in {ANSWER_S:g} s")
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _last_words(self) -> str:
        status = self._child.wait()
        said = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return f"it ended with status {status}: {said[-1].strip() if said else 'it said nothing'}"


def _adopt_orphans() -> None:
    """Have processes whose parent ends become ours, so that none is lost sight of (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _end_descendants(but: set[int]) -> None:
    """End whatever processes are left below this one, other than those that were there before."""
    while left := set(processes.descendants(os.getpid())) - but:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):  # its parent is another one that we end, and it will become ours
                os.waitpid(pid, 0)
