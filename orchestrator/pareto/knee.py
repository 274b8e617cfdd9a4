"""The knee of a Pareto front: its most balanced member."""

import numpy as np

from orchestrator.pareto.dominance import Floats, non_dominated


def knee(losses: Floats) -> int:
    """Find the most balanced row of the front.

    The finite rows of the front are scaled to [0, 1] in each column, by the best and the worst
    loss that occur on the front itself; the knee is the one with the smallest Euclidean distance
    to the ideal, the point of all the best losses. If several are equally near, the first wins.

    Returns:
        Index into `losses`.

    Raises:
        ValueError: No row of the front is finite, or `losses` is not two-dimensional.

    >>> knee(np.array([[0.0, 4.0], [1.0, 1.0], [4.0, 0.0]]))
    1
    """
    rows = np.asarray(losses, dtype=np.float64)
    candidates = np.flatnonzero(non_dominated(rows) & np.isfinite(rows).all(axis=1))
    if len(candidates) == 0:
        raise ValueError("A front without a finite row has no knee.")
    front = rows[candidates]
    ideal, spread = front.min(axis=0), np.ptp(front, axis=0)
    scaled = (front - ideal) / np.where(spread > 0, spread, 1.0)
    return int(candidates[np.argmin(np.square(scaled).sum(axis=1))])
