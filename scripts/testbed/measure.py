"""The child process of scripts/benchmark: takes measurements with the code of one checkout, which may be another than this one.

    python measure.py ROOT        # the folder of the checkout

Standard input has one JSON object that says what to measure (``Request`` in benchmarking.py). Standard output gets JSON objects, a
line each: ``{"progress": text}`` as it goes, at the end ``{"figures": [[name, method, unit, value], ...], ...}``.

Only this file and ``processes.py`` are ours in the process; everything else comes from ROOT. There are two layouts. The older one,
with scripts/_localcluster.py and bare module names in src/, is that of the commit 2fd2f35 and those before it. Support for it
(``Checkout._older``) can be removed when figures are no longer compared with these commits.
"""

from __future__ import annotations

import hashlib
import json
import signal
import statistics
import sys
import time
from concurrent.futures import wait
from importlib import import_module
from pathlib import Path
from typing import Any

import processes  # beside this file; everything else of the project comes from the checkout

MODULES = {  # what is used of a checkout: (module today, module in the older layout)
    "Simulation": ("src.simulation.simulation", "sparrow.simulation"),
    "JobSpec": ("src.sparrow.jobspec", "sparrow.messages"),
    "METHODS": ("src.sparrow.placement", "sparrow.placement"),
    "percentile": ("src.sparrow.metrics", "sparrow.metrics"),
    "Job": ("src.Job", "Job"),
    "SparrowClient": ("src.SparrowClient", "SparrowClient"),
    "LocalCluster": ("scripts.testbed.local_cluster", "_localcluster"),
}
WARM_UP_JOBS = 5  # of each method: the first ones pay for connections and caches
IDLE_JOBS = 50
EMPTY_TASKS = 10  # of such a job
FLOOD_JOBS, FLOOD_TASKS = 20, 500
MAKESPAN_JOBS, MAKESPAN_TASKS, MAKESPAN_TASK_S = 10, 10, 1.0
SETTLE_S = 1.0  # from the last job until a cluster counts as idle
JOBS_TIMEOUT_S = 120.0
DIGEST_KEYS = ("id", "method", "response_s", "ideal_s", "retried")  # of a report, in both layouts


class Checkout:
    """The code of one checkout: its modules, found in either layout."""

    def __init__(self, root: str) -> None:
        sys.path[0] = root  # instead of the folder of this file, whose modules are not those of the checkout
        self._older = not (Path(root) / "scripts" / "testbed").is_dir()
        if self._older:
            sys.path.insert(1, str(Path(root) / "scripts"))
            import_module("src")  # puts its folder on the path

    def get(self, name: str) -> Any:
        """The class, function or constant of that name."""
        return getattr(import_module(MODULES[name][self._older]), name)


def tell(**what: object) -> None:
    """Write one line for the parent process."""
    print(json.dumps(what), flush=True)


def simulate(checkout: Checkout, request: dict[str, Any]) -> None:
    """One simulated run: CPU time for each task, and a digest of the reports."""
    spec, method = checkout.get("JobSpec"), request["method"]
    arrivals = [(at_s, tuple(durations_s)) for at_s, durations_s in request["arrivals"]]
    simulation = checkout.get("Simulation")(workers=request["workers"], slots=request["slots"], seed=request["seed"])
    began_s = time.process_time()
    for number, (at_s, durations_s) in enumerate(arrivals):
        simulation.submit(at_s, spec(str(number), durations_s, method, True))
    reports = simulation.run()
    used_s = time.process_time() - began_s
    if len(reports) != len(arrivals):
        sys.exit(f"{len(reports)} of {len(arrivals)} jobs were reported")
    rows = [[*(report[key] for key in DIGEST_KEYS), *map(tasks_of, report["tasks"])] for report in reports]
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    tasks = sum(len(durations_s) for _, durations_s in arrivals)
    tell(figures=[["simulation", method, "µs CPU/task", 1e6 * used_s / tasks]], digest=digest)


def tasks_of(task: Any) -> list[Any]:
    """One task of a report, with named fields or, in the older layout, by position: what was placed where, and when."""
    return [task["worker"], task["wait_s"], task["service_s"], task["attempts"]] if isinstance(task, dict) else list(task)


