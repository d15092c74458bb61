"""Clients that submit jobs at random, until they are told to stop: in a thread, or as commands, one after the other."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
from concurrent.futures import Future

from scripts.testbed.local_cluster import LocalCluster, client_command, end_with_parent
from src.Job import Job, JobReport
from src.sparrow.jobspec import JobSpec
from src.sparrow.placement import METHODS
from src.SparrowClient import SparrowClient

JOB_S = 0.15  # between two jobs of a client, on average
TASK_S = 0.15  # on average
AT_ONCE = 40  # jobs of a client that are open


class Load(threading.Thread):
    """A thread with one client, which submits jobs at random until ``stop``. ``jobs`` has the futures of their reports."""

    def __init__(self, nameserver: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.client = SparrowClient(nameserver)
        self.jobs: list[tuple[JobSpec, Future[JobReport]]] = []
        self._rng = random.Random(seed)
        self._enough = threading.Event()
        self.start()

    def run(self) -> None:
        """Submit jobs; the thread runs this."""
        while not self._enough.wait(self._rng.expovariate(1 / JOB_S)):
            if sum(not future.done() for _, future in self.jobs[-AT_ONCE:]) < AT_ONCE:
                durations = [self._rng.expovariate(1 / TASK_S) for _ in range(self._rng.randint(1, 12))]
                job, method = Job.from_durations(durations), self._rng.choice(list(METHODS))
                self.jobs.append((JobSpec(job.wire_id, job.durations_s, method, True), self.client.submit(job, method)))

    def stop(self) -> None:
        """Submit no more, and wait for the end of the thread."""
        self._enough.set()
        self.join()


class Commands:
    """Clients as processes that may be killed: one run of the command line after the other, each with its output checked."""

    def __init__(self, cluster: LocalCluster, seed: int) -> None:
        self._cluster = cluster
        self._rng = random.Random(seed)
        self.tasks = 0
        self.ended = self.killed = self.failed_tasks = 0
        self.wrong: list[str] = []
        self._process: subprocess.Popen[str] | None = None

    def step(self) -> None:
        """Check the process if it has ended, and start the next one. Never waits."""
        if self._process is not None and self._process.poll() is not None:
            self._account(*self._process.communicate())
        if self._process is None:
            jobs, self.tasks = self._rng.randint(1, 5), self._rng.randint(1, 8)
            self.tasks *= jobs
            arguments = [self._rng.choice(list(METHODS)), jobs, self.tasks // jobs, TASK_S, TASK_S / 2, "--json"]
            self._process = subprocess.Popen(
                client_command(self._cluster.nameserver, *arguments),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def _account(self, out: str, err: str) -> None:
        assert self._process is not None
        status = self._process.returncode
        self._process = None
        if status == -signal.SIGKILL:
            self.killed += 1
            return
        self.ended += 1
        result = json.loads(out) if out else {}
        failed = result.get("failed", 0)
        self.failed_tasks += failed
        if status != bool(failed) or result.get("completed") != self.tasks - failed or "Traceback" in err:
            self.wrong.append(f"a client of {self.tasks} tasks ended with status {status}: {out}{err}")

    def kill(self) -> None:
        """Kill the process that runs."""
        if self._process is not None:
            self._process.kill()

    def finish(self, within_s: float) -> None:
        """Wait for the process that runs, and kill it if it takes longer."""
        if self._process is not None:
            try:
                self._account(*self._process.communicate(timeout=within_s))
            except subprocess.TimeoutExpired:
                self.wrong.append(f"a client of {self.tasks} tasks has not ended")
                self.close()

    def close(self) -> None:
        """Leave no process behind."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
