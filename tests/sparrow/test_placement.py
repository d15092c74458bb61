import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow.placement import METHODS, PROBE_RATIO, method_named

RANDOM, CHOOSE_TWO, BATCH, LATE = METHODS.values()
d = PROBE_RATIO

tasks = st.integers(1, 40)
seeds = st.randoms(use_true_random=False)


def names(count):
    return [f"worker.{number}" for number in range(count)]


workers = st.integers(1, 100).map(names)


@st.composite
def probed_batches(draw):
    """Tasks, the workers probed for them, their loads, and the subset of the loads that was answered (never empty)."""
    m, n = draw(st.integers(1, 20)), draw(st.integers(1, 60))
    probed = names(min(d * m, n))
    loads = dict(zip(probed, draw(st.lists(st.integers(0, 6), min_size=len(probed), max_size=len(probed)))))
    answered = draw(st.sets(st.sampled_from(probed), min_size=1))
    return m, probed, {worker: loads[worker] for worker in probed if worker in answered}


def test_the_four_methods_are_found_by_name():
    assert list(METHODS) == ["RANDOM", "CHOOSE_TWO", "BATCH", "BATCH+LATE_BINDING"]
    assert all(method_named(name) is method and method.name == name for name, method in METHODS.items())


@pytest.mark.parametrize("name", ["random", "", "BATCH ", None, 3, ["BATCH"], "x" * 1_000])
def test_an_unknown_method_is_refused_with_the_names_of_the_four(name):
    with pytest.raises(ValueError, match=r"RANDOM, CHOOSE_TWO, BATCH, BATCH\+LATE_BINDING") as refusal:
        method_named(name)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@given(m=tasks, rng=seeds)
def test_without_workers_nothing_is_probed(method, m, rng):
    assert method.probe(m, [], rng) == []


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@given(m=tasks, seed=st.integers())
def test_the_same_seed_gives_the_same_probes(method, m, seed):
    assert method.probe(m, names(30), random.Random(seed)) == method.probe(m, names(30), random.Random(seed))


# RANDOM


@given(m=tasks, here=workers, rng=seeds)
def test_random_names_one_worker_a_task(m, here, rng):
    probed = RANDOM.probe(m, here, rng)
    assert len(probed) == m
    assert set(probed) <= set(here)
    assert RANDOM.place(m, probed, {}, rng) == probed


def test_random_is_uniform_and_independent():
    rng = random.Random(1)
    counts = Counter(RANDOM.probe(20_000, names(4), rng))
    assert all(count == pytest.approx(5_000, rel=0.05) for count in counts.values())
    pairs = Counter(tuple(RANDOM.probe(2, names(4), rng)) for _ in range(16_000))
    assert len(pairs) == 16  # the same worker twice is as likely as any other pair
    assert all(count == pytest.approx(1_000, rel=0.15) for count in pairs.values())


# CHOOSE_TWO


@given(m=tasks, here=workers, rng=seeds)
def test_choose_two_probes_d_distinct_workers_for_each_task(m, here, rng):
    probed = CHOOSE_TWO.probe(m, here, rng)
    each = min(d, len(here))
    assert len(probed) == m * each
    assert all(len(set(probed[first : first + each])) == each for first in range(0, len(probed), each))


@given(m=tasks, here=workers, rng=seeds, data=st.data())
def test_choose_two_takes_the_less_loaded_of_each_pair_and_counts_what_it_placed(m, here, rng, data):
    probed = CHOOSE_TWO.probe(m, here, rng)
    loads = {worker: data.draw(st.integers(0, 5)) for worker in dict.fromkeys(probed)}
    chosen = CHOOSE_TWO.place(m, probed, loads, rng)
    assert len(chosen) == m
    now, each = dict(loads), len(probed) // m
    for index, worker in enumerate(chosen):
        pair = probed[index * each : (index + 1) * each]
        assert worker in pair
        assert now[worker] == min(now[other] for other in pair)
        now[worker] += 1


@given(m=tasks, here=workers, rng=seeds, data=st.data())
def test_choose_two_gives_nothing_to_a_worker_that_did_not_answer(m, here, rng, data):
    probed = CHOOSE_TWO.probe(m, here, rng)
    answered = data.draw(st.sets(st.sampled_from(probed), min_size=1))
    chosen = CHOOSE_TWO.place(m, probed, {worker: 3 for worker in probed if worker in answered}, rng)
    assert len(chosen) == m
    assert set(chosen) <= answered


