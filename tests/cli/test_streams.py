"""Output that cannot be written (closed, a full disk, a pipe that nobody reads): the exit status says so, without a traceback."""

import os
import signal
import subprocess
import sys

import pytest

from scripts.testbed.local_cluster import ROOT, client_command
from tests.support.live import eventually

FULL = "/dev/full"
pytestmark = pytest.mark.skipif(not os.path.exists(FULL), reason=f"there is no {FULL} here")
PROGRAMS = ("src/Scheduler.py", "src/Worker.py", "src/SparrowClient.py", "src/NameServer.py", "server.py")
SCRIPTS = ("scripts/cluster", "scripts/demo", "scripts/new-key", "scripts/new-certs", "scripts/setup", "scripts/vendor-web")


def shell(line, *words):
    """Run a line of the shell in which "$@" stands for these words."""
    return subprocess.run(
        ["bash", "-c", line, "-", *map(str, words)], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )


def python(program):
    return [sys.executable, str(ROOT / program)]


@pytest.mark.parametrize("program", [*PROGRAMS, *SCRIPTS])
def test_help_that_cannot_be_written(program):
    full = shell('"$@" > /dev/full', *python(program), "--help")
    assert (full.returncode, full.stderr) == (74, "error: the output cannot be written: No space left on device\n")
    closed = shell('"$@" >&-', *python(program), "--help")
    assert (closed.returncode, closed.stderr) == (74, "error: the output cannot be written: Bad file descriptor\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_wrong_usage_without_standard_error(program):
    for line in ('"$@" 2>&-', '"$@" 2>/dev/full', '"$@" >&- 2>&- <&-'):
        done = shell(line, *python(program), "--no-such-option")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize("options", [["--json"], [], ["--no-wait"], ["--no-wait", "--json"], ["--timeout", "0"]])
def test_results_of_the_client_that_cannot_be_written(clusters, options):
    command = client_command(clusters(1).nameserver, "BATCH", "2", "2", "0", *options)
    for target, why in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        done = shell(f'"$@" {target}', *command)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (74, f"error: the output cannot be written: {why}")
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
    assert shell('"$@" >/dev/full 2>/dev/full', *command).returncode == 74
    assert shell('"$@" >&- 2>&- <&-', *command).returncode == 74


def test_a_result_that_nobody_reads_any_more_is_lost_without_a_word(clusters):
    done = shell('set -o pipefail; "$@" | true', *client_command(clusters(1).nameserver, "BATCH", "2", "2", "0.2", "--json"))
    assert (done.returncode, done.stderr) == (74, "")


def test_a_client_that_has_nothing_to_print_needs_no_output(clusters):
    command = client_command(clusters(1).nameserver, "BATCH", "2", "2", "0", "--quiet")
    for target in (">/dev/full 2>/dev/full", ">&- 2>&- <&-"):
        assert shell(f'"$@" {target}', *command).returncode == 0


def test_errors_keep_their_status_when_they_cannot_be_told():
    command = client_command("127.0.0.1:9", "BATCH", "1", "1", "1", "--timeout", "0.2")
    for target in ("2>/dev/full", "2>&-", ">&- 2>&-"):
        assert shell(f'"$@" {target}', *command).returncode == 69


def test_a_terminal_that_goes_away_does_not_end_the_client(clusters):
    master, slave = os.openpty()
    command = client_command(clusters(1).nameserver, "BATCH", "1", "1", "1", "--json")
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    eventually(lambda: clusters(1).stats()["open_jobs"] == 1)
    os.close(master)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 0
    assert b'"completed": 1' in out


def test_characters_that_the_encoding_lacks_are_escaped():
    done = subprocess.run(
        [*python("src/SparrowClient.py"), "--help"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"duration \xb1 task_spread" in done.stdout


@pytest.mark.parametrize("target", ["2>/dev/full", "2>&-", ">/dev/full 2>/dev/full", ">&- 2>&- <&-"])
@pytest.mark.parametrize("program", ["src/Worker.py --name unheard", "src/Scheduler.py --number 9", "server.py --port 0"])
def test_services_serve_without_their_output(clusters, program, target):
    name, *arguments = program.split()
    cluster = clusters(1)
    running = subprocess.Popen(
        ["bash", "-c", f'exec "$@" {target}', "-", *python(name), *arguments, "--nameserver", cluster.nameserver],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if name == "src/Worker.py":
            eventually(lambda: "unheard" in cluster.stats()["workers"])
        elif name == "src/Scheduler.py":
            eventually(lambda: cluster.stats(9), what="the scheduler did not serve")
        elif target == "2>&-":
            assert running.stdout is not None
            assert running.stdout.readline().startswith("http://")
        else:
            eventually(lambda: listens(running.pid), what="the page was not served")
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)
        assert running.returncode == 0
    finally:
        running.kill()
        running.communicate()
    if name == "src/Worker.py":
        eventually(lambda: "unheard" not in cluster.stats()["workers"])


def listens(pid):
    """Whether the process has a socket that listens."""
    sockets = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            sockets.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
        except FileNotFoundError:
            continue
    with open("/proc/net/tcp") as table:
        return any(f"socket:[{line.split()[9]}]" in sockets for line in table.readlines()[1:] if line.split()[3] == "0A")
