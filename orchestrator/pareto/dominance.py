"""Pareto dominance: non-dominated rows, ranks and hypervolume.

All functions take losses of shape ``(n, m)``, float64, smaller is better in every column. A row
with a NaN was not measured: it is never on a front and has no influence on the other rows.
"""

import math

import moocore
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def non_dominated(losses: Floats) -> NDArray[np.bool_]:
    """Find the Pareto front: rows that no other row dominates.

    A row dominates another if it is nowhere larger and somewhere smaller. Equal rows do not
    dominate one another, so ties are all on the front. Infinities are ordinary values.

    Returns:
        Shape ``(n,)``, bool.

    >>> non_dominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist()
    [True, True, False]
    """
    places = _places(_checked(losses))
    known = ~np.isnan(places).any(axis=1)
    front = np.zeros(len(places), dtype=np.bool_)
    if known.any():
        front[known] = moocore.is_nondominated(places[known], keep_weakly=True)
    return front


def ranks(losses: Floats) -> NDArray[np.int64]:
    """Sort rows into fronts: 0 is the front, 1 the front of what remains without it, and so on.

    Returns:
        Shape ``(n,)``. Rows with a NaN share the rank after the last one.

    References:
        K. Deb et al. A fast and elitist multiobjective genetic algorithm: NSGA-II. IEEE
        Transactions on Evolutionary Computation 6(2), 2002, section III.A.
        https://doi.org/10.1109/4235.996017

    >>> ranks(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist()
    [0, 0, 1]
    """
    # Not moocore.pareto_rank: 0.3.2 crashes the process for some finite rows with duplicates
    # (pymoo issue 797) and for some infinite ones.
    places = _places(_checked(losses))
    left = np.flatnonzero(~np.isnan(places).any(axis=1))
    result = np.empty(len(places), dtype=np.int64)
    rank = 0
    while len(left):
        front = moocore.is_nondominated(places[left], keep_weakly=True)
        result[left[front]] = rank
        left, rank = left[~front], rank + 1
    result[np.isnan(places).any(axis=1)] = rank
    return result


def hypervolume(losses: Floats, reference: Floats) -> float:
    """Measure the volume that the rows dominate up to a reference point.

    Args:
        losses: Rows that are not strictly better than the reference everywhere add nothing.
        reference: Shape ``(m,)``, without NaN.

    Returns:
        At least 0, in the product of the losses' units; infinite where a loss is ``-inf``
        or the reference ``inf``.

    Raises:
        ValueError: `reference` has another number of columns, or a NaN.

    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
    3.0
    """
    rows, corner = _checked(losses), np.asarray(reference, dtype=np.float64)
    if corner.shape != rows.shape[1:] or np.isnan(corner).any():
        raise ValueError(
            f"reference is {corner.tolist()}, but needs {rows.shape[1]} numbers, one a loss."
        )
    inside = rows[(rows < corner).all(axis=1)]
    if not len(inside):
        return 0.0
    # Checked here, because moocore 0.3.2 crashes the process on -inf in three columns.
    if not (np.isfinite(inside).all() and np.isfinite(corner).all()):
        return math.inf
    return float(moocore.hypervolume(inside, ref=corner))


def reference_point(losses: Floats) -> Floats:
    """Place a reference point for `hypervolume` that is worse than all rows.

    The rule is this project's own: in each column the worst finite loss, plus a tenth of the
    range of the finite ones, so that the extremes of a front count too; where all are equal, a
    tenth of their magnitude (of 1 for zero). Volumes can be compared only at the same point.

    Returns:
        Shape ``(m,)``, finite.

    Raises:
        ValueError: A column holds no finite loss.

    >>> reference_point(np.array([[0.0, 5.0], [10.0, 5.0]])).tolist()
    [11.0, 5.5]
    """
    columns = [column[np.isfinite(column)] for column in _checked(losses).T]
    if not columns or any(len(column) == 0 for column in columns):
        raise ValueError("A reference point needs at least one finite number for every loss.")
    worst = np.array([column.max() for column in columns])
    spread = worst - np.array([column.min() for column in columns])
    magnitude = np.where(worst == 0, 1.0, np.abs(worst))
    behind: Floats = worst + 0.1 * np.where(spread > 0, spread, magnitude)
    nearest: Floats = np.nextafter(worst, np.inf)
    return np.where(behind > worst, behind, nearest)


def _checked(losses: Floats) -> Floats:
    rows = np.ascontiguousarray(losses, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"losses has shape {rows.shape}, but needs (trials, objectives).")
    return rows


def _places(rows: Floats) -> Floats:
    """Replace each loss by its place among the distinct ones of its column, a NaN row by NaN.

    Dominance is unchanged by this, and moocore 0.3.2 is never given NaN or -inf: with them it
    silently returns wrong results for other rows too, or crashes the process.
    """
    places = np.full_like(rows, np.nan)
    known = ~np.isnan(rows).any(axis=1)
    for column in range(rows.shape[1]):
        places[known, column] = np.unique(rows[known, column], return_inverse=True)[1]
    return places
