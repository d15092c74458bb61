import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow.placement import METHODS, PROBE_RATIO, Method, Registry, method_named

RANDOM, CHOOSE_TWO, BATCH, LATE, PULL = METHODS.values()
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


def test_the_methods_are_found_by_name():
    assert list(METHODS) == ["RANDOM", "CHOOSE_TWO", "BATCH", "BATCH+LATE_BINDING", "PULL"]
    assert all(method_named(name) is method and method.name == name for name, method in METHODS.items())


@pytest.mark.parametrize("name", ["RANDOMLY", "", "BATCH ", None, 3, ["BATCH"], "x" * 1_000])
def test_an_unknown_method_is_refused_with_their_names(name):
    with pytest.raises(ValueError, match=r"RANDOM, CHOOSE_TWO, BATCH, BATCH\+LATE_BINDING, PULL$") as refusal:
        method_named(name)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("name", ["BATCH+LATE_BINDING", "batch+late_binding", "Batch+Late_Binding"])
def test_a_method_is_found_in_any_case(name):
    assert method_named(name) is METHODS.named(name) is LATE


# The registry


def choose_three(**attributes):
    """A class that is a good method, but for these attributes; None stands for one that is missing."""
    good = {
        "name": "CHOOSE_THREE",
        "summary": "each task to the least loaded of three workers",
        "section": "",
        "colour": 6,
        "samples": "per task",
        "why": "Each task probed three workers and went to the least loaded.",
        "probe": lambda self, tasks, workers, rng: list(workers),
        "place": lambda self, tasks, probed, loads, rng: list(probed[:tasks]),
    }
    return type("ChooseThree", (Method,), {name: value for name, value in {**good, **attributes}.items() if value is not None})


def test_a_registered_method_is_there_under_its_name_after_the_others():
    registry = Registry()
    first = registry.register(choose_three(name="FIRST"))
    assert registry.register(choose_three()).name == "CHOOSE_THREE"
    assert registry.names() == list(registry) == ["FIRST", "CHOOSE_THREE"]
    assert isinstance(registry["FIRST"], first)
    assert registry.named("choose_three") is registry["CHOOSE_THREE"]
    assert "CHOOSE_TWO" not in registry
    assert [method["name"] for method in registry.to_dicts()] == ["FIRST", "CHOOSE_THREE"]
    registry.unregister("FIRST")
    assert registry.names() == ["CHOOSE_THREE"]
    with pytest.raises(ValueError, match=r"unknown method 'FIRST': choose one of CHOOSE_THREE$"):
        registry.named("FIRST")


def test_a_name_can_be_registered_only_once():
    registry = Registry()
    registry.register(choose_three())
    kept = registry["CHOOSE_THREE"]
    with pytest.raises(ValueError, match="CHOOSE_THREE is registered already, as ChooseThree"):
        registry.register(choose_three(colour=6))
    assert registry["CHOOSE_THREE"] is kept


@pytest.mark.parametrize(
    ("attributes", "error", "words"),
    [
        ({"name": None}, TypeError, "name must be of type str, not None"),
        ({"name": "choose_three"}, ValueError, "name must be 1 to 32 upper-case letters"),
        ({"name": ""}, ValueError, "name must be 1 to 32"),
        ({"name": "A" * 33}, ValueError, "name must be 1 to 32"),
        ({"name": "CHOOSE THREE"}, ValueError, "name must be 1 to 32"),
        ({"name": "CHOOSE\n"}, ValueError, "name must be 1 to 32"),
        ({"summary": None}, TypeError, "summary must be of type str"),
        ({"summary": " "}, ValueError, "summary must be one line"),
        ({"summary": "one\ntwo"}, ValueError, "summary must be one line"),
        ({"summary": "to three workers."}, ValueError, "without a full stop"),
        ({"section": 3.1}, TypeError, "section must be of type str, not 3.1"),
        ({"section": "third"}, ValueError, "section must be a number such as 3.1, or empty"),
        ({"colour": "5"}, TypeError, "colour must be of type int"),
        ({"colour": True}, TypeError, "colour must be of type int"),
        ({"colour": 0}, ValueError, "colour must be from 1 to 8, not 0"),
        ({"colour": 9}, ValueError, "colour must be from 1 to 8, not 9"),
        ({"samples": "everything"}, ValueError, "samples must be one of 'nothing', 'per task', 'per job', 'reservations'"),
        ({"why": "  "}, ValueError, "why must not be empty"),
        ({"probe": None}, TypeError, "ChooseThree does not define probe"),
        ({"place": None}, TypeError, "samples loads, but does not define place"),
    ],
)
def test_a_malformed_method_is_refused_and_not_registered(attributes, error, words):
    registry = Registry()
    with pytest.raises(error, match=words):
        registry.register(choose_three(**attributes))
    assert registry.names() == []


@pytest.mark.parametrize("what", [None, "CHOOSE_THREE", object, Method, type("Other", (), {"name": "OTHER"})])
def test_what_is_no_class_of_a_method_is_refused(what):
    with pytest.raises(TypeError, match="a method is a subclass of|does not define probe"):
        Registry().register(what)


def test_a_method_that_samples_no_loads_needs_no_place():
    registry = Registry()
    registry.register(choose_three(samples="nothing", place=None))
    assert registry["CHOOSE_THREE"].place(2, ["a", "b"], {}, random.Random(1)) == ["a", "b"]


