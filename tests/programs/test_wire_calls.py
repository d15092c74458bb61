"""What anyone may ask of schedulers and workers over the wire, and what they hear for a wrong call."""

import json
import time

import Pyro4
import pytest

from tests.support.contract import METHODS
from tests.support.live import assert_books_are_empty

WRONG_JOBS: list[tuple[object, type[Exception]]] = [
    (None, TypeError),
    (3, TypeError),
    ([], TypeError),
    ("not json", ValueError),
    ("[" * 100_000, ValueError),
    ({}, TypeError),
    ({"id": "a", "durations_s": []}, ValueError),
    ({"id": "a", "durations_s": [0.0] * 100_001}, ValueError),
    ({"id": "a", "durations_s": [-1.0]}, ValueError),
    ({"id": "a", "durations_s": [float("nan")]}, ValueError),
    ({"id": "a", "durations_s": [float("inf")]}, ValueError),
    ({"id": "a", "durations_s": [True]}, TypeError),
    ({"id": "a", "durations_s": ["1"]}, TypeError),
    ({"id": "", "durations_s": [1.0]}, ValueError),
    ({"id": "a b", "durations_s": [1.0]}, ValueError),
    ({"id": "x" * 129, "durations_s": [1.0]}, ValueError),
    ({"id": 7, "durations_s": [1.0]}, TypeError),
    ({"id": "a", "durations_s": [1.0], "method": "WORST"}, ValueError),
    ({"id": "a", "durations_s": [1.0], "method": 3}, TypeError),
    ({"id": "a", "durations_s": [1.0], "wait": 1}, TypeError),
    ({"id": "a", "durations_s": [1.0], "more": 1}, ValueError),
    ({"__class__": "os.system", "id": "a"}, Exception),
]


@pytest.mark.parametrize(("job", "error"), WRONG_JOBS, ids=lambda value: repr(value)[:40])
def test_a_wrong_job_is_refused_and_changes_nothing(clusters, job, error):
    with clusters(8).proxy("sparrow.scheduler.1") as scheduler:
        before = scheduler.stats()["methods"]
        with pytest.raises(error) as caught:
            scheduler.schedule(job)
        assert not isinstance(caught.value, Pyro4.errors.ConnectionClosedError)
        assert scheduler.stats()["methods"] == before
        assert scheduler.stats()["open_jobs"] == 0


WRONG_CALLS = [
    ("set_method", ("WORST",), ValueError),
    ("set_method", (3,), ValueError),
    ("stats", ("job",), ValueError),
    ("stats", ('{"job": 1}',), TypeError),
    ("stats", ([1],), TypeError),
    ("request_task", ("host1", "x", '[["Ask","nobody",0]]'), LookupError),
    ("task_completed", ("host1", "x", '[["Done","nobody",0,1,0.0,0.0]]'), LookupError),
    ("task_completed", ("host1", "x", '[["Done","nobody",0,1,0.0]]'), TypeError),
    ("task_completed", ("host1", "x", '[["Done","nobody",-1,1,0.0,0.0]]'), ValueError),
    ("task_completed", ("host1", "x", '[["Launch","a",0,1,0.0]]'), ValueError),
    ("task_completed", ("host1", "x", '{"__class__": 1}'), TypeError),
    ("task_completed", ("host1", "x", {"__class__": "x"}), Exception),
    ("task_completed", (1, "x", "[]"), TypeError),
    ("task_completed", ("host1",), TypeError),
    ("run", (), AttributeError),
    ("_perform", ((),), AttributeError),
]


@pytest.mark.parametrize(("method", "arguments", "error"), WRONG_CALLS, ids=lambda value: repr(value)[:40])
def test_a_wrong_call_is_refused_with_a_typed_error(clusters, method, arguments, error):
    with clusters(8).proxy("sparrow.scheduler.1") as scheduler:
        scheduler._pyroHandshake = {"name": "sparrow.worker.host1", "incarnation": "x"}
        before = scheduler.stats()["methods"]
        with pytest.raises(error) as caught:
            scheduler._pyroInvoke(method, arguments, {})
        assert not isinstance(caught.value, Pyro4.errors.ConnectionClosedError)
        assert scheduler.stats()["methods"] == before


def test_unknown_tasks_of_a_known_job_are_refused(clusters):
    with clusters(8).proxy("sparrow.scheduler.1") as scheduler:
        scheduler._pyroHandshake = {"name": "sparrow.worker.host1", "incarnation": "x"}
        scheduler.schedule({"id": "known", "durations_s": [0.5], "method": "BATCH", "wait": False})
        with pytest.raises(LookupError, match="unknown task 1 of job 'known'"):
            scheduler.task_completed("host1", "x", [["Done", "known", 1, 1, 0.0, 0.0]])
    assert_books_are_empty(clusters(8))


