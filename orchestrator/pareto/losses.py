"""Values as losses: rows of trials, columns of objectives, smaller is better everywhere."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from orchestrator.columns import Floats
from orchestrator.constraints import Constraint, feasible
from orchestrator.objectives import Objective
from orchestrator.trials import Trial

Values = Callable[[str], Floats]
"""Returns the values of a name, one per trial; NaN where a trial has none."""


def loss_columns(values: Values, objectives: Sequence[Objective]) -> Floats:
    """Compute the losses of trials that are given as columns.

    Returns:
        Shape ``(trials, objectives)``, NaN where a value is missing.

    >>> from orchestrator.objectives import Direction
    >>> columns = {"accuracy": np.array([0.9, np.nan])}
    >>> loss_columns(columns.get, [Objective("accuracy", Direction.MAXIMIZE)]).tolist()
    [[-0.9], [nan]]
    """
    return np.stack([each.loss(1.0) * values(each.name) for each in objectives], axis=1)


def loss_matrix(rows: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> Floats:
    """Compute the losses of trials that are given as rows, each a mapping of values by name.

    Returns:
        Shape ``(rows, objectives)``, NaN where a value is missing.

    >>> from orchestrator.objectives import Direction
    >>> goals = [Objective("accuracy", Direction.MAXIMIZE), Objective("macs", Direction.MINIMIZE)]
    >>> loss_matrix([{"accuracy": 0.5, "macs": 100.0}, {"accuracy": 0.75}], goals).tolist()
    [[-0.5, 100.0], [-0.75, nan]]
    """

    def values(name: str) -> Floats:
        return np.array([row.get(name, np.nan) for row in rows], dtype=np.float64)

    return loss_columns(values, objectives)


def feasible_losses(
    trials: Sequence[Trial], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> Floats:
    """Compute the losses of the trials that may be on a front.

    Returns:
        Shape ``(trials, objectives)``. A row is NaN where a value is missing, or where the trial
        violates a constraint: such a trial dominates no other.

    >>> from orchestrator.objectives import Direction
    >>> from orchestrator.trials import TrialState
    >>> values = [{"params": 10.0}, {"params": 90.0}]
    >>> trials = [Trial("s", 0, {}, 0, TrialState.COMPLETE, values=each) for each in values]
    >>> small = [Objective("params", Direction.MINIMIZE)]
    >>> feasible_losses(trials, small, [Constraint.parse("params <= 50")]).tolist()
    [[10.0], [nan]]
    """
    return feasible_rows([trial.values for trial in trials], objectives, constraints)


def feasible_rows(
    rows: Sequence[Mapping[str, float]],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
) -> Floats:
    """Compute what `feasible_losses` does, of rows of values.

    >>> from orchestrator.objectives import Direction
    >>> feasible_rows([{"macs": 2.0}], [Objective("macs", Direction.MINIMIZE)], []).tolist()
    [[2.0]]
    """
    losses = loss_matrix(rows, objectives)
    met = np.array([feasible(constraints, row) for row in rows], dtype=np.bool_)
    losses[~met | np.isnan(losses).any(axis=1)] = np.nan
    return losses
