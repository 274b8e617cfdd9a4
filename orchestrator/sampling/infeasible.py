"""Configurations whose networks cannot be trained: out of memory, out of time, or divergent.

A sampler that ignored them would propose their neighbors forever. They have no values, so the
values that Optuna gets instead must neither look good nor distort what was measured.
"""

import math
from collections.abc import Sequence

from orchestrator.objectives import Objective
from orchestrator.trials import Trial, TrialState

UNFIT = "cannot be trained"
"""Name of the constraint that they violate, beside those of the sweep."""


def is_infeasible(trial: Trial) -> bool:
    """Return whether the trial failed because of its configuration.

    >>> from orchestrator.trials import Failure, FailureKind, TrialState
    >>> diverged = Failure(FailureKind.DIVERGED, "The loss became NaN.")
    >>> is_infeasible(Trial("s", 0, {}, 0, TrialState.FAILED, failure=diverged))
    True
    """
    return trial.failure is not None and trial.failure.kind.is_infeasible


class WorstKnown:
    """The worst value of each objective among complete trials, once a trial was infeasible.

    Args:
        objectives: At least one.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = tuple(objectives)
        self._losses: list[float] | None = None
        self.has_infeasible = False

    @property
    def values(self) -> list[float]:
        """By objective; zeros as long as nothing was measured."""
        losses = self._losses or [0.0] * len(self._objectives)
        # A loss is the value or its negative, so that the loss of a loss is the value.
        return [o.loss(loss) for o, loss in zip(self._objectives, losses, strict=True)]

    def observe(self, trial: Trial) -> bool:
        """Take a trial into account; returns whether the values of infeasible ones changed."""
        before = (self.has_infeasible, self._losses)
        if is_infeasible(trial):
            self.has_infeasible = True
        elif trial.state is TrialState.COMPLETE:
            losses = [o.loss(trial.values.get(o.name, math.nan)) for o in self._objectives]
            if all(map(math.isfinite, losses)):
                known = self._losses or losses
                self._losses = [max(pair) for pair in zip(known, losses, strict=True)]
        return self.has_infeasible and before != (self.has_infeasible, self._losses)