def test_what_is_asked_of_workers_follows_from_what_a_method_samples():
    flags = {name: (method.needs_loads, method.late_binding) for name, method in METHODS.items()}
    assert flags == {
        "RANDOM": (False, False),
        "CHOOSE_TWO": (True, False),
        "BATCH": (True, False),
        "BATCH+LATE_BINDING": (False, True),
        "PULL": (False, True),
    }
    assert [name for name, method in METHODS.items() if method.pulls] == ["PULL"]


def test_the_built_in_methods_have_colours_of_their_own_and_say_why():
    told = METHODS.to_dicts()
    assert [method["name"] for method in told] == METHODS.names()
    assert [method["colour"] for method in told] == [1, 2, 3, 4, 5]
    assert [method["samples"] for method in told] == ["nothing", "per task", "per job", "reservations", "idle workers"]
    assert all(set(method) == {"name", "summary", "section", "colour", "samples", "why"} for method in told)
    assert all(method["why"].endswith(".") and not method["summary"].endswith(".") for method in told)


# Sequences of random choices: simulated results are compared by seed, so these must never change


@pytest.mark.parametrize(
    ("method", "probed", "chosen", "drawn_next"),
    [
        (RANDOM, [3, 1, 6, 0], [3, 1, 6, 0], 561913),
        (CHOOSE_TWO, [5, 2, 6, 0, 1, 8, 1, 5], [5, 6, 1, 1], 454710),
        (BATCH, [5, 2, 6, 9, 0, 7, 4, 1], [9, 6, 7, 4], 73248),
        (LATE, [5, 2, 6, 9, 0, 7, 4, 1], [], 611097),
        (PULL, [5, 2, 6, 9, 0, 7], [], 861168),
    ],
    ids=METHODS,
)
def test_a_seed_means_the_same_choices_in_every_version(method, probed, chosen, drawn_next):
    rng = random.Random(7)
    here = method.probe(4, names(10), rng)
    placed = [] if method.late_binding else list(method.place(4, here, dict.fromkeys(here, 1), rng))
    assert [int(worker[len("worker.") :]) for worker in here] == probed
    assert [int(worker[len("worker.") :]) for worker in placed] == chosen
    assert rng.randrange(10**6) == drawn_next


# What all methods have in common


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
    chosen = list(CHOOSE_TWO.place(m, probed, loads, rng))
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
    chosen = list(CHOOSE_TWO.place(m, probed, {worker: 3 for worker in probed if worker in answered}, rng))
    assert len(chosen) == m
    assert set(chosen) <= answered


def test_choose_two_counts_tasks_of_the_same_job_as_load():
    assert sorted(CHOOSE_TWO.place(4, ["a", "b"] * 4, {"a": 0, "b": 0}, random.Random(1))) == ["a", "a", "b", "b"]
    assert CHOOSE_TWO.place(3, ["a", "b"] * 3, {"a": 0, "b": 5}, random.Random(1)) == ["a", "a", "a"]


def test_choose_two_breaks_ties_at_random():
    counts = Counter(
        name for seed in range(4_000) for name in CHOOSE_TWO.place(1, ["a", "b"], {"a": 1, "b": 1}, random.Random(seed))
    )
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
    chosen = list(BATCH.place(m, probed, loads, rng))
    assert len(set(chosen)) == m
    assert sorted(loads[worker] for worker in chosen) == sorted(loads.values())[:m]


@given(batch=probed_batches(), rng=seeds)
def test_batch_places_every_task_and_only_on_workers_that_answered(batch, rng):
    m, probed, loads = batch
    chosen = list(BATCH.place(m, probed, loads, rng))
    assert len(chosen) == m
    assert set(chosen) <= set(loads)


@given(batch=probed_batches(), rng=seeds)
def test_batch_in_waves_over_the_less_loaded_half(batch, rng):
    """With n answers each wave gives a task to each of the n/2 least loaded, whose load has then gone up by one."""
    m, probed, loads = batch
    chosen = list(BATCH.place(m, probed, loads, rng))
    now, wave = dict(loads), max(1, len(loads) // 2)
    for first in range(0, m, wave):
        some = chosen[first : first + wave]
        assert len(set(some)) == len(some)
        assert sorted(now[worker] for worker in some) == sorted(now.values())[: len(some)]
        for worker in some:
            now[worker] += 1


def test_batch_on_idle_workers_spreads_evenly():
    for n in range(1, 12):
        chosen = list(BATCH.place(24, names(n), dict.fromkeys(names(n), 0), random.Random(n)))
        counts = Counter(chosen)
        assert len(counts) == n
        assert max(counts.values()) - min(counts.values()) <= 1


def test_batch_breaks_ties_at_random():
    counts: Counter = Counter()
    for seed in range(3_000):
        counts.update(BATCH.place(2, names(4), dict.fromkeys(names(4), 1), random.Random(seed)))
    assert all(counts[worker] == pytest.approx(1_500, rel=0.1) for worker in names(4))


# BATCH+LATE_BINDING, and PULL among several schedulers


@pytest.mark.parametrize("method", [LATE, PULL])
@given(m=tasks, here=workers, rng=seeds)
def test_late_binding_reserves_d_m_times_as_evenly_as_it_goes(method, m, here, rng):
    counts = Counter(method.probe(m, here, rng))
    assert sum(counts.values()) == math.ceil(method.probe_ratio * m)
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
            assert list(method.place(m, probed, {only[0]: 3}, rng)) == only * m
