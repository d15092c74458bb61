"""Thousands of seeded runs with everything going wrong; after each, every invariant must hold.

A seed that fails is printed with the command that replays it alone.
"""

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
from collections import Counter

import pytest

from scripts.testbed.local_cluster import ROOT
from tests.support.chaos import chaos, crammed, racks, readable, wrong_in_any

RUNS = 1_500
CHUNK = 25
RACKS = 60
CRAMMED = 50


@pytest.mark.timeout(500)  # it computes for a minute on two processors, and others may have them first
def test_all_faults_at_once():
    chunks = [range(first, first + CHUNK) for first in range(0, RUNS, CHUNK)]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        found = {seed: wrong for chunk in pool.map(wrong_in_any, chunks) for seed, wrong in chunk.items()}
    assert not found, f"{len(found)} of {RUNS} runs failed{readable(dict(list(found.items())[:5]))}"


def test_racks_that_die_again_and_again():
    found = wrong_in_any(range(RACKS), racks)
    assert not found, f"{len(found)} of {RACKS} runs failed{readable(found)}"


def test_workers_with_next_to_no_room():
    found = wrong_in_any(range(CRAMMED), crammed)
    assert not found, f"{len(found)} of {CRAMMED} runs failed{readable(found)}"


@pytest.mark.skipif("SPARROW_SEED" not in os.environ, reason="replays the seed in SPARROW_SEED")
def test_replay():
    seed = int(os.environ.get("SPARROW_SEED", 0))
    found = {**wrong_in_any([seed]), **wrong_in_any([seed], racks), **wrong_in_any([seed], crammed)}
    assert not found, readable(found)


def test_the_runs_go_through_everything_that_can_happen():
    happened: Counter[str] = Counter()
    for seed in range(80):
        happened.update(+chaos(seed).counts)
    assert set(happened) >= {
        *("connected", "connected again", "connection broken", "peer silent"),
        *("batch refused", "batch no_room", "batch unreadable"),
        *("job: no room", "job: handed over again", "job: answered twice", "worker welcomed"),
        *("name: bound", "name: somebody has it", "name: taken over", "name: registered again", "name server away"),
    }, happened


def test_a_seed_gives_the_same_run_in_another_process():
    code = "from tests.support.chaos import chaos; sim = chaos(7); print(sim.check(), sim.now, sim.reports)"
    runs = set()
    for hash_seed in "1", "2":
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        runs.add(
            subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
        )
    assert len(runs) == 1
