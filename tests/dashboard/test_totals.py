"""What stays when a scheduler goes, how the cluster is, and what methods are compared by: no cluster, no clock, no socket."""

import json
import random
from typing import Any

import pytest

from src.dashboard.history import History
from src.dashboard.ledger import MOST_INCARNATIONS, MOST_METHODS, Ledger
from src.dashboard.recent import Recent, RecentSettings
from src.dashboard.snapshot import Memory
from src.dashboard.target import UNREGISTERED
from src.dashboard.views import ClusterView, MethodRow, QuantileView, RecentView, SchedulerRow
from tests.dashboard.samples import NOW, build, job, member, method, scheduler, stats, worker

S1, S2 = "sparrow.scheduler.1", "sparrow.scheduler.2"
NEVER_FALL = ("jobs", "jobs_ended", "jobs_failed", "tasks_done", "retried", "failed")


def used(number, incarnation="i1", name=S1, **fields):
    """The answer of a scheduler that has done so many jobs, one of which failed."""
    counts = {"jobs": number, "failed_jobs": 1, "failed": 1, "retried": 2}
    batch = method(10 * number, [2.0] * (number - 1), last_waits=[0.1] * (number - 1), demanded_s=float(number), **counts)
    return stats(name, incarnation=incarnation, methods={"BATCH": batch}, **fields)


def totals(data):
    return {key: data["totals"][key] for key in NEVER_FALL}


def test_no_total_falls_when_a_scheduler_goes_starts_again_or_is_forgotten():
    memory = Memory(History())
    both = {S1: scheduler(used(10)), S2: scheduler(used(5, name=S2))}
    at_first = totals(build(schedulers=both, memory=memory))
    assert at_first == {"jobs": 15, "jobs_ended": 15, "jobs_failed": 2, "tasks_done": 150, "retried": 4, "failed": 2}
    gone = {**both, S2: scheduler(used(5, name=S2), state="gone")}
    assert totals(build(schedulers=gone, memory=memory)) == at_first
    assert totals(build(schedulers={S1: both[S1]}, memory=memory)) == at_first
    assert totals(build(memory=memory)) == at_first
    restarted = {S1: scheduler(used(3, "i2", uptime_s=2.0))}
    data = build(schedulers=restarted, memory=memory)
    assert totals(data) == {"jobs": 18, "jobs_ended": 18, "jobs_failed": 3, "tasks_done": 180, "retried": 6, "failed": 3}
    row = data["methods"]["BATCH"]
    assert (row["counts"]["jobs"], row["slowdown"]["count"], row["last_wait_s"]["count"]) == (18, 15, 15)
    assert totals(build(schedulers={S1: scheduler(used(4, "i2"))}, memory=memory))["jobs"] == 19
    assert totals(build(schedulers=both, memory=memory))["jobs"] == 19, "two that fight for a name count once each"


def test_a_figure_that_falls_within_one_incarnation_is_not_believed():
    memory = Memory(History())
    build(schedulers=[used(10)], memory=memory)
    data = build(schedulers=[used(3)], memory=memory)
    assert (data["totals"]["jobs"], data["totals"]["jobs_ended"]) == (10, 10)
    assert data["methods"]["BATCH"]["slowdown"]["count"] == 9


def test_what_a_ledger_remembers_is_bounded():
    ledger = Ledger(5.0)
    for number in range(300):
        ledger.told(S1, used(2, f"i{number}"))
    assert len(ledger._accounts) == MOST_INCARNATIONS
    assert ledger.totals()["BATCH"].counts["jobs"] == 600
    ledger.told(S1, stats(incarnation="x", methods={f"M{number}": method(1, jobs=1) for number in range(300)}))
    assert len(ledger.totals()) == MOST_METHODS


def test_ended_jobs_of_a_scheduler_that_is_gone_stay_in_the_list_and_open_ones_are_shown_where_they_went():
    lost = stats(S1, jobs=[job("open", "running"), job("ended"), job("moved", "running")])
    now = {S1: scheduler(lost, state="gone"), S2: scheduler(stats(S2, jobs=[job("moved", "running")]))}
    rows = build(schedulers=now)["jobs"]
    assert sorted((row["id"], row["scheduler"]) for row in rows) == [("ended", S1), ("moved", S2)]


