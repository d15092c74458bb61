"""Text for terminals: times, tables, bars and a progress bar."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def seconds_text(value: float) -> str:
    """Returns a time, given in seconds, with three significant digits and its unit: 12.3 s, 45.6 ms, 789 µs."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= 0.9995 * scale:
            number = value / scale
            return f"{number:.0f} {unit}" if number >= 99.95 else f"{number:.{1 if number >= 9.995 else 2}f} {unit}"
    return f"{value * 1e6:.0f} µs"


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun: 1 job, 1,200 jobs."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Returns rows as lines of text: the first column flush left, the others flush right, and a rule under the header."""
    lines = [list(header), *rows] if header else list(rows)
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))]
    texts = [
        "  ".join(f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths))) for row in lines
    ]
    if header:
        texts.insert(1, "─" * len(texts[0]))
    return "\n".join("  " + text.rstrip() for text in texts)


def bar(share: float, width: int) -> str:
    """Returns a bar that fills ``share`` (0 to 1) of ``width`` characters, rounded to an eighth of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return (_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).strip()


class Progress:
    """A progress bar that is redrawn in place on ``stream``, by default standard error.

    Nothing is printed if that is not a terminal, or if ``shown`` is false.
    """

    def __init__(self, total: int, unit: str, stream: TextIO | None = None, shown: bool = True) -> None:
        self._total = total
        self._unit = unit
        self._stream = stream or sys.stderr
        self._shown = shown and self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._last = ""

    def show(self, done: int, note: str = "") -> None:
        """Draws the bar for ``done`` units, with a note behind it, unless the same line is shown already."""
        if self._shown:
            share = done / self._total if self._total else 1.0
            width = max(10, min(40, shutil.get_terminal_size().columns - 45))
            line = f"{bar(share, width):<{width}} {done:,} of {self._total:,} {self._unit} {note}"
            if line != self._last:
                self._write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
                self._last = line

    def clear(self) -> None:
        """Erases the bar, so that other text can be printed on its line."""
        if self._shown and self._last:
            self._write("\r\x1b[K")
            self._last = ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal is gone
            self._shown = False
