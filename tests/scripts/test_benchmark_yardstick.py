"""The benchmark beside others: what is measured, in which order, what is left out, and what the figures are."""

import json
import os
import re
import socket
import sys
from concurrent.futures import Future

import pytest

from scripts.testbed.peers import environment, meter, peer, sockets
from scripts.testbed.peers.catalogue import CATALOGUE, OURS, PEERS
from scripts.testbed.peers.wire import Started, Used
from scripts.testbed.yardstick import record, rounds, table
from scripts.testbed.yardstick.contestant import ContestantError
from scripts.testbed.yardstick.workloads import (
    GIVE_UP,
    NAMES,
    OVER_OMNISCIENT,
    Growth,
    Hold,
    Idle,
    Run,
    Shape,
    Stage,
    costs,
    stages,
)

TEN = Shape(10)
USED = Used(cpu_s={"scheduler": 1.0, "workers": 2.0, "client": 0.5}, wakeups={"workers": 50.0}, messages={"workers": 30.0})
STARTED = Started(ready_s=3.0, note="", processes={})


def planned(*names, seed=1):
    return stages(names or NAMES, workers=10, seconds=2.0, idle_s=1.0, seed=seed)


def ran(responses_s, took_s=1.0):
    return lambda what, **details: {"responses_s": responses_s, "took_s": took_s, **USED}


def test_each_workload_has_its_clusters_and_a_cluster_is_started_once():
    shapes = {name: [stage.shape for stage in planned(name)] for name in NAMES}
    assert shapes == {
        "idle": [TEN],
        "flood": [TEN],
        "load": [TEN],
        "wide": [Shape(100), Shape(12, 8)],
        "growth": [TEN, Shape(100), Shape(1_000)],
        "footprint": [TEN, Shape(100)],
    }
    together = [stage.shape for stage in planned()]
    assert len(together) == len(set(together)) == 4


def test_all_contestants_get_the_same_jobs_which_depend_on_the_seed():
    assert planned() == planned()
    assert planned("load") != planned("load", seed=2)


def test_a_load_keeps_the_slots_busy_for_its_share_and_lengths_go_down():
    steps = [step for stage in planned("load", "wide") for step in stage.steps]
    assert all(isinstance(step, Run) for step in steps)
    (usual, wide, of_eight) = (stage.steps for stage in planned("load", "wide"))
    lengths = [step.jobs[0][1][0] for step in usual]
    assert lengths == sorted(lengths, reverse=True) == [step.jobs[0][1][0] for step in wide]
    for slots, step in ((10, usual[-1]), (100, wide[-1]), (96, of_eight[-1])):
        work_s = sum(sum(durations_s) for _, durations_s in step.jobs)
        assert work_s / (slots * step.jobs[-1][0]) == pytest.approx(0.8, rel=0.15)
        assert len(step.ideal_s) == len(step.jobs)
        assert min(step.ideal_s) == pytest.approx(step.jobs[0][1][0])


def test_responses_are_compared_with_those_of_the_omniscient_queue():
    step = Run("load", "load", [(0.0, [0.1] * 10), (1.0, [0.1] * 10)], ideal_s=[0.1, 0.1])
    figures = step.measure(ran([0.2, 0.4]), "", STARTED)
    assert figures["median ms"] == pytest.approx(300)
    assert figures[OVER_OMNISCIENT] == pytest.approx(3.0)
    assert figures["all µs"] == pytest.approx(3.5e6 / 20)


def test_a_flood_has_a_rate():
    jobs = [(0.0, [0.0] * 10)] * 4
    assert Run("flood", "flood", jobs).measure(ran([0.5] * 4, took_s=0.5), "", STARTED)["tasks/s"] == pytest.approx(80)


def test_growth_has_the_costs_of_a_job_without_those_of_an_idle_cluster():
    idled = {"seconds": 10.0, "memory_mb": {}, **USED, "messages": {"workers": 40.0}}
    answered = {"idle": idled, "run": ran([0.5] * 4, took_s=5.0)("run")}
    growth = Growth("growth", "growth", [(0.0, [0.0] * 10)] * 4, 10.0).measure(lambda what, **details: answered[what], "", STARTED)
    assert growth["messages"] == pytest.approx((30 - 20) / 4)
    assert growth["scheduler µs"] == pytest.approx((1.0 - 0.5) * 1e6 / 4)


def test_costs_are_by_role_and_in_all_and_messages_may_be_uncounted():
    assert costs(USED, 10) == {
        "scheduler µs": 1e5, "workers µs": 2e5, "client µs": 5e4, "all µs": 3.5e5, "messages": 3.0, "wake-ups": 5.0
    }  # fmt: skip
    uncounted = USED.copy()
    uncounted["messages"] = None
    assert "messages" not in costs(uncounted, 10)


