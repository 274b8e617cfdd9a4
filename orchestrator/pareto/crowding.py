"""NSGA-II's crowding distance: how alone each row of a front stands.

References:
    K. Deb et al. A fast and elitist multiobjective genetic algorithm: NSGA-II. IEEE Transactions
    on Evolutionary Computation 6(2), 2002, section III.B.
    https://doi.org/10.1109/4235.996017
"""

import math

import numpy as np

from orchestrator.columns import Floats

# Decimals of a crowding distance that count: what lies behind them is rounding, and would tell
# apart who stands equally alone.
_DECIMALS = 9


def crowding(losses: Floats, spread: Floats) -> Floats:
    """How alone each row of a front stands: the sum over the columns of the gap around it.

    The gap in a column is the distance from the next smaller to the next larger loss that occurs
    there, as a share of `spread`; it is infinite for the smallest and the largest one. A column
    in which all are equal tells nobody apart and adds nothing. Equal rows have equal distances,
    which the definition by sorted neighbours does not give.

    Args:
        losses: Shape ``(n, m)``. A NaN adds nothing.
        spread: Shape ``(m,)``, above zero in every column whose losses differ.

    Returns:
        Shape ``(n,)``, at least 0.
    """
    total = np.zeros(len(losses))
    for column, width in zip(losses.T, spread, strict=True):
        known = ~np.isnan(column)
        levels, level = np.unique(column[known], return_inverse=True)
        if len(levels) > 1:
            gaps = np.full(len(levels), math.inf)
            gaps[1:-1] = (levels[2:] - levels[:-2]) / width
            total[known] += gaps[level]
    return np.round(total, _DECIMALS)
