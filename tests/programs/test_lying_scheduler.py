"""What becomes of the jobs if the process that is registered as a scheduler answers what no scheduler does."""

import json
import threading
from typing import Any

import pytest

from scripts.testbed.local_cluster import LocalCluster
from src.cluster.service import Service
from src.Job import Job
from src.rmi.daemon import expose
from src.rmi.security import Security
from src.sparrow.errors import UnavailableError
from src.sparrow.settings import ClientSettings, NamingSettings
from src.sparrow.taskcolumns import TaskColumns, encode
from src.SparrowClient import SparrowClient
from tests.support.live import client

LIAR = "sparrow.scheduler.1"


class Liar(Service):
    """A scheduler that answers to each question what the test says."""

    def __init__(self, nameserver):
        super().__init__([LIAR], nameserver, None, 0, Security(), NamingSettings())
        self.nameserver = nameserver
        self.report: Any = None
        self.progress: Any = lambda ids: json.dumps({"progress": {}, "has_workers": True})
        self.asked = threading.Event()  # for the progress of a job

    @expose
    def schedule(self, job):
        return self.report(json.loads(job)["id"])

    @expose
    def stats(self, ids="[]", details=False, brief=False, first=0):
        jobs = json.loads(ids)
        if jobs:
            self.asked.set()
        return self.progress(jobs)


@pytest.fixture(scope="module")
def liar():
    with LocalCluster(workers=0, schedulers=0, own_nameserver=True) as cluster, Liar(cluster.nameserver) as liar:
        yield liar


def report(job, tasks=2, **changed):
    columns = TaskColumns.of(["w"] * tasks, [0.0] * tasks, [1.0] * tasks, [1] * tasks)
    said = {"id": job, "method": "BATCH", "submitted": 1.0, "finished": 2.0, "response_s": 1.0, "ideal_s": 1.0, "retried": 0}
    whole: Any = {**said, "tasks": columns, "failed": [], **changed}
    return encode(whole)


def accepted(job):
    return json.dumps({"id": job, "accepted": True})


LIES: list[Any] = [
    *(lambda job: "[" * 100_000, lambda job: None, lambda job: {"id": job}, lambda job: report("other")),
    *(lambda job: report(job, tasks=1), lambda job: report(job, tasks=0), lambda job: report(job, ideal_s=float("nan"))),
    *(lambda job: report(job, ideal_s="x"), lambda job: report(job, retried="x"), lambda job: report(job, method="\x1b[31m")),
    *(lambda job: report(job, finished=float("inf")), lambda job: report(job, failed=[{"reason": "", "tasks": [77]}])),
]


@pytest.mark.parametrize("wait", [True, False])
def test_a_job_fails_with_the_reason_whatever_its_scheduler_says_of_it(liar, wait):
    with SparrowClient(liar.nameserver) as ours:
        for lie in LIES:
            liar.report = lie
            with pytest.raises(UnavailableError, match=f"^the answer of {LIAR} to a job cannot be read: "):
                ours.submit(Job(None, 2, 0.1), "BATCH", wait=wait).result(20)
        liar.report = report if wait else accepted
        told = ours.submit(Job(None, 2, 0.1), "BATCH", wait=wait).result(20)
        assert (told is not None) == wait


@pytest.mark.parametrize("lie", [{"ideal_s": "x"}, {"tasks": 0}], ids=str)
def test_the_command_says_so_in_one_line_and_its_status_is_the_documented_one(liar, lie):
    liar.report = lambda job: report(job, **lie)
    ended = client(liar.nameserver, "BATCH", 1, 2, 0.1)
    assert (ended.returncode, ended.stdout) == (69, "")
    assert [line[: len(f"error: the answer of {LIAR}")] for line in ended.stderr.splitlines()] == [f"error: the answer of {LIAR}"]


@pytest.mark.parametrize(
    "said",
    [
        *('{"progress": {"JOB": {"ended": Infinity, "tasks": 2}}, "has_workers": true}', "[" * 100_000, "", None, ["x"]),
        *('{"progress": {"JOB": {"ended": -1e300, "tasks": 2}}, "has_workers": true}', '{"progress": 7, "has_workers": true}'),
        *('{"progress": {"JOB": {"ended": 9, "tasks": 9}}, "has_workers": true}', BlockingIOError("try later")),
    ],
    ids=lambda said: f"{said!s:.60}",
)
def test_progress_that_cannot_be_is_not_believed_and_stops_nothing(liar, said, caplog):
    def progress(ids):
        if isinstance(said, Exception):
            raise said
        return said.replace("JOB", (ids or ["x"])[0]) if isinstance(said, str) else said

    def full(job):
        raise BlockingIOError("try later: full")

    liar.report, liar.progress = full, progress
    liar.asked.clear()
    with SparrowClient(liar.nameserver, settings=ClientSettings(ask_s=0.1, pause_s=0.1)) as ours:
        future = ours.submit(Job(None, 2, 0.1), "BATCH")
        assert liar.asked.wait(20)
        liar.asked.clear()
        assert liar.asked.wait(20), "it is not asked again"
        assert ours.tasks_ended() == 0
        liar.report = report
        assert len(future.result(20).tasks) == 2
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
