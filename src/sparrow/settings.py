"""The settings of schedulers, workers and clients: every time and every limit, each with its meaning and its unit.

The settings are handed to the nodes, live and simulated. They are neither compared nor printed: the code
for that would take 0.1 MB. A name that ends in ``_s`` is a number of seconds of the node's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

VANISHED_S = 6  # the system ends a connection whose other end has been unreachable for this time


@dataclass(frozen=True, eq=False, repr=False)
class LinkSettings:
    """The times and limits of a link to one peer."""

    lost_after_s: float = 2.5  # a peer that has not answered, or could not be connected, for this time is lost
    first_retry_s: float = 0.01  # before the second attempt to connect: a process that ends may accept one more connection
    retry_s: float = 0.1  # the longest pause between two attempts to connect, and the pause after a shorter connection
    no_room_retry_s: float = 1.0  # before a peer that had no room is called again
    no_room_for_s: float = 60.0  # a peer that has had no room for this time is lost
    largest_batch: int = 2_000  # messages in one call: more would block the event loops of both sides for too long


@dataclass(frozen=True, eq=False, repr=False)
class ReconcileSettings:
    """How a scheduler and a worker compare what the worker holds."""

    every_s: float = 0.5  # between two Reconcile messages to a worker that holds something
    settled_s: float = 1.0  # a run or reservation that was sent longer ago than this has arrived, or is lost
    max_named: int = 500  # runs, and as many reservations, in one message: the next message names the following ones


@dataclass(frozen=True, eq=False, repr=False)
class NamingSettings:
    """How a process holds its name in the name server."""

    renew_s: float = 4.0  # between two checks that the name is still registered, plus or minus a quarter at random
    retry_s: float = 0.5  # between two attempts while the name server is not available
    answer_s: float = 10.0  # for one answer of the name server: slow is not dead
    slow_s: float = 1.5  # a name server that has not answered for this time is called slow
    look_s: float = 2.5  # the process that has the wanted name must answer as its holder within this time
    settle_s: float = 0.5  # after a name was taken over: whoever has overwritten it, or has it, is seen after this time
    look_again_s: float = 0.2  # after a name was bound, for the first check that it still is; quicker writes need no longer wait
    release_s: float = 8.0  # the longest time for giving the name back when the process stops


@dataclass(frozen=True, eq=False, repr=False)
class DialingSettings:
    """How a process connects to those that the name server lists. The bounds are those of each lane (``dialing``)."""

    at_once: int = 32  # connections that are being made
    per_host: int = 16  # of them, to one host
    new_per_s: float = 1_000.0  # connections to new names that are begun in a second
    failing_per_s: float = 20.0  # the same for names that have never answered
    backoff_s: float = 1.0  # before a name that could not be connected is tried again; the pause doubles each time
    backoff_most_s: float = 10.0  # the longest such pause
    look_again_s: float = 0.1  # until those that a rate has held up are looked at again
    refused_for_s: float = 600.0  # a name whose port has refused all connections for this time is removed from the name server
    said_per_s: float = 1.0  # lines in the log about names that cannot be used


@dataclass(frozen=True, eq=False, repr=False)
class TallyLimits:
    """How many ended jobs a scheduler remembers, and how much of a job it shows."""

    listed_jobs: int = 100  # the newest jobs, which are listed with a line each
    kept_jobs: int = 500  # ended jobs whose details are kept
    kept_tasks: int = 200_000  # tasks of all ended jobs whose details are kept
    sampled_tasks: int = 50  # tasks of each job whose wait and service times are counted in the histograms
    shown_tasks: int = 50_000  # tasks in the details of one job
    shown_placements: int = 10_000  # tasks of one job whose placement is explained, and as many reservations
    shown_at_once: int = 500  # tasks, explained tasks and reservations in one answer: the following ones are asked for next


@dataclass(frozen=True, eq=False, repr=False)
class SchedulerSettings:
    """The times and limits of a scheduler."""

    link: LinkSettings = field(default_factory=LinkSettings)
    naming: NamingSettings = field(default_factory=NamingSettings)
    reconcile: ReconcileSettings = field(default_factory=ReconcileSettings)
    dialing: DialingSettings = field(default_factory=DialingSettings)
    tally: TallyLimits = field(default_factory=TallyLimits)
    tick_s: float = 0.1  # between two ticks of the job table, while jobs are open
    max_at_once: int = 1_000  # tasks that are probed, placed, reserved for, cancelled or taken back in one step
    max_made_at_once: int = 10_000  # tasks of a job that are made, before they are placed, in one step
    max_reconciled: int = 5_000  # workers, and runs and reservations of theirs, that are reconciled in one tick
    refresh_s: float = 1.0  # between two listings of the workers in the name server, at least
    refresh_share: float = 50.0  # a listing that takes t seconds is followed by a pause of at least this many times t
    refresh_most_s: float = 4.0  # the longest such pause: the name server may have been slow this once
    max_retries: int = 3  # how often a task is placed again that was lost with a worker that may have begun it; then it fails
    retry_pause_s: float = 0.5  # before a task that was lost twice is placed again; the pause doubles with each further loss
    retry_pause_most_s: float = 4.0  # the longest such pause
    probe_timeout_s: float = 1.0  # a round of probes ends after this time, with the loads that have arrived
    subscribe_s: float = 60.0  # for this time workers tell of their free slots; it begins anew while jobs need that
    unheard_s: float = 1.0  # if tasks wait and no worker has said that it is idle for this time, some are asked
    unheard_workers: int = 10  # how many of them
    doubted_s: float = 3.0  # for this time a worker that was lost and is back is asked for runs that were placed elsewhere
    gather_s: float = 0.1  # from the first worker that joins to the placing of the jobs that waited, so that others join too
    remembered_workers: int = 10_000  # lost workers whose incarnations are remembered
    remembered_jobs: int = 10_000  # ended jobs about which late messages are accepted
    job_tasks: int = 5  # a job, or a report, takes as much memory as this number of tasks, in addition to its own tasks
    max_open_tasks: int = 500_000  # tasks in open jobs: about 350 MB
    max_calls: int = 200_000  # calls that wait for a report
    kept_report_tasks: int = 200_000  # tasks in the reports that are kept for clients that ask again
    max_greetings: int = 1_000  # workers that wait for the answer to their greeting
    max_asked_jobs: int = 1_000  # job ids in one call of ``stats``
    max_dict_tasks: int = 1_000  # tasks of a job whose report is wanted as a dict, which Pyro4's serializer writes slowly
    max_text_tasks: int = 10_000  # tasks of a job whose report is wanted as JSON that is not packed


@dataclass(frozen=True, eq=False, repr=False)
class WorkerSettings:
    """The times and limits of a worker."""

    link: LinkSettings = field(default_factory=LinkSettings)
    naming: NamingSettings = field(default_factory=NamingSettings)
    reconcile: ReconcileSettings = field(default_factory=ReconcileSettings)
    finish_s: float = 0.5  # a worker that is told to stop still finishes the runs that end within this time
    goodbye_s: float = 0.3  # the longest time, after that, for the delivery of the last messages to schedulers
    leaving_look_s: float = 0.005  # between two looks whether all that is over
    greet_s: float = 1.0  # the longest time, at the start, for the greetings to schedulers
    remembered: int = 20_000  # runs and reservations that have ended here and are recognized when they arrive again
    max_slots: int = 1024
    told_schedulers: int = 3  # of those that want to be told of free slots: so many are told each time
    max_held: int = 1_000_000  # tasks, reservations and messages that wait: about 400 MB
    max_schedulers: int = 100  # schedulers that have given the worker something
    max_at_once: int = 100  # tasks of 0 s that are run without returning to the event loop
    max_dropped: int = 5_000  # queued entries that are looked at in one step after a scheduler was lost


@dataclass(frozen=True, eq=False, repr=False)
class ClientSettings:
    """The times and limits of a client."""

    patience_s: float = 15.0  # the jobs fail if no scheduler is found within this time: it may just be starting
    retry_s: float = 0.1  # between two searches for a scheduler, while there is none
    gather_s: float = 0.1  # once the first scheduler is connected, the jobs wait so long for others to share them
    connect_s: float = 2.5  # for a connection to a scheduler
    max_connecting: int = 64  # schedulers that one search connects to: anybody may register names
    ask_s: float = 1.0  # between two questions for progress
    answer_s: float = 2.5  # a scheduler that does not answer such a question within this time loses its jobs to another one
    alone_answer_s: float = 15.0  # the same, if there is no other scheduler
    max_at_once: int = 16_000  # jobs that are handed over and have no report yet: further ones wait in the client
    first_window_bytes: int = (
        64 * 2**10
    )  # of jobs that a scheduler gets without an answer at first; what is added when it takes them
    least_window_bytes: int = 1000  # the same when it refuses again and again
    most_window_bytes: int = 2**20  # the same when it takes all
    slow_answer_s: float = 0.5  # a question that waits longer behind jobs halves these bytes
    pause_s: float = 0.5  # before a scheduler without room gets the next job, plus or minus a half at random; it doubles
    most_pause_s: float = 4.0  # the longest such pause
    max_asked_jobs: int = 1_000  # job ids in one question for progress
    max_jobs: int = 100_000  # jobs of one command
    max_tasks: int = 1_000_000  # tasks of all jobs of one command
