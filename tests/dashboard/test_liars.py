"""Members of a live cluster that say what is not of the declared form: they are shown as such, and nobody else is affected."""

import contextlib
import json

import pytest

from scripts.testbed.attacks_dashboard import WORKER_LIES, LyingScheduler, LyingWorker
from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from tests.dashboard.samples import job, method, stats
from tests.support.live import eventually
from tests.support.webclient import ask

LIAR = "sparrow.scheduler.7"
GOOD = stats(LIAR, now=1.0, jobs=[job("j")], methods={"BATCH": method(1, [1.0], [1.0], [1.0], jobs=1)})


@pytest.fixture(scope="module")
def watched():
    """A cluster with a dashboard; what it says is strict JSON all the while."""
    with LocalCluster(2) as cluster, Dashboard(cluster.nameserver) as dashboard:
        eventually(lambda: dashboard.get("/sparrow/stats")["totals"]["workers"] == 2)
        yield cluster, dashboard
        assert "Traceback" not in dashboard.log()
        assert " ERROR " not in dashboard.log()


def strict(dashboard):
    """The stats, read as a browser reads them: NaN and Infinity are no JSON."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(ask(dashboard, "/sparrow/stats")[2], parse_constant=refuse)


def all_in(dashboard, group, names, states):
    """Wait until each of these is in one of the states; the name server may be slow. Returns the stats."""

    def are_all():
        data = strict(dashboard)
        return all(data[group].get(name, {}).get("state") in states for name in names) and data

    return eventually(are_all, 25.0)


def assert_others_are_well(dashboard):
    data = strict(dashboard)
    assert data["workers"]["host1"]["state"] == data["workers"]["host2"]["state"] == "up"
    assert data["schedulers"]["sparrow.scheduler.1"]["state"] == "up"
    assert data["totals"]["slots"] == 2
    eventually(lambda: strict(dashboard)["now"] > data["now"], 3.0)
    assert ask(dashboard, "/metrics")[0] == 200


def greets_with_lists(lie):
    return any(isinstance(value, list) for name, value in lie.items() if name != "load")


def test_workers_that_lie_are_unreadable_and_that_is_said_once(watched):
    cluster, dashboard = watched
    lies = {f"liar{number}": lie for number, lie in enumerate(WORKER_LIES)}
    with contextlib.ExitStack() as liars:
        for name, lie in lies.items():
            liars.enter_context(LyingWorker(cluster.nameserver, None, name=name, **lie))
        data = all_in(dashboard, "workers", lies, ("unreadable", "gone"))
        for name, lie in lies.items():
            row = data["workers"][name]
            assert (row["load"], row["slots"]) == (0, 1)
            if row["state"] == "unreadable":  # else it could not even be read as a message
                assert row["reason"].startswith(f"sparrow.worker.{name} answers something that cannot be read: ")
                what = "must be an object" if greets_with_lists(lie) else next(iter(lie))  # nothing is kept of a nested greeting
                assert what in row["reason"]
                eventually(lambda reason=row["reason"]: dashboard.log().count(reason) == 1)
        assert sum(data["workers"][name]["state"] == "unreadable" for name in lies) >= 7
        assert data["cluster"]["state"] == "degraded"
        assert len(data["cluster"]["reasons"]) <= 8
        assert_others_are_well(dashboard)
        assert ask(dashboard, "/sparrow/workers/liar0")[0] == 200
    all_in(dashboard, "workers", lies, ("gone",))
    assert_others_are_well(dashboard)


def without(key):
    return {name: value for name, value in GOOD.items() if name != key}


SCHEDULER_LIES = {
    "nan": json.dumps({**GOOD, "uptime_s": float("nan")}),
    "infinite": json.dumps(GOOD).replace('"uptime_s": 100.0', '"uptime_s": 1e999'),
    "digits": json.dumps(GOOD).replace('"open_jobs": 0', '"open_jobs": ' + "9" * 7_000),
    "deep": "[" * 100_000,
    "deep jobs": json.dumps(GOOD).replace('"jobs": [', '"jobs": [' + "[" * 5_000, 1),
    "wide": "[" + "[]," * 400_000 + "[]]",
    "no workers": json.dumps(without("workers")),
    "no methods": json.dumps(without("methods")),
    "a negative count": json.dumps({**GOOD, "open_tasks": {"running": -1, "waiting": 0}}),
    "a worker's name": json.dumps({**GOOD, "workers": {"a b\n": {"slots": 1, "runs": 0, "reservations": 0, "done": 0}}}),
    "slots": json.dumps({**GOOD, "workers": {"a": {"slots": 10**400, "runs": 0, "reservations": 0, "done": 0}}}),
    "a job": json.dumps({**GOOD, "jobs": [{**job("j"), "submitted": "yesterday"}]}),
    "a surrogate": json.dumps({**GOOD, "method": "\ud800"}),
    "no text": 7,
    "nothing": None,
    "a dict": {"name": LIAR},
    "a histogram": json.dumps({**GOOD, "methods": {"BATCH": {**method(1), "slowdown": {**method(1)["slowdown"], "count": 5}}}}),
}


def test_schedulers_that_lie_are_unreadable_and_nothing_that_they_said_stays(watched):
    cluster, dashboard = watched
    before = strict(dashboard)["totals"]["jobs"]
    lies = {f"sparrow.scheduler.{number}": lie for number, lie in enumerate(SCHEDULER_LIES.values(), 11)}
    with contextlib.ExitStack() as liars:
        for number, lie in enumerate(SCHEDULER_LIES.values(), 11):
            liars.enter_context(LyingScheduler(cluster.nameserver, None, number, lie))
        data = all_in(dashboard, "schedulers", lies, ("unreadable",))
        for name in lies:
            row = data["schedulers"][name]
            assert row["reason"].startswith(f"{name} answers something that cannot be read: ")
            assert (row["method"], row["last_seen"]) == (None, None)
        assert_others_are_well(dashboard)
        assert data["jobs"] == []
    data = all_in(dashboard, "schedulers", lies, ("gone",))
    assert data["totals"]["jobs"] == before
    assert_others_are_well(dashboard)


def test_one_that_says_what_is_declared_is_taken_and_becomes_unreadable_when_it_stops_to(watched):
    cluster, dashboard = watched
    before = strict(dashboard)["totals"]["jobs"]
    with LyingScheduler(cluster.nameserver, None, 7, json.dumps(GOOD)) as liar:
        all_in(dashboard, "schedulers", [LIAR], ("up",))
        assert strict(dashboard)["totals"]["jobs"] == before + 1
        liar.answer = "{}"
        all_in(dashboard, "schedulers", [LIAR], ("unreadable",))
        assert strict(dashboard)["totals"]["jobs"] == before + 1
        liar.answer = json.dumps(GOOD)
        all_in(dashboard, "schedulers", [LIAR], ("up",))
    all_in(dashboard, "schedulers", [LIAR], ("gone",))
    assert strict(dashboard)["totals"]["jobs"] == before + 1
