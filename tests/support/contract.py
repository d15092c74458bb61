"""What every placement method must do on any cluster: the same suite for a simulated one and for a live one.

A test module derives ``Contract``, gives it a ``cluster`` fixture and inherits the tests:

    class TestLive(Contract):
        @pytest.fixture
        def cluster(self):  # a function: number of workers -> Cluster
            ...

Nothing here knows of virtual time: tasks are 0.05 s at most, and what is asserted holds however slow the machine is.
"""

import itertools
import random
from typing import Protocol

import pytest

from src.simulation.audit import TOLERANCE_S, of_report
from src.sparrow.jobspec import JobSpec
from src.sparrow.placement import METHODS as _METHODS
from src.sparrow.reports import Report

METHODS = tuple(_METHODS)
_serial = itertools.count()


class Cluster(Protocol):
    """A running cluster with one or more schedulers and at least two clients."""

    workers: set[str]  # their names

    def run(self, specs: list[JobSpec], client: int = 0) -> list[Report]:
        """Submit these jobs at once from that client and wait for them: their reports, in any order."""

    def run_together(self, first: list[JobSpec], second: list[JobSpec]) -> tuple[list[Report], list[Report]]:
        """The same from two clients at the same time: the reports that each of them got."""


def job(method, durations_s, name="job"):
    """A job with an id that no other test uses."""
    return JobSpec(f"{name}-{next(_serial)}-{random.getrandbits(32):08x}", tuple(durations_s), method, True)


def check(cluster, specs, reports):
    """Exactly these jobs are reported, each once, completely and by workers that exist."""
    assert sorted(report["id"] for report in reports) == sorted(spec.id for spec in specs)
    by_id = {report["id"]: report for report in reports}
    for spec in specs:
        report = by_id[spec.id]
        assert of_report(spec, report, cluster.workers) == []
        assert report["method"] == spec.method
        assert report["failed"] == []
        assert report["retried"] == 0
        assert [task["attempts"] for task in report["tasks"]] == [1] * len(spec.durations_s)
        assert 0 <= report["submitted"] <= report["finished"]
        assert report["response_s"] + TOLERANCE_S >= report["ideal_s"] >= max(spec.durations_s) - TOLERANCE_S
        assert all(task["wait_s"] >= 0 for task in report["tasks"])


class Contract:
    methods = METHODS  # each test runs with each of these (tests/conftest.py)

    def run(self, cluster, specs):
        reports = cluster.run(specs)
        check(cluster, specs, reports)
        return reports

    def test_every_task_is_done_once(self, cluster, method):
        self.run(cluster(8), [job(method, [0.02] * 10)])

    def test_one_worker(self, cluster, method):
        (report,) = self.run(cluster(1), [job(method, [0.01] * 5)])
        assert report["response_s"] >= 0.05 - TOLERANCE_S  # one slot, one task after the other

    def test_fewer_workers_than_tasks(self, cluster, method):
        self.run(cluster(3), [job(method, [0.01] * 20)])

    def test_fewer_workers_than_probes(self, cluster, method):
        self.run(cluster(5), [job(method, [0.01] * 4)])

    def test_one_task(self, cluster, method):
        self.run(cluster(4), [job(method, [0.02]) for _ in range(5)])

    def test_tasks_of_no_length(self, cluster, method):
        self.run(cluster(4), [job(method, [0.0] * 10)])

    def test_twenty_jobs_at_once(self, cluster, method):
        self.run(cluster(6), [job(method, [0.005] * 6) for _ in range(20)])

    def test_unequal_durations(self, cluster, method):
        durations = [0.0, 0.05, 0.001, 0.03, 0.05, 0.0, 0.01]
        (report,) = self.run(cluster(4), [job(method, durations)])
        assert report["ideal_s"] == pytest.approx(max(task["service_s"] for task in report["tasks"]))

    def test_jobs_of_every_method_side_by_side(self, cluster, method):
        self.run(cluster(5), [job(other, [0.01] * 4) for other in (method, *METHODS)])

    def test_two_clients_get_their_own_reports(self, cluster, method):
        here = cluster(5)
        other = METHODS[0] if method != METHODS[0] else METHODS[-1]
        first, second = [job(method, [0.01] * 5) for _ in range(4)], [job(other, [0.02] * 3) for _ in range(4)]
        reports_of_first, reports_of_second = here.run_together(first, second)
        check(here, first, reports_of_first)
        check(here, second, reports_of_second)

    def test_one_job_after_the_other(self, cluster, method):
        here = cluster(3)
        for _ in range(3):
            self.run(here, [job(method, [0.005] * 4)])
