"""The payloads of messages: serpent, with a fast path for the most frequent ones.

A payload is UTF-8 text: one line that names the format, then one literal of Python. A call is the tuple ``(object id, method,
positional arguments, keyword arguments)``; a reply is the value itself, and an exception is a dict that names its class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from Pyro4 import errors, util

from src.rmi.parsing import Parser
from src.rmi.settings import WireLimits

_HEAD = b"# serpent utf-8 python3.2\n"
_HEAD_PATTERN = re.escape(_HEAD)
# A call with no argument, or one with three texts up to the quote before the last, which may be long: an expression for all of it
# would go back over a megabyte, and take 17 ms for that, to find that it does not fit. The first two are names.
_CALL = re.compile(_HEAD_PATTERN + rb"\('([\w.]+)','(\w+)',\((?:\),\{\}\)\Z|'([^'\\]{0,200})','([^'\\]{0,200})',')")
_CALL_END = b"'),{})"
_HEAD_AND_QUOTE = _HEAD + b"'"
_TEXT_START = len(_HEAD_AND_QUOTE)
_MAX_PLAIN_DIGITS = 15  # of a whole number that the fast path reads
_COMMENT = re.compile(rb"# serpent utf-8 python[0-9.]{1,9}\n")
_OBJECT = re.compile(  # the last are errors
    r"float|Pyro4\.core\.URI|Pyro4\.futures\._ExceptionWrapper|Pyro4\.errors\.\w+|(?:(?:builtins|exceptions|sqlite3)\.)?\w+"
)

Call = tuple[str, str, Sequence[Any], dict[str, Any]]  # object id, method, positional arguments, keyword arguments


class Serpent(util.SerpentSerializer):
    """Pyro4's serpent serializer: the same bytes in both directions, written and read faster in the frequent cases.

    The fast path takes calls with no argument or with three texts, and replies that are one text or one whole number. Everything
    else, and every text that contains a quote or an escape, is written by serpent itself and read by ``parsing``.
    """

    def __init__(self, limits: WireLimits) -> None:
        super().__init__()
        self._parse = Parser(limits.parsing, self._to_object).parse

    def dumpsCall(self, obj: str, method: str, vargs: Sequence[Any], kwargs: dict[str, Any]) -> bytes:  # noqa: N802
        """Returns the payload of a call."""
        if not vargs and not kwargs:
            return _HEAD + f"('{obj}','{method}',(),{{}})".encode("ascii")
        if len(vargs) == 3 and not kwargs and all(map(_is_plain, vargs)):
            first, second, third = vargs
            return _HEAD + f"('{obj}','{method}',('{first}','{second}','{third}'),{{}})".encode("ascii")
        data: bytes = super().dumpsCall(obj, method, vargs, kwargs)
        return data

    def dumps(self, data: Any) -> bytes:
        """Returns the payload of a reply or of a greeting."""
        if _is_plain(data):
            return _HEAD + f"'{data}'".encode("ascii")
        if type(data) is int:
            return _HEAD + b"%d" % data
        written: bytes = super().dumps(data)
        return written

    def loadsCall(self, data: bytes) -> Call:  # noqa: N802
        """Returns the call in a payload. Raises ValueError if it cannot be read or contains too much."""
        call = _CALL.match(data)
        if call is not None and data.isascii():
            obj, method, *arguments = [part.decode("ascii") for part in call.groups() if part is not None]
            if not arguments:
                return obj, method, arguments, {}
            start, stop = call.end(), len(data) - len(_CALL_END)
            if data.find(b"'", start) == stop and data.endswith(_CALL_END) and data.find(b"\\", start) < 0:
                arguments.append(data[start:stop].decode("ascii"))
                return obj, method, arguments, {}
        read = self._read(data)
        if type(read) is not tuple or len(read) != 4 or type(read[0]) is not str or type(read[1]) is not str:
            raise ValueError("not a call: object id, method, arguments, named arguments")
        return read

    def loads(self, data: bytes) -> Any:
        """Returns the value in a payload. Raises ValueError if it cannot be read or contains too much."""
        quoted = data.startswith(_HEAD_AND_QUOTE) and data.find(b"'", _TEXT_START) == len(data) - 1
        if quoted and b"\\" not in data and data.isascii():
            return data[_TEXT_START:-1].decode("ascii")
        number = data[len(_HEAD) :]
        if number.isdigit() and len(number) <= _MAX_PLAIN_DIGITS:
            return int(number)
        return self._read(data)

    def _read(self, data: bytes) -> Any:
        """Returns the value in a payload. Raises ValueError if it cannot be read or contains too much."""
        comment = _COMMENT.match(data)  # another version of Python than that of _HEAD may be named
        if comment is None:
            raise ValueError("not a message in serpent: its first line does not say so")
        try:
            return self._parse(data[comment.end() :])
        except (errors.PyroError, ValueError):
            raise
        except Exception as error:  # Pyro4 makes objects of what a peer chose, and raises errors of any type
            raise ValueError(f"not a message in serpent: {type(error).__name__}: {error!s:.100}") from None

    def _to_object(self, fields: dict[str, Any]) -> Any:
        """Returns the uri, error or number that these fields describe. Raises ValueError if it is none of these."""
        name = fields["__class__"]
        if not isinstance(name, str) or not _OBJECT.fullmatch(name) or not ("." in name or name == "float" or "args" in fields):
            raise ValueError(f"an object that is not accepted: {name!r:.60}")
        return self.dict_to_class(fields)


def _is_plain(value: object) -> bool:
    """Returns whether this is a text that serpent writes between single quotes as it is."""
    return type(value) is str and value.isascii() and value.isprintable() and "'" not in value and "\\" not in value


_writer = Serpent(WireLimits())  # the limits hold for reading
dump = _writer.dumps
dump_call = _writer.dumpsCall


def joined(payloads: Sequence[bytes]) -> bytes:
    """Returns the payload of the list of the values in these payloads."""
    return _HEAD + b"[" + b",".join(payload[len(_HEAD) :] for payload in payloads) + b"]"


def printable_ascii(data: bytes, max_bytes: int) -> str:
    """Returns the readable part of a payload in another serializer.

    Pyro4's daemons say in marshal why they refuse a connection, and marshal must not be read from a peer: its parser can crash.
    """
    return re.sub(rb"[^ -~]+", b" ", data[:max_bytes]).decode("ascii").strip()
