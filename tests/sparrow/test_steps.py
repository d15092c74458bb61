"""No event of a scheduler does more than so much work, whatever the size of a job, of a batch or of a loss."""

import random

import pytest

from src.simulation import audit
from src.simulation.network import Faults, Network
from src.simulation.simulation import Simulation
from src.sparrow import messages as m
from src.sparrow.commands import Send
from src.sparrow.jobs import PLACED
from src.sparrow.jobspec import MAX_TASKS, JobSpec
from src.sparrow.jobtable import JobTable
from src.sparrow.placement import METHODS
from src.sparrow.settings import SchedulerSettings
from tests.support.books import LATE, SETTINGS, at, finishes, of, spec, table_with

STEP = 4 * SETTINGS.max_at_once  # messages: two probes or reservations for each task, and the tasks of one step
SMALL = 5_000  # tasks: enough for several steps


class Workers:
    """Workers that answer probes, and everything that their table tells them; the largest step is noted."""

    def __init__(self, table, *names):
        self.table, self.names = table, names
        self.largest = 0
        self.told: dict = {name: [] for name in names}
        self.finished = []

    def take(self, commands):
        self.largest = max(self.largest, len(commands))
        self.finished += finishes(commands)
        for command in commands:
            if isinstance(command, Send):
                self.told[command.to.name].append(command.message)
                if isinstance(command.message, m.Probe):
                    self.take(self.table.received(command.to, m.loads([command.message], 0), 0.0))

    def work(self, now=0.0):
        """Has the table do all that is left, a step at a time."""
        steps = 0
        while self.table.has_work:
            self.take(self.table.work(now))
            steps += 1
        return steps

    def launched(self):
        return [message for told in self.told.values() for message in told if isinstance(message, m.Launch)]


@pytest.mark.parametrize("method", [method for method in METHODS if not METHODS[method].pulls])
def test_a_large_job_is_placed_in_steps(method):
    table = table_with("a", "b", "c")
    workers = Workers(table, "a", "b", "c")
    workers.take(table.submitted(spec(method, *[0.1] * SMALL), 0.0))
    assert workers.work() >= SMALL / SETTINGS.max_at_once - 1
    assert workers.largest <= STEP
    assert audit.of_table(table) == []
    job = table.jobs["job"]
    if method == LATE:
        assert len(job.reserved) == 2 * SMALL
        each = [len(entry.reservations) for entry in table.workers.values()]
        assert max(each) - min(each) <= 1
    else:
        assert all(task.state == PLACED and task.attempt == 1 for task in job.tasks)
        assert sorted(launch.task for launch in workers.launched()) == list(range(SMALL))


def test_a_large_job_goes_to_many_idle_workers_in_steps():
    table = table_with("a", "b", "c")
    workers = Workers(table, "a", "b", "c")
    workers.take(table.submitted(spec("PULL", *[0.1] * SMALL), 0.0))
    workers.take(table.received(at("a"), [m.Idle(1, SMALL, 0, 1)], 0.0))
    assert workers.work() >= SMALL / SETTINGS.max_at_once - 1
    assert workers.largest <= STEP
    assert audit.of_table(table) == []
    assert sorted(offer.task for offer in workers.told["a"] if isinstance(offer, m.Offer)) == list(range(SMALL))


def test_the_largest_job_takes_many_steps():
    table = table_with(*"abcdefghij")
    workers = Workers(table, *"abcdefghij")
    workers.take(table.submitted(spec("BATCH", *[0.1] * MAX_TASKS), 0.0))
    assert workers.work() >= MAX_TASKS / SETTINGS.max_at_once - 1
    assert workers.largest <= STEP
    each = [len(entry.runs) for entry in table.workers.values()]
    assert sum(each) == MAX_TASKS
    assert max(each) - min(each) <= 1, "all probes count for all tasks"


@pytest.mark.parametrize("method", METHODS)
def test_steps_place_as_one_placing_would(method):
    """Placing in steps is that at once, but for chance: with one task a step each task of CHOOSE_TWO still sees the ones before."""
    table = JobTable(random.Random(1), settings=SchedulerSettings(max_at_once=1))
    for name in "ab":
        table.joined(at(name), 1, 0.0)
    workers = Workers(table, "a", "b")
    workers.take(table.submitted(spec(method, *[0.1] * 20), 0.0))
    workers.work()
    assert audit.of_table(table) == []
    if method in ("CHOOSE_TWO", "BATCH"):
        assert [len(entry.runs) for entry in table.workers.values()] == [10, 10]


