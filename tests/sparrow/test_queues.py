"""The queue of a worker: first in, first out, however long it is, and without a step that takes longer for that."""

import random
import time
import weakref

import pytest

from src.sparrow import messages as m
from src.sparrow import queues
from src.sparrow.commands import Send
from src.sparrow.messages import Address
from src.sparrow.queues import Fifo, QueuedReservation, QueuedTask
from src.sparrow.settings import ReconcileSettings, WorkerSettings
from src.sparrow.workqueue import WorkQueue

S1, S2 = Address("sparrow.scheduler.1", "1"), Address("sparrow.scheduler.2", "1")


def task(number, owner=S1):
    return QueuedTask((owner, (f"job{number // 100}", number % 100, 1)), 0.5, 0.0)


@pytest.fixture(params=["as it is", "small pieces"])
def sizes(request, monkeypatch):
    """The same rules hold if the pieces are so small that a few entries make many of them."""
    if request.param == "small pieces":
        for name, value in {"SHORT": 6, "PIECE": 4, "DICTS": 4, "MOST_REMOVED": 5, "TIDY_EVERY": 2}.items():
            monkeypatch.setattr(queues, name, value)


@pytest.mark.usefixtures("sizes")
def test_a_queue_discipline():
    queue = Fifo()
    entries = [task(0), QueuedReservation((S1, ("job", 0)), 0.0), task(0, S2)]
    for entry in entries:
        queue.push(entry)
    assert len(queue) == 3
    assert list(queue) == entries
    assert (S1, ("job", 0)) in queue
    assert queue.remove((S1, ("job", 0)))
    assert not queue.remove((S1, ("job", 0)))
    assert [queue.pop(), queue.pop()] == [entries[0], entries[2]]
    assert not queue
    assert queue.pop() is None


@pytest.mark.usefixtures("sizes")
@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_pushed_and_removed_the_order_is_that_of_arrival(seed):
    rng = random.Random(seed)
    queue, known, number = Fifo(), dict[object, QueuedTask](), 1
    former: list[QueuedTask] = []
    for _ in range(3000):
        what = rng.choices(["push", "again", "pop", "remove", "discard"], [10, 1, rng.choice((1, 9)), 5, 1])[0]
        some = rng.choice(list(known.values())) if known else None
        if what == "push":
            entry = task(number)
            number += 1
        elif what == "again":  # a key that was removed is that of another entry now
            entry = (former.pop(rng.randrange(len(former))) if former else task(0))._replace(since_s=1.0)
        if what == "push" or what == "again" and entry.key not in known:
            queue.push(entry)
            known[entry.key] = entry
        elif what == "pop":
            first = known.pop(next(iter(known))) if known else None
            assert queue.pop() is first
        elif what == "remove" and some:
            assert queue.remove(some.key)
            former.append(known.pop(some.key))
            assert not queue.remove(some.key)
        elif what == "discard" and some:
            queue.discard(some._replace())
            assert some.key in queue, "another entry of the same key stays"
            queue.discard(some)
            former.append(known.pop(some.key))
        assert (len(queue), bool(queue)) == (len(known), bool(known))
        assert some is None or (some.key in queue) == (some.key in known)
    assert list(queue) == list(known.values())
    assert set(known.values()) <= set(queue.entries())
    assert len(queue.entries()) <= 2 * len(known) + 2 * queues.TIDY_EVERY * (1 + len(known) // queues.PIECE)
    while known:
        assert queue.pop() is known.pop(next(iter(known)))


@pytest.mark.usefixtures("sizes")
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 500])
def test_the_parts_make_up_the_whole_again_and_again(count):
    queue = Fifo()
    for number in range(count):
        queue.push(task(number))
    for number in range(0, count, 3):
        queue.remove(task(number).key)
    for most in (1, 2, 7, 1000):
        place = 0
        for _ in range(2):
            found, place = queue.part(place, most)
            while place:
                part, place = queue.part(place, most)
                assert len(part) <= most
                found += part
            assert found == list(queue)


