"""The placement methods: which workers a job samples, and which worker each task goes to (paper, section 3).

A method is one class: a subclass of ``Method`` that is registered with ``METHODS.register``. Its class attributes describe it, and
the code that lists, explains or draws methods reads them from the registry. ``probe`` returns the workers to sample, and ``place``
returns one worker for each task, by the loads of the sampled ones. ``samples`` says how the result of ``probe`` is used:

"nothing" (RANDOM)
    The result is the placement: one worker for each task. No worker is asked for anything.
"per task" (CHOOSE_TWO)
    Each worker is asked for its load. The result has the same number of workers for each task, one task after the other.
"per job" (BATCH)
    Each worker is asked for its load, for all tasks of the job together.
"reservations" (BATCH+LATE_BINDING)
    Each worker gets a reservation, and asks for a task when that is at the front of its queue. ``place`` is not called.
"idle workers" (PULL)
    Workers say when they are idle, and get the oldest task. Among several schedulers the tasks that are left also get reservations.

Methods have no state: one instance serves all jobs.
"""

from __future__ import annotations

import math
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import TypeVar

from src.sparrow.checks import shown
from src.sparrow.reports import COLOURS, MethodInfo

PROBE_RATIO = 2  # d, the workers sampled for each task (paper, section 3.6: 2 is enough up to 90 % load)

SAMPLES = ("nothing", "per task", "per job", "reservations", "idle workers")  # what a method may ask workers for
NOTHING, PER_TASK, PER_JOB, RESERVATIONS, IDLE_WORKERS = SAMPLES

_NAME = re.compile(r"[A-Z][A-Z0-9_+-]{0,31}")
_SECTION = re.compile(r"(\d+(\.\d+)*)?")


class Method(ABC):
    """A placement method. A subclass sets all the class attributes, and defines ``probe`` and, if it samples loads, ``place``."""

    name: str  # what users type: upper-case letters, digits, "_", "+" and "-", at most 32 characters
    summary: str  # what it does with the tasks of a job: one line, without a capital or a full stop
    section: str  # of the Sparrow paper; "" for none
    colour: int  # slot in the page's list of colours, 1 to 8
    samples: str  # one of SAMPLES
    probe_ratio: float = PROBE_RATIO  # the reservations that a task has, of a method that makes some
    why: str  # whole sentences: why a task of a job was placed where it was

    @property
    def needs_loads(self) -> bool:
        """Whether the workers that ``probe`` returns are asked for their loads, so that ``place`` can decide."""
        return self.samples in (PER_TASK, PER_JOB)

    @property
    def late_binding(self) -> bool:
        """Whether the workers that ``probe`` returns get reservations, and ask for the tasks themselves."""
        return self.samples in (RESERVATIONS, IDLE_WORKERS)

    @property
    def pulls(self) -> bool:
        """Whether workers that say that they are idle get tasks, so that reservations are needed only among several schedulers."""
        return self.samples == IDLE_WORKERS

    @abstractmethod
    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """Returns the workers, out of ``workers``, to sample for this number of tasks; an empty list if there are no workers."""

    def place(self, tasks: int, probed: Sequence[str], loads: Mapping[str, int], rng: random.Random) -> Iterable[str]:
        """Returns the worker of each task; if it takes long for many tasks, as an iterator, since they are taken in steps.

        ``loads`` has the load of each probed worker that has answered, and is not empty if loads were asked for. This
        implementation is for methods that sample nothing: the probed workers are the placement.
        """
        return list(probed)

    def to_dict(self) -> MethodInfo:
        """Returns the class attributes as a dictionary that is ready for JSON."""
        return {
            "name": self.name,
            "summary": self.summary,
            "section": self.section,
            "colour": self.colour,
            "samples": self.samples,
            "why": self.why,
        }


M = TypeVar("M", bound="type[Method]")


