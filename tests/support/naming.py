"""Processes that claim names at once, over names that lead nowhere and name servers of all kinds, drawn from one seed."""

import random

from src.simulation.network import Faults, Network
from src.simulation.simulation import Simulation
from src.simulation.stranger import Stranger
from src.sparrow.jobspec import JobSpec
from src.sparrow.names import SCHEDULERS, HeldName


def start_together(seed, held_class=HeldName, **options):
    """A host whose workers are killed at once and start again together; their old ports belong to nobody, or to something else.

    Meanwhile the name server may be slow. At the end one more scheduler's name leads to something else while it runs.
    """
    rng = random.Random(f"naming {seed}")
    network = Network(
        jitter_s=rng.choice((0.0005, 0.005, 0.05)),
        loss=rng.choice((0.0, 0.02)),
        straggling=rng.choice((0.0, 0.05)),
    )
    workers = rng.randint(2, 6)
    options = {"atomic_names": rng.random() < 0.5, **options}
    sim = Simulation(
        workers=workers,
        workers_per_host=workers,
        schedulers=2,
        seed=seed,
        network=network,
        faults=Faults(every_s=1e9),
        audited=True,
        held_class=held_class,
        **options,
    )
    sim.run_until(rng.uniform(5.0, 20.0))
    if rng.random() < 0.3:
        sim.nameserver.hinder(slow_until_s=sim.now + rng.uniform(1.0, 20.0))
    again_s = sim.now + rng.uniform(0.1, 3.0)
    for member in (*sim.workers, sim.schedulers[1]):
        before = member.uri
        sim.crash(member, again_s + rng.choice((0.0, 0.0, rng.uniform(0.0, 1.0))), silent=False)
        if rng.random() < 0.6:
            Stranger(sim, before, mute=rng.random() < 0.5)
    sim.run_until(again_s + 60.0)
    gone = Stranger(sim, f"PYRO:x@127.0.0.1:{next(sim.ports)}", mute=rng.random() < 0.5)
    sim.nameserver.names[f"{SCHEDULERS}1"] = gone.uri
    sim.run_until(sim.now + 30.0)
    sim.submit(sim.now, JobSpec("job", (0.1,) * 10, "BATCH"))
    sim.run(sim.now + 200.0)
    return sim


def wrong_with_names(seed, **options):
    """What was wrong in that run."""
    sim = start_together(seed, **options)
    found = sim.check()
    names = sorted(member.full_name for member in sim.members)
    if len(set(names)) < len(names):
        found.append(f"two have the same name: {names}")
    if sim.counts["name taken for good"] and not sim.nameserver.upset_s:
        found.append("a process that had a name, or tried to get one of many, has ended")
    if sim.schedulers[0].life > 1:
        found.append("a scheduler that ran has ended, because its name led elsewhere")
    return found