@pytest.mark.usefixtures("sizes")
def test_no_entry_is_passed_over_in_a_long_queue_because_whole_pieces_leave_at_the_front():
    queue, most = Fifo(), queues.PIECE
    entries = [task(number) for number in range(40 * most)]
    for entry in entries:
        queue.push(entry)
    seen, place = [], 0
    for _ in range(20):
        part, place = queue.part(place, most)
        seen += part
        for _ in range(most):
            queue.pop()
    assert seen == entries[: 20 * most]


def test_what_is_removed_takes_a_bounded_part_of_the_memory_though_nothing_leaves_at_the_front():
    queue = Fifo()
    for number in range(2 * queues.SHORT):
        queue.push(task(number))
    for number in range(2 * queues.SHORT, 20 * queues.SHORT):
        queue.push(task(number))
        queue.remove(task(number).key)
    assert len(queue) == 2 * queues.SHORT
    assert len(queue.entries()) < 2 * len(queue)
    assert len(queue._long._pieces) < 3 * len(queue) // queues.PIECE  # type: ignore[union-attr]  # it is long


def test_a_long_queue_is_held_in_pieces_which_grow_by_themselves():
    queue, count = Fifo(), 100_000
    for number in range(count):
        queue.push(task(number))
    assert queue._long is not None
    assert max(map(len, queue._long._dicts)) < 5_000
    for _ in range(count - 1):
        queue.pop()
    assert len(queue._long._pieces) == 1
    queue.pop()
    assert queue._long is None, "a queue that was empty is short again"


def reconciled(queue, owner, now=9.0):
    (command,) = queue.received(owner, [m.Reconcile([], [])], now)
    assert isinstance(command, Send)
    assert isinstance(command.message, m.Holdings)
    return command.message


def filled(count, settings=WorkerSettings()):
    queue = WorkQueue(1, settings)
    for number in range(count):
        owner = (S1, S2)[number // 10 % 2]
        queue.received(owner, [m.Launch(f"job{number // 100}", number % 100, 1, 600.0)], 0.0)
    return queue


def test_each_scheduler_hears_of_all_it_has_in_the_queue_however_the_questions_of_others_come():
    queue = filled(81, WorkerSettings(reconcile=ReconcileSettings(max_named=10)))
    extra: dict[Address, set[m.Run]] = {S1: set(), S2: set()}
    for _ in range(10):
        for owner, other in ((S1, S2), (S2, S1)):
            extra[owner].update(reconciled(queue, owner).extra_runs)
            reconciled(queue, other)
            reconciled(queue, other)
    held = [entry.key for entry in [*queue.queue, *queue.running.values()]]
    assert extra == {owner: {run for of, run in held if of == owner} for owner in (S1, S2)}


def test_a_worker_with_a_long_queue_leaves_at_once():
    queue = filled(100_000)
    assert queue.queue._long is not None
    queued = weakref.ref(queue.queue._long)
    queue.leave([S1, S2], 9.0, within_s=1.0)
    assert queue.load == 0
    assert queued() is not None, "to free so much is left to the end of the process"


def test_the_places_of_lost_schedulers_are_forgotten():
    queue = filled(5)
    reconciled(queue, S1)
    reconciled(queue, S2)
    queue.lost(S1, 9.0)
    assert list(queue._places) == [S2]


def test_a_question_about_the_middle_of_a_long_queue_takes_no_longer_than_one_about_its_front():
    queue = filled(100_000)
    rounds = 100_000 // ReconcileSettings.max_named
    took_s = []
    for _ in range(rounds):
        began = time.process_time()
        reconciled(queue, S1)
        took_s.append(time.process_time() - began)
    front, back = min(took_s[: rounds // 10]), min(took_s[-rounds // 10 :])
    assert back < 5 * front
