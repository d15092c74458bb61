"""Hundreds of seeded runs in which processes claim names at once, over stale names and slow name servers."""

import pytest

from src.simulation.network import Faults
from src.simulation.simulation import Simulation
from src.simulation.stranger import Stranger
from src.sparrow.link import CONNECTING
from src.sparrow.names import WORKERS
from tests.support.naming import wrong_with_names


def test_names_are_claimed_and_held_by_exactly_one():
    found = {seed: wrong for seed in range(200) if (wrong := wrong_with_names(seed))}
    assert not found, f"replay with wrong_with_names(seed): {dict(list(found.items())[:5])}"


@pytest.mark.parametrize("atomic", [False, True], ids=["pyro4-ns", "our name server"])
def test_everything_starts_with_a_name_server_that_takes_seconds(atomic):
    """Slow is not dead: workers and schedulers have their names, and know each other."""
    sim = Simulation(workers=3, workers_per_host=3, schedulers=2, seed=1, faults=Faults(every_s=1e9), atomic_names=atomic)
    sim.nameserver.hinder(slow_until_s=1e9)
    sim.run_until(120.0)
    assert all(member.held is not None and member.held.certain for member in sim.members)
    assert all(len(scheduler.node.table.workers) == 3 for scheduler in sim.schedulers)


@pytest.mark.parametrize("atomic", [False, True], ids=["pyro4-ns", "our name server"])
def test_ten_thousand_names_that_lead_nowhere_hide_no_worker(atomic):
    """Black holes, closed ports, other programs, and the scheduler itself: a worker that starts among them is used at once."""
    sim = Simulation(workers=2, seed=1, faults=Faults(every_s=1e9), audited=True, atomic_names=atomic)
    (scheduler,) = sim.schedulers
    sim.crash(sim.workers[1], over_s=31.0, silent=False)
    sim.run_until(1.0)
    for number in range(10_000):
        uri = f"PYRO:{WORKERS}x{number}@127.0.0.1:{next(sim.ports)}"
        if number % 4 == 0:
            uri = scheduler.uri
        elif number % 4 < 3:
            Stranger(sim, uri, mute=number % 4 == 1)
        sim.nameserver.names[f"{WORKERS}x{number}"] = uri
    most = 0
    for tenth in range(1, 600):
        sim.run_until(1.0 + tenth / 10)
        most = max(most, sum(link.state == CONNECTING for link in scheduler.node.links.values()))
        if len(scheduler.node.table.workers) == 2 and sim.now > 31.0:
            break
    assert sim.now < 33.0
    assert 0 < most <= 4 * scheduler.settings.dialing.at_once
    sim.crash(sim.workers[0], over_s=sim.now + 1.0, silent=False)
    sim.run_until(sim.now + 5.0)
    assert len(scheduler.node.table.workers) == 2, "one that has answered before is found again"


def test_a_name_whose_port_refuses_for_long_is_removed_from_the_name_server():
    sim = Simulation(workers=1, seed=1, faults=Faults(every_s=1e9))
    dead = f"PYRO:{WORKERS}dead@127.0.0.1:{next(sim.ports)}"
    mute = Stranger(sim, f"PYRO:{WORKERS}mute@127.0.0.1:{next(sim.ports)}", mute=True)
    sim.nameserver.names.update({f"{WORKERS}dead": dead, f"{WORKERS}mute": mute.uri})
    refused_for_s = sim.schedulers[0].settings.dialing.refused_for_s
    sim.run_until(refused_for_s - 1.0)
    assert f"{WORKERS}dead" in sim.nameserver.names
    sim.run_until(refused_for_s + 30.0)
    assert f"{WORKERS}dead" not in sim.nameserver.names
    assert f"{WORKERS}mute" in sim.nameserver.names, "silence may be a process that hangs"
    assert sim.workers[0].full_name in sim.nameserver.names