def test_choose_two_counts_tasks_of_the_same_job_as_load():
    assert sorted(CHOOSE_TWO.place(4, ["a", "b"] * 4, {"a": 0, "b": 0}, random.Random(1))) == ["a", "a", "b", "b"]
    assert CHOOSE_TWO.place(3, ["a", "b"] * 3, {"a": 0, "b": 5}, random.Random(1)) == ["a", "a", "a"]


def test_choose_two_breaks_ties_at_random():
    counts = Counter(CHOOSE_TWO.place(1, ["a", "b"], {"a": 1, "b": 1}, random.Random(seed))[0] for seed in range(4_000))
    assert counts["a"] == pytest.approx(2_000, rel=0.1)


# BATCH


@given(m=tasks, here=workers, rng=seeds)
def test_batch_probes_exactly_d_m_distinct_workers_or_all(m, here, rng):
    probed = BATCH.probe(m, here, rng)
    assert len(probed) == len(set(probed)) == min(d * m, len(here))
    assert set(probed) <= set(here)


@given(m=tasks, rng=seeds, data=st.data())
def test_batch_chooses_the_m_least_loaded(m, rng, data):
    probed = BATCH.probe(m, names(d * m), rng)
    loads = {worker: data.draw(st.integers(0, 9)) for worker in probed}
    chosen = BATCH.place(m, probed, loads, rng)
    assert len(set(chosen)) == m
    assert sorted(loads[worker] for worker in chosen) == sorted(loads.values())[:m]


@given(batch=probed_batches(), rng=seeds)
def test_batch_places_every_task_and_only_on_workers_that_answered(batch, rng):
    m, probed, loads = batch
    chosen = BATCH.place(m, probed, loads, rng)
    assert len(chosen) == m
    assert set(chosen) <= set(loads)


@given(batch=probed_batches(), rng=seeds)
def test_batch_in_waves_over_the_less_loaded_half(batch, rng):
    """With n answers each wave gives a task to each of the n/2 least loaded, whose load has then gone up by one."""
    m, probed, loads = batch
    chosen = BATCH.place(m, probed, loads, rng)
    now, wave = dict(loads), max(1, len(loads) // 2)
    for first in range(0, m, wave):
        some = chosen[first : first + wave]
        assert len(set(some)) == len(some)
        assert sorted(now[worker] for worker in some) == sorted(now.values())[: len(some)]
        for worker in some:
            now[worker] += 1


def test_batch_on_idle_workers_spreads_evenly():
    for n in range(1, 12):
        chosen = BATCH.place(24, names(n), dict.fromkeys(names(n), 0), random.Random(n))
        counts = Counter(chosen)
        assert len(counts) == n
        assert max(counts.values()) - min(counts.values()) <= 1


def test_batch_breaks_ties_at_random():
    counts: Counter = Counter()
    for seed in range(3_000):
        counts.update(BATCH.place(2, names(4), dict.fromkeys(names(4), 1), random.Random(seed)))
    assert all(counts[worker] == pytest.approx(1_500, rel=0.1) for worker in names(4))


# BATCH+LATE_BINDING


@given(m=tasks, here=workers, rng=seeds)
def test_late_binding_reserves_d_m_times_as_evenly_as_it_goes(m, here, rng):
    counts = Counter(LATE.probe(m, here, rng))
    assert sum(counts.values()) == d * m
    assert set(counts) <= set(here)
    assert max(counts.values()) - min(counts[worker] for worker in here) <= 1  # so distinct while there are enough


def test_late_binding_leaves_no_worker_out_more_often_than_another():
    counts: Counter = Counter()
    for seed in range(3_000):
        counts.update(LATE.probe(1, names(6), random.Random(seed)))
    assert all(counts[worker] == pytest.approx(1_000, rel=0.12) for worker in names(6))


# N = 1


@given(m=tasks, rng=seeds)
def test_one_worker_gets_everything(m, rng):
    only = names(1)
    for method in METHODS.values():
        probed = method.probe(m, only, rng)
        assert set(probed) == set(only)
        if not method.late_binding:
            assert method.place(m, probed, {only[0]: 3}, rng) == only * m
