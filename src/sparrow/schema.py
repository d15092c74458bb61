"""The schema of what other processes say: ``reader`` makes, from a declared type, the one check that a value has to pass.

A type is a TypedDict, or is built from ``int``, ``float``, ``str``, ``bool``, ``None``, ``Optional``, ``list``, ``dict`` and
``tuple``. ``Annotated`` adds what a type alone does not say: the range of a number, the length of a text, the size of a list. Whole
numbers, floats, texts, lists and dicts without it are not accepted as declarations, so that nothing stays unbounded by mistake.
The types themselves stand in ``reports``.

A reader returns a copy that has the declared fields and nothing else. What is deeper than its type is refused where it begins, and
reading ends with the first fault, so the cost grows with the size of the value alone. ``parse_json`` bounds that size before it
parses anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from src.sparrow.checks import shown
from src.sparrow.jsontext import read_json

Read = Callable[[Any], Any]


class Range(NamedTuple):
    """A number from ``least`` to ``most``."""

    least: float
    most: float


class Text(NamedTuple):
    """A text of at most ``most`` characters, all of them printable."""

    most: int


class OneOf(NamedTuple):
    """One of these texts."""

    texts: tuple[str, ...]


class Size(NamedTuple):
    """A list or a dict of at most ``most`` entries."""

    most: int


class UnreadableError(ValueError):
    """Raised if a value is not of the declared form. The text says where in the value, what must be there, and what is."""

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(f"{where.lstrip('.')} {what}".strip())
        self._what, self._where = what, where

    def inside(self, step: str) -> UnreadableError:
        """Returns the same error, seen from one level above: ``step`` is ".field", or "[3]" in a list."""
        return UnreadableError(self._what, step + self._where)


def parse_json(text: object, max_characters: int, max_values: int) -> Any:
    """Returns the value of a JSON text. Raises UnreadableError if it is none, or too large, too deep, or has a number too large."""
    if not isinstance(text, str):
        raise UnreadableError(f"must be JSON text, not {shown(text)}")
    if len(text) > max_characters:
        raise UnreadableError(f"must be at most {max_characters:,} characters, not {len(text):,}")
    if text.count(",") + text.count("[") + text.count("{") > max_values:
        raise UnreadableError(f"must have at most {max_values:,} values")
    try:
        return read_json(text, parse_constant=_no_number)
    except UnreadableError:
        raise
    except ValueError as error:
        raise UnreadableError(f"is not JSON: {error!s:.100}") from None


def reader(declared: Any, required: Sequence[str] = (), without: Sequence[str] = ()) -> Read:
    """Returns the function that reads a value of the declared type. It raises UnreadableError for any other value.

    Of a TypedDict, the fields ``required`` must be there even if its declaration does not say so, and the fields ``without`` are
    left out. Raises TypeError if the declaration cannot be read, or does not bound a number, a text, a list or a dict.
    """
    origin, arguments = get_origin(declared), get_args(declared)
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1])
    if origin is Union and len(arguments) == 2 and arguments[1] is type(None):
        return _optional(reader(arguments[0]))
    if origin is tuple:
        return _row([reader(part) for part in arguments])
    if hasattr(declared, "__required_keys__"):
        hints = get_type_hints(declared, include_extras=True)
        must = {*declared.__required_keys__, *required}
        return _object([(name, reader(hint), name in must) for name, hint in hints.items() if name not in without])
    if declared is bool:
        return _truth
    raise TypeError(f"a declaration that bounds nothing, or cannot be read: {declared!r}")


def _bounded(declared: Any, bound: Any) -> Read:
    origin, arguments = get_origin(declared), get_args(declared)
    if declared is int and isinstance(bound, Range):
        return _whole(int(bound.least), int(bound.most))
    if declared is float and isinstance(bound, Range):
        return _number(bound.least, bound.most)
    if declared is str and isinstance(bound, Text):
        return _text(bound.most)
    if declared is str and isinstance(bound, OneOf):
        return _choice(bound.texts)
    if origin in (list, Sequence) and isinstance(bound, Size):
        return _list(reader(arguments[0]), bound.most)
    if origin is dict and isinstance(bound, Size):
        return _dict(reader(arguments[0]), reader(arguments[1]), bound.most)
    if callable(bound):  # a check of ``checks``
        return _checked(bound)
    raise TypeError(f"a declaration that cannot be read: {declared!r} with {bound!r}")


def _whole(least: int, most: int) -> Read:
    def read(value: Any) -> int:
        if type(value) is int and least <= value <= most:
            return value
        raise UnreadableError(f"must be a whole number from {least} to {most}, not {shown(value)}")

    return read


def _number(least: float, most: float) -> Read:
    def read(value: Any) -> float:
        if type(value) in (float, int) and least <= value <= most:  # false for nan as well
            return float(value)
        raise UnreadableError(f"must be a number from {least:g} to {most:g}, not {shown(value)}")

    return read


def _text(most: int) -> Read:
    def read(value: Any) -> str:
        if type(value) is str and len(value) <= most and value.isprintable():
            return value
        raise UnreadableError(f"must be at most {most} printable characters, not {shown(value)}")

    return read


def _choice(texts: tuple[str, ...]) -> Read:
    def read(value: Any) -> str:
        if type(value) is str and value in texts:
            return value
        raise UnreadableError(f"must be one of {', '.join(texts)}, not {shown(value)}")

    return read


def _checked(check: Callable[[Any, str], Any]) -> Read:
    def read(value: Any) -> Any:
        try:
            return check(value, "")
        except (TypeError, ValueError) as error:
            raise UnreadableError(str(error).strip()) from None

    return read


def _truth(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise UnreadableError(f"must be true or false, not {shown(value)}")


def _optional(inner: Read) -> Read:
    return lambda value: None if value is None else inner(value)


def _list(inner: Read, most: int) -> Read:
    def read(value: Any) -> list[Any]:
        if type(value) is not list or len(value) > most:
            raise UnreadableError(f"must be a list of at most {most} entries, not {shown(value)}")
        done: list[Any] = []
        try:
            for item in value:
                done.append(inner(item))  # noqa: PERF401 (the length says where a fault is)
        except UnreadableError as error:
            raise error.inside(f"[{len(done)}]") from None
        return done

    return read


def _row(columns: list[Read]) -> Read:
    def read(value: Any) -> tuple[Any, ...]:
        if type(value) not in (list, tuple) or len(value) != len(columns):
            raise UnreadableError(f"must be a list of {len(columns)} entries, not {shown(value)}")
        return tuple(column(item) for column, item in zip(columns, value))

    return read


def _dict(key_of: Read, inner: Read, most: int) -> Read:
    def read(value: Any) -> dict[Any, Any]:
        if type(value) is not dict or len(value) > most:
            raise UnreadableError(f"must be an object of at most {most} entries, not {shown(value)}")
        done: dict[Any, Any] = {}
        for key, item in value.items():
            try:
                name = key_of(key)
            except UnreadableError as error:
                raise error.inside(" has a key that") from None
            try:
                done[name] = inner(item)
            except UnreadableError as error:
                raise error.inside(f".{name}") from None
        return done

    return read


def _object(fields: list[tuple[str, Read, bool]]) -> Read:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise UnreadableError(f"must be an object, not {shown(value)}")
        done = {}
        for name, inner, must in fields:
            if name in value:
                try:
                    done[name] = inner(value[name])
                except UnreadableError as error:
                    raise error.inside(f".{name}") from None
            elif must:
                raise UnreadableError("is missing", f".{name}")
        return done

    return read


def _no_number(name: str) -> Any:
    raise UnreadableError(f"has {name}, which is no number")
