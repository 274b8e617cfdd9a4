"""Constrained dominance: the front of trials given as columns, within constraints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.columns import Floats
from orchestrator.constraints import Constraint
from orchestrator.objectives import Objective
from orchestrator.pareto.dominance import non_dominated
from orchestrator.pareto.losses import Values, loss_columns
from orchestrator.pareto.violations import violation_levels

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ConstrainedFront:
    """The outcome of constrained dominance; each array has one entry per trial.

    Attributes:
        known: Whether the trial has a number for every objective.
        allowed: Whether the trial may be on the front: known, and within the constraints.
        on_front: Whether no other allowed trial dominates it.
        feasible: False if no known trial meets the constraints; the allowed trials are then those
            whose violations have the smallest sum.
    """

    known: Flags
    allowed: Flags
    on_front: Flags
    feasible: bool


def constrained_front(
    values: Values, objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> ConstrainedFront:
    """Compute the front of the trials that meet the constraints, or violate them least.

    >>> columns = {"params": np.array([3.0, 5.0, np.nan])}
    >>> from orchestrator.objectives import Direction
    >>> small = [Objective("params", Direction.MINIMIZE)]
    >>> found = constrained_front(columns.get, small, [Constraint.parse("params <= 2")])
    >>> found.feasible, found.on_front.tolist()  # none fits, and the first is nearest
    (False, [True, False, False])
    """
    losses = loss_columns(values, objectives)
    known: Flags = np.logical_not(np.isnan(losses).any(axis=1))
    allowed, is_feasible = _allowed(values, known, constraints)
    losses[~allowed] = np.nan
    return ConstrainedFront(known, allowed, non_dominated(losses), is_feasible)


def _allowed(
    values: Values, known: Flags, constraints: Sequence[Constraint]
) -> tuple[Flags, bool]:
    total, met = np.zeros(len(known)), known.copy()
    for constraint in constraints:
        violation = _violation(values(constraint.name), constraint)
        met &= violation <= 0
        total += np.maximum(violation, 0.0)
    if met.any() or not known.any():
        return met, True
    levels = violation_levels(total)
    return known & (levels == levels[known].min()), False


def _violation(values: Floats, constraint: Constraint) -> Floats:
    """`Constraint.violation` of each value."""
    sign = 1.0 if constraint.op == "<=" else -1.0
    excess = sign * (values - constraint.bound)
    return np.where(np.isnan(values), np.inf, excess / (abs(constraint.bound) or 1.0))
