"""Bugs that are planted in nodes, links and books: that the checks find each is what makes their silence worth something."""

import os
import subprocess
import sys

import pytest

from scripts.testbed.local_cluster import ROOT
from src.simulation.network import Faults
from src.simulation.simulation import Simulation
from src.sparrow.client_node import ClientNode
from src.sparrow.dialing import Dialing
from src.sparrow.jobs import DONE
from src.sparrow.jobspec import JobSpec
from src.sparrow.jobtable import JobTable
from src.sparrow.link import Link
from src.sparrow.names import WORKERS, HeldName
from src.sparrow.scheduler_node import SchedulerNode
from src.sparrow.worker_node import WorkerNode
from src.sparrow.workqueue import WorkQueue
from tests.support.books import says_of_itself
from tests.support.chaos import crammed, racks, wrong_in
from tests.support.naming import wrong_with_names

SEEDS = 2_000  # within which each must be found; most take a few


class LosesWhatWasUnderWay(Link):
    """What was on its way when a connection broke is not sent again."""

    def _take_back(self):
        self._under_way = []


class StaysDisconnected(Link):
    """A connection that has ended is not made again, and the peer is not given up either."""

    def _begin_connecting(self):
        if self._connected_at_s == float("-inf"):
            super()._begin_connecting()


class DropsWhatWasRefusedWhole(Link):
    """A batch that was refused is dropped as a whole, instead of only the message that was refused."""

    def refused(self, reason):
        batch, self._under_way = self._under_way, []
        self.owner.link_refused(self, batch[0])
        self.flush()


class WaitsWithWhatMakesRoom(Link):
    """While the peer has no room, it is told nothing at all."""

    def flush(self):
        if not self._full:
            super().flush()


class RefusesWhatMakesRoom(WorkerNode):
    """A full worker refuses everything."""

    def received(self, scheduler, greeting, batch):
        if self.queue.load > self.settings.max_held:
            raise BlockingIOError("try later")
        return super().received(scheduler, greeting, batch)


class ForgetsTheJobsOfALostScheduler(ClientNode):
    """The jobs of a scheduler that is gone are not handed over."""

    def disconnected(self, scheduler, reason):
        for job in self.jobs.values():
            if job.scheduler == scheduler:
                job.scheduler = None
                self._handed -= 1
        super().disconnected(scheduler, reason)


class TakesNoRoomForAnAnswer(ClientNode):
    """A job for which there was no room is not handed over again."""

    def refused(self, scheduler, job, reason):
        self._handed -= 1


class BelievesEveryReport(ClientNode):
    """A report counts however often it comes."""

    def reported(self, scheduler, job, report):
        held = self._held_by(scheduler, job)
        super().reported(scheduler, job, report)
        if held is not None and report["retried"]:
            self._host.finish(job, report, 0)


class NeverTriesAgain(Dialing):
    """A worker that could not be reached once is never tried again."""

    def failed(self, name, now, refused):
        super().failed(name, now, refused)
        self._waiting.clear()
        return False


class BelievesWhatIsSaid(WorkerNode):
    """Whoever says that he is a scheduler is one."""

    def received(self, scheduler, greeting, batch):
        return super().received(scheduler, says_of_itself(*scheduler), batch)


class BelievesItIsTheWorker(SchedulerNode):
    """Whoever says that he is a worker is one."""

    def received(self, worker, greeting, batch):
        return super().received(worker, says_of_itself(WORKERS + worker.name, worker.incarnation), batch)


class LetsTheOlderEndTheNewer(WorkerNode):
    """A scheduler that was suspended, or a message that comes late, ends what its successor has given."""

    def _is_outdated(self, scheduler):
        return False


class DeafToCancellation(WorkQueue):
    """A cancellation is lost for good."""

    def _on_cancel(self, owner, cancel, now, out):
        pass


class CountsTwice(JobTable):
    """A completion that arrives a second time is counted a second time."""

    def _on_done(self, worker, done, now, out):
        job = self.jobs.get(done.job)
        if job is not None and job.tasks[done.task].state == DONE:
            self._close_task(job, now, out)
        else:
            super()._on_done(worker, done, now, out)


class ForgetsTheLost(JobTable):
    """The tasks of a lost worker are not placed again."""

    def _lose(self, *args):
        super()._lose(*args)


class PlacesAgainAtOnce(JobTable):
    """A task that was lost is placed again at once, however often it was lost before."""

    def _lose(self, *args):
        return None if super()._lose(*args) is None else 0.0


class CountsWhatNeverLeft(JobTable):
    """A run that was never sent counts as lost."""

    def lost(self, worker, now, unsent=()):
        return super().lost(worker, now)


class BelievesAnyAttempt(JobTable):
    """The end of a run that was superseded counts for the one that superseded it, and no run is taken back before its end."""

    def _on_done(self, worker, done, now, out):
        job = self.jobs.get(done.job)
        if job is not None:
            done = done.replace(attempt=job.tasks[done.task].attempt)
        super()._on_done(worker, done, now, out)

    def _on_holdings(self, worker, held, now, out):
        pass


def scheduler_with(**parts):
    return {"scheduler_class": type("PlantedScheduler", (SchedulerNode,), parts)}


def worker_with(**parts):
    return {"worker_class": type("PlantedWorker", (WorkerNode,), parts)}


