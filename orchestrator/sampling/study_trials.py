"""Trials of a sweep as trials of an Optuna study that a person looks at.

Unlike `orchestrator.sampling.distributions`, which the samplers see, parameters are what they are
called, not numbers of their places.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from orchestrator.objectives import Objective
from orchestrator.spec.files import stored_sweep
from orchestrator.trials import Report, Trial, TrialState, Value
from search_spaces import Choice, Domain, Float, Int

TRIAL = "trial"
"""User attribute: the trial's number in the sweep."""

PARAMS = "paretune:params"
"""System attribute, which the dashboard does not show: the configuration in its own types."""

_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.STOPPED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}
# Values that may replace an objective during training, the closest one first.
_CURVES = ("{}", "milestone_{}", "float_{}")
_MAX_STEPS = 1_000_000


class StudyTrials:
    """Turns trials of one sweep into trials of a study.

    Args:
        spec: The sweep's, as stored.
    """

    def __init__(self, spec: Mapping[str, object]) -> None:
        read = stored_sweep(str(spec.get("name")), spec)
        self._space, self._constraints = read.search_space, read.limits
        self.objectives: tuple[Objective, ...] = read.directed

    def frozen(self, trial: Trial, reports: Sequence[Report]) -> FrozenTrial:
        """Return a trial as Optuna stores it; one that is not final is RUNNING."""
        params = self._space.canonical(trial.params)
        domains = {name: self._space.domains[name] for name in params}
        state, values = self._end(trial)
        violations = self._violations(trial) if values is not None else {}
        curve = self._curve(reports) if len(self.objectives) == 1 else {}
        made = create_trial(
            state=state,
            values=values,
            params={name: label(domains[name], value) for name, value in params.items()},
            distributions={name: distribution(domain) for name, domain in domains.items()},
            user_attrs=_user_attrs(trial, () if curve else reports),
            system_attrs={
                **trial.sampler_attrs,
                PARAMS: params,
                # Surprise (optuna-dashboard 0.21): it reads violations in the form of Optuna 4.
                **({"constraints": list(violations.values())} if violations else {}),
            },
            intermediate_values=curve,
            constraints=violations,
        )
        if trial.created is not None:
            made.datetime_start = _local(trial.created)
        if state.is_finished() and trial.ended is not None:
            made.datetime_complete = _local(trial.ended)
        return made

    def _end(self, trial: Trial) -> tuple[OptunaState, list[float] | None]:
        state = _STATES.get(trial.state, OptunaState.RUNNING)
        if state is not OptunaState.COMPLETE:
            return state, None
        values = [trial.values.get(objective.name, math.nan) for objective in self.objectives]
        # Optuna takes no complete trial without numbers.
        finite = all(map(math.isfinite, values))
        return (state, values) if finite else (OptunaState.FAIL, None)

    def _violations(self, trial: Trial) -> dict[str, float]:
        found = {str(limit): limit.violation(trial.values) for limit in self._constraints}
        # Infinite where nothing was measured; JSON has no word for it.
        return {name: each if math.isfinite(each) else 1e9 for name, each in found.items()}

    def _curve(self, reports: Sequence[Report]) -> dict[int, float]:
        """Return the values that replace the single objective, by epoch; empty if none do."""
        name = self.objectives[0].name
        names = [each.format(name) for each in _CURVES]
        shown = next((n for n in names if any(n in r.values for r in reports)), name)
        return {r.epoch: r.values[shown] for r in reports if shown in r.values}


def distribution(domain: Domain) -> BaseDistribution:
    """Return the Optuna distribution of the values that a parameter may take.

    >>> distribution(Choice((1, True)))  # equal in Python, so each is shown as JSON
    CategoricalDistribution(choices=('1', 'true'))
    """
    if isinstance(domain, Choice):
        return CategoricalDistribution([label(domain, option) for option in domain.options])
    if isinstance(domain, Int):
        last = domain.at(domain.size - 1)
        return IntDistribution(domain.low, last, step=domain.step, log=domain.log)
    if domain.step is not None and _is_exact(domain):
        highest = domain.at((domain.size or 1) - 1)
        return FloatDistribution(domain.low, highest, step=domain.step)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def label(domain: Domain, value: Value) -> Value:
    """Return a value as it is shown: itself, or JSON if Python considers two options equal.

    >>> label(Choice((1, True)), True), label(Choice((1, 2)), 1)
    ('true', 1)
    """
    if isinstance(domain, Choice) and len(set(domain.options)) < domain.size:
        return json.dumps(value)
    return value


def _is_exact(domain: Float) -> bool:
    """Whether Optuna counts the steps of a grid as we do: it reads the decimals."""
    size, step = domain.size or 0, Decimal(repr(domain.step))
    if not 1 < size <= _MAX_STEPS:
        return False
    span = Decimal(repr(domain.at(size - 1))) - Decimal(repr(domain.low))
    return span == step * (size - 1)


def _user_attrs(trial: Trial, reports: Sequence[Report]) -> dict[str, Any]:
    """Return what the dashboard shows next to the objectives, as far as it is known."""
    names = dict.fromkeys(name for report in reports for name in report.values)
    curves = {
        f"epochs:{name}": [[r.epoch, r.values[name]] for r in reports if name in r.values]
        for name in names
    }
    known = {
        TRIAL: trial.number,
        "seed": trial.seed,
        "replicate": trial.replicate,
        "origin": trial.origin,
        "mlflow_run_id": trial.mlflow_run_id,
        "artifact": trial.artifact.path if trial.artifact else None,
        "failure": f"{trial.failure.kind}: {trial.failure.message}" if trial.failure else None,
    }
    said = {name: value for name, value in known.items() if value is not None}
    return {**trial.values, **said, **curves}


def _local(moment: datetime) -> datetime:
    """Convert a moment to what Optuna stores: local time, without a time zone."""
    return moment.astimezone().replace(tzinfo=None)
