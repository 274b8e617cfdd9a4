"""NSGA-II's crowding distance: the distance of each row of a front from its neighbours.

References:
    K. Deb et al. A fast and elitist multiobjective genetic algorithm: NSGA-II. IEEE Transactions
    on Evolutionary Computation 6(2), 2002, section III.B.
    https://doi.org/10.1109/4235.996017
"""

import math

import numpy as np

from orchestrator.columns import Floats

# Decimals of a crowding distance that count: the ones after them are rounding errors, and would
# distinguish rows that are equally crowded.
_DECIMALS = 9


def crowding(losses: Floats, spread: Floats) -> Floats:
    """Compute the crowding distance: for each row, the sum over the columns of the gap around it.

    The gap in a column is the distance from the next smaller to the next larger loss that occurs
    there, as a share of `spread`; it is infinite for the smallest and the largest one. A column
    in which all losses are equal adds nothing. Equal rows have equal distances, which the
    definition by sorted neighbours does not guarantee.

    Args:
        losses: Shape ``(n, m)``. A NaN adds nothing.
        spread: Shape ``(m,)``, above zero in every column whose losses differ.

    Returns:
        Shape ``(n,)``, at least 0.

    >>> crowding(np.array([[0.0, 4.0], [1.0, 1.0], [4.0, 0.0]]), np.array([4.0, 4.0])).tolist()
    [inf, 2.0, inf]
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
