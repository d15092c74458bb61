"""The futures of a client: what ends them, and who is woken."""

import threading
from concurrent.futures import CancelledError, wait

import Pyro4

from src.Job import Job
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
    eventually(lambda: client._submitted, what="the job was not submitted")
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
