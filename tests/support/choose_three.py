"""A method as a user would add one: a class of its own, of which nothing else in the project knows."""

from src.sparrow.placement import Method

PROBES = 3  # for each task


class ChooseThree(Method):
    name = "CHOOSE_THREE"
    summary = "each task to the least loaded of three workers"
    section = ""
    colour = 6
    samples = "per task"
    why = "Each task probed three workers and went to the least loaded of them."

    def probe(self, tasks, workers, rng):
        each = min(PROBES, len(workers))
        return [worker for _ in range(tasks) for worker in rng.sample(workers, each)] if each else []

    def place(self, tasks, probed, loads, rng):
        load = dict(loads)
        each = len(probed) // tasks
        chosen = []
        for first in range(0, tasks * each, each):
            answered = [worker for worker in probed[first : first + each] if worker in load] or list(load)
            chosen.append(min(answered, key=load.__getitem__))
            load[chosen[-1]] += 1
        return chosen
