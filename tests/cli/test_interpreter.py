"""Programs that are started by a Python that lacks what they need: they go on in .venv, or say what to do in one line."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.testbed.local_cluster import ROOT

PROGRAMS = ("src/Scheduler.py", "src/Worker.py", "src/SparrowClient.py", "src/NameServer.py", "server.py")
OLDER = "import sys\nsys.version_info = (3, 8, 1, 'final', 0)\n"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python without packages."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    return folder


@pytest.fixture
def project(tmp_path):
    """A copy of the project, without .venv."""
    for name in ("src", "scripts", "web", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "screenshots", "test_*", "*.test.js")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("server.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def start(project, python, *arguments, **variables):
    command = [str(python / "bin" / "python"), *map(str, arguments)]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False)


def fails_with_one_line(done, *words):
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for each in words:
        assert each in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_goes_on_in_the_venv_with_its_arguments(project, bare, program):
    (project / ".venv").symlink_to(sys.prefix)
    done = start(project, bare, program, "--version")
    assert (done.returncode, done.stdout[:17], done.stderr) == (0, "Sparrow on Pyro4 ", "")
    arguments = ["RANDOM", "1", "1", "1", "0"] if "Client" in program else []
    assert "unrecognized arguments: --a b" in start(project, bare, program, *arguments, "--a b").stderr


def test_a_program_that_is_started_as_a_module_or_inside_its_folder_does_too(project, bare):
    (project / ".venv").symlink_to(sys.prefix)
    assert start(project, bare, "-m", "src.Worker", "--version").stdout.startswith("Sparrow on Pyro4 ")
    assert start(project / "src", bare, "Worker.py", "--version").stdout.startswith("Sparrow on Pyro4 ")


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_venv_it_says_what_to_run(project, bare, program):
    done = start(project, bare, program, "--version")
    fails_with_one_line(done, "error: Pyro4 and serpent cannot be imported by ", "; run scripts/setup")


def test_a_venv_without_the_packages_is_tried_once(project, bare):
    (project / ".venv").symlink_to(bare)
    done = start(project, bare, "src/Worker.py")
    fails_with_one_line(done, "Pyro4 and serpent cannot be imported", "although this is the Python of .venv", "run scripts/setup")


@pytest.mark.parametrize("program", ["src/Worker.py", "scripts/cluster"])
def test_a_python_in_the_venv_that_is_another_one_is_tried_once(project, bare, program):
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {bare}/bin/python "$@"\n')
    python.chmod(0o755)
    mark_as_installed(project)
    fails_with_one_line(start(project, bare, program), "although this is the Python of .venv; remove .venv, and run scripts/setup")


def test_a_venv_that_cannot_be_started(project, bare):
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("")
    fails_with_one_line(start(project, bare, "src/Worker.py"), ".venv/bin/python cannot be started (Permission denied)")


def test_a_python_that_is_too_old(project, bare, tmp_path_factory):
    folder = tmp_path_factory.mktemp("older")
    (folder / "sitecustomize.py").write_text(OLDER)
    for program in (*PROGRAMS, "scripts/demo", "scripts/setup"):
        done = start(project, bare, program, PYTHONPATH=str(folder))
        fails_with_one_line(done, "Python 3.9 or newer is needed, and this is 3.8.1; run scripts/setup with a newer one")


def test_scripts_find_the_venv(project, bare):
    (project / ".venv").symlink_to(sys.prefix)
    done = start(project, bare, "scripts/cluster", "--workers", "x")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "'x' is not a whole number" in done.stderr


def test_a_program_that_another_one_starts_may_go_on_in_the_venv_as_well(project, bare):
    (project / ".venv").symlink_to(sys.prefix)
    done = start(project, bare, "scripts/cluster", "--workers", "0", "--", f"{bare}/bin/python", "src/Worker.py", "--version")
    assert done.stdout.startswith("Sparrow on Pyro4 "), done.stderr


def test_old_pythons_can_read_the_programs_and_so_say_what_is_missing():
    first = [
        path for path in (ROOT / "scripts").iterdir() if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env python3")
    ]
    first += [ROOT / name for name in (*PROGRAMS, "src/_root.py", "src/cli/interpreter.py", "scripts/testbed/venv.py")]
    assert len(first) > 15
    for path in first:
        ast.parse(path.read_text(), str(path), feature_version=(3, 8))


def mark_as_installed(project):
    """What scripts/setup notes when it has installed the requirements."""
    sys.path.insert(0, str(ROOT / "scripts"))
    from testbed import venv

    sys.path.pop(0)
    (project / ".venv" / Path(venv._stamp("requirements.txt")).name).write_text(venv._digest("requirements.txt"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_looks_at_its_python_before_it_imports_anything(program):
    """So that a Ctrl-C in its first moments ends it without a traceback, whatever takes long to import."""
    imported = []
    for node in ast.walk(ast.parse((ROOT / program).read_text())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [f"{getattr(node, 'module', '')}.{alias.name}".removeprefix(".") for alias in node.names]
            imported.append((node.lineno, names))
        elif isinstance(node, ast.Attribute) and node.attr == "enter":
            imported.append((node.lineno, ["enter"]))
    before = [names[0] for _, names in sorted(imported)]
    before = before[: before.index("enter")]
    assert set(before) <= {"__future__.annotations", "_root", "src.cli.interpreter"}
    assert "src.cli.interpreter" in before
