"""From answers to the picture: no cluster, no clock, no socket."""

import json

import pytest

from src.dashboard import prometheus
from src.dashboard.history import History, HistoryPoint, HistorySettings
from src.dashboard.methods import binned
from src.dashboard.views import StatsView, WorkerRow
from tests.dashboard.samples import NOW, build, job, method, stats, worker


def test_nothing_at_all_is_a_picture_too():
    data = build(up=False)
    assert data["totals"]["workers"] == data["totals"]["jobs"] == 0
    assert data["totals"]["response_s"] == {"p50": None, "p95": None, "p99": None}
    json.dumps(data, allow_nan=False)
    assert set(data) == set(StatsView.__annotations__)
    assert "sparrow_nameserver_up 0" in prometheus.text(data, {})


@pytest.mark.parametrize(
    ("load", "slots", "runs", "expected"),
    [
        (0, 1, 0, (0, 0, 0)),
        (1, 1, 1, (1, 0, 0)),
        (5, 1, 3, (1, 2, 2)),
        (5, 4, 5, (4, 1, 0)),
        (3, 2, 0, (2, 0, 1)),
        (2, 1, 9, (1, 1, 0)),  # the scheduler answered later than the worker
    ],
)
def test_a_load_is_running_queued_and_reserved(load, slots, runs, expected):
    held = {"w": {"slots": slots, "runs": runs, "reservations": 0, "done": 7}}
    row = build({"w": worker(load, slots)}, [stats(workers=held)])["workers"]["w"]
    assert (row["running"], row["queued"], row["reservations"]) == expected
    assert sum(expected) == row["load"] == load
    assert row["done"] == 7
    assert set(row) == set(WorkerRow.__annotations__)


def test_a_load_that_was_told_long_ago_gives_way_to_what_schedulers_say():
    held = {"w": {"slots": 1, "runs": 2, "reservations": 3, "done": 0}}
    row = build({"w": worker(9, last_seen=NOW - 4)}, [stats(workers=held)])["workers"]["w"]
    assert (row["load"], row["running"], row["queued"], row["reservations"]) == (5, 1, 1, 3)
    assert build({"w": worker(9, last_seen=NOW - 4)}, [])["workers"]["w"]["load"] == 9


def test_a_worker_that_is_gone_counts_for_nothing_but_stays_in_the_list():
    gone = worker(5, 2, state="gone", last_seen=NOW - 4, reason="it does not answer")
    data = build({"a": worker(1), "b": gone})
    assert data["totals"]["workers"] == 1
    assert data["totals"]["workers_gone"] == 1
    assert data["totals"]["slots"] == 1
    assert data["workers"]["b"] == {**data["workers"]["b"], "state": "gone", "load": 0, "reason": "it does not answer"}
    assert data["workers"]["b"]["gone_since"] == data["workers"]["b"]["since"] == NOW - 3


def test_workers_are_in_the_order_of_their_numbers():
    names = ["host10", "host2", "host1", "10.0.0.9", "10.0.0.10", "a", ""]
    assert list(build({name: worker() for name in names})["workers"]) == [
        "",
        "10.0.0.9",
        "10.0.0.10",
        "a",
        "host1",
        "host2",
        "host10",
    ]


def test_several_schedulers_are_added_up():
    one = stats("s1", open_jobs=1, methods={"BATCH": method(10, [1.0] * 4, [0.5] * 4, jobs=4)}, jobs=[job("old")])
    two = stats("s2", open_jobs=2, methods={"BATCH": method(30, [1.0, 1.0, 9.0, 9.0]), "RANDOM": method(1)}, jobs=[job("new")])
    one["jobs"][0]["submitted"], two["jobs"][0]["submitted"] = NOW - 9, NOW - 2
    data = build(schedulers=[one, two])
    assert list(data["methods"]) == ["RANDOM", "BATCH"]
    batch = data["methods"]["BATCH"]
    assert batch["counts"]["done"] == 40
    assert batch["slowdown"]["count"] == 8
    assert sum(count for _, count in batch["slowdown"]["histogram"]) == 8
    assert batch["wait_s"]["mean"] == pytest.approx(0.5)
    assert data["methods"]["RANDOM"]["wait_s"] == {**dict.fromkeys(("p50", "p95", "p99", "mean")), "count": 0}
    assert data["totals"]["open_jobs"] == 3
    assert [one["id"] for one in data["jobs"]] == ["new", "old"]


