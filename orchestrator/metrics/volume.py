"""The front of a sweep while it runs: its size and its hypervolume."""

from collections.abc import Sequence

import numpy as np

from orchestrator.constraints import Constraint
from orchestrator.objectives import Objective
from orchestrator.pareto.hypervolume import FIRST_TRIALS, HypervolumeScale
from orchestrator.pareto.losses import feasible_losses
from orchestrator.trials import Trial, TrialState


class GrowingFront:
    """Follows complete trials, at a cost that does not depend on how many there were.

    Args:
        objectives: What is optimised.
        constraints: What a trial on the front must meet.

    >>> from orchestrator.objectives import Direction
    >>> front = GrowingFront([Objective("params", Direction.MINIMIZE)], [])
    >>> trial = Trial("s", 0, {}, 0, TrialState.COMPLETE, values={"params": 4.0})
    >>> front.observe(trial)
    >>> front.size, front.volume
    (1, None)
    """

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> None:
        self._objectives, self._constraints = objectives, constraints
        self._front = np.empty((0, len(objectives)))
        self._first: list[Trial] = []
        self._scale: HypervolumeScale | None = None
        self._volume = 0.0

    def observe(self, trial: Trial) -> None:
        """Take in a trial that ended; only complete ones count."""
        if trial.state is not TrialState.COMPLETE:
            return
        loss = feasible_losses([trial], self._objectives, self._constraints)[0]
        if not np.isnan(loss).any() and not (self._front <= loss).all(axis=1).any():
            kept = self._front[~(self._front >= loss).all(axis=1)]
            self._front = np.vstack([kept, loss])
            self._measure()
        if self._scale is None:
            self._first.append(trial)
            self._place(FIRST_TRIALS)

    def end(self) -> None:
        """Place the scale by what trials there are, as a sweep that is over does."""
        if self._scale is None:
            self._place(1)

    @property
    def size(self) -> int:
        """Members of the front."""
        return len(self._front)

    @property
    def volume(self) -> float | None:
        """Hypervolume; None while too few trials are complete to place its scale."""
        return None if self._scale is None else self._volume

    def _place(self, least: int) -> None:
        self._scale = HypervolumeScale.of_sweep(self._first, self._objectives, least=least)
        self._measure()

    def _measure(self) -> None:
        if self._scale is not None:
            # A front that grew may be measured smaller, by rounding.
            self._volume = max(self._volume, self._scale.volume(self._front))
