"""Answers of schedulers and workers, and the snapshot that is made from them."""

from src.dashboard import snapshot
from src.dashboard.history import History
from src.dashboard.snapshot import Memory, SampledScheduler, SampledWorker
from src.sparrow.metrics import Histogram
from src.sparrow.placement import METHODS
from src.sparrow.tally import TIMES

NOW = 1_700_000_000.0


def member(state="up", **fields):
    since = NOW - 3 if state != "up" else NOW - 100
    return {"state": state, "since": since, "last_seen": NOW, "reason": "", "registered": True, **fields}


def worker(load=0, slots=1, **fields):
    return SampledWorker(**member(**fields), load=load, slots=slots)


def scheduler(answer, **fields):
    return SampledScheduler(**member(**fields), stats=answer)


def stats(name="sparrow.scheduler.1", **fields):
    return {
        "name": name,
        "incarnation": "i1",
        "method": "RANDOM",
        "uptime_s": 100.0,
        "has_workers": True,
        "now": NOW,
        "open_jobs": 0,
        "open_tasks": {"running": 0, "waiting": 0},
        "workers": {},
        "progress": {},
        "registry": METHODS.to_dicts(),
        "methods": {},
        "jobs": [],
        **fields,
    }


def method(done=0, slowdowns=(), waits=(), last_waits=(), demanded_s=0.0, **counts):
    times = {name: Histogram() for name in TIMES}
    for name, values in (("slowdown", slowdowns), ("response_s", slowdowns), ("wait_s", waits), ("last_wait_s", last_waits)):
        for value in values:
            times[name].add(value)
    spreads = {name: held.to_dict() for name, held in times.items()}
    return {"counts": {"done": done, "tasks": done, **counts}, "demanded_s": demanded_s, **spreads}


def job(id, state="done", submitted=NOW - 10, response_s=1.0, **fields):
    return {
        "id": id,
        "method": "BATCH",
        "state": state,
        "ended": 1,
        "failed": int(state == "failed"),
        "retried": 0,
        "submitted": submitted,
        "response_s": response_s,
        "ideal_s": None if state == "running" else 1.0,
        "slowdown": response_s if state == "done" else None,
        "tasks": 1,
        **fields,
    }


def task(worker="a", state="placed", **fields):
    return {
        "worker": worker,
        "state": state,
        "attempts": 1,
        "placed_s": 0.0,
        "wait_s": None,
        "started_s": None,
        "service_s": None,
        "lost_on": [],
        "lost": [],
        "reason": None,
        **fields,
    }


def details(id="job", tasks=(), **fields):
    rows = list(tasks)
    head = {**job(id, state="running"), "num_tasks": len(rows), "tasks": rows}
    return {**head, "decisions": [], "asked": [], "pulled": [], "reservations": [], **fields}


def build(workers=(), schedulers=(), memory=None, now=NOW, up=True, nameserver=True, since=NOW, awaited=(), left_out=None):
    """A snapshot of workers (name -> sampled) and schedulers (answers of those that are up, or name -> sampled)."""
    sampled = schedulers if isinstance(schedulers, dict) else {one["name"]: scheduler(one) for one in schedulers}
    return snapshot.build(
        now,
        {"address": "127.0.0.1:9090", "up": up and nameserver, "since": since, "error": ""},
        dict(workers),
        sampled,
        memory or Memory(History()),
        awaited,
        left_out,
    )