PLANTED = {
    "LosesWhatWasUnderWay": worker_with(link_class=LosesWhatWasUnderWay),
    "StaysDisconnected": scheduler_with(link_class=StaysDisconnected),
    "DropsWhatWasRefusedWhole": worker_with(link_class=DropsWhatWasRefusedWhole),
    "WaitsWithWhatMakesRoom": {"world": crammed, **scheduler_with(link_class=WaitsWithWhatMakesRoom)},
    "RefusesWhatMakesRoom": {"world": crammed, "worker_class": RefusesWhatMakesRoom},
    "ForgetsTheJobsOfALostScheduler": {"client_class": ForgetsTheJobsOfALostScheduler},
    "TakesNoRoomForAnAnswer": {"client_class": TakesNoRoomForAnAnswer},
    "BelievesEveryReport": {"client_class": BelievesEveryReport},
    "NeverTriesAgain": scheduler_with(dialing_class=NeverTriesAgain),
    "DeafToCancellation": worker_with(queue_class=DeafToCancellation),
    "CountsTwice": scheduler_with(table_class=CountsTwice),
    "BelievesWhatIsSaid": {"worker_class": BelievesWhatIsSaid},
    "BelievesItIsTheWorker": {"scheduler_class": BelievesItIsTheWorker},
    "LetsTheOlderEndTheNewer": {"worker_class": LetsTheOlderEndTheNewer},
    "ForgetsTheLost": scheduler_with(table_class=ForgetsTheLost),
    "PlacesAgainAtOnce": {"world": racks, **scheduler_with(table_class=PlacesAgainAtOnce)},
    "CountsWhatNeverLeft": {"world": racks, **scheduler_with(table_class=CountsWhatNeverLeft)},
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_and_its_seed_finds_it_alone(name):
    found = next((seed for seed in range(SEEDS) if wrong_in(seed, **PLANTED[name])), None)
    assert found is not None, f"not found in {SEEDS} seeds"
    code = (
        f"from tests.simulation.test_planted_bugs import *; planted = PLANTED[{name!r}]; "
        f"world = {{key: planted[key] for key in planted if key == 'world'}}; "
        f"print(bool(wrong_in({found}, **planted)), wrong_in({found}, **world))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    alone = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60, env=environment)
    assert alone.stdout == "True []\n", f"seed {found}"


@pytest.mark.parametrize(("planted", "found"), [({}, False), (PLANTED["DeafToCancellation"], True)], ids=["real", "planted"])
def test_a_lost_cancellation_is_found_without_any_fault(planted, found):
    sim = Simulation(workers=2, audited=True, **planted)
    sim.submit(0.0, JobSpec("blocks", (20.0,), "BATCH"))
    sim.submit(1.0, JobSpec("leaves", (0.1,), "BATCH+LATE_BINDING"))
    sim.run()
    assert any("of an ended job" in violation for violation in sim.check()) == found


def test_a_cancellation_that_was_never_sent_is_made_up_for_by_the_next_reconcile():
    class NeverCancels(JobTable):
        def _cancel_what_is_left(self, job, now, out):
            super()._cancel_what_is_left(job, now, [])

    sim = Simulation(workers=2, audited=True, **scheduler_with(table_class=NeverCancels))
    sim.submit(0.0, JobSpec("blocks", (20.0,), "BATCH"))
    sim.submit(1.0, JobSpec("leaves", (0.1,), "BATCH+LATE_BINDING"))
    sim.run()
    assert sim.check() == []


@pytest.mark.parametrize(("table_class", "found"), [(JobTable, False), (BelievesAnyAttempt, True)])
def test_a_superseded_run_that_counts_is_found(table_class, found):
    """The one worker is cut off, given up and found again: it still runs the first attempt while the second is queued there."""
    sim = Simulation(workers=1, seed=1, audited=True, faults=Faults(every_s=1e9), **scheduler_with(table_class=table_class))
    sim.submit(0.2, JobSpec("job", (7.5,), "BATCH"))
    sim.run(0.7)
    sim.workers[0].hinder(mute_until_s=4.0)
    sim.run()
    assert any("never finished it" in violation for violation in sim.check()) == found


# Names


class BelievesSilence(HeldName):
    """Whatever is at the port of a name has it, also if it says nothing."""

    async def _is_held(self, uri, within_s):
        said = await self._host.greet(uri, self._settings.look_s)
        return said is None or said.get("name") == self.name


class BelievesAnybody(HeldName):
    """Whoever answers at the port of a name has it, also if it answers as something else."""

    async def _is_held(self, uri, within_s):
        return await self._host.greet(uri, self._settings.look_s) is not None


class NeverLooksAgain(HeldName):
    """Who has taken a name over believes at once that it has it."""

    async def _settle(self, began_s, acknowledged):
        pass


class TakesWhatHasChangedHands(HeldName):
    """A name is taken from whoever has it by now, though it was another one that did not answer."""

    async def _take_over(self, dead):
        await self._host.register(self.name, self.uri, safe=False)
        return self.uri


@pytest.mark.parametrize("held_class", [BelievesSilence, BelievesAnybody, NeverLooksAgain, TakesWhatHasChangedHands])
def test_a_planted_bug_of_names_is_found(held_class):
    found = next((seed for seed in range(SEEDS) if wrong_with_names(seed, held_class=held_class)), None)
    assert found is not None, f"not found in {SEEDS} seeds"
    assert wrong_with_names(found) == [], f"seed {found}"
