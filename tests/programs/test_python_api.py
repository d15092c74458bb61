"""Wrong use of the Python API: each call raises an error that names the argument and says what to write instead."""

import math
from typing import Any

import pytest

import src.Job
import src.Scheduler
import src.SparrowClient
import src.Worker
from src.rmi.errors import ConfigurationError

# As a user's file has them that no type checker reads.
Job: Any = src.Job.Job
Scheduler: Any = src.Scheduler.Scheduler
SparrowClient: Any = src.SparrowClient.SparrowClient
Worker: Any = src.Worker.Worker

NOBODY = "127.0.0.1:9"  # no name server is there


@pytest.fixture(scope="module")
def client():
    with SparrowClient(NOBODY) as one:
        yield one


WRONG_JOBS = [
    (lambda: Job(num_tasks=0), ValueError, "num_tasks must be from 1 to 100000, not 0"),
    (lambda: Job(num_tasks=1.0), TypeError, "num_tasks must be a whole number, not 1.0"),
    (lambda: Job(num_tasks=True), TypeError, "num_tasks must be a whole number, not True"),
    (lambda: Job(num_tasks="3"), TypeError, "num_tasks must be a whole number, not '3'"),
    (lambda: Job(task_length=-1), ValueError, "task_length must be from 0 to 604800 seconds, not -1"),
    (lambda: Job(task_length=math.nan), ValueError, "task_length must be from 0 to 604800 seconds, not nan"),
    (lambda: Job(task_length=True), TypeError, "task_length must be a number of seconds, not True"),
    (lambda: Job(task_length="1"), TypeError, "task_length must be a number of seconds, not '1'"),
    (lambda: Job(task_length=[0.1]), TypeError, "task_length must be a number of seconds"),
    (lambda: Job(length_spread=1), ValueError, "length_spread must not be above task_length"),
    (lambda: Job(rng=3), TypeError, "rng must be a random.Random, not 3"),
    (lambda: Job(id=True), TypeError, "id of a job must be a string, a whole number or None, not True"),
    (lambda: Job(id=1.5), TypeError, "id of a job must be a string, a whole number or None, not 1.5"),
    (lambda: Job(id=[0.1]), TypeError, "id of a job must be a string, a whole number or None"),
    (lambda: Job(id=""), ValueError, "id of a job must be 1 to 111 printable ASCII characters without spaces, not ''"),
    (lambda: Job(id="a b"), ValueError, "without spaces, not 'a b'"),
    (lambda: Job(id="x" * 112), ValueError, "id of a job must be 1 to 111 printable"),
    (lambda: Job.from_durations([]), ValueError, "a job has 1 to 100,000 tasks, and durations has none"),
    (lambda: Job.from_durations([0.0] * 100_001), ValueError, "a job has 1 to 100,000 tasks, and durations has more"),
    (lambda: Job.from_durations(0.1), TypeError, r"durations must be a list of seconds, such as \[0.1, 0.2\], not 0.1"),
    (lambda: Job.from_durations("0.1"), TypeError, "durations must be a list of seconds"),
    (lambda: Job.from_durations({0.1, 0.2}), TypeError, "durations must be a list of seconds"),
    (lambda: Job.from_durations({0.1: 1}), TypeError, "durations must be a list of seconds"),
    (lambda: Job.from_durations(None), TypeError, "durations must be a list of seconds"),
    (lambda: Job.from_durations([0.1, "0.2"]), TypeError, r"durations\[1\] must be a number of seconds, not '0.2'"),
    (lambda: Job.from_durations([0.1, math.nan]), ValueError, r"durations\[1\] must be from 0 to 604800 seconds, not nan"),
    (lambda: Job.from_durations([0.1, 0.1, -1]), ValueError, r"durations\[2\] must be from 0"),
    (lambda: Job.from_durations([False]), TypeError, r"durations\[0\] must be a number of seconds, not False"),
]