def test_a_worker_answers_anyone_who_asks(clusters):
    with clusters(8).proxy("sparrow.worker.host1") as worker:
        assert worker.get_name() == "host1"
        assert worker.find_load() == 0
        with pytest.raises(ValueError, match="not the name of a scheduler"):
            worker.add_task("somebody", "x", [])
        with pytest.raises(ValueError, match="unexpected message"):
            worker.add_task("sparrow.scheduler.1", "x", [["Reserve", "a", 1]])
        with pytest.raises(TypeError, match="batch must be a list"):
            worker.set_late_binding("sparrow.scheduler.1", "x", 3)


@pytest.mark.parametrize("greeting", ["hello", None, {"name": "sparrow.scheduler.1", "incarnation": "y"}], ids=str)
def test_a_stock_proxy_submits_and_asks_and_speaks_for_nobody(clusters, greeting):
    """The real scheduler has a job running meanwhile, which goes on."""
    cluster = clusters(8)
    with cluster.proxy("sparrow.scheduler.1") as scheduler, cluster.proxy("sparrow.worker.host1") as worker:
        if greeting is not None:
            scheduler._pyroHandshake = worker._pyroHandshake = greeting
        id = f"{time.time()}"
        scheduler.schedule({"id": id, "durations_s": [1.0] * 8, "method": "BATCH", "wait": False})
        incarnation = scheduler.stats()["incarnation"]
        for claimed in incarnation, "0", "f" * 30:
            with pytest.raises(ValueError, match="not from sparrow.scheduler.1: this connection greeted"):
                worker.add_task("sparrow.scheduler.1", claimed, [["Reconcile", [], []]])
            with pytest.raises(ValueError, match="not from sparrow.worker.host1: this connection greeted"):
                scheduler.task_completed("host1", claimed, [["Leave", []]])
            with pytest.raises(ValueError, match="not from sparrow.worker.host1: this connection greeted"):
                scheduler.request_task("host1", claimed, [])
        report = scheduler.schedule({"id": id, "durations_s": [1.0] * 8, "method": "BATCH"})
        assert (report["failed"], report["retried"]) == ([], 0)
        assert report["response_s"] < 2.0


def test_a_job_can_be_submitted_by_hand_and_asked_for_again(clusters):
    with clusters(8).proxy("sparrow.scheduler.1") as scheduler:
        job = {"id": f"by-hand-{time.time()}", "durations_s": [0.0, 0.01], "method": "BATCH+LATE_BINDING"}
        report = scheduler.schedule(job)
        assert [task["attempts"] for task in report["tasks"]] == [1, 1]
        assert scheduler.schedule(job) == report


def test_the_stats_tell_of_jobs_workers_and_methods(clusters):
    with clusters(8).proxy("sparrow.scheduler.1") as scheduler:
        for method in METHODS:
            id = f"stats-{method}-{time.time()}"
            scheduler.schedule({"id": id, "durations_s": [0.01] * 3, "method": method})
            stats = json.loads(scheduler.stats(json.dumps([id]), True))
            assert stats["jobs"][0]["id"] == id
            assert (stats["jobs"][0]["state"], stats["jobs"][0]["ended"], stats["jobs"][0]["tasks"]) == ("done", 3, 3)
            assert set(stats["workers"]) == {f"host{n}" for n in range(1, 9)}
            assert (stats["open_jobs"], stats["open_tasks"]) == (0, {"running": 0, "waiting": 0})
            told = stats["methods"][method]
            assert told["counts"]["done"] == told["counts"]["tasks"]
            assert told["slowdown"]["count"] == told["counts"]["jobs"] == sum(count for _, count in told["slowdown"]["histogram"])
            assert told["service_s"]["p50"] >= 0
            job = stats["details"][id]
            assert [task["state"] for task in job["tasks"]] == ["done"] * 3
            if method == "BATCH+LATE_BINDING":
                assert sorted(asked["task"] for asked in job["asked"] if asked["task"] is not None) == [0, 1, 2]
            elif method == "PULL":
                assert sorted(pulled["task"] for pulled in job["pulled"]) == [0, 1, 2]
                assert {pulled["worker"] for pulled in job["pulled"]} == {task["worker"] for task in job["tasks"]}
            else:
                (decision,) = job["decisions"]
                assert decision["chosen"] == [task["worker"] for task in job["tasks"]]
                assert set(decision["loads"]) == (set() if method == "RANDOM" else set(decision["probed"]))


def test_the_default_method_is_for_jobs_that_name_none(clusters):
    with clusters(8).proxy("sparrow.scheduler.1") as scheduler:
        scheduler.set_method("CHOOSE_TWO")
        assert scheduler.schedule({"id": f"default-{time.time()}", "durations_s": [0.0]})["method"] == "CHOOSE_TWO"
        scheduler.set_method("RANDOM")