def test_percentiles_over_several_schedulers_are_those_of_all_their_jobs_together():
    slow, fast = [10.0] * 40, [1.0] * 60
    data = build(schedulers=[stats("s1", methods={"BATCH": method(0, fast)}), stats("s2", methods={"BATCH": method(0, slow)})])
    told = data["methods"]["BATCH"]["slowdown"]
    assert told["p50"] == pytest.approx(1.0, rel=0.02)
    assert told["p95"] == pytest.approx(10.0, rel=0.02)


def test_bins_are_ascending_and_lose_nothing():
    rows = [(0.99, 1), (1.0, 2), (1.02, 3), (5.17, 4), (1e5, 5)]
    bins = binned(rows)
    assert [edge for edge, _ in bins] == sorted({edge for edge, _ in bins})
    assert sum(count for _, count in bins) == 15
    assert bins[0] == [1.122, 6]


def test_throughput_survives_a_restarted_scheduler_and_ignores_what_was_before():
    history = History()
    one = stats(methods={"BATCH": method(1_000)})
    assert history.count_tasks(0.0, {"s": one}) == 0.0
    one["methods"] = {"BATCH": method(1_010)}
    assert history.count_tasks(1.0, {"s": one}) == pytest.approx(10.0)
    restarted = stats(incarnation="i2", uptime_s=0.5, methods={"BATCH": method(5)})
    assert history.count_tasks(2.0, {"s": restarted}) == pytest.approx(7.5)
    for second in range(3, 12):
        rate = history.count_tasks(float(second), {"s": restarted})
    assert rate == 0.0


def test_each_job_counts_once_for_the_percentiles_and_only_for_ten_minutes():
    history = History()
    for _ in range(3):
        history.add_ended_jobs(NOW, [job("a", response_s=1.0), job("b", response_s=3.0), job("c", state="running")])
    assert sorted(history.responses(NOW, 600)) == [1.0, 3.0]
    assert history.responses(NOW + 700, 600) == []


def test_the_length_of_the_history_is_a_setting():
    history = History(HistorySettings(kept_s=20.0, step_s=5.0, max_ended_jobs=2))
    for second in range(100):
        history.add(float(second), HistoryPoint(1, 2, 3.0, None, 4), {"w": 1})
    assert history.columns(99.0)["t"] == [-19.0, -14.0, -9.0, -4.0]
    assert len(history._points) == 4
    history.add_ended_jobs(NOW, [job("a", response_s=1.0), job("b", response_s=2.0), job("c", response_s=3.0)])
    assert history.responses(NOW, 600) == [2.0, 3.0]


def test_history_is_bounded_and_aligned():
    history = History()
    for second in range(2_000):
        history.add(float(second), HistoryPoint(1, 2, 3.0, None, 4), {"w": 1} if second > 1_900 else {})
    told = history.columns(2_000.0)
    assert len(told["t"]) == len(told["running"]) <= 301
    assert told["t"][0] >= -600
    loads = history.worker("w", 2_000.0)
    assert len(loads["t"]) == len(loads["load"])
    assert loads["load"][0] is None
    assert loads["load"][-1] == 1
    assert set(history.worker("nobody", 2_000.0)["load"]) == {None}


def test_metrics_have_one_help_and_one_type_a_family_and_escaped_labels():
    one = stats(methods={"BATCH": method(3, [1.0, 1.0], jobs=2, retried=1)})
    data = build({'a"b\\': worker(2)}, [one])
    text = prometheus.text(data, {"s": one})
    lines = text.splitlines()
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert helped == typed
    assert len(set(helped)) == len(helped)
    assert text.endswith("\n")
    assert 'sparrow_worker_load{worker="a\\"b\\\\"} 2' in lines
    assert 'sparrow_task_retries_total{scheduler="s",method="BATCH"} 1' in lines
    p95 = one["methods"]["BATCH"]["slowdown"]["p95"]
    assert f'sparrow_job_slowdown_ratio{{scheduler="s",method="BATCH",quantile="0.95"}} {p95!r}' in lines
    assert 'sparrow_job_slowdown_ratio_count{scheduler="s",method="BATCH"} 2' in lines
    for line in lines:
        name = line.split("{")[0].split()[0] if not line.startswith("#") else line.split()[2]
        assert name.startswith("sparrow_")
