"""The futures of a client: what ends them, and who is woken."""

import os
import threading
import time
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import Pyro4
import pytest

from src.Job import Job
from src.sparrow.errors import ClientClosedError
from src.SparrowClient import SparrowClient
from tests.support.live import eventually

NOBODY = "127.0.0.1:9"  # no name server is there


def test_closing_wakes_whoever_waits_for_a_run():
    client = SparrowClient(NOBODY)
    told = []

    def run():
        try:
            client.run("BATCH", 1, 1, 0.0)
        except BaseException as error:
            told.append(error)

    waiting = threading.Thread(target=run)
    waiting.start()
    eventually(lambda: client._node.jobs, what="the job was not submitted")
    client.close()
    waiting.join(5.0)
    assert [type(error) for error in told] == [CancelledError]


def test_a_future_that_is_cancelled_wakes_those_who_wait_and_its_job_is_withdrawn():
    with SparrowClient(NOBODY) as client:
        kept, dropped = client.submit(Job(None, 1, 0.0)), client.submit(Job(None, 1, 0.0))
        assert dropped.cancel()
        assert wait([dropped], 5.0).done == {dropped}
        eventually(lambda: len(client._node.jobs) == 1, what="the job was not withdrawn")
        assert not kept.done()
    assert kept.cancelled()


def test_a_job_that_is_submitted_twice_is_run_once_and_both_futures_have_its_report(clusters):
    with SparrowClient(clusters(3).nameserver) as client:
        job = Job("twice", 2, 0.2)
        first, second = client.submit(job, "BATCH"), client.submit(job, "BATCH")
        assert first.result(20) is second.result(20)


def test_a_registration_that_leads_nowhere_does_not_end_the_search(clusters):
    cluster = clusters(3)
    host, _, port = cluster.nameserver.rpartition(":")
    with Pyro4.locateNS(host, int(port)) as names:
        names.register("sparrow.scheduler.9998", "PYRO:x@./u:/tmp/nothing")
        try:
            with SparrowClient(cluster.nameserver) as client:
                assert len(client.run("RANDOM", 2, 2, 0.0, timeout_s=20)) == 2
        finally:
            names.remove("sparrow.scheduler.9998")


def test_a_job_that_a_scheduler_has_cannot_be_cancelled_and_is_run(clusters):
    with SparrowClient(clusters(3).nameserver) as client:
        future = client.submit(Job(None, 2, 0.5), "BATCH")
        eventually(lambda: clusters(3).stats()["open_jobs"] == 1)
        assert not future.cancel()
        assert future.running()
        assert not future.cancelled()
        assert future.result(20).failed == {}


def test_every_job_that_is_cancelled_in_time_is_not_run_and_every_other_one_is(clusters):
    """Cancelled at every moment of the way to the scheduler: ``cancel`` says what then happens."""
    name = f"cancelled-{time.time()}"
    with SparrowClient(clusters(3).nameserver) as client:
        client.run("RANDOM", 1, 1, 0.0)
        verdicts = []
        for number in range(300):
            future = client.submit(Job(f"{name}-{number}", 1, 0.0), "RANDOM")
            if number % 3:
                time.sleep(0.0002 * (number % 5))
            verdicts.append(future.cancel())
            if not verdicts[-1]:
                assert future.result(20).failed == {}
        assert client._node.jobs == {}
        counted = [job["id"] for job in clusters(3).stats()["jobs"] if job["id"].startswith(name)]
    kept = sum(not cancelled for cancelled in verdicts[-50:])
    newest = [id for id in counted if int(id.split("-")[2]) >= 250]
    assert len(newest) == kept


def test_a_run_that_takes_too_long_says_what_goes_on(clusters):
    with SparrowClient(clusters(1).nameserver) as client:
        client.run("RANDOM", 1, 1, 0.0)
        said = "after 1 s 1 of 1 job has not ended; 1 job goes on at the schedulers: 2 tasks, about 4.00 s of work"
        with pytest.raises(TimeoutError, match=said):
            client.run("BATCH", 1, 2, 2.0, timeout_s=1)
    with SparrowClient(NOBODY) as client:
        said = "2 of 2 jobs have not ended; no scheduler has any of them, so nothing goes on"
        with pytest.raises(TimeoutError, match=said):
            client.run("BATCH", 2, 2, 0.5, timeout_s=0.2)
    eventually(clusters(1).holds_nothing)


