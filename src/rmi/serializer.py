"""The payloads of messages: serpent, with a fast path for the most frequent ones and a bound on what one payload may contain.

A payload is UTF-8 text: one line that names the format, then one literal of Python. A call is the tuple ``(object id, method,
positional arguments, keyword arguments)``; a reply is the value itself, and an exception is a dict that names its class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Callable

from Pyro4 import errors, util

from src.rmi.settings import WireLimits

_HEAD = b"# serpent utf-8 python3.2\n"
_HEAD_PATTERN = re.escape(_HEAD)
_CALL = re.compile(_HEAD_PATTERN + rb"\('([\w.]+)','(\w+)',\((?:'([^'\\]*)','([^'\\]*)','([^'\\]*)')?\),\{\}\)")
_TEXT = re.compile(_HEAD_PATTERN + rb"'([^'\\]*)'")
_PLAIN = re.compile(r"[^'\\\x00-\x1f\x7f-\uffff\U00010000-\U0010ffff]*")  # a text that serpent writes between quotes as it is
_MAX_PLAIN_DIGITS = 15  # of a whole number that the fast path reads
_VALUE = re.compile(  # a text without its closing quote extends to the end, so that such a payload is not searched again and again
    rb"'[^'\\]*(?:\\.[^'\\]*)*(?:'|\\?\Z)|\"[^\"\\]*(?:\\.[^\"\\]*)*(?:\"|\\?\Z)|[0-9.]+(?:e[+-]?[0-9]+)?", re.DOTALL
)

Call = tuple[str, str, Sequence[Any], dict[str, Any]]  # object id, method, positional arguments, keyword arguments


class Serpent(util.SerpentSerializer):
    """Pyro4's serpent serializer: the same bytes in both directions, written and read faster in the frequent cases.

    The fast path takes calls with no argument or with three texts, and replies that are one text or one whole number. Serpent
    itself takes everything else, and every text that contains a quote or an escape.
    """

    def __init__(self, limits: WireLimits) -> None:
        super().__init__()
        self._max_values = limits.max_values

    def dumpsCall(self, obj: str, method: str, vargs: Sequence[Any], kwargs: dict[str, Any]) -> bytes:  # noqa: N802
        """Returns the payload of a call."""
        if not vargs and not kwargs:
            return _HEAD + f"('{obj}','{method}',(),{{}})".encode("ascii")
        if len(vargs) == 3 and not kwargs and all(type(arg) is str and _PLAIN.fullmatch(arg) for arg in vargs):
            first, second, third = vargs
            return _HEAD + f"('{obj}','{method}',('{first}','{second}','{third}'),{{}})".encode("ascii")
        data: bytes = super().dumpsCall(obj, method, vargs, kwargs)
        return data

    def dumps(self, data: Any) -> bytes:
        """Returns the payload of a reply or of a greeting."""
        if type(data) is str and _PLAIN.fullmatch(data):
            return _HEAD + f"'{data}'".encode("ascii")
        if type(data) is int:
            return _HEAD + b"%d" % data
        written: bytes = super().dumps(data)
        return written

    def loadsCall(self, data: bytes) -> Call:  # noqa: N802
        """Returns the call in a payload. Raises ValueError if it cannot be read or contains too much."""
        call = _CALL.fullmatch(data)
        if call is not None and data.isascii():
            obj, method, *arguments = [part.decode("ascii") for part in call.groups() if part is not None]
            return obj, method, arguments, {}
        read: Call = self._read(super().loadsCall, data)
        return read

    def loads(self, data: bytes) -> Any:
        """Returns the value in a payload. Raises ValueError if it cannot be read or contains too much."""
        text = _TEXT.fullmatch(data)
        if text is not None and data.isascii():
            return text[1].decode("ascii")
        number = data[len(_HEAD) :]
        if number.isdigit() and len(number) <= _MAX_PLAIN_DIGITS:
            return int(number)
        return self._read(super().loads, data)

    def _read(self, parse: Callable[[bytes], Any], data: bytes) -> Any:
        """Returns ``parse(data)``. Raises ValueError if it fails or if the payload contains too much.

        Serpent reads with Python's own parser, which raises errors of many types, and which needs seconds and gigabytes for a
        payload with millions of values. Counting the values first takes a few milliseconds.
        """
        most = self._max_values
        if len(data) > most and len(_VALUE.sub(b"", data, most)) > most:
            raise ValueError("too many values in one message: send large lists as JSON text")
        try:
            return parse(data)
        except errors.PyroError:
            raise
        except Exception as error:
            raise ValueError(f"not a message in serpent: {type(error).__name__}: {error!s:.100}") from None


_writer = Serpent(WireLimits())  # the limits hold for reading
dump = _writer.dumps
dump_call = _writer.dumpsCall


def printable_ascii(data: bytes, max_bytes: int) -> str:
    """Returns the readable part of a payload in another serializer.

    Pyro4's daemons say in marshal why they refuse a connection, and marshal must not be read from a peer: its parser can crash.
    """
    return re.sub(rb"[^ -~]+", b" ", data[:max_bytes]).decode("ascii").strip()
