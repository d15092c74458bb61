"""``Document``: a value as JSON, encoded once for all who ask for it."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

_WORTH_BYTES = 1024  # a smaller body is not compressed


class Document(NamedTuple):
    """The JSON text of a value, the same compressed unless it is short, and its etag."""

    body: bytes
    gzipped: bytes | None
    etag: str

    @classmethod
    def of(cls, value: Mapping[str, Any], level: int = 1) -> Document:
        """Returns the document of a value; ``level`` is gzip's."""
        body = json.dumps(value, separators=(",", ":")).encode()
        gzipped = gzip.compress(body, level, mtime=0) if len(body) > _WORTH_BYTES else None
        return cls(body, gzipped, hashlib.sha256(body).hexdigest()[:20])
