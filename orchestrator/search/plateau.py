"""When a search has stopped finding anything."""

import sys
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from orchestrator.constraints import Constraint, feasible
from orchestrator.objectives import Objective
from orchestrator.pareto.dominance import Floats, non_dominated
from orchestrator.pareto.hypervolume import HypervolumeScale
from orchestrator.pareto.losses import loss_matrix
from orchestrator.quantities import Unit, unit
from orchestrator.spec.run_sections import PlateauSection
from orchestrator.trials import Trial, TrialState

FROZEN_AFTER = 10
"""Feasible complete trials whose values bound what a hypervolume is measured in."""


class Plateau(Protocol):
    """Whether a search goes on, from its trials in the order in which they became final."""

    @property
    def reached(self) -> bool:
        """Whether it is time to stop."""
        ...

    @property
    def reason(self) -> str:
        """Why the search stops, as it is recorded with the sweep."""
        ...

    def observe(self, trial: Trial) -> None:
        """Take a trial into account; unfinished, stopped and failed ones are ignored."""
        ...


def plateau_of(
    section: PlateauSection | None,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
) -> Plateau | None:
    """Build the plateau that a budget asks for.

    >>> plateau_of(None, (), ()) is None
    True
    >>> type(plateau_of(PlateauSection(trials=8), (), ())).__name__
    'FrontPlateau'
    """
    if section is None:
        return None
    if section.growth is None:
        return FrontPlateau(objectives, constraints, section.trials)
    return VolumePlateau(objectives, constraints, section.trials, section.growth)


class FrontPlateau:
    """Counts complete trials in a row that did not change the front.

    Siblings, which no sampler looked for, are not counted; one that changes the front begins the
    count anew like any other.

    A trial changes the front when it is feasible, no earlier one is at least as good in every
    objective, and its values are new. This needs no reference point, so that no bound has to be
    guessed before the first trial.

    Args:
        objectives: What is optimised.
        constraints: What a trial must meet to count.
        patience: Trials in a row after which the plateau is reached.
    """

    def __init__(
        self, objectives: Sequence[Objective], constraints: Sequence[Constraint], patience: int
    ) -> None:
        self._objectives, self._constraints = objectives, constraints
        self._patience = patience
        self._front = np.empty((0, len(objectives)))
        self._idle = 0

    @property
    def reached(self) -> bool:
        """Whether it is time to stop."""
        return self._idle >= self._patience

    @property
    def reason(self) -> str:
        """Why."""
        return f"{self._patience} trials in a row did not change the front"

    def observe(self, trial: Trial) -> None:
        """Take a trial into account; unfinished, stopped and failed ones are ignored."""
        if trial.state is not TrialState.COMPLETE:
            return
        self._idle += trial.origin is None
        if not feasible(self._constraints, trial.values):
            return
        changed = _extended(self._front, loss_matrix([trial.values], self._objectives))
        if changed is not None:
            self._front, self._idle = changed, 0


class VolumePlateau:
    """Watches how much the hypervolume of the front grew over the latest complete trials.

    The volume is measured in bounds that are frozen once `FROZEN_AFTER` feasible trials are
    complete: from the best loss of these to a tenth of their range behind the worst
    (`HypervolumeScale.spanning`). Sizes and counts, which span decades, are
    measured by their logarithm. What is worse than a bound adds nothing; what is better adds more
    than 1 in its direction. Siblings, which no sampler looked for, count with their volume alone.
    As the bounds follow from the trials in the order in which they became final, a driver that
    takes the sweep up freezes the same ones.

    Args:
        objectives: What is optimised.
        constraints: What a trial must meet to count.
        patience: Complete trials, feasible or not, over which the growth is measured.
        growth: Share of the volume below which it is too little, above 0.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        patience: int,
        growth: float,
    ) -> None:
        self._objectives, self._constraints = objectives, constraints
        self._patience, self._growth = patience, growth
        self._bounds: _Bounds | None = None
        self._front = np.empty((0, len(objectives)))
        self._first: list[Floats] = []
        self._volume = 0.0
        self._volumes: deque[float] = deque(maxlen=patience + 1)

    @property
    def reached(self) -> bool:
        """Whether it is time to stop."""
        if len(self._volumes) <= self._patience:
            return False
        before = self._volumes[0]
        return self._volume - before < self._growth * before

    @property
    def reason(self) -> str:
        """Why."""
        share = f"{100 * self._growth:g} %"
        return f"the hypervolume grew by less than {share} in {self._patience} trials"

    def observe(self, trial: Trial) -> None:
        """Take a trial into account; unfinished, stopped and failed ones are ignored."""
        if trial.state is not TrialState.COMPLETE:
            return
        if feasible(self._constraints, trial.values):
            self._add(loss_matrix([trial.values], self._objectives))
        if self._bounds is not None and trial.origin is None:
            self._volumes.append(self._volume)

    def _add(self, losses: Floats) -> None:
        front = _extended(self._front, losses)
        self._front = self._front if front is None else front
        if self._bounds is None:
            self._first.append(losses)
            if len(self._first) < FROZEN_AFTER:
                return
            self._bounds = _Bounds(self._objectives, np.concatenate(self._first))
        elif front is None:
            return
        self._volume = self._bounds.volume(self._front)


class _Bounds:
    """What losses are scaled by: to 0 at the best of the first ones, and 1 behind the worst.

    Args:
        objectives: One a column.
        losses: The first ones, shape ``(n, m)``, finite.
    """

    def __init__(self, objectives: Sequence[Objective], losses: Floats) -> None:
        signs = np.array([objective.loss(1.0) for objective in objectives])
        counts = np.array([unit(o.name) in (Unit.BYTES, Unit.COUNT) for o in objectives])
        self._signs = signs
        self._logarithmic = counts & (losses * signs > 0).all(axis=0)
        self._scale = HypervolumeScale.spanning(self._placed(losses))

    def volume(self, losses: Floats) -> float:
        """Compute the hypervolume of losses, shape ``(n, m)``, between the bounds."""
        return self._scale.volume(self._placed(losses))

    def _placed(self, losses: Floats) -> Floats:
        # A loss is the value or its negative, so that the loss of a loss is the value.
        values = np.maximum(losses * self._signs, sys.float_info.min)
        placed: Floats = np.where(self._logarithmic, self._signs * np.log(values), losses)
        return placed


def _extended(front: Floats, losses: Floats) -> Floats | None:
    """The front with one more row; None if that changes nothing."""
    if (front <= losses).all(axis=1).any():
        return None
    candidates = np.concatenate([front, losses])
    return candidates[non_dominated(candidates)]
