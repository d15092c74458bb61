"""``MonitorSettings``: the times and limits of the monitor."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.dashboard.history import HistorySettings
from src.dashboard.target import TargetSettings


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
    names_answer_s: float = 3.0  # the time that the name server has for an answer
    forget_s: float = 600.0  # a target that is gone, and not in the name server, is forgotten after this time
    details_s: float = 1.0  # the details of a job or a worker are read again after this time
    details_pause_s: float = 0.04  # between two questions for details to the schedulers
    max_details: int = 32  # jobs and workers whose details are remembered
    max_detailed_tasks: int = 5_000  # tasks of the jobs that are searched for the tasks of one worker
    max_connecting: int = 64  # connections that are being made at a time
    target: TargetSettings = field(default_factory=TargetSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
