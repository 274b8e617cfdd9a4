"""Which of several configurations is expected to add most to the front, given past trials."""

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from orchestrator.contracts import KnownValues
from orchestrator.objectives import Objective
from orchestrator.pareto.dominance import Floats, non_dominated
from orchestrator.pareto.hypervolume import HypervolumeScale
from orchestrator.pareto.losses import loss_matrix
from orchestrator.trials import Params, Trial

# Shrinks a factor's effect as if this fraction of a further trial had shown no effect.
_SHRINKAGE = 0.3
# Only the latest complete trials count: more would make a proposal slower and hardly better.
_MOST_TRIALS = 500
# Extreme values get a small weight, so that the ends of the front still count.
_BEHIND = 0.05

Factors = Callable[[Params], Sequence[Hashable]]
"""Returns what may affect a configuration's values: equally many factors, in a fixed order."""


class Acquisition:
    """Predicts values by main effects, and compares what configurations would add to the front.

    The expected value is the mean of the complete trials plus the average effect of each factor
    in turn. Values known before training are used as they are. All others are improved by the
    root mean square error of the model (optimism), so that promising configurations are tried.
    Constraints on measured values are ignored. The method is not from a paper; it was compared
    with the order of the space on recorded sweeps, see
    docs/decisions/0011-stages-are-shared-by-content.md.

    Args:
        objectives: At least one.
        known: What is known of a configuration before training.
        factors: Of a configuration.
    """

    def __init__(
        self, objectives: Sequence[Objective], known: KnownValues, factors: Factors
    ) -> None:
        self._objectives, self._known, self._factors = tuple(objectives), known, factors
        self._told: dict[int, tuple[Trial, Sequence[Hashable]]] = {}

    def observe(self, trial: Trial) -> None:
        """Learn from a complete trial; observing it again changes nothing."""
        self._told[trial.number] = (trial, self._factors(trial.params))
        if len(self._told) > _MOST_TRIALS:
            del self._told[next(iter(self._told))]

    def best(self, candidates: Sequence[Params]) -> int:
        """Return the index of the most promising candidate; the first one in case of a tie.

        Args:
            candidates: At least one.
        """
        told = list(self._told.values())
        losses = loss_matrix([trial.values for trial, _ in told], self._objectives)
        measured = np.flatnonzero(np.isfinite(losses).all(axis=1))
        if not len(measured):
            return 0
        factors, losses = [told[row][1] for row in measured], losses[measured]
        expected = self._expected(factors, losses, candidates)
        scale = HypervolumeScale.within(np.concatenate([losses, expected]), _BEHIND)
        front = losses[non_dominated(losses)]
        # The gain over the front; ties at no gain are broken by the candidate's own hypervolume.
        volumes = [
            (scale.volume(np.vstack([front, one])), scale.volume(one[None])) for one in expected
        ]
        return max(range(len(volumes)), key=volumes.__getitem__)

    def _expected(
        self, factors: Sequence[Sequence[Hashable]], losses: Floats, candidates: Sequence[Params]
    ) -> Floats:
        """Predicted losses (n, m) of the candidates, improved by the model's error."""
        mean, effects, error = _main_effects(factors, losses)
        expected = np.empty((len(candidates), len(self._objectives)))
        for row, params in enumerate(candidates):
            added = [effects[f] for f in enumerate(self._factors(params)) if f in effects]
            expected[row] = mean + sum(added, np.zeros_like(mean)) - error
            known = self._known(params)
            for column, objective in enumerate(self._objectives):
                if objective.name in known:
                    expected[row, column] = objective.loss(known[objective.name])
        return expected


def _main_effects(
    factors: Sequence[Sequence[Hashable]], losses: Floats
) -> tuple[Floats, Mapping[tuple[int, Hashable], Floats], Floats]:
    """Mean losses (m,), the effect (m,) of each factor by its position, and the error (m,)."""
    mean = losses.mean(axis=0)
    left = losses - mean
    effects: dict[tuple[int, Hashable], Floats] = {}
    for place in range(len(factors[0])):
        rows: dict[Hashable, list[int]] = {}
        for row, of_trial in enumerate(factors):
            rows.setdefault(of_trial[place], []).append(row)
        for factor, chosen in rows.items():
            effects[place, factor] = left[chosen].sum(axis=0) / (len(chosen) + _SHRINKAGE)
            left[chosen] -= effects[place, factor]
    return mean, effects, np.sqrt((left**2).mean(axis=0))
