"""Syne Tune's searchers in a simulated search; run by Syne Tune's own Python.

A line of JSON in, a line of JSON out: first what is searched, then one question after another.
"""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, ordinal
from syne_tune.optimizer.baselines import EHVI
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.multiobjective.multi_objective_regularized_evolution import (
    MultiObjectiveRegularizedEvolution,
)
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler

# Its default, 100, would be random search at these budgets.
POPULATION = 20


class SyneTune:
    """One of its schedulers, asked and told."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        # MOASHA draws its configurations from NumPy's global generator.
        np.random.seed(task["seed"])  # noqa: NPY002
        self._signs: dict[str, float] = task["signs"]
        space = {
            name: ordinal(values, kind="equal") if is_ordered else choice(values)
            for name, (values, is_ordered) in task["space"].items()
        }
        self._epochs = task["epochs"]
        self._scheduler = self._made(task, space)
        self._trials: dict[int, Trial] = {}

    def _made(self, task: Mapping[str, Any], space: dict[str, Any]) -> Any:
        names, seed = list(self._signs), task["seed"]
        if task["kind"] == "moasha":
            return MOASHA(
                space,
                metrics=names,
                time_attr="epoch",
                max_t=task["epochs"],
                grace_period=1,
                reduction_factor=task["reduction"],
                random_seed=seed,
            )
        if task["kind"] == "ehvi":
            return EHVI(space, metrics=names, random_seed=seed)
        searcher = MultiObjectiveRegularizedEvolution(
            space, population_size=POPULATION, random_seed=seed
        )
        return SingleFidelityScheduler(space, names, searcher=searcher, random_seed=seed)

    def suggest(self, trial: int) -> dict[str, Any]:
        """Ask for a configuration."""
        suggestion = self._scheduler.suggest()
        self._trials[trial] = Trial(trial, suggestion.config, datetime.now())  # noqa: DTZ005
        on_add = getattr(self._scheduler, "on_trial_add", None)
        if on_add is not None:
            on_add(self._trials[trial])
        return dict(suggestion.config)

    def goes_on(self, trial: int, epoch: int, values: Mapping[str, float]) -> bool:
        """Ask for a verdict."""
        decision = self._scheduler.on_trial_result(
            self._trials[trial], self._result(values, epoch)
        )
        return bool(decision != SchedulerDecision.STOP)

    def complete(self, trial: int, values: Mapping[str, float]) -> None:
        """Tell the end."""
        self._scheduler.on_trial_complete(self._trials[trial], self._result(values, self._epochs))

    def _result(self, values: Mapping[str, Any], epoch: int) -> dict[str, Any]:
        losses = {name: sign * values[name] for name, sign in self._signs.items()}
        return {**losses, "epoch": epoch}


def plain(value: object) -> object:
    """What JSON has a word for, of NumPy's numbers."""
    return value.item() if isinstance(value, np.generic) else value


def main() -> None:
    peer = SyneTune(json.loads(sys.stdin.readline()))
    # It prints what it does, and the answers have standard output for themselves.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(getattr(peer, name)(*arguments), default=plain), file=answers, flush=True)


if __name__ == "__main__":
    main()