def test_a_failed_job_has_no_part_in_the_responses():
    data = build(schedulers=[stats(jobs=[job("a", response_s=4.0), job("b", "failed", response_s=0.1)])])
    assert (data["totals"]["response_s"]["p50"], data["totals"]["response_jobs"]) == (4.0, 1)


def test_a_clock_that_is_ahead_does_not_keep_a_job_in_the_figures_for_ever():
    memory = Memory(History())
    data = build(schedulers=[stats(jobs=[job("a", submitted=1e11)])], memory=memory)
    assert data["totals"]["response_jobs"] == 1
    assert build(memory=memory, now=NOW + 700)["totals"]["response_jobs"] == 0


# How the cluster is


def cluster(**parts):
    view = build(**parts)["cluster"]
    assert set(view) == set(ClusterView.__annotations__)
    return view["state"], view["reasons"]


UP = {"host1": worker(), "host2": worker()}
GONE = {"host1": worker(), "host2": worker(state="gone")}


SILENT = {"a": worker(), "b": worker(state="silent")}


def schedulers(*states, open_jobs=0, **fields):
    said = {f"sparrow.scheduler.{n}": stats(f"sparrow.scheduler.{n}", open_jobs=open_jobs) for n in range(1, len(states) + 1)}
    return {name: scheduler(answer, state=state, **fields) for (name, answer), state in zip(said.items(), states)}


@pytest.mark.parametrize(
    ("workers", "those", "state", "words"),
    [
        (UP, schedulers("up"), "ok", ""),
        (UP, schedulers("up", "gone"), "degraded", f"{S2} is gone: the others take its jobs."),
        (UP, schedulers("up", "gone", open_jobs=7), "degraded", f"{S2} is gone: the 7 jobs that were open there wait until their"),
        (UP, schedulers("up", "silent", open_jobs=1), "degraded", f"{S2} is connected, but does not answer: 1 job waits for it."),
        (UP, schedulers("gone", open_jobs=3), "down", "No scheduler answers: no job can be submitted, and nothing here about jobs"),
        (UP, schedulers("gone", "silent"), "down", "No scheduler answers"),
        (UP, {}, "down", "No scheduler is there: no job can be submitted."),
        ({}, schedulers("up"), "down", "No worker is there: jobs wait until there is one."),
        ({"a": worker(state="gone")}, schedulers("up", open_jobs=2), "down", "No worker answers: 2 jobs wait for one."),
        (GONE, schedulers("up"), "degraded", "1 of 2 workers is gone (host2): schedulers run its tasks again on others."),
        (SILENT, schedulers("up"), "degraded", "1 of 2 workers is silent (b): its tasks wait until it answers or is given up."),
    ],
)
def test_what_is_wrong_is_said_with_what_follows_from_it(workers, those, state, words):
    told, reasons = cluster(workers=workers, schedulers=those)
    assert told == state
    assert any(reason.startswith(words) for reason in reasons) if words else reasons == []
    assert all(reason.endswith(".") for reason in reasons)


def test_who_has_just_begun_to_ask_does_not_say_that_nobody_is_there():
    nobody_yet = cluster(since=None, nameserver=False)
    assert nobody_yet == ("degraded", ["The name server has not answered yet: what is there is not known."])
    told, reasons = cluster(workers=UP, awaited=[S2])
    assert (told, reasons) == ("degraded", [f"{S2} has not answered yet: what is there is not known."])
    told, reasons = cluster(schedulers=schedulers("up"), awaited=["sparrow.worker.b", "sparrow.worker.a"])
    assert (told, reasons[0][:53]) == ("degraded", "sparrow.worker.a, sparrow.worker.b have not answered ")
    assert cluster(workers=UP, schedulers=schedulers("up"), awaited=["sparrow.worker.c"]) == ("ok", []), "one more that joins"
    assert cluster(workers=UP, schedulers=schedulers("gone"), awaited=["sparrow.worker.c"])[0] == "down"


