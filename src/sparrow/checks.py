"""The checks of values that arrive from other processes: whole numbers, seconds and identifiers.

Each check returns the value. It raises TypeError if the type is wrong and ValueError if the value is out of range; the text of the
error begins with ``name``.
"""

from __future__ import annotations

MAX_DURATION_S = 7 * 86_400.0  # the longest task: a week
MAX_ELAPSED_S = 100 * MAX_DURATION_S  # the longest time that a worker may report a task to have waited or run
MAX_NAME = 128  # characters in a job id or a name
MAX_NUMBER = 2**53  # the largest whole number that every JSON reader holds exactly


def shown(value: object) -> str:
    """Returns ``value`` as it is shown in an error, in a few words. The cost does not grow with the size of the value."""
    if isinstance(value, (str, bytes)):
        return repr(value[:40]) + ("..." if len(value) > 40 else "")
    if isinstance(value, int) and value.bit_length() > 128:
        return f"one of {value.bit_length():,} bits"
    if value is None or isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"a {type(value).__name__} of {len(value):,}"
    return f"a {type(value).__name__:.40}"


def number(value: object, name: str, least: int = 0, most: int = MAX_NUMBER) -> int:
    """Returns ``value`` if it is a whole number from ``least`` to ``most``."""
    if type(value) is int and least <= value <= most:  # nearly always
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {shown(value)}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {shown(value)}")
    return value


def seconds(value: object, name: str, most: float = MAX_DURATION_S) -> float:
    """Returns ``value`` as seconds if it is a number from 0 to ``most``."""
    if type(value) is float and 0 <= value <= most:  # nearly always
        return value
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number of seconds, not {shown(value)}")
    if not 0 <= value <= most:  # false for nan as well
        raise ValueError(f"{name} must be from 0 to {most:.0f} seconds, not {shown(value)}")
    return float(value)


def elapsed(value: object, name: str) -> float:
    """Returns ``value`` as seconds if it is a time that a worker may report a task to have waited or run."""
    if type(value) is float and 0 <= value <= MAX_ELAPSED_S:  # nearly always
        return value
    return seconds(value, name, most=MAX_ELAPSED_S)


def identifier(value: object, name: str, most: int = MAX_NAME) -> str:
    """Returns ``value`` if it is 1 to ``most`` printable ASCII characters without spaces."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {shown(value)}")
    if not (0 < len(value) <= most and value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(f"{name} must be 1 to {most} printable ASCII characters without spaces, not {shown(value)}")
    return value
