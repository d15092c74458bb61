"""``TaskColumns``, the tasks of a report by columns, and the text in which a report crosses the wire.

A job has up to 100,000 tasks. A dict for each would take a scheduler 0.2 s to make and to encode, and 40 MB for each report that it
keeps; so there is an array for each field, and a dict is made when somebody looks at a task.
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from itertools import count
from typing import Any, cast, overload

from src.sparrow.checks import shown
from src.sparrow.jobspec import JobSpec
from src.sparrow.packing import COUNTS, SECONDS, pack, unpack
from src.sparrow.reports import MOST_SECONDS, Accepted, Failure, PackedReport, Report, ReportedTask
from src.sparrow.schema import UnreadableError, parse_json, reader

PACKED = {"worker": COUNTS, "wait_s": SECONDS, "service_s": SECONDS, "attempts": COUNTS}
MOST_CHARACTERS = 16 * 2**20  # of an answer to ``schedule``: as much as one message may have
MOST_VALUES = 1_000_000  # the same: of 100,000 tasks each may have failed for a reason of its own

TASKS_AT_ONCE = 10_000  # that are read in one step

_read_report = reader(PackedReport, without=("failed",))
_read_failure = reader(Failure)
_read_accepted = reader(Accepted)


class TaskColumns(Sequence[ReportedTask]):
    """The tasks of a report. Of each column, item n is that of task n; ``worker`` counts in ``workers``."""

    __slots__ = ("workers", "worker", "wait_s", "service_s", "attempts")

    def __init__(
        self,
        workers: list[str | None],
        worker: Sequence[float],
        wait_s: Sequence[float],
        service_s: Sequence[float],
        attempts: Sequence[float],
    ) -> None:
        self.workers = workers
        self.worker: array[Any] = array(COUNTS, worker)
        self.wait_s: array[float] = array(SECONDS, wait_s)
        self.service_s: array[float] = array(SECONDS, service_s)
        self.attempts: array[Any] = array(COUNTS, attempts)

    @classmethod
    def of(
        cls, workers: Sequence[str | None], wait_s: Sequence[float], service_s: Sequence[float], attempts: Sequence[int]
    ) -> TaskColumns:
        """Returns the columns of tasks, given the name of the worker of each."""
        number: dict[str | None, int] = defaultdict(count().__next__)
        worker = [number[name] for name in workers]
        return cls(list(number), worker, wait_s, service_s, attempts)

    def __len__(self) -> int:
        return len(self.worker)

    @overload
    def __getitem__(self, index: int) -> ReportedTask: ...

    @overload
    def __getitem__(self, index: slice) -> list[ReportedTask]: ...

    def __getitem__(self, index: int | slice) -> ReportedTask | list[ReportedTask]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        worker = self.workers[self.worker[index]]
        return {
            "worker": worker,
            "wait_s": self.wait_s[index],
            "service_s": self.service_s[index],
            "attempts": self.attempts[index],
        }

    def __iter__(self) -> Iterator[ReportedTask]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (list, TaskColumns)) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as for a list

    def __repr__(self) -> str:
        return repr(list(self))


def rows(tasks: Sequence[ReportedTask]) -> Iterator[tuple[str | None, float, float, int]]:
    """Yields worker, wait time, service time and attempts of each task. It takes a third of the time that looking at each takes."""
    if isinstance(tasks, TaskColumns):
        yield from zip(map(tasks.workers.__getitem__, tasks.worker), tasks.wait_s, tasks.service_s, tasks.attempts)
    else:
        yield from ((task["worker"], task["wait_s"], task["service_s"], task["attempts"]) for task in tasks)


def plain(report: Report) -> dict[str, Any]:
    """Returns a report with a dict for each task, for JSON and for Pyro4's serializer."""
    return {**report, "tasks": list(report["tasks"])}


def encode(report: Report) -> str:
    """Returns a report as the text that a client gets which has packed its job."""
    tasks = report["tasks"]
    if not isinstance(tasks, TaskColumns):  # the answer to a job whose client does not wait
        return json.dumps(report, separators=(",", ":"))
    columns = {name: pack(kind, getattr(tasks, name)) for name, kind in PACKED.items()}
    return json.dumps({**report, "tasks": {"workers": tasks.workers, **columns}}, separators=(",", ":"))


def decode(text: object, spec: JobSpec) -> Generator[None, None, Report]:
    """Reads what a scheduler has answered to ``schedule`` for this job, which its client has packed: its report.

    If the job's client does not wait, the answer says only that the job is accepted. Reading takes long for a large job, so it is
    done in steps: the generator yields between two of them, and returns the report. Raises UnreadableError, whose text says what is
    wrong, if the answer is none of these, if it is that of another job, or if it has not the job's number of tasks.
    """
    said = parse_json(text, MOST_CHARACTERS, MOST_VALUES)
    if not spec.wait:
        accepted = _read_accepted(said)
        _check_id(accepted["id"], spec)
        if not accepted["accepted"]:
            raise UnreadableError("must be true", ".accepted")
        return cast(Report, accepted)
    num_tasks = len(spec.durations_s)
    if num_tasks > TASKS_AT_ONCE:
        yield
    report = _read_report(said)
    _check_id(report["id"], spec)
    columns: dict[str, array[Any]] = {}
    for name, kind in PACKED.items():
        if num_tasks > TASKS_AT_ONCE:
            yield
        columns[name] = _column(kind, report["tasks"][name], num_tasks, f".tasks.{name}")
    workers = report["tasks"]["workers"]
    if max(columns["worker"]) >= len(workers):
        raise UnreadableError("names a worker that is not there", ".tasks.worker")
    report["tasks"] = TaskColumns(workers, *columns.values())
    report["failed"] = yield from _failures(said.get("failed"), num_tasks)
    return cast(Report, report)


def _check_id(id: str, spec: JobSpec) -> None:
    if id != spec.id:
        raise UnreadableError(f"is {shown(id)}, that of another job", ".id")


def _column(kind: str, packed: str, num_tasks: int, where: str) -> array[Any]:
    try:
        column = unpack(kind, packed, "")
    except ValueError as error:
        raise UnreadableError(str(error).strip(), where) from None
    if len(column) != num_tasks:
        raise UnreadableError(f"has {len(column):,} tasks of {num_tasks:,}", where)
    if kind == SECONDS:
        total = sum(column)  # it is nan if one is
        if not (min(column) >= 0 and max(column) <= MOST_SECONDS and total == total):
            raise UnreadableError(f"must have numbers from 0 to {MOST_SECONDS:g} alone", where)
    return column


def _failures(said: object, num_tasks: int) -> Generator[None, None, list[Failure]]:
    if not isinstance(said, list) or len(said) > num_tasks:
        raise UnreadableError(f"must be a list of at most {num_tasks:,} entries, not {shown(said)}", ".failed")
    failures: list[Failure] = []
    done = 0  # failures and their tasks that were read in this step
    for number, one in enumerate(said):
        if done > TASKS_AT_ONCE:
            done = 0
            yield
        try:
            failure = _read_failure(one)
        except UnreadableError as error:
            raise error.inside(f".failed[{number}]") from None
        last = max(failure["tasks"], default=0)
        if last >= num_tasks:
            raise UnreadableError(f"names task {last:,} of {num_tasks:,}, counted from 0", f".failed[{number}]")
        failures.append(failure)
        done += 1 + len(failure["tasks"])
    return failures