def test_idling_and_holding_have_figures():
    idled = {"seconds": 2.0, "memory_mb": {"scheduler": [20.0, 10.0], "workers": [5.0, 7.0, 90.0]}, **USED}
    figures = Idle("footprint", "footprint", 2.0).measure(lambda what, **details: idled, "", STARTED)
    assert figures["ready s"] == 3.0
    assert figures["workers %"] == 100.0
    assert (figures["scheduler MB"], figures["workers MB"]) == (30.0, 7.0)
    held = {"grown_kb": {"scheduler": 40.0, "client": 8.0}, "open_jobs": 4}
    assert Hold("growth", "memory", []).measure(lambda what, **details: held, "", STARTED) == {
        "scheduler kB": 10.0, "client kB": 2.0, "all kB": 12.0
    }  # fmt: skip


class Answers:
    """A contestant that answers from a script and notes what it was asked."""

    asked: list = []
    failing: dict = {}  # (name, variant or "start", label's task length) -> error
    ratio: dict = {}  # name -> response over omniscient

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.asked.append((self.name, "ended"))

    def ask(self, what, **details):
        if what == "start":
            if (self.name, "start") in self.failing:
                raise ContestantError(self.failing[self.name, "start"])
            return {"ready_s": 1.0, "note": "", "processes": {}}
        length_s = details["jobs"][0][1][0]
        self.asked.append((self.name, details["variant"], length_s))
        if (self.name, details["variant"], length_s) in self.failing:
            raise ContestantError(self.failing[self.name, details["variant"], length_s])
        return {"responses_s": [length_s * self.ratio.get(self.name, 1.0)], "took_s": 1.0, **USED}


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.setattr(rounds, "Contestant", Answers)
    monkeypatch.setattr(Answers, "asked", [])
    monkeypatch.setattr(Answers, "failing", {})
    monkeypatch.setattr(Answers, "ratio", {})
    return Answers


def load(*lengths_s):
    return Stage(TEN, [Run("load", f"{length_s:g} s", [(0.0, [length_s])], ideal_s=[length_s]) for length_s in lengths_s])


def test_contestants_take_turns_and_who_begins_changes(answers):
    rounds.Yardstick([OURS, "dask"], ["RANDOM", "BATCH"]).measure([load(1.0)], 2)
    assert [asked for asked in answers.asked if "ended" not in asked] == [
        (OURS, "RANDOM", 1.0), (OURS, "BATCH", 1.0), ("dask", "", 1.0),
        ("dask", "", 1.0), (OURS, "BATCH", 1.0), (OURS, "RANDOM", 1.0),
    ]  # fmt: skip


def test_what_cannot_be_started_is_left_out_and_the_others_go_on(answers):
    answers.failing = {("dask", "start"): "no room"}
    yardstick = rounds.Yardstick(["dask", OURS], ["BATCH"])
    yardstick.measure([load(1.0)], 2)
    assert yardstick.left_out == [rounds.LeftOut("Dask", TEN, "", "it could not be started: no room")]
    assert {measurement.who: len(each) for measurement, each in yardstick.rounds.items()} == {"BATCH": 2}
    assert answers.asked.count(("dask", "ended")) == 1  # it is not tried again in the next round
    assert "Dask, 10 workers: it could not be started: no room" in table.text(yardstick)


def test_after_a_failure_only_shorter_tasks_are_left_out_and_other_methods_go_on(answers):
    answers.failing = {(OURS, "RANDOM", 0.1): "2 of 9 jobs had not ended"}
    yardstick = rounds.Yardstick([OURS], ["RANDOM", "BATCH"])
    yardstick.measure([load(1.0, 0.1, 0.01)], 1)
    assert {(measurement.who, measurement.label) for measurement in yardstick.rounds} == {
        ("RANDOM", "1 s"), ("BATCH", "1 s"), ("BATCH", "0.1 s"), ("BATCH", "0.01 s")
    }  # fmt: skip
    assert [(left.who, left.label, left.why) for left in yardstick.left_out] == [
        ("RANDOM", "0.1 s", "2 of 9 jobs had not ended"),
        ("RANDOM", "0.01 s", "left out after that with 0.1 s"),
    ]
    assert answers.asked.count((OURS, "ended")) == 2  # the cluster with the jobs that have not ended, and a fresh one


def test_a_queue_that_only_grows_is_not_measured_with_shorter_tasks(answers):
    answers.ratio = {"dask": GIVE_UP * 2}
    yardstick = rounds.Yardstick(["dask"], [])
    yardstick.measure([load(1.0, 0.1, 0.01)], 1)
    assert [measurement.label for measurement in yardstick.rounds] == ["1 s"]
    assert {left.label for left in yardstick.left_out} == {"0.1 s", "0.01 s"}
    assert "60 times omniscient" in yardstick.left_out[0].why


def test_no_more_processes_are_started_than_the_machine_can_bear(answers):
    yardstick = rounds.Yardstick(["ray"], [])
    yardstick.measure([Stage(Shape(1_000), load(1.0).steps), Stage(Shape(50, 8), load(1.0).steps)], 1)
    assert answers.asked == []
    assert {left.shape for left in yardstick.left_out} == {Shape(1_000), Shape(50, 8)}


