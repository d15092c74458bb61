"""Puts the project's root on the path, for modules of src/ that are run as programs or imported by their bare names.

All imports begin at the root (``from src.sparrow import messages``), so that every tool sees which module uses which. A module
that may be run as a program, or imported as ``from SparrowClient import SparrowClient`` inside src/, therefore begins with

    if not __package__:
        import _root  # noqa: F401

A program goes on with ``src.cli.interpreter.enter()``, before it imports anything that needs a package.
"""

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)
