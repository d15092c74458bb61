"""Where the tasks of a job go: the four methods of the Sparrow paper (section 3), behind one interface.

A method is asked twice. ``probe`` names the workers to sample; ``place`` turns what they answered into one worker a task. Two flags
say how much of that a method uses:

=====================  ============  ==========================================================
flags                  methods       what the answers of ``probe`` are for
=====================  ============  ==========================================================
neither                RANDOM        they are the placement: one worker a task
``needs_loads``        CHOOSE_TWO,   each is asked for its load, then ``place`` decides
                       BATCH
``late_binding``       BATCH+LATE_   each gets a reservation; workers come for the tasks
                       BINDING
=====================  ============  ==========================================================

A fifth method is one more class and one more line in ``METHODS``. Methods have no state: one instance serves all jobs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

PROBE_RATIO = 2  # d: workers sampled for each task (paper, section 3.6: 2 is enough up to 90 % load)


class Random:
    """Each task to a worker drawn uniformly at random, independently."""

    name = "RANDOM"
    needs_loads = False
    late_binding = False

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """The worker of each task, in order; empty when there are no workers."""
        return rng.choices(workers, k=tasks) if workers else []

    def place(self, tasks: int, probed: Sequence[str], loads: Mapping[str, int], rng: random.Random) -> list[str]:
        return list(probed)


class ChooseTwo:
    """Per-task sampling (section 3.1): each task to the less loaded of d workers drawn for it alone."""

    name = "CHOOSE_TWO"
    needs_loads = True
    late_binding = False

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """d distinct workers a task, one task after the other; fewer when there are fewer workers than d."""
        each = min(PROBE_RATIO, len(workers))
        return [worker for _ in range(tasks) for worker in rng.sample(workers, each)] if each else []

    def place(self, tasks: int, probed: Sequence[str], loads: Mapping[str, int], rng: random.Random) -> list[str]:
        """One worker a task. A worker that did not answer is not in ``loads`` and gets nothing; when none of a task's own
        probes answered, the task goes to the least loaded of those that did. Tasks placed here count as load at once."""
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


class Batch:
    """Batch sampling (section 3.2): d·m probes for the m tasks together, one task to each of the m least loaded."""

    name = "BATCH"
    needs_loads = True
    late_binding = False

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """d·m distinct workers, or all of them when there are fewer."""
        return rng.sample(workers, min(PROBE_RATIO * tasks, len(workers)))

    def place(self, tasks: int, probed: Sequence[str], loads: Mapping[str, int], rng: random.Random) -> list[str]:
        """One worker a task. With fewer than d·m answers, in waves: the less loaded half get a task each, their load goes
        up by one, and again, until every task has a worker."""
        load = dict(loads)
        order = list(load)
        rng.shuffle(order)  # sorting keeps the order of equals, so this is what makes ties fair
        wave = max(1, len(order) // PROBE_RATIO)
        chosen: list[str] = []
        while len(chosen) < tasks:
            order.sort(key=load.__getitem__)
            for worker in order[: min(wave, tasks - len(chosen))]:
                load[worker] += 1
                chosen.append(worker)
        return chosen


class BatchLateBinding:
    """Batch sampling with late binding (section 3.3): reservations on d·m workers, which come for a task when they are free."""

    name = "BATCH+LATE_BINDING"
    needs_loads = False
    late_binding = True

    def probe(self, tasks: int, workers: Sequence[str], rng: random.Random) -> list[str]:
        """d·m workers, as evenly as they go: distinct while there are enough, else several reservations each."""
        if not workers:
            return []
        rounds, rest = divmod(PROBE_RATIO * tasks, len(workers))
        everyone = rng.sample(workers, len(workers)) if rounds else []
        return everyone * rounds + rng.sample(workers, rest)

    def place(self, tasks: int, probed: Sequence[str], loads: Mapping[str, int], rng: random.Random) -> list[str]:
        """Nothing: the workers decide, by the order in which they come."""
        return []


METHODS = {method.name: method for method in (Random(), ChooseTwo(), Batch(), BatchLateBinding())}


def method_named(name: object) -> Random | ChooseTwo | Batch | BatchLateBinding:
    """The method of that name. ValueError, naming the four, when there is none."""
    method = METHODS.get(name) if isinstance(name, str) else None
    if method is None:
        raise ValueError(f"unknown method {name!r:.60}: choose one of {', '.join(METHODS)}")
    return method
