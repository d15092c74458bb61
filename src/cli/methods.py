"""The placement methods in the help of commands. Workers do not know them, and do without this module."""

from __future__ import annotations

from src.sparrow.placement import METHODS


def methods_help() -> str:
    """Returns a line for each registered placement method: its name and its summary."""
    width = max(map(len, METHODS))
    return "\n".join(f"  {method.name:<{width}}  {method.summary}" for method in METHODS.values())
