"""``Record``, the base class of messages and commands: an immutable tuple that begins with the name of its kind.

``Cancel("j", 3)`` is the tuple ``("Cancel", "j", 3)``. Two records are therefore equal only if they are of the same kind, a record
can be a key of a dict, and it is written to the wire as it is. A record is as fast to make and to compare as a NamedTuple; a frozen
dataclass takes twice as long to make and five times as long to compare.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_options: Any) -> Callable[[type], type]:
        """Returns a decorator that changes nothing: only type checkers use the real one, and it is not installed at run time."""
        return lambda cls: cls


R = TypeVar("R", bound="Record")

# The field getters of a namedtuple, which are faster than properties: the first reads item 1, and so on.
_GETTERS = [namedtuple("_Shape", [f"item{i}" for i in range(10)]).__dict__[f"item{i}"] for i in range(1, 10)]


class _Slotless(type):
    """Makes classes whose instances have no attributes beside those of the class."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        return super().__new__(mcs, name, bases, {"__slots__": (), **namespace}, **options)


@dataclass_transform(frozen_default=True, eq_default=False)
class Record(tuple, metaclass=_Slotless):  # type: ignore[type-arg]  # its items are of as many types as its fields
    """The base class of all records. A subclass declares its fields by annotations."""

    kind: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        annotations: dict[str, str] = cls.__dict__.get("__annotations__", {})
        own = [name for name, hint in annotations.items() if not hint.startswith("ClassVar")]
        if not own:
            return  # an intermediate base class, which has no fields
        cls.kind, cls.fields = cls.__name__, tuple(own)
        for name, getter in zip(own, _GETTERS):
            setattr(cls, name, getter)
        names = ", ".join(own)
        new = eval(f"lambda cls, {names}: new(cls, ({cls.__name__!r}, {names}))", {"new": tuple.__new__})  # as in namedtuple
        cls.__new__ = new  # type: ignore[method-assign]

    @classmethod
    def make(cls: type[R], values: list[Any]) -> R:
        """Returns a record with these values of its fields, in the order of the declaration. The values are not checked."""
        return tuple.__new__(cls, (cls.kind, *values))

    def replace(self: R, **changes: Any) -> R:
        """Returns a copy of the record with other values for these fields. Raises TypeError if it has no such field."""
        if not changes.keys() <= set(self.fields):
            raise TypeError(f"{self.kind} has the fields {', '.join(self.fields)}, not {', '.join(changes)}")
        return self.make([changes.get(name, value) for name, value in zip(self.fields, self[1:])])

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value!r}' for name, value in zip(self.fields, self[1:]))})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self[1:])
