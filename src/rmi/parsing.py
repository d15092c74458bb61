"""A parser of serpent's literals whose time and memory grow with the size of the text alone, and are bounded.

Serpent itself reads with Python's parser, which takes 475 bytes of memory for each byte, and builds sets and dicts of whatever keys
a peer chooses: whole numbers that hash alike take a time that grows with the square of their count. This parser knows only what
serpent writes:

    value   'text'  "text"  12  -0.5  1e30000 (infinity)  True  False  None
    tuple   ()  (value,)  (value,value)        list   []  [value,value]
    dict    {}  {'text':value}                 set    {'text','text'}
    object  {'__class__':'Pyro4.core.URI','state':value}, and others that ``to_object`` knows

The keys of a dict and the elements of a set are texts: texts hash differently in each process, so nobody can make them collide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from src.rmi.settings import ParsingLimits

# One token is a value or a bracket, with the separator that follows. Numbers that follow each other are one token. Of a long text
# it is only the quote, because str.find is faster than a regular expression.
_TOKEN = re.compile(
    r"""(?:
      (?:'([^'\n\r]{0,60})'|"([^"\n\r]{0,60})")
    | (['"])
    | (-?[0-9][-+0-9.eE,\ ]{0,4000000})
    | (True|False|None)
    | ([\[({])
    | ([\])}])
    )[ \n]{0,100}([,:]?)[ \n]{0,100}""",
    re.VERBOSE,
)
_SEPARATOR = re.compile(r"[ \n]{0,100}([,:]?)[ \n]{0,100}")
_SINGLE, _DOUBLE, _QUOTE = 1, 2, 3  # groups of _TOKEN
_NAMES = {"True": True, "False": False, "None": None}
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_MASK = "\0\0"  # stands for an escape of two characters, so that each quote that is left ends a text
_WRONG_ESCAPE = re.compile(
    r"""\\(?!
      [abfnrtv]
    | x[0-9a-fA-F]{2}
    | u(?![dD][89a-fA-F])[0-9a-fA-F]{4}
    | U(?:0000(?![dD][89a-fA-F])|000[1-9a-fA-F]|0010)[0-9a-fA-F]{4}
    )""",
    re.VERBOSE,
)


class _Container:
    """A tuple, list, dict or set that is not closed yet; ``closing`` is empty for the text as a whole, which holds one value.

    The ``items`` of a dict are its keys and its values in turn.
    """

    __slots__ = ("closing", "items", "separators", "is_dict")

    def __init__(self, closing: str) -> None:
        self.closing = closing
        self.items: list[Any] = []
        self.separators = 0
        self.is_dict = False

    def separated(self, separator: str) -> None:
        """Takes the separator after the last item."""
        count = len(self.items)
        if separator == ":":
            if self.closing != "}" or not count % 2 or self.is_dict != (count > 1) or type(self.items[-1]) is not str:
                _refuse("a key that is no text")
            self.is_dict = True
        elif not self.closing or self.is_dict and count % 2:
            _refuse("a comma where none belongs")
        self.separators += 1

    def closed(self, to_object: Callable[[dict[str, Any]], Any]) -> Any:
        """Returns the value of this container."""
        items = self.items
        if self.closing == "]":
            return items
        if self.closing == ")":
            if len(items) == 1 and not self.separators:
                _refuse("a bracket around one value")
            return tuple(items)
        if not self.is_dict and items:
            if any(type(item) is not str for item in items):
                _refuse("a set of what is no text")
            return set(items)
        if len(items) % 2:
            _refuse("a key without a value")
        value = dict(zip(items[::2], items[1::2]))
        return to_object(value) if "__class__" in value else value


class Parser:
    """Reads literals within limits. ``to_object`` makes an object of a dict that has a key ``__class__``."""

    def __init__(self, limits: ParsingLimits, to_object: Callable[[dict[str, Any]], Any]) -> None:
        self._limits = limits
        self._to_object = to_object

    def parse(self, data: bytes) -> Any:
        """Returns the value that ``data`` describes in UTF-8. Raises ValueError if it is not valid or exceeds the limits."""
        limits = self._limits
        if len(data) > limits.max_beyond_ascii_bytes and not data.isascii():
            raise ValueError(f"a message of more than {limits.max_beyond_ascii_bytes} bytes has to be ASCII")
        if len(data) > limits.max_escaped_bytes and b"\\" in data:
            raise ValueError(f"a message of more than {limits.max_escaped_bytes} bytes must not contain a backslash")
        if data.count(b"\\") > limits.max_escapes:
            raise ValueError(f"a message of more than {limits.max_escapes} backslashes")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:  # which would carry the whole payload into the answer
            _refuse("what is not UTF-8")
        if "\0" in text:
            _refuse("a zero byte")
        return self._read(text, self._masked(text) if "\\" in text else None)

    @staticmethod
    def _masked(text: str) -> str:
        """Returns the text with each escaped quote and backslash masked."""
        masked = text.replace("\\\\", _MASK).replace("\\'", _MASK).replace('\\"', _MASK)
        if _WRONG_ESCAPE.search(masked):
            _refuse("an escape that serpent does not write")
        return masked

    def _read(self, text: str, masked: str | None) -> Any:
        """Returns the value of ``text``. The tokens are found in ``masked``, which is None if there is no escape."""
        limits, match = self._limits, _TOKEN.match
        escaped = masked is not None
        masked = text if masked is None else masked
        numbers_left = limits.max_numbers
        outer: list[_Container] = []
        inside = _Container("")
        at, end = 0, len(masked)
        for _ in range(limits.max_tokens):
            token = match(masked, at)
            if token is None:
                _refuse(f"{text[at : at + 10]!r} at character {at}")
            at = token.end()
            single, double, quote, numbers, name, opening, closing, separator = token.groups()
            if closing is not None:
                if closing != inside.closing:
                    _refuse(f"{closing!r} without a beginning")
                value = inside.closed(self._to_object)
                inside = outer.pop()
            elif len(inside.items) != inside.separators:
                _refuse("two values without a comma")
            elif opening is not None:
                if separator or len(outer) >= limits.max_depth:
                    _refuse("values that are nested too deeply, or a comma where none belongs")
                outer.append(inside)
                inside = _Container(_CLOSING[opening])
                continue
            elif numbers is not None:
                numbers_left -= numbers.count(",") + 1
                if numbers_left < 0:
                    break
                several, separator = self._numbers(numbers, separator)
                value = several.pop()
                if several:
                    if inside.closing not in ("]", ")"):
                        _refuse("a comma where none belongs")
                    inside.items += several
                    inside.separators += len(several)
            elif name is not None:
                value = _NAMES[name]
            elif quote is not None:
                start, stop = token.end(_QUOTE), masked.find(quote, token.end(_QUOTE))
                if stop < 0:
                    _refuse("a text without an end")
                written = text[start:stop]
                if "\n" in written or "\r" in written:
                    _refuse("a text of several lines")
                value = _unescaped(written)
                at = stop + 1
                if (after := _SEPARATOR.match(masked, at)) is not None:  # always: it may be empty
                    separator, at = after[1], after.end()
            else:
                value = double if single is None else single
                if escaped:
                    value = _unescaped(text[slice(*token.span(_DOUBLE if single is None else _SINGLE))])
            inside.items.append(value)
            if separator:
                inside.separated(separator)
            if at == end:
                if outer:
                    _refuse("it ends too early")
                return inside.items[0]
        raise ValueError("too many values in one message: send large lists as JSON text")

    def _numbers(self, run: str, separator: str) -> tuple[list[Any], str]:
        """Returns the numbers of a token, at least one, and the separator after the last."""
        run = run.rstrip(" ")
        if run.endswith(","):
            if separator:
                _refuse("a colon where none belongs")
            run, separator = run[:-1], ","
        if max(map(len, run.split(","))) > self._limits.max_number_characters:
            raise ValueError(f"a number of more than {self._limits.max_number_characters} characters")
        try:
            return json.loads(f"[{run}]"), separator
        except ValueError:
            _refuse(f"{run[:20]!r}, which is no number")


def _unescaped(text: str) -> str:
    """Returns what stands between the quotes of a text, without its escapes, all of which are valid."""
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape") if "\\" in text else text


def _refuse(what: str) -> NoReturn:
    raise ValueError(f"not a message in serpent: it contains {what}")
