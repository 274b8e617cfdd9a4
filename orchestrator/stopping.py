"""When a search has stopped finding anything."""

from collections.abc import Sequence

import numpy as np

from orchestrator.constraints import Constraint, feasible
from orchestrator.objectives import Objective
from orchestrator.pareto import non_dominated
from orchestrator.trials import Trial, TrialState


class Plateau:
    """Counts complete trials in a row that did not change the front.

    Siblings, which no sampler looked for, are not counted; one that changes the front begins the
    count anew like any other.

    A trial changes the front when it is feasible, no earlier one is at least as good in every
    objective, and its values are new. This needs no reference point, so that no bound has to be
    guessed before the first trial.

    Args:
        objectives: What is optimised.
        constraints: What a trial must meet to count.
        patience: Trials in a row after which the plateau is reached; None for never.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        patience: int | None,
    ) -> None:
        self._objectives, self._constraints = objectives, constraints
        self._patience = patience
        self._front = np.empty((0, len(objectives)))
        self._idle = 0

    @property
    def reached(self) -> bool:
        """Whether it is time to stop."""
        return self._patience is not None and self._idle >= self._patience

    def observe(self, trial: Trial) -> None:
        """Take a trial into account; unfinished, stopped and failed ones say nothing."""
        if self._patience is None or trial.state is not TrialState.COMPLETE:
            return
        self._idle += trial.origin is None
        if not feasible(self._constraints, trial.values):
            return
        losses = np.array([[o.loss(trial.values[o.name]) for o in self._objectives]])
        if (self._front <= losses).all(axis=1).any():
            return
        candidates = np.concatenate([self._front, losses])
        self._front = candidates[non_dominated(candidates)]
        self._idle = 0