@pytest.mark.parametrize(("make", "error", "words"), WRONG_JOBS)
def test_a_wrong_job(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_durations_may_come_from_a_generator():
    assert Job.from_durations(number / 10 for number in range(3)).durations_s == (0.0, 0.1, 0.2)


def test_the_longest_id_and_what_it_becomes_on_the_wire():
    job = Job("x" * 111)
    assert len(job.wire_id) == 128
    assert Job(7).id == "7"
    assert repr(Job("a", 1, 2.0)) == "<Job a: 1 task, 2 s of work>"


WRONG_SUBMITS = [
    (lambda client: client.submit([0.1]), TypeError, r"submit takes a Job, not \[0.1\]: write submit\(Job.from_durations"),
    (lambda client: client.submit("BATCH", Job()), TypeError, "submit takes a Job, not 'BATCH'"),
    (lambda client: client.submit(Job), TypeError, "submit takes a Job, not <class"),
    (lambda client: client.submit(None), TypeError, "submit takes a Job, not None"),
    (
        lambda client: client.submit(Job(), "BATCHES"),
        ValueError,
        r"unknown method 'BATCHES' \(did you mean BATCH\?\): choose one of RANDOM",
    ),
    (lambda client: client.submit(Job(), "late_binding"), ValueError, r"did you mean BATCH\+LATE_BINDING\?"),
    (lambda client: client.submit(Job(), "BEST"), ValueError, "unknown method 'BEST'"),
    (lambda client: client.submit(Job(), 3), ValueError, "unknown method 3: choose one of RANDOM"),
    (lambda client: client.submit(Job(), wait=1), TypeError, "wait must be True or False, not 1"),
    (lambda client: client.run("BATCH", 0, 1, 1), ValueError, "num_jobs must be from 1 to 100000, not 0"),
    (lambda client: client.run("BATCH", "1", 1, 1), TypeError, "num_jobs must be a whole number, not '1'"),
    (lambda client: client.run("BATCH", 1, 0, 1), ValueError, "num_tasks must be from 1"),
    (lambda client: client.run("BATCH", 1, 1, "long"), TypeError, "task_length must be a number of seconds"),
    (lambda client: client.run("BATCH", 1, 1, 1, 2), ValueError, "length_spread must not be above task_length"),
    (lambda client: client.run("BEST", 1, 1, 1), ValueError, "unknown method 'BEST'"),
    (lambda client: client.run("BATCH", 1, 1, 1, seed=[1]), TypeError, r"seed must be a whole number or None, not \[1\]"),
    (lambda client: client.run("BATCH", 1, 1, 1, timeout_s=-1), ValueError, "timeout_s must be from 0"),
    (lambda client: client.run("BATCH", 1, 1, 1, timeout_s=math.nan), ValueError, "timeout_s must be from 0"),
    (lambda client: client.run("BATCH", 1, 1, 1, timeout_s="1"), TypeError, "timeout_s must be a number of seconds"),
]


@pytest.mark.parametrize(("use", "error", "words"), WRONG_SUBMITS)
def test_a_wrong_submission_changes_nothing(client, use, error, words):
    with pytest.raises(error, match=words):
        use(client)
    assert client.left_behind() == (0, 0, 0.0)
    assert client._node.jobs == {}


def test_a_job_that_was_changed_into_nonsense_is_an_error_of_its_future(clusters):
    with SparrowClient(clusters(3).nameserver) as client:
        job = Job()
        job.durations_s = (object(),)
        with pytest.raises(TypeError):
            client.submit(job).result(20)
        assert client.run("BATCH", 1, 1, 0.0, timeout_s=20)[0].failed == {}


WRONG_SERVICES = [
    (lambda: SparrowClient(9090), TypeError, r"the address of the name server must be a string, HOST\[:PORT\], or None, not 9090"),
    (lambda: SparrowClient("ns:x"), ConfigurationError, "not an address of a name server: 'ns:x'"),
    (lambda: SparrowClient("ns:²"), ConfigurationError, "not an address of a name server"),
    (lambda: SparrowClient(NOBODY, notice="print"), TypeError, "notice must be a function that takes a line of text, not 'print'"),
    (lambda: SparrowClient(NOBODY, key_file="/nowhere/key"), ConfigurationError, "no such key file: /nowhere/key"),
    (lambda: Scheduler("BACH", NOBODY), ValueError, r"unknown method 'BACH' \(did you mean BATCH\?\)"),
    (lambda: Scheduler("BATCH", NOBODY, 0), ValueError, "scheduler_number must be from 1"),
    (lambda: Scheduler("BATCH", NOBODY, "1"), TypeError, "scheduler_number must be a whole number, not '1'"),
    (lambda: Scheduler("BATCH", ("ns", 9090)), TypeError, "the address of the name server must be a string"),
    (lambda: Scheduler("BATCH", NOBODY, port=70_000), ValueError, "port must be from 0 to 65535, not 70000"),
    (lambda: Scheduler("BATCH", NOBODY, port="80"), TypeError, "port must be a whole number, not '80'"),
    (lambda: Worker("a b", NOBODY), ValueError, "a worker's name is 1 to 100 letters"),
    (lambda: Worker(3, NOBODY), TypeError, "a worker's name must be a string or None, not 3"),
    (lambda: Worker("a", NOBODY, slots=0), ValueError, "slots must be from 1 to 1024, not 0"),
    (lambda: Worker("a", NOBODY, slots="2"), TypeError, "slots must be a whole number, not '2'"),
    (lambda: Worker("a", NOBODY, port=-1), ValueError, "port must be from 0"),
]


@pytest.mark.parametrize(("make", "error", "words"), WRONG_SERVICES)
def test_a_wrong_client_scheduler_or_worker(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_service_is_started_once(clusters):
    with Worker("once", clusters(1).nameserver) as worker:
        for start in (worker.start, worker.__enter__):
            with pytest.raises(RuntimeError, match="this Worker serves already"):
                start()
        assert worker.get_name() == "once"