def test_jobs_take_turns():
    table = table_with("a")
    workers = Workers(table, "a")
    for id in ("large", "large too"):
        workers.take(table.submitted(spec("RANDOM", *[0.1] * SMALL, id=id), 0.0))
    workers.take(table.submitted(spec("RANDOM", id="small"), 0.0))
    assert "small" not in {launch.job for launch in workers.launched()} or len(workers.launched()) < SMALL
    for _ in range(6):
        workers.take(table.work(0.0))
    assert {launch.job for launch in workers.launched()} == {"large", "large too", "small"}


@pytest.mark.parametrize("method", ["BATCH", LATE])
def test_a_worker_with_many_tasks_is_lost_in_steps(method):
    table = table_with("a")
    workers = Workers(table, "a", "b")
    workers.take(table.submitted(spec(method, *[0.1] * SMALL), 0.0))
    workers.work()
    table.joined(at("b"), 1, 0.0)
    workers.largest = 0
    workers.take(table.lost("a", 1.0, iter(workers.told["a"])))
    assert audit.of_table(table) == []
    assert workers.work() > 2
    assert workers.largest <= STEP
    assert audit.of_table(table) == []
    entry, job = table.workers["b"], table.jobs["job"]
    assert len(entry.reservations if method == LATE else entry.runs) == SMALL * (2 if method == LATE else 1)
    assert all(task.lost_on == () for task in job.tasks), "it was sent nothing"


def test_a_worker_is_back_before_all_was_taken_from_its_former_life():
    table = table_with("a")
    workers = Workers(table, "a")
    workers.take(table.submitted(spec("BATCH", *[0.1] * SMALL), 0.0))
    workers.work()
    runs = list(table.workers["a"].runs)
    workers.take(table.lost("a", 1.0))
    workers.take(table.joined(at("a"), 1, 1.0))  # the same incarnation
    workers.take(table.received(at("a"), [m.Done(job, task, 1, 0.0, 0.1) for job, task in runs[-3:]], 1.0))
    workers.take(table.tick(1.0 + SETTINGS.gather_s))
    workers.work()
    assert audit.of_table(table) == []
    assert len(table.workers["a"].runs) == SMALL


def test_what_a_leaving_worker_had_is_placed_in_steps_and_its_last_runs_count():
    table = table_with("a", "b")
    workers = Workers(table, "a", "b")
    workers.take(table.submitted(spec("BATCH", *[0.1] * SMALL), 0.0))
    workers.work()
    runs = list(table.workers["a"].runs)
    workers.take(table.received(at("a"), [m.Leave([(*runs[0], 1)])], 1.0))
    workers.take(table.received(at("a"), [m.Done(job, task, 1, 0.0, 0.1) for job, task in (runs[0], runs[-1])], 1.0))
    workers.work()
    assert audit.of_table(table) == []
    assert table.jobs["job"].open == SMALL - 2


def test_many_reservations_are_cancelled_in_steps_and_then_the_job_ends():
    table = table_with("a", "b")
    workers = Workers(table, "a", "b")
    blocked, quick = spec(LATE, *[0.1] * SMALL), spec(LATE, 0.1, id="quick")
    workers.take(table.submitted(blocked, 0.0))
    workers.take(table.submitted(quick, 0.0))
    workers.work()
    asks = [m.Ask("job", number) for number in list(table.jobs["job"].reserved)[:SMALL]]
    for ask in asks:
        commands = table.received(at(table.jobs["job"].reserved[ask.reservation]), [ask], 0.0)
        workers.take(commands)
        for worker, assign in of(m.Assign, commands):
            workers.take(table.received(at(worker), [m.Done("job", assign.task, 1, 0.0, 0.1)], 0.0))
    assert workers.finished == [], "reservations are left"
    workers.work()
    assert workers.largest <= STEP
    ((job, report),) = workers.finished
    assert (job, len(report["tasks"])) == ("job", SMALL)
    assert audit.of_table(table) == []
    cancelled = [message for told in workers.told.values() for message in told if isinstance(message, m.Cancel)]
    assert len(cancelled) == SMALL


def test_all_jobs_that_waited_for_a_worker_are_not_placed_in_one_step():
    table = table_with()
    workers = Workers(table, "a")
    for i in range(200):
        table.submitted(spec("RANDOM", *[0.1] * 100, id=f"job{i}"), 0.0)
    table.joined(at("a"), 1, 0.0)
    workers.take(table.tick(SETTINGS.gather_s))
    workers.work()
    assert workers.largest <= STEP
    assert len(workers.launched()) == 20_000


