"""What tests of running clusters share: waiting for a condition, the client's command line, and what must be left behind."""

import signal
import subprocess
import time

from scripts.testbed.local_cluster import client_command


def eventually(condition, within_s=30.0, what="the condition did not become true"):
    """Wait until ``condition()`` is true. Returns what it returned; AssertionError after ``within_s``.

    The default is many times what anything here takes on an idle machine: a test that passes does not wait for it, and other work
    on the machine does not make one fail. What is promised in seconds is measured by scripts/faults and scripts/benchmark.
    """
    deadline = time.monotonic() + within_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what} within {within_s:g} s"
        time.sleep(0.02)


def client(cluster, *arguments, timeout_s=60.0, **options):
    """Run the client's command line against a cluster (or an address); returns the finished process."""
    nameserver = cluster if isinstance(cluster, str) else cluster.nameserver
    return subprocess.run(
        client_command(nameserver, *arguments), capture_output=True, text=True, timeout=timeout_s, check=False, **options
    )


def assert_books_are_empty(cluster):
    """After all jobs have ended nothing of them is left, neither with the schedulers nor on the workers."""
    eventually(cluster.holds_nothing, what="the books were not empty")


def as_in_the_foreground():
    """For ``preexec_fn``: SIGINT ends the process, as it does what a shell starts in the foreground.

    A process inherits it ignored if the tests run in the background, or under nohup.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def as_in_the_background():
    """For ``preexec_fn``: SIGINT is ignored, as in what a shell script starts with ``&``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