def test_who_has_left_is_no_fault_unless_jobs_were_open_there():
    left = {**UP, "host3": worker(state="gone", registered=False, reason=UNREGISTERED)}
    assert cluster(workers=left, schedulers=schedulers("up"))[0] == "ok"
    gone = scheduler(stats(S2), state="gone", registered=False)
    assert cluster(workers=UP, schedulers={**schedulers("up"), S2: gone})[0] == "ok"
    gone = scheduler(stats(S2, open_jobs=1), state="gone", registered=False)
    assert cluster(workers=UP, schedulers={**schedulers("up"), S2: gone})[0] == "degraded"


def test_what_cannot_be_read_is_said_once_and_the_others_are_unaffected():
    why = "sparrow.worker.x answers something that cannot be read: slots must be from 1 to 1024"
    data = build({**UP, "x": worker(5, state="unreadable", reason=why)}, schedulers("up"))
    assert (data["cluster"]["state"], data["cluster"]["reasons"]) == ("degraded", [why])
    assert (data["workers"]["x"]["state"], data["workers"]["x"]["reason"], data["workers"]["x"]["load"]) == ("unreadable", why, 0)
    assert (data["totals"]["workers"], data["totals"]["workers_unreadable"], data["totals"]["running"]) == (2, 1, 0)


def test_reasons_are_few_and_name_few():
    many = {f"gone{n}": worker(state="gone") for n in range(20)}
    state, (reason,) = cluster(workers={**UP, **many}, schedulers=schedulers("up"))
    assert "(gone0, gone1, gone2, gone3, gone4 and 15 more): schedulers run their tasks" in reason
    liars = {f"x{n}": worker(state="unreadable", reason=f"x{n} lies") for n in range(30)}
    state, reasons = cluster(workers={**UP, **liars}, schedulers=schedulers("up"))
    assert len(reasons) == 8
    assert reasons[-1] == "There are 23 more faults of this kind."


def test_since_is_when_the_state_changed():
    memory = Memory(History())
    times = []
    for second, state in enumerate(("up", "up", "gone", "gone", "up")):
        times.append(build(UP, schedulers("up", state), memory, now=NOW + second)["cluster"]["since"] - NOW)
    assert times == [0, 0, 2, 2, 4]


def test_rows_of_schedulers_have_the_same_keys_whatever_their_state():
    known = {
        **schedulers("up", "gone", "silent", open_jobs=7),
        "sparrow.scheduler.4": scheduler(None, **member("unreadable", last_seen=None)),
    }
    rows = build(UP, known)["schedulers"]
    assert all(set(row) == set(SchedulerRow.__annotations__) for row in rows.values())
    assert [(row["state"], row["open_jobs"]) for row in rows.values()][:3] == [("up", 7), ("gone", 7), ("silent", 7)]
    assert (
        rows["sparrow.scheduler.4"]["method"],
        rows["sparrow.scheduler.4"]["last_seen"],
        rows["sparrow.scheduler.4"]["gone_since"],
    ) == (None, None, None)
    assert rows[S2]["gone_since"] == rows[S2]["since"]


# What methods are compared by


def run(recent, ledger, seconds, jobs_at, slots=10, now=0.0, uptime_s=1.0):
    """Look once a second; ``jobs_at(second)`` is method -> (jobs so far, work so far, failed so far, slowdowns so far)."""
    for second in range(seconds):
        told = {
            name: method(jobs, slow, last_waits=slow, demanded_s=work, jobs=jobs, failed_jobs=failed)
            for name, (jobs, work, failed, slow) in jobs_at(second).items()
        }
        recent.add(now + second, slots, ledger.told(S1, stats(methods=told, uptime_s=uptime_s + second)))


