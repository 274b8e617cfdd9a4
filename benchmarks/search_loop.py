"""The events of a simulated search, for peers that have no simulation of their own.

As in `orchestrator.simulation`: a trial takes the seconds that were recorded, what is measured at
a milestone included; a stopped trial frees its slot at that moment. Standard library alone, so
that it runs in a peer's environment.
"""

import heapq
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

Trial = Mapping[str, Any]
"""A recording as JSON: ``params``, ``reports``, ``values``."""


class Peer(Protocol):
    """Who searches."""

    def suggest(self, trial: int) -> dict[str, Any]:
        """The configuration of a new trial."""
        ...

    def goes_on(self, trial: int, epoch: int, values: Mapping[str, float]) -> bool:
        """Judge a trial at a milestone."""
        ...

    def complete(self, trial: int, values: Mapping[str, float]) -> None:
        """Learn of a trial's values."""
        ...


def search(  # noqa: PLR0913 - what a search is made of
    peer: Peer,
    lookup: Callable[[Mapping[str, Any]], Trial],
    *,
    milestones: Collection[int],
    slots: int,
    seconds: float,
    cpu_s: float = math.inf,
    used: Callable[[], float] = time.process_time,
    sizes: Sequence[str] = ("memory_bytes", "params"),
) -> tuple[list[tuple[float, Trial]], float]:
    """Search for so many simulated seconds, or until `cpu_s` real ones of a core were used.

    `used` tells how many were, of this process and of what works for it. What a milestone measures
    is completed by `sizes`, which are known before training.

    Returns:
        Complete trials with the moment of each, and the moment at which the search ended.
    """
    done: list[tuple[float, Trial]] = []
    # Moment, number, epochs that are done then; one beyond the last is the evaluation.
    events: list[tuple[float, int, int]] = []
    trials: list[Trial] = []
    now, last_s = 0.0, used() + cpu_s
    while now < seconds and used() < last_s:
        while len(events) < slots:
            number = len(trials)
            trials.append(lookup(peer.suggest(number)))
            heapq.heappush(events, (now + start_s(trials[-1]), number, 0))
        now, number, epoch = heapq.heappop(events)
        trial = trials[number]
        reports: Sequence[Any] = trial["reports"]
        if epoch > len(reports):
            done.append((now, trial))
            peer.complete(number, trial["values"])
            continue
        if epoch in milestones:
            known = {name: trial["values"][name] for name in sizes}
            measured = {**reports[epoch - 1]["values"], **known}
            if not peer.goes_on(number, epoch, measured):
                continue
        heapq.heappush(events, (now + next_s(trial, epoch, milestones), number, epoch + 1))
    return [(moment, trial) for moment, trial in done if moment <= seconds], min(now, seconds)


def start_s(trial: Trial) -> float:
    epochs: float = sum(report["values"]["seconds"] for report in trial["reports"])
    return max(0.0, float(trial["values"].get("train_s", 0.0)) - epochs)


def next_s(trial: Trial, epoch: int, milestones: Collection[int]) -> float:
    """Seconds from the end of an epoch to that of the next one, or of the evaluation."""
    if epoch == len(trial["reports"]):
        return float(trial["values"].get("eval_s", 0.0))
    values: Mapping[str, float] = trial["reports"][epoch]["values"]
    measuring = values.get("milestone_s", 0.0) if epoch + 1 in milestones else 0.0
    return values["seconds"] + measuring
