"""The final trials that a sampler still learns from: few enough to bound the cost of an ask.

What TPE does for one proposal grows with the trials that it is shown: 30 ms for 100 of them and
200 ms for 1,000 of four parameters and three objectives. Of all trials but the latest it is shown
the best and a sample of the rest, because it models the densities of good and other trials. See
docs/decisions/0013-the-sampler-sees-a-window.md for what that changes.
"""

import random
from collections.abc import Sequence

import numpy as np

from orchestrator.constraints import Constraint, total_violation
from orchestrator.objectives import Objective
from orchestrator.pareto.constrained import Flags
from orchestrator.pareto.crowding import crowding
from orchestrator.pareto.dominance import Floats, ranks
from orchestrator.pareto.losses import feasible_losses
from orchestrator.pareto.violations import least_violated
from orchestrator.trials import Trial, TrialState

BEST, SAMPLE = 32, 48
"""How many of the best trials are shown, and how many of the rest."""

RECENT = STEP = 32
"""At least so many of the latest trials are all shown; the window moves by so many at once."""

_Placed = tuple[int, Trial]


def horizon(settled: int) -> int:
    """Return how many of the oldest trials are no longer all shown.

    Args:
        settled: How many of the oldest trials are final, up to the first that is not. Only for
            these can the choice be repeated after a restart.

    >>> horizon(0), horizon(RECENT + STEP - 1), horizon(RECENT + STEP) == STEP
    (0, 0, True)
    """
    return max(0, settled - RECENT) // STEP * STEP


class Window:
    """Chooses from trials that are given in order, a few at a time.

    The best are chosen from the best so far and the new ones: front by front of those that meet
    the constraints, then by the smallest violations; of a front that does not fit whole, those
    with the largest crowding distance (NSGA-II). The sample is drawn uniformly from all others.
    The result depends only on the trials, how they were given, and the seed.

    Args:
        objectives: At least one.
        constraints: Limits on values.
        seed: Of the sample.

    References:
        J. S. Vitter. Random sampling with a reservoir. ACM Transactions on Mathematical Software
        11(1), 1985, algorithm R. https://doi.org/10.1145/3147.3165
    """

    def __init__(
        self, objectives: Sequence[Objective], constraints: Sequence[Constraint], seed: int
    ) -> None:
        self._objectives, self._constraints = tuple(objectives), tuple(constraints)
        self._rng = random.Random(seed)  # noqa: S311  (a sample, not a secret)
        self._best: list[_Placed] = []
        self._sample: list[_Placed] = []
        self._given = self._others = 0

    @property
    def shown(self) -> list[Trial]:
        """At most ``BEST + SAMPLE`` trials, in the order in which they were given."""
        return [trial for _, trial in sorted(self._best + self._sample, key=_place)]

    @property
    def hidden(self) -> int:
        """Number of informative trials that are not shown."""
        return self._others - len(self._sample)

    def add(self, trials: Sequence[Trial]) -> None:
        """Add more final trials; failures that the configuration did not cause are ignored."""
        placed = [*self._best, *enumerate(trials, self._given)]
        self._given += len(trials)
        teaching = [each for each in placed if _teaches(each[1])]
        chosen = self._chosen([trial for _, trial in teaching])
        self._best = [teaching[place] for place in chosen]
        for place in sorted(set(range(len(teaching))) - set(chosen)):
            self._draw(teaching[place])

    def _draw(self, trial: _Placed) -> None:
        """Take a trial into the sample, or leave it out."""
        self._others += 1
        if len(self._sample) < SAMPLE:
            self._sample.append(trial)
            return
        place = self._rng.randrange(self._others)
        if place < SAMPLE:
            self._sample[place] = trial

    def _chosen(self, trials: Sequence[Trial]) -> list[int]:
        """Places of the best, at most `BEST`."""
        losses = feasible_losses(trials, self._objectives, self._constraints)
        known: Flags = np.logical_not(np.isnan(losses).any(axis=1))
        rank = np.where(known, ranks(losses), -1)
        best: list[int] = []
        for front in range(int(rank.max(initial=-1)) + 1):
            best += _spread(losses, np.flatnonzero(rank == front).tolist(), BEST - len(best))
        near = [
            place
            for place, trial in enumerate(trials)
            if trial.state is TrialState.COMPLETE and not known[place]
        ]
        sums = [total_violation(self._constraints, trials[place].values) for place in near]
        return best + [near[each] for each in least_violated(sums)[: BEST - len(best)]]


def _spread(losses: Floats, members: list[int], most: int) -> list[int]:
    """Leave out copies, then the most crowded member of a front again and again, until all fit."""
    _, firsts = np.unique(losses[members], axis=0, return_index=True)
    copies = sorted(set(range(len(members))) - set(firsts.tolist()))
    for place in reversed(copies[len(copies) - max(0, len(members) - most) :]):
        del members[place]
    while len(members) > most:
        rows = losses[members]
        del members[int(np.argmin(crowding(rows, np.ptp(rows, axis=0))))]
    return members


def _teaches(trial: Trial) -> bool:
    failure = trial.failure
    return trial.state is not TrialState.FAILED or (
        failure is not None and failure.kind.is_infeasible
    )


def _place(placed: _Placed) -> int:
    return placed[0]
