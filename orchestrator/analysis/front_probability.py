"""The probability that a trial is on the front, given accuracies measured on a sample."""

from collections.abc import Sequence

import numpy as np

from orchestrator.analysis.outcomes import outcomes_of
from orchestrator.analysis.statistics.noise import drawn_accuracies, front_probability
from orchestrator.errors import OrchestratorError
from orchestrator.objectives import Objective
from orchestrator.pareto.dominance import Floats
from orchestrator.quantities import quantity
from orchestrator.trials import Trial


def front_probabilities(
    trials: Sequence[Trial], objectives: Sequence[Objective], *, draws: int, seed: int
) -> dict[tuple[str, int], float]:
    """Estimate how often each trial would be on the front of another sample of images.

    The images behind each accuracy are resampled, the same for all trials; every other objective
    is taken as measured. The variation between training seeds is not considered here.

    Args:
        trials: Complete trials of one data set, with a number for each objective.
        objectives: The objectives of the front.
        draws: Number of resampled fronts, at least 1.
        seed: Seed of the resampling.

    Returns:
        Probability by sweep and trial number.

    Raises:
        OrchestratorError: A trial's answers are not known, or belong to other images.

    >>> front_probabilities([], [], draws=1, seed=0)
    {}
    """
    if not trials:
        return {}
    columns = [_drawn(trials, objective, draws, seed) for objective in objectives]
    found = front_probability(np.stack(columns, axis=2))
    return {(t.sweep, t.number): float(p) for t, p in zip(trials, found, strict=True)}


def _drawn(trials: Sequence[Trial], objective: Objective, draws: int, seed: int) -> Floats:
    """Draw the losses in one objective, (draws, trials)."""
    name, sign = objective.name, objective.loss(1.0)
    if not quantity(name).paired_by_image:
        values = np.array([trial.values[name] for trial in trials])
        return np.tile(sign * values, (draws, 1))
    outcomes = [outcomes_of(trial, name) for trial in trials]
    for trial, each in zip(trials, outcomes, strict=True):
        if not each.same_images(outcomes[0]):
            raise OrchestratorError(
                f"Trials {trials[0].number} and {trial.number} answered other images, so that "
                f"their {name} cannot be resampled together: ask for one sweep."
            )
    right = np.stack([each.right for each in outcomes])
    losses: Floats = sign * drawn_accuracies(right, draws, np.random.default_rng(seed))
    return losses
