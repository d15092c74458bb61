"""The figures as tables on the terminal: one for each measurement and shape of cluster, a row for each contestant."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.testbed.benchmarking import number
from scripts.testbed.yardstick.rounds import Measurement, Yardstick
from scripts.testbed.yardstick.workloads import Figures
from src.cli import terminal


def grouped(medians: Mapping[Measurement, Figures]) -> dict[str, dict[str, Figures]]:
    """Returns heading -> contestant -> figures."""
    tables: dict[str, dict[str, Figures]] = {}
    for measurement, figures in medians.items():
        tables.setdefault(f"{measurement.label}, {measurement.shape}", {})[measurement.who] = figures
    return tables


def columns(rows: Mapping[str, Figures]) -> list[str]:
    """Returns the names of all figures of these rows, in the order of the row that has most of them."""
    longest = max(rows.values(), key=len)
    return [*longest, *dict.fromkeys(name for figures in rows.values() for name in figures if name not in longest)]


def text(yardstick: Yardstick) -> str:
    """Returns all tables, with what must be known of them."""
    parts = []
    for heading, rows in grouped(yardstick.medians()).items():
        names = columns(rows)
        lines = [(who, *(number(figures[name]) if name in figures else "-" for name in names)) for who, figures in rows.items()]
        parts.append(f"{heading}\n{terminal.table(lines, ('', *names))}\n")
    parts += [f"{who}: {note}" for who, note in yardstick.notes.items()]
    parts += [f"{who}, {', '.join(filter(None, (label, str(shape))))}: {why}" for who, shape, label, why in yardstick.left_out]
    return "\n".join(parts)
