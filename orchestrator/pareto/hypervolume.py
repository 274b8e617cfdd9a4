"""How a sweep's front grew: the hypervolume after each complete trial."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.constraints import Constraint, feasible
from orchestrator.objectives import Objective, missing_values
from orchestrator.pareto.dominance import hypervolume
from orchestrator.trials import Trial, TrialState

Floats = NDArray[np.float64]


def complete_in_order(trials: Sequence[Trial]) -> list[Trial]:
    """Complete trials in the order in which they ended."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (trial.ended is None, trial.ended, trial.number))


def losses_of(
    trials: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> Floats:
    """Losses by trial and objective.

    Returns:
        Shape ``(trials, objectives)``. A row is NaN where a value is missing, or where the trial
        meets not all constraints: such a trial dominates nothing.
    """
    losses = np.full((len(trials), len(objectives)), np.nan)
    for row, trial in enumerate(trials):
        if not missing_values(objectives, trial.values) and feasible(constraints, trial.values):
            losses[row] = [each.loss(trial.values[each.name]) for each in objectives]
    return losses


def hypervolume_history(losses: Floats, reference: Floats) -> Floats:
    """The hypervolume of the first row, of the first two, and so on.

    Only rows that move the front are measured, so that a sweep of thousands of trials costs as
    many hypervolumes as its front had improvements.

    Args:
        losses: Shape ``(n, m)``, in order of time; rows with a NaN add nothing.
        reference: Shape ``(m,)``.

    Returns:
        Shape ``(n,)``, never falling.
    """
    history = np.zeros(len(losses))
    front, volume = np.empty((0, losses.shape[1])), 0.0
    for row, loss in enumerate(losses):
        if not np.isnan(loss).any() and not (front <= loss).all(axis=1).any():
            front = np.vstack([front[~(front >= loss).all(axis=1)], loss])
            volume = hypervolume(front, reference)
        history[row] = volume
    return history
