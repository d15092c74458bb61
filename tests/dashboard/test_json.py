"""Every key that the server of a live cluster says is declared, with the type that it has; and everything declared is said."""

import sys
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from scripts.testbed.dashboard import Dashboard
from src.dashboard.views import JobView, StatsView, WorkerView
from src.Scheduler import Scheduler
from src.sparrow.placement import METHODS
from src.sparrow.reports import LostAttempt
from tests.support.live import client, eventually

pytestmark = pytest.mark.skipif(sys.version_info < (3, 10), reason="declarations with | can be read from Python 3.10 on")


def faults(value, declared, met, path="it"):
    """How a value of JSON differs from the type that is declared for it, as sentences; ``met`` gets the types of objects in it."""
    origin, arguments = get_origin(declared), get_args(declared)
    if _is_object(declared):
        return _faults_of_object(value, declared, met, path)
    if origin is list:
        if not isinstance(value, list):
            return [f"{path} is no list: {value!r:.60}"]
        return [fault for i, item in enumerate(value) for fault in faults(item, arguments[0], met, f"{path}[{i}]")]
    if origin is dict:
        if not isinstance(value, dict):
            return [f"{path} is no object: {value!r:.60}"]
        return [fault for key, item in value.items() for fault in faults(item, arguments[1], met, f"{path}.{key}")]
    if origin is Literal:
        return [] if value in arguments else [f"{path} is {value!r:.60}, not one of {arguments}"]
    if arguments:  # a union: the part that fits best
        best = min(arguments, key=lambda part: len(faults(value, part, set(), path)))
        return faults(value, best, met, path)
    kinds = (int, float) if declared is float else (declared,)
    return [] if type(value) in kinds else [f"{path} is {value!r:.60}, not {declared.__name__}"]


def _is_object(declared):
    """Whether this is a TypedDict."""
    return hasattr(declared, "__total__")


def _faults_of_object(value, declared, met, path):
    if not isinstance(value, dict):
        return [f"{path} is no {declared.__name__}: {value!r:.60}"]
    met.add(declared)
    hints = get_type_hints(declared)
    found = [f"{path}.{key} is not declared in {declared.__name__}" for key in value.keys() - hints.keys()]
    found += [f"{path} lacks {key} of {declared.__name__}" for key in hints.keys() - value.keys()]
    return found + [fault for key in hints.keys() & value.keys() for fault in faults(value[key], hints[key], met, f"{path}.{key}")]


def objects_in(declared):
    """The types of all objects that a value of this type may have in it."""
    if _is_object(declared):
        return {declared}.union(*(objects_in(part) for part in get_type_hints(declared).values()))
    return set().union(*(objects_in(part) for part in get_args(declared) if get_origin(declared) is not Literal))


def objects_of(value):
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_of(part)


@pytest.fixture(scope="module")
def answers(clusters):
    """(answer of the server, its declared type) of a cluster with a scheduler that is gone and jobs by every method."""
    cluster = clusters(8)
    with Dashboard(cluster.nameserver) as dashboard:
        schedulers = lambda: dashboard.get("/sparrow/stats")["schedulers"]  # noqa: E731
        with Scheduler("RANDOM", cluster.nameserver, 9):
            eventually(lambda: "sparrow.scheduler.9" in schedulers())
        eventually(lambda: schedulers()["sparrow.scheduler.9"]["state"] == "gone")
        known = {job["id"] for job in dashboard.get("/sparrow/stats")["jobs"]}
        for method in METHODS:
            assert client(cluster, method, 1, 6, 0.01, "--quiet").returncode == 0

        def new_jobs():
            jobs = [job for job in dashboard.get("/sparrow/stats")["jobs"] if job["id"] not in known]
            return len(jobs) == len(METHODS) and jobs

        jobs = eventually(new_jobs)
        workers = {task["worker"] for job in jobs for task in dashboard.get(f"/sparrow/jobs/{job['id']}")["tasks"]}
        yield [
            (dashboard.get("/sparrow/stats"), StatsView),
            *((dashboard.get(f"/sparrow/jobs/{job['id']}"), JobView) for job in jobs),
            *((dashboard.get(f"/sparrow/workers/{worker}"), WorkerView) for worker in workers),
        ]


def test_what_is_said_is_what_is_declared(answers):
    met: set[Any] = set()
    assert [fault for answer, declared in answers for fault in faults(answer, declared, met)] == []
    assert met == objects_in(Union[StatsView, JobView, WorkerView]) - {LostAttempt}  # no worker is lost here


def test_a_key_more_or_less_anywhere_is_found(answers):
    """Objects of objects and objects of whole numbers are left out: worker names, loads and counts may be any keys."""
    for answer, declared in answers:
        for one in objects_of(answer):
            free = all(isinstance(part, dict) for part in one.values()) or (one and all(type(part) is int for part in one.values()))
            if free:
                continue
            one["unheard_of"] = object()
            assert faults(answer, declared, set()), one
            del one["unheard_of"]
            for key in list(one):
                value = one.pop(key)
                assert faults(answer, declared, set()), key
                one[key] = value