def test_tables_have_a_row_for_each_contestant_and_medians_over_the_rounds():
    yardstick = rounds.Yardstick([], [])
    first, second = (rounds.Measurement("load", "load", TEN, who) for who in ("BATCH", "Dask"))
    yardstick.rounds = {first: [{"median ms": value, "messages": 2.0} for value in (1.0, 9.0, 3.0)], second: [{"median ms": 40.0}]}
    lines = [line.split() for line in table.text(yardstick).splitlines()]
    assert lines[0] == ["load,", "10", "workers"]
    assert lines[3:5] == [["BATCH", "3.00", "2.00"], ["Dask", "40.0", "-"]]


def test_every_peer_has_an_entry_with_a_pinned_version_unless_python_has_it():
    assert set(PEERS) == {"dask", "ray", "hyperqueue", "ipyparallel", "processpool"}
    assert [name for name in PEERS if not CATALOGUE[name].requirement] == ["processpool"]
    assert all("==" in CATALOGUE[name].requirement for name in PEERS if name != "processpool")


def test_messages_are_counted_by_connection():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        end, _ = server.accept()
        with end:
            before = sockets.sent()
            if before is None:
                pytest.skip("this system does not count them")
            for _ in range(7):
                client.sendall(b"x")
                end.recv(1)
            end.sendall(b"y")
            client.recv(1)
            after = sockets.sent() or {}
            inodes = [os.fstat(each.fileno()).st_ino for each in (client, end)]
            assert set(inodes) <= set(sockets.inodes("self"))
            assert [after[inode] - before[inode] for inode in inodes] == [7, 1]


@pytest.mark.parametrize("failing", [None, 0, 2])
def test_a_job_has_ended_with_its_last_task_and_says_if_one_failed(failing):
    told: list[str] = []
    futures: list[Future] = [Future() for _ in range(3)]
    ended = peer.after(3, told.append)
    for index, future in enumerate(futures):
        future.add_done_callback(ended)
        assert told == []
        if index == failing:
            future.set_exception(ValueError("no"))
        else:
            future.set_result(None)
    assert told == ["" if failing is None else "ValueError('no')"]


def test_use_is_the_difference_by_role_and_what_began_meanwhile_counts_whole():
    before = meter.Reading({("workers", 1): 2.0}, {("workers", 1): 10.0}, {("workers", 7): 5.0})
    after = meter.Reading(
        {("workers", 1): 3.0, ("workers", 2): 0.5}, {("workers", 1): 14.0}, {("workers", 7): 5.0, ("workers", 8): 2.0}
    )
    assert meter.used(before, after) == meter.Use({"workers": 1.5}, {"workers": 4.0}, {"workers": 2.0})
    assert meter.used(before, after._replace(messages=None)).messages is None


def test_a_page_has_the_record_and_all_that_it_needs_in_it():
    yardstick = rounds.Yardstick([OURS, "processpool"], ["BATCH"])
    yardstick.rounds = {
        rounds.Measurement("load", "80 % load, tasks of 10 ms", Shape(12, 8), "BATCH"): [{"median ms": 1.5}, {"median ms": 4.5}]
    }
    yardstick.notes["BATCH"] = "</script><b>"
    kept = json.loads(json.dumps(record.as_json(yardstick, {"rounds": 2})))
    assert kept["measurements"][0]["shape"] == {"workers": 12, "slots": 8}
    assert kept["measurements"][0]["median"] == {"median ms": 3.0}
    assert kept["about"]["peers"].keys() == {"ProcessPoolExecutor"}
    assert {"machine", "python", "packages", "time", "commits"} <= kept["about"].keys()
    page = record.page(kept)
    assert "Chart.js v" in page
    assert [json.loads(found) for found in re.findall("const record = (.*);", page)] == [kept]
    assert page.count("</script>") == 2
    assert not re.findall(r"""(?:src|href)\s*=""", page.replace(record.CHART.read_text(), ""))


def test_what_cannot_be_installed_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "VENV", tmp_path / "venv")
    monkeypatch.setattr(environment, "PYTHON", tmp_path / "venv/bin/python")
    monkeypatch.setattr(environment, "_make", lambda: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(sys.executable)
    monkeypatch.setitem(CATALOGUE, "dask", CATALOGUE["dask"]._replace(requirement="not-a-package==1.0"))
    with pytest.raises(
        environment.MissingPeerError, match="pip could not install not-a-package==1.0: No matching distribution"
    ) as raised:
        environment.install("dask")
    assert "\n" not in str(raised.value)
    with pytest.raises(environment.MissingPeerError, match="is not installed"):
        environment.version("dask")
    environment.install("processpool")  # Python has it
    assert environment.version("processpool").startswith("Python 3")
