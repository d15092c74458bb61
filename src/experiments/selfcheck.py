"""Simulate a few hundred jobs by every method, with and without faults, and check that no task is lost or counted twice.

    python -m src.experiments.selfcheck [--jobs N] [--seed S]

This program does not need Pyro4, so any Python 3.9 runs it, PyPy too. Its exit status is 1 if the check finds a violation.
"""

from __future__ import annotations

import argparse
import platform
import random
import sys
import time

from src.experiments.workload import Workload
from src.simulation.network import Faults, Network
from src.simulation.simulation import Simulation
from src.sparrow.jobspec import JobSpec
from src.sparrow.placement import METHODS

WORKERS, SLOTS, SCHEDULERS, CLIENTS = 20, 2, 2, 2
TASKS, MEAN_S, LOAD = 10, 0.2, 0.7  # of the jobs
UNRELIABLE = Network(jitter_s=0.02, loss=0.02, resets=0.02, straggling=0.01)
FAULTS = Faults(every_s=20.0, lasting_s=1.0, until_s=20.0)


def wrong_in(method: str, jobs: int, seed: int, faulty: bool) -> list[str]:
    """Returns the violations of one simulated run, as sentences; the list is empty if there are none."""
    network, faults = (UNRELIABLE, FAULTS) if faulty else (None, None)
    sim = Simulation(WORKERS, SLOTS, SCHEDULERS, CLIENTS, seed, network, faults, audited=True)
    arrivals = Workload(WORKERS * SLOTS, LOAD, TASKS, MEAN_S).draw(random.Random(seed), jobs)
    for number, (at_s, durations_s) in enumerate(arrivals):
        sim.submit(at_s, JobSpec(f"job-{number}", durations_s, method, True), number % CLIENTS)
    sim.run(until_s=2_000.0)
    found = sim.check()
    if not faulty:
        found += [f"{report['id']}: {report['retried']} tasks ran again" for report in sim.reports if report["retried"]]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs all methods, prints a line about each run, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200, metavar="N", help="of each run (default: 200)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of jobs and faults (default: 1)")
    options = parser.parse_args(arguments)
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{interpreter}, {options.jobs} jobs of {TASKS} tasks each, seed {options.seed}")
    failed = False
    for method in METHODS:
        for faulty in (False, True):
            began_s = time.process_time()
            found = wrong_in(method, options.jobs, options.seed, faulty)
            failed = failed or bool(found)
            verdict = f"{len(found)} violations" if found else "all tasks counted once, nothing left"
            print(f"  {method}{' with faults' if faulty else ''}: {verdict} ({time.process_time() - began_s:.1f} s)", flush=True)
            for violation in found[:5]:
                print(f"    {violation}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
