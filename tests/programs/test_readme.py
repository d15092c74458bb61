"""The commands of the README, as a reader types them, and as one mistypes them."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testbed.local_cluster import ROOT

README = (ROOT / "README.md").read_text()
RECIPE = [
    re.sub(r"^\s*\S+\$\s+", "", line.partition("#")[0]).strip()
    for line in README.partition("## On many machines")[2].partition("\n## ")[0].splitlines()
    if re.match(r"    \S+\$ ", line)
]


@pytest.mark.parametrize("line", RECIPE)
def test_the_recipe_for_many_machines_starts_nothing_without_its_key(line):
    """``export SPARROW_KEY_FILE=$PWD/key`` was typed in src/, where no key is."""
    command = shlex.split(line.replace("src/", ""))
    assert command[0] in ("python", "python3")
    done = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=ROOT / "src",
        env={**os.environ, "SPARROW_KEY_FILE": str(ROOT / "src" / "key")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"no such key file: {ROOT / 'src' / 'key'}; make one with: scripts/new-key" in done.stderr


def test_the_recipe_has_all_four_programs():
    assert [Path(shlex.split(line)[1]).name for line in RECIPE] == [
        "NameServer.py",
        "Scheduler.py",
        "Worker.py",
        "SparrowClient.py",
    ]


def test_no_document_hands_out_a_key_that_may_be_missing():
    """``PYRO_HMAC_KEY=$(cat key) pyro4-ns`` starts without a key, open to all, if there is no such file."""
    for path in [ROOT / "README.md", *(ROOT / "scripts").glob("new-*")]:
        assert not re.search(r"PYRO_HMAC_KEY=\$\(cat [^)]*\) pyro4-ns", path.read_text()), path.name


def test_nothing_has_to_be_activated():
    assert "activate" not in README
    assert "scripts/setup" in README
