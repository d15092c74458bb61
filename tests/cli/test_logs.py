"""What a program logs goes where it says, and nowhere before that."""

import subprocess
import sys

from scripts.testbed.local_cluster import ROOT

FAILS = """
import logging
from src.cli.logs import log_to_stderr
from src.cli.program import run_program
def main():
    try:
        1 / 0
    except ZeroDivisionError:
        for name in ("sparrow.client", "asyncio"):
            logging.getLogger(name).exception("%s", "a line\x1b[2J")
    return 0
"""


def said(program, *options):
    done = subprocess.run(
        [sys.executable, *options, "-c", FAILS + program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0
    return done.stderr


def test_a_command_without_a_log_prints_no_traceback():
    assert said("run_program(main)") == ""


def test_its_developers_see_it():
    assert said("run_program(main)", "-X", "dev").count("Traceback") == 2


def test_a_service_logs_the_errors_of_asyncio_too_without_control_characters():
    found = said("run_program(lambda: log_to_stderr('info') or main())")
    assert found.count("Traceback") == found.count("a line\\x1b[2J") == 2
    assert "\x1b" not in found
