"""``MonitorSettings``: the times and limits of the monitor."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.dashboard.history import HistorySettings
from src.dashboard.target import TargetSettings


@dataclass(frozen=True)
class DetailSettings:
    """How the details of jobs and workers are asked for. A name that ends in ``_s`` is a number of seconds."""

    kept_s: float = 1.0  # details are read again after this time
    max_kept: int = 32  # jobs and workers whose details are kept
    unknown_s: float = 2.0  # that a job is unknown is found out again after this time
    max_unknown: int = 1_000  # unknown jobs and workers that are remembered
    deadline_s: float = 3.0  # the longest time that a viewer waits for details
    answer_s: float = 2.0  # the longest time that a scheduler has for an answer
    all_answers_s: float = 2.5  # the same for all parts of an answer together
    max_waiting: int = 16  # questions that wait for their turn, of each kind
    pause_s: float = 0.04  # between two questions of a kind to the schedulers
    pause_share: float = 2.0  # a question that takes t seconds is followed by a pause of this many times t
    max_tasks: int = 5_000  # tasks of the jobs that are searched for the tasks of one worker


@dataclass(frozen=True)
class MonitorSettings:
    """How often the cluster is sampled, and how much of it is remembered. A name that ends in ``_s`` is a number of seconds."""

    round_s: float = 1.0  # between two rounds while there are viewers
    idle_round_s: float = 5.0  # between two rounds while there are none
    viewed_s: float = 12.0  # from a request until the monitor counts as having no viewers
    max_workers_each_round: int = 50  # if there are more workers, each is asked in every second round only
    answers_s: float = 0.3  # the time that a round waits for answers
    settle_s: float = 0.15  # from a change of a target to the next snapshot, because several targets often change together
    margin_s: float = 0.05  # from the time when a snapshot is due to the time when viewers should ask for it
    names_s: float = 1.0  # between two questions to the name server while there are viewers
    names_share: float = 50.0  # an answer of the name server that takes t seconds is followed by a pause of this many times t
    names_answer_s: float = 12.0  # the time that the name server has for an answer: slow is not dead
    forget_s: float = 600.0  # a target that is gone, and not in the name server, is forgotten after this time
    max_schedulers: int = 200  # that are sampled at a time
    max_workers: int = 20_000
    max_turns: int = 50  # names of a kind that give way to others in one look, because nobody has answered there
    max_connecting: int = 64  # connections that are being made at a time
    target: TargetSettings = field(default_factory=TargetSettings)
    details: DetailSettings = field(default_factory=DetailSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
