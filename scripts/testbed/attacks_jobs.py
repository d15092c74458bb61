"""Attacks with jobs: what takes long to tell of one that has ended, and ids that belong to somebody else's."""

from __future__ import annotations

import json
import random
import socket
import time
from functools import partial

from scripts.testbed import mutations
from scripts.testbed.attacks_base import Attack, GotThroughError, Steps, fresh, results
from scripts.testbed.proxy import proxy_of
from scripts.testbed.target import GREETING, Target, send

LARGE = "large-and-ended"  # the id of a job
LARGE_TASKS = 20_000
LARGE_S = 60.0  # for it to end
QUESTIONS = 2_000  # in one segment
READ_S = 0.4  # for which their answers are read
SHORT_S, TINY_S = 2.0**-10, 2.0**-71  # their hashes are equal, as those of tuples of them are


def details(target: Target, rng: random.Random) -> Steps:
    """Two thousand questions for the details of an ended job of 20,000 tasks in one segment. TimeoutError if none is answered."""
    job = {"id": LARGE, "durations_s": [0.0] * LARGE_TASKS, "method": "RANDOM", "wait": False}
    with proxy_of(target.nameserver, target.object_id, target.key) as proxy:
        proxy.schedule(json.dumps(job))
        until_s = time.monotonic() + LARGE_S
        while json.loads(proxy.stats(json.dumps([LARGE]), False, True))["progress"]:
            if time.monotonic() > until_s:
                raise TimeoutError("the job does not end")
            time.sleep(0.05)
    part = mutations.call(target.object_id, "stats", json.dumps([LARGE]), True, False)
    while True:
        with target.connect() as peer:
            session = target.greet(peer)
            peer.sendall(b"".join(mutations.sealed(part, 1, session) for _ in range(QUESTIONS)))
            peer.shutdown(socket.SHUT_WR)
            until_s = time.monotonic() + READ_S
            while peer.recv(65536) and time.monotonic() < until_s:
                pass
        yield


def same_id(target: Target, rng: random.Random) -> Steps:
    """A job under the id of another one, with other durations whose hash is the same: it is refused."""
    while True:
        id = fresh("same")
        answers = []
        for each_s in rng.sample((SHORT_S, TINY_S), 2):
            job = json.dumps({"id": id, "durations_s": [each_s, SHORT_S], "method": "RANDOM", "wait": False})
            answers.append(send(target, GREETING, partial(mutations.sealed, mutations.call(target.object_id, "schedule", job), 1)))
        if b"accepted" not in answers[0]:
            raise ConnectionError("a job is not accepted")
        if not results(answers[1]) or b"belongs to another job" not in answers[1]:
            raise GotThroughError("a job is taken for another one of the same id")
        yield


JOB_ATTACKS = {
    "details": Attack(details, 2, ("scheduler",)),
    "same-id": Attack(same_id, 20, ("scheduler",)),
}