def test_the_offered_load_is_what_others_ask_for_around_a_job():
    recent, ledger = Recent(), Ledger(5.0)
    # a job of 8 s of work each second, on 10 slots: 80 %
    run(recent, ledger, 120, lambda second: {"BATCH": (second, 8.0 * second, 0, [2.0] * second)})
    view = recent.view("BATCH", recent.offered_loads())
    assert set(view) == set(RecentView.__annotations__)
    assert view["offered_load"] == pytest.approx(0.8 * 0.9, abs=0.02)  # a tenth of what is around a job is the job itself
    assert view["jobs"] == 119


def test_methods_that_share_the_cluster_meet_the_same_load_and_bursts_of_different_size_do_not():
    recent, ledger = Recent(), Ledger(5.0)
    rng = random.Random(4)
    sums: dict[str, list[Any]] = {"BATCH": [0, 0.0, 0, []], "RANDOM": [0, 0.0, 0, []]}

    def jobs_at(second):
        for _ in range(20):
            one = sums[rng.choice(("BATCH", "RANDOM"))]
            one[0] += 1
            one[1] += 0.35
            one[3].append(2.0)
        return {name: tuple(one) for name, one in sums.items()}

    run(recent, ledger, 100, jobs_at)
    loads = recent.offered_loads()
    assert loads["BATCH"] == pytest.approx(loads["RANDOM"], abs=0.02)
    assert loads["BATCH"] == pytest.approx(0.7, abs=0.03)
    recent, ledger = Recent(), Ledger(5.0)

    def burst(second, at, jobs):
        return (jobs, 10.0 * jobs, 0, []) if second >= at else (0, 0.0, 0, [])

    run(recent, ledger, 100, lambda second: {"BATCH": burst(second, 30, 10), "RANDOM": burst(second, 60, 20)})
    loads = recent.offered_loads()
    assert loads["BATCH"] == pytest.approx(0.9)
    assert loads["RANDOM"] == pytest.approx(1.9)


def test_the_load_of_jobs_that_were_not_seen_to_come_is_not_known():
    recent, ledger = Recent(), Ledger(5.0)
    run(recent, ledger, 20, lambda second: {"BATCH": (50, 100.0, 1, [2.0] * 49)}, uptime_s=100.0)
    view = recent.view("BATCH", recent.offered_loads())
    assert (view["offered_load"], view["jobs"], view["failed_jobs"]) == (None, 49, 1), "they ended within the window all the same"
    older, ledger = Recent(), Ledger(5.0)
    run(older, ledger, 20, lambda second: {"BATCH": (50, 100.0, 1, [2.0] * 49)}, uptime_s=5_000.0)
    assert older.view("BATCH", {})["jobs"] == 0


def test_jobs_leave_the_window_and_failed_ones_are_counted_apart():
    recent, ledger = Recent(RecentSettings(window_s=60.0)), Ledger(5.0)
    run(recent, ledger, 30, lambda second: {"BATCH": (second, 1.0 * second, second // 10, [2.0] * second)})
    view = recent.view("BATCH", recent.offered_loads())
    assert (view["jobs"], view["failed_jobs"]) == (29, 2)
    recent.add(200.0, 10, [])
    view = recent.view("BATCH", recent.offered_loads())
    assert (view["jobs"], view["failed_jobs"], view["offered_load"]) == (0, 0, None)
    assert view["slowdown"] == {name: {"value": None, "low": None, "high": None} for name in ("p50", "p95")}


def test_quantiles_come_with_their_intervals_in_the_document():
    slow = [1.0 + 0.01 * number for number in range(200)]
    one = stats(methods={"BATCH": method(200, slow, last_waits=slow, jobs=200)}, uptime_s=2.0)
    row = build(schedulers=[one])["methods"]["BATCH"]
    assert set(row) == set(MethodRow.__annotations__)
    for key in ("slowdown", "last_wait_s"):
        p50 = row["recent"][key]["p50"]
        assert set(p50) == set(QuantileView.__annotations__)
        assert 1.7 < p50["low"] < p50["value"] < p50["high"] < 2.3
    json.dumps(row, allow_nan=False)
