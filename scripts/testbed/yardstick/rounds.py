"""Measures the contestants in turn, round by round, so that what else the machine does meets all of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from scripts.testbed.peers.catalogue import CATALOGUE, OURS
from scripts.testbed.peers.wire import Started
from scripts.testbed.yardstick.contestant import Contestant, ContestantError
from scripts.testbed.yardstick.workloads import GIVE_UP, OVER_OMNISCIENT, Figures, Run, Shape, Stage, Step
from src.cli import terminal


class Measurement(NamedTuple):
    """Identifies one measurement: what is measured, on what, and who does it."""

    workload: str
    label: str
    shape: Shape
    who: str  # a method of this project, or a peer


class LeftOut(NamedTuple):
    """A measurement that has no figures, or not from all rounds, and why. An empty label stands for all of that shape."""

    who: str
    shape: Shape
    label: str
    why: str


class Yardstick:
    """All figures that were measured so far: one set for each measurement and round."""

    def __init__(self, names: Sequence[str], methods: Sequence[str]) -> None:
        """``names`` are those of the catalogue that are measured, ``methods`` those of this project."""
        self.names = names
        self.rounds: dict[Measurement, list[Figures]] = {}
        self.left_out: list[LeftOut] = []
        self.notes: dict[str, str] = {}  # who -> what must be known of how it was measured
        self._methods = methods

    def measure(self, stages: Sequence[Stage], rounds: int) -> None:
        """Take every measurement once a round. Who begins changes from round to round."""
        turns = [(stage, name, number) for number in range(rounds) for stage in stages for name in rotated(self.names, number)]
        progress = terminal.Progress(len(turns), "turns")
        try:
            for done, (stage, name, number) in enumerate(turns):
                self._turn(stage, name, number, partial(_show, progress, done, f"· {CATALOGUE[name].label}, {stage.shape}"))
        finally:
            progress.clear()

    def _turn(self, stage: Stage, name: str, number: int, show: Callable[[str], None]) -> None:
        """One contestant's turn at one stage. It is started again after a step that it could not do."""
        entry = CATALOGUE[name]
        if stage.shape.workers > entry.most_workers or stage.shape.workers * stage.shape.slots > entry.most_slots:
            return self._leave_out(entry.label, stage.shape, "", "more processes than are started of it")
        todo = self._steps(stage, name, number)
        while todo and not self._is_left_out(entry.label, stage.shape, ""):
            with Contestant(name) as contestant:
                show("start")
                try:
                    started: Started = contestant.ask("start", **stage.shape._asdict())
                except ContestantError as error:
                    self._leave_out(entry.label, stage.shape, "", f"it could not be started: {error}")
                    return None
                if started["note"]:
                    self.notes[entry.label] = started["note"]
                while todo:
                    step, variant = todo.pop(0)
                    if not self._step(contestant, step, variant, started, stage, show):
                        break
        return None

    def _steps(self, stage: Stage, name: str, number: int) -> list[tuple[Step, str]]:
        """Returns the steps, each with the variant that takes it."""
        variants = rotated(self._methods, number) if name == OURS else [""]
        steps = [(step, "") for step in stage.steps if not step.of_variants]
        return steps + [(step, variant) for variant in variants for step in stage.steps if step.of_variants]

    def _step(
        self, contestant: Contestant, step: Step, variant: str, started: Started, stage: Stage, show: Callable[[str], None]
    ) -> bool:
        """Take one step, unless it was left out before. Returns whether the contestant can go on."""
        who = variant or CATALOGUE[contestant.name].label
        if self._is_left_out(who, stage.shape, step.label):
            return True
        show(f"{variant} {step.label}".strip())
        try:
            figures = step.measure(contestant.ask, variant, started)
        except ContestantError as error:
            self._leave_out(who, stage.shape, step.label, str(error))
            self._leave_out_shorter(stage, step, who, f"left out after that with {step.label}")
            return False
        self.rounds.setdefault(Measurement(step.workload, step.label, stage.shape, who), []).append(figures)
        if figures.get(OVER_OMNISCIENT, 0.0) > GIVE_UP:
            why = (
                f"left out, as its queue only grows: the median was {figures[OVER_OMNISCIENT]:.0f} times omniscient at {step.label}"
            )
            self._leave_out_shorter(stage, step, who, why)
        return True

    def _leave_out_shorter(self, stage: Stage, step: Step, who: str, why: str) -> None:
        """Leave out the loads that follow this one, which have shorter tasks."""
        loads: list[Step] = [other for other in stage.steps if isinstance(other, Run) and other.ideal_s]
        if step in loads:
            for other in loads[loads.index(step) + 1 :]:
                self._leave_out(who, stage.shape, other.label, why)

    def _leave_out(self, who: str, shape: Shape, label: str, why: str) -> None:
        if not self._is_left_out(who, shape, label):
            self.left_out.append(LeftOut(who, shape, label, why))

    def _is_left_out(self, who: str, shape: Shape, label: str) -> bool:
        return any(left[:3] == (who, shape, label) for left in self.left_out)

    def medians(self) -> dict[Measurement, Figures]:
        """Returns the median of each figure over the rounds."""
        return {
            measurement: {name: statistics.median(each[name] for each in rounds if name in each) for name in rounds[0]}
            for measurement, rounds in self.rounds.items()
        }


def rotated(names: Sequence[str], by: int) -> list[str]:
    """Returns the names in the same cyclic order, beginning ``by`` places later."""
    by %= max(1, len(names))
    return [*names[by:], *names[:by]]


def _show(progress: terminal.Progress, done: int, where: str, text: str) -> None:
    progress.show(done, f"{where}, {text}")