class Live:
    """Measurements of a running cluster; each appends its figures."""

    def __init__(self, checkout: Checkout, request: dict[str, Any]) -> None:
        self._checkout, self._request, self._method = checkout, request, request["method"]
        self._cluster: Any = None
        self._client: Any = None
        self.figures: list[tuple[str, str, str, float]] = []

    def run(self) -> None:
        """Start a cluster, measure it, stop it."""
        tell(progress="start")
        with self._checkout.get("LocalCluster")(self._request["workers"], log_level="warning") as self._cluster:
            if self._request["kind"] == "idle":
                self._idle_cpu(self._request["idle_s"])
                self._memory("host", "memory of an idle worker")
                self._memory("scheduler", "memory of an idle scheduler")
            else:
                with self._checkout.get("SparrowClient")(self._cluster.nameserver) as self._client:
                    self._jobs()

    def _jobs(self) -> None:
        for _ in range(WARM_UP_JOBS):
            self._client.run(self._method, 1, EMPTY_TASKS, 0.0)
        self._idle_jobs()
        self._flood()
        for load in self._request["loads"]:
            self._load(load["task_s"], load["arrivals"])
        if self._request["makespan"]:
            self._makespan()
        self._memory("scheduler", "memory of the scheduler after these jobs")

    def _figure(self, name: str, unit: str, value: float) -> None:
        self.figures.append((name, self._method, unit, value))

    def _pids(self, *kinds: str) -> list[int]:
        return [process.pid for name, process in self._cluster.processes.items() if name.startswith(kinds)]

    def _memory(self, kind: str, name: str) -> None:
        self._figure(name, "MB", statistics.median(map(processes.memory_mb, self._pids(kind))))

    def _idle_cpu(self, for_s: float) -> None:
        tell(progress="idle")
        time.sleep(SETTLE_S)
        pids = self._pids("host", "scheduler")
        before_s, began_s = processes.cpu_s(pids), time.monotonic()
        time.sleep(for_s)
        share = (processes.cpu_s(pids) - before_s) / (time.monotonic() - began_s)
        self._figure(f"{self._request['workers']} idle workers and a scheduler", "% of a core", 100 * share)

    def _responses(self, name: str, responses_s: list[float]) -> None:
        for p in (50, 95):
            self._figure(f"{name}, p{p}", "ms", 1000 * self._checkout.get("percentile")(responses_s, p))

    def _idle_jobs(self) -> None:
        """Jobs of empty tasks on an idle cluster, one at a time: seconds from submission to report."""
        tell(progress="idle jobs")
        responses_s = []
        for _ in range(IDLE_JOBS):
            began_s = time.perf_counter()
            self._client.run(self._method, 1, EMPTY_TASKS, 0.0)
            responses_s.append(time.perf_counter() - began_s)
        self._responses("idle job", responses_s)

    def _flood(self) -> None:
        tell(progress="flood")
        began_s = time.perf_counter()
        self._client.run(self._method, FLOOD_JOBS, FLOOD_TASKS, 0.0)
        self._figure("flood", "tasks/s", FLOOD_JOBS * FLOOD_TASKS / (time.perf_counter() - began_s))

    def _load(self, task_s: float, arrivals: list[tuple[float, list[float]]]) -> None:
        """Submit each job when it is due, whether the earlier ones have ended or not."""
        name = f"load, {1000 * task_s:g} ms tasks"
        tell(progress=name)
        began_s, futures, job = time.monotonic(), [], self._checkout.get("Job")
        for at_s, durations_s in arrivals:
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            futures.append(self._client.submit(job.from_durations(durations_s), self._method))
        if wait(futures, JOBS_TIMEOUT_S).not_done:
            sys.exit(f"jobs by {self._method} have not ended {JOBS_TIMEOUT_S:g} s after the last one was submitted")
        self._responses(name, [future.result().response_s for future in futures])

    def _makespan(self) -> None:
        tell(progress="makespan")
        began_s = time.perf_counter()
        self._client.run(self._method, MAKESPAN_JOBS, MAKESPAN_TASKS, MAKESPAN_TASK_S)
        self._figure("makespan", "s", time.perf_counter() - began_s)


def main() -> None:
    """Measure what standard input asks for."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a cluster is stopped in order
    checkout = Checkout(sys.argv[1])
    request = json.load(sys.stdin)
    if request["kind"] == "methods":
        tell(methods=list(checkout.get("METHODS")))
    elif request["kind"] == "simulation":
        simulate(checkout, request)
    else:
        live = Live(checkout, request)
        live.run()
        tell(figures=live.figures)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
