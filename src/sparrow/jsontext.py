"""JSON text that another process wrote, and the one rule for its numbers: none has more than ``MAX_CHARACTERS``.

To read a number of many digits takes a time that grows with the square of their count, and a float of more digits than a double
holds may take microseconds: with 16 MB of them a process would stand still for a third of a second.
"""

from __future__ import annotations

import json
from typing import Any

MAX_CHARACTERS = 25  # of a number: no double that Python or JavaScript writes has more than 24

_IN_NUMBERS = b"0123456789+-.eE"
_KINDS = bytes(48 if byte in _IN_NUMBERS else 32 for byte in range(256))  # "0" for what a number may contain, else a space
_TOO_LONG = b"0" * (MAX_CHARACTERS + 1)


def read_json(text: str, **hooks: Any) -> Any:
    """Returns the value of a JSON text; the hooks are those of ``json.loads``, except for numbers.

    Raises ValueError if it is not JSON, has a number of more than ``MAX_CHARACTERS``, or is nested too deeply.
    """
    # This takes a thirtieth of the time of a small batch. Hooks for numbers would double the time of reading it, so they are used
    # only if there is something as long: a number, or a part of a text.
    if _TOO_LONG in text.encode("utf-8", "surrogatepass").translate(_KINDS):
        hooks = {**hooks, "parse_int": _whole, "parse_float": _fraction}
    try:
        return json.loads(text, **hooks)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _whole(written: str) -> int:
    return int(_short(written))


def _fraction(written: str) -> float:
    return float(_short(written))


def _short(written: str) -> str:
    if len(written) > MAX_CHARACTERS:
        raise ValueError(f"a number of {len(written):,} characters, where {MAX_CHARACTERS} are allowed")
    return written