class Registry(Mapping[str, Method]):
    """Methods by their names, in the order in which they were registered."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}

    def register(self, method: M) -> M:
        """Adds a method and returns it, so that ``register`` can decorate the class of a method.

        Raises TypeError if ``method`` is not a subclass of ``Method``, does not define ``probe`` or a ``place`` that it needs, or
        if an attribute is missing or has the wrong type. Raises ValueError if the value of an attribute is not allowed or the name
        is taken.
        """
        if not (isinstance(method, type) and issubclass(method, Method)):
            raise TypeError(f"a method is a subclass of {__name__}.Method, not {method!r:.100}")
        if method.__abstractmethods__:
            raise TypeError(f"method {method.__name__} does not define {', '.join(sorted(method.__abstractmethods__))}")
        _check_attributes(method)
        if method.name in self._methods:
            raise ValueError(f"method {method.name} is registered already, as {type(self._methods[method.name]).__qualname__}")
        self._methods[method.name] = method()
        return method

    def unregister(self, name: str) -> None:
        """Removes the method of exactly that name. Raises KeyError if there is none. Open jobs keep the method that they have."""
        del self._methods[name]

    def named(self, name: object) -> Method:
        """Returns the method of that name, in upper or lower case. Raises ValueError, which lists the names, if there is none."""
        method = self._methods.get(name.upper()) if isinstance(name, str) else None
        if method is None:
            alike = get_close_matches(name[:64].upper(), self._methods, 1) if isinstance(name, str) else ()
            meant = f" (did you mean {alike[0]}?)" if alike else ""
            raise ValueError(f"unknown method {shown(name)}{meant}: choose one of {', '.join(self._methods)}")
        return method

    def names(self) -> list[str]:
        """Returns the names, in the order in which the methods were registered."""
        return list(self._methods)

    def to_dicts(self) -> list[MethodInfo]:
        """Returns the attributes of each method, in the order in which the methods were registered."""
        return [method.to_dict() for method in self._methods.values()]

    def __getitem__(self, name: str) -> Method:
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)


def _check_attributes(method: type[Method]) -> None:
    """Raises TypeError or ValueError, naming the class and the attribute, if an attribute has a wrong type or value."""
    for attribute, kind in (("name", str), ("summary", str), ("section", str), ("colour", int), ("samples", str), ("why", str)):
        value = getattr(method, attribute, None)
        if type(value) is not kind:
            raise TypeError(f"method {method.__name__}: {attribute} must be of type {kind.__name__}, not {value!r:.60}")
    summary = method.summary
    faults = {
        "name": not _NAME.fullmatch(method.name) and "must be 1 to 32 upper-case letters, digits, '_', '+' or '-'",
        "summary": (not summary.strip() or not summary.isprintable() or summary.endswith("."))
        and "must be one line, without a full stop",
        "section": not _SECTION.fullmatch(method.section) and "must be a number such as 3.1, or empty",
        "colour": method.colour not in COLOURS and f"must be from {COLOURS[0]} to {COLOURS[-1]}",
        "samples": method.samples not in SAMPLES and f"must be one of {', '.join(map(repr, SAMPLES))}",
        "why": not method.why.strip() and "must not be empty",
    }
    for attribute, fault in faults.items():
        if fault:
            raise ValueError(f"method {method.__name__}: {attribute} {fault}, not {getattr(method, attribute)!r:.60}")
    if method.samples in (PER_TASK, PER_JOB) and method.place is Method.place:
        raise TypeError(f"method {method.__name__} samples loads, but does not define place, which decides by them")


METHODS = Registry()


def method_named(name: object) -> Method:
    """Returns the registered method of that name, in any case. Raises ValueError, which lists the names, if there is none."""
    return METHODS.named(name)


@METHODS.register
class Random(Method):
    """Each task goes to a worker drawn uniformly at random, independently of the others."""

    name = "RANDOM"
    summary = "each task to a worker drawn at random"
    section = "3.1"
    colour = 1
    samples = NOTHING
    why = "RANDOM asks nobody: each task went to a worker drawn at random, whatever its load."

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """Returns the worker of each task, in order; an empty list if there are no workers."""
        return rng.choices(workers, k=tasks) if workers else []


@METHODS.register
class ChooseTwo(Method):
    """Per-task sampling (section 3.1): each task goes to the less loaded of d workers drawn for it alone."""

    name = "CHOOSE_TWO"
    summary = "each task to the less loaded of two workers"
    section = "3.1"
    colour = 2
    samples = PER_TASK
    why = (
        "Each task probed two workers and went to the less loaded, ties at random; "
        "tasks of this job placed before it count as load."
    )

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """Returns d distinct workers for each task, one task after the other; fewer if there are fewer workers than d."""
        each = min(PROBE_RATIO, len(workers))
        return [worker for _ in range(tasks) for worker in rng.sample(workers, each)] if each else []

    def place(self, tasks: int, probed: Sequence[str], loads: Mapping[str, int], rng: random.Random) -> list[str]:
        """Returns the worker of each task.

        A worker that has not answered is not in ``loads`` and gets nothing. If none of a task's own probes was answered, the task
        goes to the least loaded of all workers that have answered. The tasks that are placed count as load for the following ones.
        """
        load = dict(loads)
        each = len(probed) // tasks
        chosen = []
        for first in range(0, tasks * each, each):
            answered = [worker for worker in probed[first : first + each] if worker in load] or list(load)
            least = min(load[worker] for worker in answered)
            worker = rng.choice([worker for worker in answered if load[worker] == least])
            load[worker] += 1
            chosen.append(worker)
        return chosen


@METHODS.register
class Batch(Method):
    """Batch sampling (section 3.2): d·m probes for the m tasks together, and one task to each of the m least loaded workers."""

    name = "BATCH"
    summary = "the tasks of a job to the least loaded of twice as many workers"
    section = "3.2"
    colour = 3
    samples = PER_JOB
    why = "All tasks probed together; each went to one of the least loaded, ties at random. With few workers it goes in waves."

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """Returns d·m distinct workers, or all of them if there are fewer."""
        return rng.sample(workers, min(PROBE_RATIO * tasks, len(workers)))

    def place(self, tasks: int, probed: Sequence[str], loads: Mapping[str, int], rng: random.Random) -> Iterator[str]:
        """Yields the worker of each task.

        With fewer than d·m answers the tasks are placed in waves: the less loaded half of the workers get a task each, their loads
        go up by one, and this is repeated until every task has a worker.
        """
        load = dict(loads)
        order = list(load)
        rng.shuffle(order)  # sorting is stable, so without the shuffle ties would follow the order of the answers
        return islice(_waves(load, order), tasks)


def _waves(load: dict[str, int], order: list[str]) -> Iterator[str]:
    """Yields workers without an end, the less loaded half of them in each wave. Changes ``load`` and ``order``."""
    wave = max(1, len(order) // PROBE_RATIO)
    while True:
        order.sort(key=load.__getitem__)
        for worker in order[:wave]:
            load[worker] += 1
            yield worker


@METHODS.register
class BatchLateBinding(Method):
    """Batch sampling with late binding (section 3.3): reservations on d·m workers, which ask for a task once they are free."""

    name = "BATCH+LATE_BINDING"
    summary = "reservations on twice as many workers; who is free first gets a task"
    section = "3.3"
    colour = 4
    samples = RESERVATIONS
    why = (
        "Reservations in the order in which they reached the front of a queue. "
        "The first to come got the tasks, so no estimate of a queue was needed."
    )

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """Returns d·m workers, spread as evenly as possible: distinct while there are enough, else several reservations each."""
        return _spread(math.ceil(self.probe_ratio * tasks), workers, rng)


@METHODS.register
class Pull(Method):
    """Late binding without waiting for a sampled worker: a worker that is idle says so (Lu et al. 2011, join-idle-queue)."""

    name = "PULL"
    summary = "idle workers say so and get the oldest task"
    section = ""
    colour = 5
    samples = IDLE_WORKERS
    probe_ratio = 1.5  # with 2 a task of 100 workers and 4 schedulers takes 7 % more calls, and its job is no faster
    why = "Each task went to a worker that had a free slot and had said so. The others waited in the scheduler for the next one."

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """Returns the workers that get reservations, as BATCH+LATE_BINDING does."""
        return _spread(math.ceil(self.probe_ratio * tasks), workers, rng)


def _spread(reservations: int, workers: Sequence[str], rng: random.Random) -> list[str]:
    """Returns so many workers: distinct while there are enough, else each as often as the others, or once more."""
    if not workers:
        return []
    rounds, rest = divmod(reservations, len(workers))
    everyone = rng.sample(workers, len(workers)) if rounds else []
    return everyone * rounds + rng.sample(workers, rest)
