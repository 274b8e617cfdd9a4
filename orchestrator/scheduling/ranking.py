"""Who stands before whom at a milestone, under several objectives and constraints.

The order looks at three things, one after the other:

1. feasibility: by the total violation of the constraints, so that whoever meets all of them
   stands before whoever does not;
2. the non-dominated rank, among those whose violation is the same;
3. the crowding distance, among those of one rank: who stands alone stands before who has near
   neighbours, and the ends of a front stand alone.

It is a function of the values: neither the order of the peers nor their numbers count, equals
share a place, and scaling or shifting an objective, or turning it and its direction around,
changes nothing.

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
    """How many peers stand before a trial, by what puts them there; equals share their place.

    Attributes:
        better: Those who violate less, or are in an earlier front of those who violate as much.
        lonelier: Those of the same front around whom there is more room.
    """

    better: int
    lonelier: int


def place(
    trial: int,
    peers: Mapping[int, Mapping[str, float]],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
) -> Place:
    """Find the place of a trial among its peers.

    Args:
        trial: One of the peers.
        peers: Values of the same milestone and the same fidelity, by trial number.
        objectives: An objective that no peer has a finite number for is left out. A peer without
            one that others have, a network that answers with NaN, stands behind all who have them
            all and violate no more.
        constraints: Those on what no peer has a number for are left out.
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
    """Numbers of the peers in the order of their places, equals in that of `peers`.

    Args:
        peers: As `place` takes them.
        objectives: As `place` takes them.
        constraints: As `place` takes them.
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
    """One front after the other: its rows, and how alone each of them stands."""
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
    # Where nothing can be compared, all are equal.
    return known if known.shape[1] else np.zeros((len(rows), 1))


def _has(row: Mapping[str, float], name: str) -> bool:
    return math.isfinite(row.get(name, math.nan))


def _spread(losses: Floats) -> Floats:
    """Range of each column among all peers."""
    return np.asarray(np.nanmax(losses, axis=0) - np.nanmin(losses, axis=0), dtype=np.float64)


def _front(losses: Floats) -> NDArray[np.bool_]:
    """Who is dominated by nobody; where nobody has all numbers, everybody."""
    front = non_dominated(losses)
    return front if front.any() else np.ones(len(losses), dtype=np.bool_)
