"""Whether the cluster works, in one word and in sentences: what is wrong, and what follows from it. It is pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from src.dashboard.views import ClusterView, NameServerView, SchedulerRow, WorkerRow

OK, DEGRADED, DOWN = "ok", "degraded", "down"
MOST_REASONS = 8
MOST_NAMES = 5  # in one sentence


class Condition:
    """The condition of the cluster, and since when it is what it is."""

    def __init__(self) -> None:
        self._state = ""
        self._since = 0.0

    def view(
        self,
        now: float,
        nameserver: NameServerView,
        workers: Mapping[str, WorkerRow],
        schedulers: Mapping[str, SchedulerRow],
        left: Collection[str] = (),
        awaited: Collection[str] = (),
        left_out: Mapping[str, int] = {},  # noqa: B006 (it is not changed)
    ) -> ClusterView:
        """Returns the present condition. ``now`` is in seconds since 1970.

        ``left`` are the workers and schedulers that have given their names back: that they are gone is no fault, unless jobs were
        open there. ``awaited`` are those that have neither answered nor failed to: who has just begun to ask does not know yet that
        nobody is there. ``left_out`` says how many "scheduler"s and "worker"s are listed and not sampled.
        """
        unknown = [] if schedulers and workers else _about_first_answers(nameserver, awaited)
        missing = [_without_schedulers(schedulers), _without_workers(workers, schedulers)]
        down = [reason for reason in missing if reason and not unknown]
        reasons = [*unknown, *down, *_about_name_server(nameserver), *_about_names(left_out)]
        reasons += [*_about_schedulers(schedulers, left), *_about_workers(workers, left)]
        reasons += [row["reason"] for row in (*schedulers.values(), *workers.values()) if row["state"] == "unreadable"]
        state = DOWN if down else DEGRADED if reasons else OK
        if state != self._state:
            self._state, self._since = state, round(now, 1)
        more = len(reasons) - MOST_REASONS
        if more > 0:
            reasons[MOST_REASONS - 1 :] = [f"There are {more + 1} more faults of this kind."]
        return {"state": state, "since": self._since, "reasons": reasons}  # type: ignore[typeddict-item]


def _without_schedulers(schedulers: Mapping[str, SchedulerRow]) -> str:
    if any(row["state"] == "up" for row in schedulers.values()):
        return ""
    if not schedulers:
        return "No scheduler is there: no job can be submitted."
    lost = sum(row["open_jobs"] or 0 for row in schedulers.values())
    waiting = f"; {_number(lost, 'job')} that {_were(lost)} open can only end once their clients find another" if lost else ""
    return f"No scheduler answers: no job can be submitted, and nothing here about jobs is new{waiting}."


def _without_workers(workers: Mapping[str, WorkerRow], schedulers: Mapping[str, SchedulerRow]) -> str:
    if any(row["state"] == "up" for row in workers.values()):
        return ""
    open_jobs = sum(row["open_jobs"] or 0 for row in schedulers.values() if row["state"] == "up")
    waiting = f": {_number(open_jobs, 'job')} {_wait(open_jobs)} for one" if open_jobs else ": jobs wait until there is one"
    return f"No worker {'answers' if workers else 'is there'}{waiting}."


def _about_first_answers(nameserver: NameServerView, awaited: Collection[str]) -> list[str]:
    if nameserver["since"] is None:
        return ["The name server has not answered yet: what is there is not known."]
    if awaited:
        who = f"{_listed(sorted(awaited))} {'has' if len(awaited) == 1 else 'have'}"
        return [f"{who} not answered yet: what is there is not known."]
    return []


def _about_name_server(nameserver: NameServerView) -> list[str]:
    if nameserver["up"] or nameserver["since"] is None:
        return []
    return ["The name server does not answer: what runs goes on, but nobody new is found."]


def _about_names(left_out: Mapping[str, int]) -> list[str]:
    return [
        f"{_number(number, f'name of a {kind}', f'names of {kind}s')} {'is' if number == 1 else 'are'} left out: "
        "the name server lists too many, and those that do not answer take turns."
        for kind, number in left_out.items()
        if number
    ]


def _about_schedulers(schedulers: Mapping[str, SchedulerRow], left_for_good: Collection[str]) -> list[str]:
    reasons = []
    if any(row["state"] == "up" for row in schedulers.values()):
        for name, row in schedulers.items():
            left = row["open_jobs"] or 0
            if row["state"] == "gone" and (left or name not in left_for_good):
                jobs = f"the {_number(left, 'job')} that {_were(left)} open there {_wait(left)} until their clients hand them over"
                reasons.append(f"{name} is gone: {jobs if left else 'the others take its jobs'}.")
            elif row["state"] == "silent":
                jobs = f"{_number(left, 'job')} {_wait(left)} for it" if left else "no job was open there"
                reasons.append(f"{name} is connected, but does not answer: {jobs}.")
    return reasons


def _about_workers(workers: Mapping[str, WorkerRow], left_for_good: Collection[str]) -> list[str]:
    reasons = []
    if any(row["state"] == "up" for row in workers.values()):
        for state in ("gone", "silent"):
            names = [name for name, row in workers.items() if row["state"] == state and name not in left_for_good]
            if names:
                one = len(names) == 1
                gone = f"schedulers run {'its' if one else 'their'} tasks again on others"
                silent = (
                    "its tasks wait until it answers or is given up"
                    if one
                    else "their tasks wait until they answer or are given up"
                )
                which = f"{len(names)} of {_number(len(workers), 'worker')} {'is' if one else 'are'} {state} ({_listed(names)})"
                reasons.append(f"{which}: {gone if state == 'gone' else silent}.")
    return reasons


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _number(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"
