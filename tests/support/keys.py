"""A key file, and programs of the project that are run to their end."""

import subprocess
import sys

from scripts.testbed.local_cluster import ROOT

KEY = b"0123456789abcdef" * 4


def run(program, *arguments, **options):
    command = [sys.executable, str(ROOT / "src" / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, **options)


def made_key(folder, name="key"):
    path = folder / name
    path.write_bytes(KEY + b"\n")
    path.chmod(0o600)
    return path
