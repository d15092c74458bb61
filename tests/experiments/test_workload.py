"""The jobs that demo, benchmark and pictures submit: their rate, their load, and that a seed gives the same ones."""

import random
import statistics

import pytest

from src.experiments.workload import Workload

MANY = 20_000


def test_a_seed_gives_the_same_jobs():
    workload = Workload(slots=10)
    assert workload.draw(random.Random(1), 50) == workload.draw(random.Random(1), 50)
    assert workload.draw(random.Random(1), 50) != workload.draw(random.Random(2), 50)


@pytest.mark.parametrize("constant", [False, True])
def test_the_jobs_keep_that_share_of_the_slots_busy(constant):
    workload = Workload(slots=40, load=0.8, tasks=5, mean_s=0.2, constant=constant)
    jobs = workload.draw(random.Random(3), MANY)
    work_s = sum(sum(job.durations_s) for job in jobs)
    assert work_s / (40 * jobs[-1].at_s) == pytest.approx(0.8, rel=0.05)
    assert {len(job.durations_s) for job in jobs} == {5}


def test_arrivals_are_a_poisson_process():
    """The gaps are exponentially distributed: their standard deviation is their mean, and they are never negative."""
    workload = Workload(slots=10)
    times_s = [job.at_s for job in workload.draw(random.Random(4), MANY)]
    gaps_s = [later - earlier for earlier, later in zip([0.0, *times_s], times_s)]
    assert min(gaps_s) >= 0
    assert statistics.mean(gaps_s) == pytest.approx(1 / workload.jobs_per_s, rel=0.05)
    assert statistics.stdev(gaps_s) == pytest.approx(statistics.mean(gaps_s), rel=0.05)


def test_durations_are_equal_within_a_job_and_exponential_across_jobs_unless_constant():
    jobs = Workload(slots=10, mean_s=0.3).draw(random.Random(5), MANY)
    assert all(len(set(job.durations_s)) == 1 for job in jobs)
    firsts_s = [job.durations_s[0] for job in jobs]
    assert statistics.mean(firsts_s) == pytest.approx(0.3, rel=0.05)
    assert statistics.stdev(firsts_s) == pytest.approx(0.3, rel=0.05)
    assert {job.durations_s for job in Workload(slots=10, constant=True).draw(random.Random(5), 9)} == {(0.1,) * 10}


def test_as_many_jobs_as_arrive_in_that_time():
    workload = Workload(slots=10, load=0.8, tasks=10, mean_s=0.01)  # 80 jobs a second
    jobs = workload.draw_for(random.Random(6), 20.0)
    assert len(jobs) == 1_600
    assert jobs[-1].at_s == pytest.approx(20.0, rel=0.1)
    assert len(workload.draw_for(random.Random(6), 0.0)) == 1


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"load": 0.0}, {"tasks": -1}, {"mean_s": 0.0}])
def test_what_no_cluster_can_have_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be above 0"):
        Workload(**{"slots": 10, **wrong})
