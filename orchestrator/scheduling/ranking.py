"""The ranking of trials at a milestone, under several objectives and constraints.

The order is lexicographic:

1. feasibility: by the total violation of the constraints, so that a trial that meets all of them
   ranks before one that does not;
2. the non-dominated rank, among trials with the same violation;
3. the crowding distance, among trials of one rank: an isolated trial ranks before one with near
   neighbours, and the ends of a front count as isolated.

It is a function of the values alone: it does not depend on the order or the numbers of the peers,
equal trials share a place, and scaling, shifting or negating an objective (together with its
direction) changes nothing.

References:
    K. Deb et al. A fast and elitist multiobjective genetic algorithm: NSGA-II. IEEE Transactions
    on Evolutionary Computation 6(2), 2002, sections III and VI.
    https://doi.org/10.1109/4235.996017
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.constraints import Constraint, total_violation
from orchestrator.objectives import Objective
from orchestrator.pareto.crowding import crowding
from orchestrator.pareto.dominance import Floats, non_dominated
from orchestrator.pareto.losses import loss_matrix
from orchestrator.pareto.violations import violation_levels


class Place(NamedTuple):
    """How many peers rank before a trial, by the reason; equal trials share their place.

    Attributes:
        better: Peers with a smaller violation, or in an earlier front at the same violation.
        lonelier: Peers of the same front with a larger crowding distance.
    """

    better: int
    lonelier: int


def place(
    trial: int,
    peers: Mapping[int, Mapping[str, float]],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
) -> Place:
    """Compute the place of a trial among its peers.

    Args:
        trial: One of the peers.
        peers: Values of the same milestone and the same fidelity, by trial number.
        objectives: An objective that is non-finite for every peer is left out. A peer with a
            non-finite value that others have (a network that returns NaN) ranks behind all
            complete peers with no larger violation.
        constraints: Constraints on a value that no peer has are left out.

    >>> from orchestrator.objectives import Direction
    >>> accuracy = Objective("accuracy", Direction.MAXIMIZE)
    >>> place(1, {0: {"accuracy": 0.9}, 1: {"accuracy": 0.8}}, [accuracy])
    Place(better=1, lonelier=0)
    """
    me, better = list(peers).index(trial), 0
    for members, distances in _fronts(list(peers.values()), objectives, constraints):
        own = distances[members == me]
        if len(own):
            return Place(better, int((distances > own).sum()))
        better += len(members)
    raise AssertionError("every peer is in one of the fronts")


def best_first(
    peers: Mapping[int, Mapping[str, float]],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
) -> list[int]:
    """Return the peers' numbers in the order of their places, ties in that of `peers`.

    Args:
        peers: As `place` takes them.
        objectives: As `place` takes them.
        constraints: As `place` takes them.

    >>> from orchestrator.objectives import Direction
    >>> peers = {0: {"accuracy": 0.8}, 1: {"accuracy": 0.9}, 2: {}}
    >>> best_first(peers, [Objective("accuracy", Direction.MAXIMIZE)])
    [1, 0, 2]
    """
    numbers = list(peers)
    return [
        numbers[index]
        for members, distances in _fronts(list(peers.values()), objectives, constraints)
        for index in members[np.argsort(-distances, kind="stable")]
    ]


def _fronts(
    rows: Sequence[Mapping[str, float]],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
) -> Iterator[tuple[NDArray[np.intp], Floats]]:
    """One front after the other: its rows, and their crowding distances."""
    if not rows:
        return
    judged = [limit for limit in constraints if any(_has(row, limit.name) for row in rows)]
    levels = violation_levels([total_violation(judged, row) for row in rows])
    losses = _losses(rows, objectives)
    spread = _spread(losses)
    for level in range(int(levels.max()) + 1):
        left = np.flatnonzero(levels == level)
        while len(left):
            front = _front(losses[left])
            yield left[front], crowding(losses[left[front]], spread)
            left = left[~front]


def _losses(rows: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> Floats:
    """Shape (peers, objectives that count): NaN where there is no finite number."""
    losses = loss_matrix(rows, objectives)
    losses[~np.isfinite(losses)] = np.nan
    known = losses[:, ~np.isnan(losses).all(axis=0)]
    # Without any objective to compare, all trials are equal.
    return known if known.shape[1] else np.zeros((len(rows), 1))


def _has(row: Mapping[str, float], name: str) -> bool:
    return math.isfinite(row.get(name, math.nan))


def _spread(losses: Floats) -> Floats:
    """Range of each column among all peers."""
    return np.asarray(np.nanmax(losses, axis=0) - np.nanmin(losses, axis=0), dtype=np.float64)


def _front(losses: Floats) -> NDArray[np.bool_]:
    """Mask of the non-dominated rows; all rows if none has only finite values."""
    front = non_dominated(losses)
    return front if front.any() else np.ones(len(losses), dtype=np.bool_)
