"""Answers of schedulers and workers, and the snapshot that is made from them."""

from src.dashboard import snapshot
from src.dashboard.history import History
from src.dashboard.snapshot import SampledWorker
from src.sparrow.metrics import Histogram
from src.sparrow.tally import TIMES

NOW = 1_700_000_000.0


def worker(load=0, slots=1, up=True, **fields):
    return SampledWorker(load, slots, up, **{"last_seen": NOW, "gone_since": None, "reason": "", **fields})


def stats(name="sparrow.scheduler.1", **fields):
    return {
        "name": name,
        "incarnation": "i1",
        "method": "RANDOM",
        "uptime_s": 100.0,
        "open_jobs": 0,
        "open_tasks": {"running": 0, "waiting": 0},
        "workers": {},
        "methods": {},
        "jobs": [],
        **fields,
    }


def method(done=0, slowdowns=(), waits=(), **counts):
    times = {name: Histogram() for name in TIMES}
    for name, values in (("slowdown", slowdowns), ("wait_s", waits)):
        for value in values:
            times[name].add(value)
    return {"counts": {"done": done, "tasks": done, **counts}, **{name: held.to_dict() for name, held in times.items()}}


def job(id, state="done", submitted=NOW - 10, response_s=1.0, **fields):
    return {"id": id, "method": "BATCH", "state": state, "submitted": submitted, "response_s": response_s, "tasks": 1, **fields}


def build(workers=(), schedulers=(), history=None, now=NOW, up=True):
    return snapshot.build(
        now,
        {"address": "127.0.0.1:9090", "up": up, "since": NOW, "error": ""},
        dict(workers),
        {one["name"]: one for one in schedulers},
        {},
        history or History(),
    )