@pytest.mark.parametrize("method", [method for method in METHODS if not METHODS[method].pulls])
@pytest.mark.parametrize("steps", range(8))
def test_no_task_is_lost_when_the_last_worker_goes_between_two_steps(method, steps):
    table = table_with(settings=SchedulerSettings(max_at_once=3))
    workers = Workers(table, "a")
    for id in ("first", "second"):
        workers.take(table.submitted(spec(method, *[0.1] * 8, id=id), 0.0))
    table.joined(at("a"), 1, 0.0)
    workers.take(table.tick(SETTINGS.gather_s))
    for _ in range(steps):
        workers.take(table.work(0.0))
    table.disconnected("a")
    workers.work()
    assert audit.of_table(table) == []
    table.joined(at("a"), 1, 1.0)
    workers.take(table.tick(1.0 + SETTINGS.probe_timeout_s))  # also ends the rounds whose probes nobody answers
    workers.work()
    assert audit.of_table(table) == []
    for job in table.jobs.values():
        assert len(job.reserved) >= 16 if method == LATE else all(task.state == PLACED for task in job.tasks)


def test_a_round_whose_last_answer_comes_with_its_last_probes_is_placed_once():
    table = table_with(settings=SchedulerSettings(max_at_once=100))
    workers = Workers(table, "a")
    workers.take(table.submitted(spec("RANDOM", *[0.1] * 40, id="before"), 0.0))
    workers.take(table.submitted(spec("CHOOSE_TWO", *[0.1] * 25), 0.0))
    table.joined(at("a"), 1, 0.0)
    workers.take(table.tick(SETTINGS.gather_s))  # places the first job, and probes for most tasks of the second
    workers.work()
    assert sorted(launch.task for launch in workers.launched() if launch.job == "job") == list(range(25))
    assert audit.of_table(table) == []


@pytest.mark.parametrize("method", ["BATCH", "CHOOSE_TWO"])
def test_many_small_jobs_are_taken_up_in_steps(method):
    most = 10
    table = table_with(settings=SchedulerSettings(max_at_once=most))
    for i in range(200):
        table.submitted(spec(method, id=f"job{i}"), 0.0)
    for name in "ab":
        table.joined(at(name), 1, 0.0)
    for now in (SETTINGS.gather_s, SETTINGS.gather_s + SETTINGS.probe_timeout_s):  # nobody answers, so each tries again
        probes, begun = 0, []
        for step in (table.tick, *[table.work] * 200):
            probes += len(of(m.Probe, step(now)))
            begun.append(sum(job.rounds_begun for job in table.jobs.values()))
        assert max(after - before for before, after in zip([begun[-1] - 200, *begun], begun)) <= most
        assert probes == 400
        assert not table.has_work
    assert len(of(m.Probe, table.lost("a", 1.5))) <= most
    Workers(table).work()
    assert audit.of_table(table) == []


def test_tasks_whose_pauses_are_over_at_once_are_placed_in_steps():
    most = 10
    table = table_with("a", settings=SchedulerSettings(max_at_once=most))
    workers = Workers(table, "a")
    for i in range(50):
        table.submitted(spec("RANDOM", 9.0, id=f"job{i}"), 0.0)
    workers.work()
    for i in range(2):  # the second loss of a task is followed by a pause
        workers.take(table.lost("a", 0.0))
        workers.work()
        table.joined(at("a", f"{i}"), 1, 0.0)
        workers.take(table.tick(SETTINGS.gather_s))
        workers.work()
    workers.told["a"].clear()
    workers.largest = 0
    workers.take(table.tick(SETTINGS.retry_pause_s + 0.2))
    workers.work(SETTINGS.retry_pause_s + 0.2)
    assert len(workers.launched()) == 50
    assert workers.largest <= most


def test_a_tick_reconciles_many_workers_in_turn():
    names = [f"w{i}" for i in range(60)]
    table = table_with(*names)
    workers = Workers(table, *names)
    workers.take(table.submitted(spec("BATCH", *[9.0] * 12_000), 0.0))
    workers.work()
    asked = []
    for tick in range(5):
        asked.append([name for name, _ in of(m.Reconcile, table.tick(5.0 + SETTINGS.tick_s * tick))])
        assert len(asked[-1]) <= SETTINGS.max_reconciled // 200 + 1
    assert set().union(*asked) == set(names)


@pytest.mark.parametrize("method", METHODS)
def test_a_simulated_cluster_with_large_jobs_and_faults_stays_in_order(method):
    sim = Simulation(
        workers=6, slots=16, seed=3, audited=True, network=Network(jitter_s=0.001), faults=Faults(every_s=2.0, until_s=8.0)
    )
    for i in range(3):
        sim.submit(0.1 * i, JobSpec(f"job{i}", (0.05,) * 3_000, method))
    sim.run()
    assert sim.check() == []
