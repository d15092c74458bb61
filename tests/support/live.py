"""What tests of running clusters share: waiting for a condition, the client's command line, and what must be left behind."""

import subprocess
import time

from scripts.testbed.local_cluster import client_command


def eventually(condition, within_s=10.0, what="the condition did not become true"):
    """Wait until ``condition()`` is true. Returns what it returned; AssertionError after ``within_s``."""
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
    eventually(cluster.holds_nothing, 5.0, "the books were not empty")
