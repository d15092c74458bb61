"""What may be registered with our name server: names and uris that everybody can read, and metadata, all of bounded size.

All names together fit into one answer, so that nobody can keep others from listing them.
"""

from __future__ import annotations

from typing import Any

from Pyro4 import core

from src.rmi.settings import NameServerLimits
from src.rmi.uri import parse_uri


def check_registration(name: Any, uri: Any, metadata: Any, limits: NameServerLimits) -> None:
    """Raises TypeError or ValueError if a name, its uri or its metadata is not acceptable."""
    _check_text(name, "a name", limits.max_name_characters)
    _check_text(parse_uri(uri).asString() if isinstance(uri, core.URI) else uri, "a uri", limits.max_uri_characters)
    parse_uri(uri)
    check_metadata(metadata, limits)


def check_metadata(metadata: Any, limits: NameServerLimits) -> None:
    """Raises TypeError or ValueError if this is neither None nor a collection of texts that are short enough together.

    Pyro4 makes a set of them: elements of other types may be chosen so that all hash alike.
    """
    if metadata is None:
        return
    if not isinstance(metadata, (list, tuple, set)) or not all(isinstance(one, str) for one in metadata):
        raise TypeError("metadata is a collection of texts")
    if sum(len(one) + 4 for one in metadata) > limits.max_characters:  # quotes, a comma and a space beside each
        raise ValueError(f"the metadata of a name has at most {limits.max_characters} characters")


def _check_text(text: Any, what: str, most: int) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text")
    if len(text) > most or not text.isascii() or not text.isprintable() or "\\" in text or "'" in text:
        raise ValueError(f"{what} has at most {most} characters, all printable ASCII without backslash and apostrophe")