def test_closing_leaves_jobs_to_their_scheduler_and_says_so(clusters):
    client = SparrowClient(clusters(3).nameserver)
    future = client.submit(Job(None, 1, 0.5), "BATCH")
    eventually(lambda: clusters(3).stats()["open_jobs"] == 1)
    client.close()
    assert not future.cancelled()
    with pytest.raises(ClientClosedError, match="a scheduler that has the job goes on"):
        future.result(5)
    eventually(clusters(3).holds_nothing)


def test_the_same_job_cannot_be_open_with_two_methods():
    with SparrowClient(NOBODY) as client:
        job = Job(None, 1, 0.0)
        first, second = client.submit(job, "BATCH"), client.submit(job, "RANDOM")
        with pytest.raises(ValueError, match="this job is open already, with method='BATCH': make another Job"):
            second.result(5)
        assert not first.done()


def test_one_of_two_futures_of_a_job_may_be_cancelled():
    with SparrowClient(NOBODY) as client:
        job = Job(None, 1, 0.0)
        first, second = client.submit(job), client.submit(job)
        assert first.cancel()
        assert wait([first], 5.0).done == {first}
        assert list(client._node.jobs) == [job.wire_id]
        assert second.cancel()
        eventually(lambda: not client._node.jobs, what="the job was not withdrawn")


def test_what_is_submitted_while_another_thread_closes_the_client_always_ends():
    for _ in range(30):
        client = SparrowClient(NOBODY)
        futures: list[Future[Any]] = []

        def submit(client=client, futures=futures):
            while True:
                try:
                    futures.append(client.submit(Job(None, 1, 0.0)))
                except ClientClosedError:
                    return

        thread = threading.Thread(target=submit)
        thread.start()
        eventually(lambda futures=futures: futures, what="nothing was submitted")
        client.close()
        thread.join(10.0)
        assert not thread.is_alive()
        assert wait(futures, 10.0).not_done == set()


def test_a_closed_client_says_so():
    client = SparrowClient(NOBODY)
    client.close()
    client.close()
    for use in (
        lambda: client.submit(Job()),
        lambda: client.run("BATCH", 1, 1, 0.0),
        lambda: client.__enter__(),
        client.left_behind,
    ):
        with pytest.raises(RuntimeError, match="this client is closed: make another one"):
            use()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that a process with threads forks is what this is about
def test_a_client_cannot_be_used_in_a_forked_process_and_does_not_hang_there():
    with SparrowClient(NOBODY) as client:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                client.close()  # it is the parent's: nothing happens
                client.submit(Job())
            except RuntimeError as error:
                os.write(writing, str(error).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as said:
            assert "needs its own: call SparrowClient() in each process" in said.read()
        os.waitpid(child, 0)
        assert not client.submit(Job()).done()


def test_what_would_wait_for_ever_in_a_callback_is_refused():
    told = []
    client = SparrowClient(NOBODY)
    job = Job()
    future = client.submit(job)

    def done(future):
        for use in (client.close, lambda: client.run("BATCH", 1, 1, 0.0)):
            try:
                use()
            except RuntimeError as error:
                told.append(str(error))

    future.add_done_callback(done)
    client._loop.call_soon_threadsafe(client._submissions.fail, job.wire_id, ValueError("a test"))
    eventually(lambda: len(told) == 2)
    client.close()
    assert all("would wait for ever in a callback" in line for line in told)


def test_a_notice_that_raises_does_not_stop_the_search(clusters, caplog):
    said = []

    def notice(line):
        said.append(line)
        raise OSError("the log is full")

    with SparrowClient(NOBODY, notice=notice) as client:
        future = client.submit(Job())
        eventually(lambda: said)
        eventually(lambda: client._node._retry is not None, what="no other search was begun")
        assert not future.done()
