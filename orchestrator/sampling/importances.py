"""How much each parameter decides about an objective, as Optuna's fANOVA estimates it."""

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from orchestrator.errors import OrchestratorError
from orchestrator.sampling.optuna_logging import quiet
from orchestrator.sampling.study_trials import StudyTrials
from orchestrator.trials import Trial, TrialState
from search_spaces import FileProblems

_FEWEST = 4
_MOST = 500  # its forests take seconds on more, and say the same
_TREES = 32


def importances(
    spec: Mapping[str, object], trials: Sequence[Trial], only: str | None = None
) -> dict[str, dict[str, float]]:
    """Estimate the importance of each parameter for each objective.

    A parameter that is not active in every trial has no place in an analysis of variance and is
    left out, as Optuna does. A choice is examined by the places of its options.

    Args:
        spec: The sweep's, as stored.
        trials: Its trials; complete ones count, and of very many an even sample.
        only: Name of one objective; by default all are examined.

    Returns:
        By objective and parameter, shares whose sum is 1, the largest first.

    Raises:
        OrchestratorError: There are too few trials, or no parameter varies in all of them.

    >>> importances({"space": {}}, [])
    Traceback (most recent call last):
    orchestrator.errors.OrchestratorError: Importances need 4 complete trials; there are 0.
    """
    complete = [t for t in trials if t.state is TrialState.COMPLETE and not t.is_reference]
    if len(complete) < _FEWEST:
        raise OrchestratorError(
            f"Importances need {_FEWEST} complete trials; there are {len(complete)}."
        )
    step = max(len(complete) / _MOST, 1.0)
    try:
        content = StudyTrials(spec)
    except FileProblems as error:
        raise OrchestratorError(f"The sweep's space cannot be read: {error}") from error
    with quiet():
        directions = [objective.direction.value for objective in content.objectives]
        study = optuna.create_study(directions=directions)
        study.add_trials(
            [
                _by_places(content.frozen(complete[int(at * step)], ()))
                for at in range(int(len(complete) / step))
            ]
        )
        found = {
            objective.name: _shares(study, at)
            for at, objective in enumerate(content.objectives)
            if only in (None, objective.name)
        }
    if not any(found.values()):
        raise OrchestratorError("No parameter is active in every trial and varies.")
    return found


def _by_places(trial: FrozenTrial) -> FrozenTrial:
    """Let a choice be the place of its option.

    Optuna (5.0) has a column for each option instead, and looks in each tree at every combination
    of columns: with 16 options for an hour.
    """
    params, distributions = {**trial.params}, {**trial.distributions}
    for name, kind in trial.distributions.items():
        if isinstance(kind, CategoricalDistribution):
            params[name] = kind.choices.index(params[name])
            distributions[name] = IntDistribution(0, len(kind.choices) - 1)
    trial.params, trial.distributions = params, distributions
    return trial


def _shares(study: optuna.Study, at: int) -> dict[str, float]:
    def value(trial: FrozenTrial) -> float:
        return float(trial.values[at])

    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    try:
        found = get_param_importances(study, evaluator=evaluator, target=value)
        return {name: float(share) for name, share in found.items()}
    except (ValueError, RuntimeError):
        # What is equal in all trials, an objective or every parameter, has no importances.
        return {}
